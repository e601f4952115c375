"""The giver: sways and trembles, pulls at what is taken, and lets go when it is held firmly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from h2rh_env.core.geometry import SE3, Array, uniform_directions

SWAYS, TREMBLES = 3, 1
SWAY_HZ, TREMBLE_HZ = (0.1, 0.6), (6.0, 10.0)
TREMBLE_SHARE = 0.06  # of the amplitude: 0.3 mm and 0.2 degrees, a hand's at rest


@dataclass(frozen=True)
class GiverConfig:
    """How a giver holds on and lets go. The pull is what an arm's estimate needs: a UR5's means little below 15 N."""

    sway_m: float = 0.005
    """The object's centre is never further than this from where it is on the average, m."""
    sway_rad: float = np.radians(3.0)
    """And never turned further, rad."""
    pull_n: tuple[float, float] = (18.0, 26.0)
    """The giver pulls by so much once both pads press, drawn evenly, N; gravity is his too until he lets go."""
    pull_rise_s: float = 0.2
    """In which the pull grows."""
    firm_s: float = 0.1
    """So long both pads must have pressed before the giver makes up his mind,"""
    reaction_s: tuple[float, float] = (0.5, 0.9)
    """which takes him so long, drawn evenly, s."""
    release_s: float = 0.2
    """In which his hold fades."""
    felt_noise_n: float = 2.0
    """Standard deviation of the arm's force estimate on each axis, drawn anew in every state, N."""
    felt_bias_n: float = 5.0
    """And of its offset, drawn once."""


class Giver:
    """Where hand and object are, and what the giver wants of a force; the same seed gives the same giver.

    Args:
        world_from_rest: the scene's frame where it is on the average.
        centre_scene: (3,) of the object, about which it is turned.
    """

    def __init__(
        self, world_from_rest: SE3, centre_scene: Array, config: GiverConfig, rng: np.random.Generator
    ) -> None:
        self._rest, self._centre, self.config = world_from_rest, np.asarray(centre_scene, np.float64), config
        count = SWAYS + TREMBLES
        shares = np.concatenate([(1 - TREMBLE_SHARE) * rng.dirichlet(np.ones(SWAYS)), [TREMBLE_SHARE]])
        rates = np.concatenate([rng.uniform(*SWAY_HZ, SWAYS), rng.uniform(*TREMBLE_HZ, TREMBLES)])
        self._turning, self._phases = 2 * np.pi * rates, rng.uniform(0, 2 * np.pi, (2, count))
        self._offsets = config.sway_m * shares[:, None] * uniform_directions(rng, count)
        self._turns = config.sway_rad * shares[:, None] * uniform_directions(rng, count)
        self.pull_n, self.reaction_s = (
            float(rng.uniform(*config.pull_n)),
            float(rng.uniform(*config.reaction_s)),
        )
        self._still_since_s = np.inf

    def stand_still(self, time_s: float) -> None:
        """From now on the giver moves no more, as when nothing is left to hold."""
        self._still_since_s = min(self._still_since_s, time_s)

    def world_from_scene(self, time_s: float) -> SE3:
        """The frame that the giver carries along, at a time, s."""
        waves = np.sin(self._turning * min(time_s, self._still_since_s) + self._phases)
        turn = Rotation.from_rotvec(waves[1] @ self._turns).as_matrix()
        moved = SE3(turn, self._centre + waves[0] @ self._offsets - turn @ self._centre)
        return self._rest @ moved

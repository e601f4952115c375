"""A giver who moves: hand and object carried together along a smooth path, drawn by chance or recorded.

The *scene* is the frame that the giver carries along, the *world* is inertial, and the camera is moved in the world:
`world_from_camera = world_from_scene @ scene_from_camera`. Seen from the scene, the camera drifts the other way; so
rendering, clearance, expert and metrics work as they do with a giver who stands still.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from ..core.geometry import (
    SE3,
    Array,
    rotation_angle,
    rotation_from_rotvec,
    rotvec_from_rotation,
    uniform_directions,
)
from ..core.task import MAX_EPISODE_STEPS

STEP_S = 0.1  # of one action
WAVES = 3
WAVE_HZ = (0.1, 0.6)  # how people's hands sway and drift within the 3 s of an episode
SPEED_SLACK = 1e-6


@dataclass(frozen=True, eq=False)
class GiverMotion:
    """Where hand and object have been carried, step by step; after the last one they stay.

    Attributes:
        offsets_world: (T, 3) of the object's centre, m, from where it was at first.
        rotvecs_world: (T, 3) rotation vectors about the object's centre, rad.
    """

    offsets_world: Array
    rotvecs_world: Array

    def world_from_scene(self, centre_scene: Array, step: int) -> SE3:
        """The scene's frame in the world after so many steps; the identity at first.

        Args:
            centre_scene: (3,) of the object.
        """
        step = min(step, len(self.offsets_world) - 1)
        rotation = self._rotations[step]
        return SE3(rotation, centre_scene + self.offsets_world[step] - rotation @ centre_scene)

    @cached_property
    def _rotations(self) -> Array:
        return rotation_from_rotvec(self.rotvecs_world)


@dataclass(frozen=True, eq=False)
class MovingGiver:
    """Draws a motion for each episode.

    Attributes:
        max_speed_mps: bound of the object's centre's speed, m/s.
        max_turn_radps: bound of the turning about it, rad/s.
        recorded: motions to draw from instead: poses (T, 4, 4) of hand or object in an inertial frame, every 0.1 s,
            as a tracker gives them. Each is replayed about the scene's object from its first pose on.

    Raises:
        ValueError: a recorded motion that is malformed, or faster than the bounds.
    """

    max_speed_mps: float = 0.1
    max_turn_radps: float = 0.2
    recorded: Sequence[npt.ArrayLike] = ()

    def __post_init__(self) -> None:
        for name in ("max_speed_mps", "max_turn_radps"):
            if not 0 <= getattr(self, name) < np.inf:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be finite and at least 0")
        for number, poses in enumerate(self._motions):
            speed, turn = peak_speeds(poses)
            if speed > self.max_speed_mps + SPEED_SLACK or turn > self.max_turn_radps + SPEED_SLACK:
                raise ValueError(
                    f"recorded motion {number} reaches {speed:.3g} m/s and {turn:.3g} rad/s; the bounds are "
                    f"{self.max_speed_mps} m/s and {self.max_turn_radps} rad/s"
                )

    def draw(self, rng: np.random.Generator, steps: int = MAX_EPISODE_STEPS) -> GiverMotion:
        """A motion for one episode of so many steps; a longer one begins as a shorter one does."""
        if self._motions:
            return self._motions[int(rng.integers(len(self._motions)))]
        return GiverMotion(_sway(rng, self.max_speed_mps, steps), _sway(rng, self.max_turn_radps, steps))

    @cached_property
    def _motions(self) -> list[GiverMotion]:
        return [_relative(poses) for poses in self.recorded]


def _sway(rng: np.random.Generator, max_rate: float, steps: int) -> Array:
    """(steps + 1, 3): a sum of waves whose rates add up to at most `max_rate` a second, zero at first."""
    shares = rng.dirichlet(np.ones(WAVES)) * max_rate * rng.uniform(0.5, 1)
    rates = shares[:, None] * uniform_directions(rng, WAVES)
    turning, phases = 2 * np.pi * rng.uniform(*WAVE_HZ, WAVES), rng.uniform(0, 2 * np.pi, WAVES)
    times = STEP_S * np.arange(steps + 1)[:, None]
    return ((np.sin(turning * times + phases) - np.sin(phases)) / turning) @ rates


def _relative(poses: npt.ArrayLike) -> GiverMotion:
    array = np.asarray(poses, np.float64)
    if array.ndim != 3 or array.shape[1:] != (4, 4) or not len(array):
        raise ValueError(f"a recorded motion is poses (T, 4, 4), T at least 1; got {array.shape}")
    motions = [SE3.from_matrix(pose) for pose in array]
    turns = [rotvec_from_rotation(motion.rotation @ motions[0].rotation.T) for motion in motions]
    return GiverMotion(array[:, :3, 3] - array[0, :3, 3], np.array(turns))


def peak_speeds(motion: GiverMotion) -> tuple[float, float]:
    """The greatest speed, m/s, and turning, rad/s, between two steps; zero for a single one."""
    rotations = rotation_from_rotvec(motion.rotvecs_world)
    if len(rotations) < 2:
        return 0.0, 0.0
    speeds = np.linalg.norm(np.diff(motion.offsets_world, axis=0), axis=1)
    turns = [rotation_angle(after @ before.T) for before, after in pairwise(rotations)]
    return float(speeds.max()) / STEP_S, max(turns) / STEP_S

"""Conditions: what stands between the rendered world and a policy in a benchmark, one perturbation at a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..core.action import decode_action, encode_action
from ..core.geometry import SE3
from ..core.policy import Observation
from .images import IMAGE_PERTURBATIONS, PERTURBATIONS, LateObservations, hand_eye_offset, perturb

STRENGTHS = (0.25, 0.5, 0.75, 1.0)
HELD = ("exposure", "white_balance", "colour")  # a camera's settings last through an episode


@dataclass(frozen=True)
class Condition:
    """A perturbation by name and its strength in [0, 1]; no name means the world as rendered."""

    perturbation: str = ""
    strength: float = 0.0

    def __str__(self) -> str:
        return f"{self.perturbation} {self.strength:g}" if self.perturbation else "as rendered"


AS_RENDERED = Condition()


def all_conditions(strengths: tuple[float, ...] = STRENGTHS) -> tuple[Condition, ...]:
    """Lists the world as rendered, then every perturbation at growing strength."""
    return (AS_RENDERED, *(Condition(name, strength) for name in PERTURBATIONS for strength in strengths))


class Corruption:
    """A condition in one episode: changes what the policy sees and what becomes of its actions."""

    def __init__(self, condition: Condition, seed: int) -> None:
        """Args: seed: of the episode. Equal seeds draw equally at any strength, so strengths compare."""
        name, strength = condition.perturbation, condition.strength
        self._name, self._strength = name, strength
        self._seeds = [seed, list(PERTURBATIONS).index(name) if name else len(PERTURBATIONS)]
        self._rng = np.random.default_rng(self._seeds)
        self._late = LateObservations(strength, self._rng) if name == "latency" else None
        self.gripper_from_camera = hand_eye_offset(strength, self._rng) if name == "hand_eye" else None

    def seen(self, observation: Observation) -> Observation:
        """Returns what reaches the policy of an observation."""
        if self._late:
            return self._late(observation)
        if self._name not in IMAGE_PERTURBATIONS:
            return observation
        rng = np.random.default_rng(self._seeds) if self._name in HELD else self._rng
        rgb, masks = perturb(self._name, self._strength, observation["rgb"], observation["masks"], rng)
        return observation | {"rgb": rgb, "masks": masks}

    def executed(self, action: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Returns the true camera's motion if the robot moves its gripper as the believed calibration asks."""
        if self.gripper_from_camera is None:
            return action
        motion, grasp_score = decode_action(action)
        moved: SE3 = self.gripper_from_camera.inverse() @ motion @ self.gripper_from_camera
        return encode_action(moved, grasp_score)

"""Validation: how well a network does in scenes that it was not trained on, and which of two did better."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from h2rh_env.core.geometry import SE3, rotation_angle
from h2rh_env.core.gripper import half_turned
from h2rh_env.envs.metrics import EpisodeScore
from h2rh_env.scenes.handover_scene import HandoverScene

RAD_AS_M = 0.3  # an error of the approach is worth what it moves the gripper aside over the standoff


@dataclass(frozen=True)
class Outcome:
    """What came of one rollout.

    Attributes:
        score: its figures as in evaluation.
        goal_error_m: distance from the end pose to the scene's pre-grasp pose.
        goal_error_rad: angle between them; the better of the gripper's two half turns counts.
    """

    score: EpisodeScore
    goal_error_m: float
    goal_error_rad: float


def outcome_of(score: EpisodeScore, scene: HandoverScene, end_scene_from_gripper: SE3) -> Outcome:
    """Compares the end pose of an episode with the scene's pre-grasp pose."""
    goal = scene.grasp.pregrasp()
    off_m = float(np.linalg.norm(goal.translation - end_scene_from_gripper.translation))
    gripper_from_scene = end_scene_from_gripper.inverse()
    off_rad = min(rotation_angle((gripper_from_scene @ pose).rotation) for pose in (goal, half_turned(goal)))
    return Outcome(score, off_m, off_rad)


@dataclass(frozen=True)
class Validation:
    """Figures of the rollouts after an epoch.

    Success saturates: nearly every checkpoint has all of it. Among equal ones, the error of the goal decides.

    Attributes:
        epochs: passes over the frames before.
        success: rate of successes, as `h2rh_env.envs.metrics` defines them.
        goal_error_m: mean distance from end poses to pre-grasp poses.
        goal_error_rad: mean angle between them.
    """

    epochs: int
    success: float
    goal_error_m: float
    goal_error_rad: float

    @classmethod
    def of(cls, epochs: int, outcomes: Sequence[Outcome]) -> Validation:
        """Summarises at least one rollout."""
        success = float(np.mean([each.score.success for each in outcomes]))
        error_m = float(np.mean([each.goal_error_m for each in outcomes]))
        return cls(epochs, success, error_m, float(np.mean([each.goal_error_rad for each in outcomes])))

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Validation:
        """Reads what `dataclasses.asdict` gave."""
        figures = (float(values[name]) for name in ("success", "goal_error_m", "goal_error_rad"))
        return cls(int(values["epochs"]), *figures)

    def better_than(self, other: Validation) -> bool:
        """Whether more rollouts succeeded, or as many with less error of the goal."""
        return (self.success, -self._error_m) > (other.success, -other._error_m)

    @property
    def _error_m(self) -> float:
        return self.goal_error_m + RAD_AS_M * self.goal_error_rad

    def __str__(self) -> str:
        off = f"{1000 * self.goal_error_m:.0f} mm and {np.degrees(self.goal_error_rad):.0f} deg"
        return f"success {self.success:.3f}, off the goal by {off}"

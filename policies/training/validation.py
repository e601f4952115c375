"""Validation: how well a network does in scenes that it was not trained on, and which of two did better."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from h2rh_env.core.episode import EpisodeRecord
from h2rh_env.core.geometry import rotation_angle
from h2rh_env.core.gripper import half_turned
from h2rh_env.core.task import STANDOFF_M
from h2rh_env.envs.drive_on import driven_on
from h2rh_env.envs.handover_metrics import can_be_handed_over, score_handover
from h2rh_env.envs.metrics import EpisodeScore, score
from h2rh_env.scenes.handover_scene import HandoverScene

RAD_AS_M = 0.3  # an error of the approach is worth what it moves the gripper aside over the standoff


@dataclass(frozen=True)
class Outcome:
    """What came of one rollout.

    Attributes:
        score: its figures as in evaluation.
        handed_over: whether the object is, by contact, after an advance of the paper's 0.3 m; None in a scene whose
            object nothing holds.
        goal_error_m: distance from the end pose to the scene's pre-grasp pose.
        goal_error_rad: angle between them; the better of the gripper's two half turns counts.
    """

    score: EpisodeScore
    handed_over: bool | None
    goal_error_m: float
    goal_error_rad: float


def outcome_of(record: EpisodeRecord, scene: HandoverScene) -> Outcome:
    """Judges an episode, and compares its end pose with the scene's pre-grasp pose."""
    goal, end = scene.grasp.pregrasp(), record.end_scene_from_gripper
    off_m = float(np.linalg.norm(goal.translation - end.translation))
    off_rad = min(rotation_angle((end.inverse() @ pose).rotation) for pose in (goal, half_turned(goal)))
    return Outcome(score(record, scene), _handed_over(record, scene), off_m, off_rad)


def _handed_over(record: EpisodeRecord, scene: HandoverScene) -> bool | None:
    if not can_be_handed_over(scene):
        return None
    if not record.declared:
        return False
    path = driven_on(record.scene_from_gripper, STANDOFF_M)
    return score_handover(path, True, scene, record.seed).handed_over


@dataclass(frozen=True)
class Validation:
    """Figures of the rollouts after an epoch.

    Success at the pre-grasp pose saturates: nearly every checkpoint has all of it. What was handed over decides, and
    among equal ones the error of the goal.

    Attributes:
        epochs: passes over the frames before.
        handed_over: rate of handovers by contact, of those that can be; 0 where none can.
        success: rate of successes, as `h2rh_env.envs.metrics` defines them.
        goal_error_m: mean distance from end poses to pre-grasp poses.
        goal_error_rad: mean angle between them.
    """

    epochs: int
    handed_over: float
    success: float
    goal_error_m: float
    goal_error_rad: float

    @classmethod
    def of(cls, epochs: int, outcomes: Sequence[Outcome]) -> Validation:
        """Summarises at least one rollout."""
        judged = [each.handed_over for each in outcomes if each.handed_over is not None]
        handed_over = float(np.mean(judged)) if judged else 0.0
        success = float(np.mean([each.score.success for each in outcomes]))
        error_m = float(np.mean([each.goal_error_m for each in outcomes]))
        return cls(
            epochs, handed_over, success, error_m, float(np.mean([each.goal_error_rad for each in outcomes]))
        )

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Validation:
        """Reads what `dataclasses.asdict` gave; earlier versions did not judge handovers."""
        figures = (float(values[name]) for name in ("success", "goal_error_m", "goal_error_rad"))
        return cls(int(values["epochs"]), float(values.get("handed_over", 0.0)), *figures)

    def better_than(self, other: Validation) -> bool:
        """Whether more was handed over, or as much with less error of the goal."""
        return (self.handed_over, -self._error_m) > (other.handed_over, -other._error_m)

    @property
    def _error_m(self) -> float:
        return self.goal_error_m + RAD_AS_M * self.goal_error_rad

    def __str__(self) -> str:
        off = f"{1000 * self.goal_error_m:.0f} mm and {np.degrees(self.goal_error_rad):.0f} deg"
        return f"handed over {self.handed_over:.3f}, success {self.success:.3f}, off the goal by {off}"

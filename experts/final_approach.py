"""The final approach: from the pre-grasp pose straight along the grasp's z, slower, until the fingers close.

Like the phases before it, it is read from the pose alone, never remembered.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from h2rh_env.core.geometry import SE3, rotation_angle, slerp
from h2rh_env.core.motion_limits import FINAL_STEP_M, FINAL_STEP_RAD

from .trajectory import ROUNDING


@dataclass(frozen=True)
class FinalApproach:
    """Where the final approach leads, how fast, and when the fingers close; poses are `grasp_from_gripper`.

    Attributes:
        length_m: how far behind the grasp it begins.
        step_m: how far forward one step goes, at most; step_rad: how far it turns.
        beside_m, turned_rad: how far off the straight line a gripper may be that still goes on instead of beginning
            anew from the pre-grasp pose; it is led back to the line on the way.
        short_m, deep_m: how far before or beyond the grasp the fingers may close. A grasp forgives depth, but hardly
            any shortness.
        close_beside_m, close_turned_rad: how far off the line they may close.
    """

    length_m: float
    step_m: float = FINAL_STEP_M
    step_rad: float = FINAL_STEP_RAD
    beside_m: float = 0.03
    turned_rad: float = 0.15
    short_m: float = 0.004
    deep_m: float = 0.015
    close_beside_m: float = 0.01
    close_turned_rad: float = 0.06

    def includes(self, grasp_from_gripper: SE3) -> bool:
        """Whether a pose is on the final approach."""
        beside, along = _beside_and_along(grasp_from_gripper)
        return (
            beside <= self.beside_m
            and -self.length_m - self.short_m <= along <= self.deep_m + self.step_m
            and rotation_angle(grasp_from_gripper.rotation) <= self.turned_rad
        )

    def closes(self, grasp_from_gripper: SE3) -> bool:
        """Whether the fingers close at a pose."""
        beside, along = _beside_and_along(grasp_from_gripper)
        return (
            beside <= self.close_beside_m
            and -self.short_m <= along <= self.deep_m
            and rotation_angle(grasp_from_gripper.rotation) <= self.close_turned_rad
        )

    def advanced(self, grasp_from_gripper: SE3) -> SE3:
        """The next pose: a step farther along z, and as much nearer to the line, in position and in direction."""
        position = grasp_from_gripper.translation.copy()
        beside, along = _beside_and_along(grasp_from_gripper)
        position[:2] *= max(0.0, 1 - 2 * self.step_m / max(beside, 1e-12))
        steps = max(1, math.ceil(abs(along) / self.step_m - ROUNDING))
        position[2] = along * (1 - 1 / steps)  # equal steps, so that the last one ends at the grasp
        angle = rotation_angle(grasp_from_gripper.rotation)
        fraction = min(1.0, self.step_rad / max(angle, 1e-12))
        return SE3(slerp(grasp_from_gripper.rotation, np.eye(3), fraction), position)


def _beside_and_along(grasp_from_gripper: SE3) -> tuple[float, float]:
    """Distance from the line along which the gripper closes, m, and place on it: negative before the grasp, m."""
    x, y, z = grasp_from_gripper.translation
    return float(np.hypot(x, y)), float(z)

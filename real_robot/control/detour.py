"""A detour: where to go instead of a goal that the arm cannot reach, the nearest place about the object that it can.

A policy acts on what it sees and knows nothing of the arm's singularities and its end. A camera that is carried a
little further around the object still sees it in the middle and as large, so a policy goes on from there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy.spatial.transform import Rotation

from h2rh_env.core.geometry import SE3, Array, between

TILTS_RAD = np.radians([10, 20, 30, 40, 50, 60])
MOST_LEAST_RAD = np.radians(40)
DIRECTIONS = 12
LEAST_SPEED_SCALE = 0.3  # where the path ends; along it, it may be less
PARTS = (0.25, 0.5, 0.75, 1.0)  # of the path, which are asked about


def detour(
    here: SE3,
    goal: SE3,
    pivot_world: Array,
    speed_scale: Callable[[SE3], float],
    can_follow: Callable[[Sequence[SE3]], bool],
    least_rad: float = 0.0,
) -> SE3 | None:
    """The goal turned about a point (3,) by the least angle at which the arm reaches it along a path.

    Args:
        here, goal: `world_from_gripper`.
        speed_scale, can_follow: of the arm; see `interfaces.Arm`.
        least_rad: turns by at least this, where smaller ones led nowhere.

    Returns:
        None where there is none within 60 degrees.
    """
    about = 2 * np.pi * np.arange(DIRECTIONS) / DIRECTIONS
    for tilt in TILTS_RAD[min(least_rad, MOST_LEAST_RAD) <= TILTS_RAD]:
        axes = np.stack([np.cos(about), np.sin(about), np.zeros(DIRECTIONS)], axis=1) @ goal.rotation.T
        turned = [_turned(goal, pivot_world, tilt * axis) for axis in axes]
        turned.sort(key=lambda pose: float(np.linalg.norm(pose.translation - here.translation)))
        for pose in turned:
            path = [between(here, pose, part) for part in PARTS]
            if speed_scale(pose) >= LEAST_SPEED_SCALE and can_follow(path):
                return pose
    return None


def _turned(pose: SE3, pivot: Array, turn: Array) -> SE3:
    rotation = Rotation.from_rotvec(turn).as_matrix()
    return SE3(rotation @ pose.rotation, pivot + rotation @ (pose.translation - pivot))

"""Where to go instead of a goal that the arm cannot reach: the nearest place about the object that it can.

A policy acts on what it sees and knows nothing of the arm's singularities and its end. A camera that is carried a
little further around the object still sees it in the middle and as large, so a policy goes on from there.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.spatial.transform import Rotation

from h2rh_env.geometry import SE3, Array, slerp

TILTS_RAD = np.radians([10, 20, 30, 40])
DIRECTIONS = 12
LEAST_EASE = 0.3  # where the way ends; on the way it may be less
SAMPLES = 4


def way_round(here: SE3, goal: SE3, pivot_world: Array, ease: Callable[[SE3], float]) -> SE3 | None:
    """The goal turned about a point (3,) by the least angle at which the arm reaches it, and all of the way there.

    Args:
        here, goal: `world_from_gripper`.
        ease: of a pose, 0 out of reach; see `Arm.ease`.

    Returns:
        None where there is none within 40 degrees.
    """
    about = 2 * np.pi * np.arange(DIRECTIONS) / DIRECTIONS
    for tilt in TILTS_RAD:
        axes = np.stack([np.cos(about), np.sin(about), np.zeros(DIRECTIONS)], axis=1) @ goal.rotation.T
        turned = [_turned(goal, pivot_world, tilt * axis) for axis in axes]
        turned.sort(key=lambda pose: float(np.linalg.norm(pose.translation - here.translation)))
        for pose in turned:
            if ease(pose) >= LEAST_EASE and all(
                ease(_between(here, pose, k / SAMPLES)) > 0 for k in range(1, SAMPLES)
            ):
                return pose
    return None


def _turned(pose: SE3, pivot: Array, turn: Array) -> SE3:
    rotation = Rotation.from_rotvec(turn).as_matrix()
    return SE3(rotation @ pose.rotation, pivot + rotation @ (pose.translation - pivot))


def _between(start: SE3, end: SE3, part: float) -> SE3:
    way = end.translation - start.translation
    return SE3(slerp(start.rotation, end.rotation, part), start.translation + part * way)

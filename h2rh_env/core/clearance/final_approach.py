"""The final approach: the straight end of a path, on which alone the gripper may come near the object."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..geometry import Array, angle_between
from ..task import CLEARANCE_M, STANDOFF_M
from . import Clearance

CORRIDOR_M = 0.05  # from the axis along which the gripper closes
CORRIDOR_RAD = float(np.radians(30))  # between the approach directions of a pose and of the closing pose
OVERLAP_M = 0.02  # beyond either end of the 0.3 m: a gripper that trembles has not left


def final_approach_begin(scene_from_gripper: npt.ArrayLike) -> int:
    """Tells where the final approach of a path begins, seen from the pose in which the gripper closed.

    The final approach is the longest end of the path whose poses all lie in the corridor that leads straight to the
    closing pose: at most 50 mm from its z axis, with an approach direction at most 30 degrees from its own, and no
    farther behind it than the 0.3 m of Eq. 7. Nobody has to announce it, so nobody can announce it too early.

    Args:
        scene_from_gripper: (T + 1, 4, 4) poses, the closing pose last.

    Returns:
        The index of its first pose, T at the most: the closing pose always belongs to it.
    """
    poses = np.asarray(scene_from_gripper, np.float64)
    end = poses[-1]
    positions = (poses[:, :3, 3] - end[:3, 3]) @ end[:3, :3]  # in the closing pose's frame
    inside = np.linalg.norm(positions[:, :2], axis=1) <= CORRIDOR_M
    inside &= (positions[:, 2] >= -STANDOFF_M - OVERLAP_M) & (positions[:, 2] <= OVERLAP_M)
    inside &= angle_between(poses[:, :3, 2], end[:3, 2]) <= CORRIDOR_RAD
    outside = np.flatnonzero(~inside)
    return int(outside[-1]) + 1 if len(outside) else 0


def kept_away(
    scene_from_gripper: npt.ArrayLike, hand: Clearance, held_object: Clearance
) -> npt.NDArray[np.bool_]:
    """Tells which poses of a path that ends in closing kept the distance that a handover asks for.

    The origin of the grasp frame stays 0.1 m (d_min of Eq. 14) from the hand in every pose, and from the object in
    every pose before the final approach.

    Args:
        scene_from_gripper: (T + 1, 4, 4) poses, the closing pose last.
        hand, held_object: distances to the points of the giver's hand and of the object.

    Returns:
        (T + 1,) bool.
    """
    poses = np.asarray(scene_from_gripper, np.float64)
    positions: Array = poses[:, :3, 3]
    kept = hand.distance(positions) > CLEARANCE_M
    begin = final_approach_begin(poses)
    kept[:begin] &= held_object.distance(positions[:begin]) > CLEARANCE_M
    return np.asarray(kept)

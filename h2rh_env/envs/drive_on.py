"""Driving on: the straight advance from a declared pre-grasp pose to the pose in which the fingers close."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from ..core.camera import PinholeCamera
from ..core.geometry import SE3, Array
from ..core.gripper import FINGERTIP_DEPTH_M, ROBOTIQ_2F85, GripperGeometry
from ..core.task import STANDOFF_M

FinalApproach = Literal["fixed", "measured"]
OVERLAP_M = 0.025  # by which the fingertips go past the nearest surface between them
NEAREST_PERCENT = 5  # of the depths between the fingers; the very least may be a stray pixel
MIN_PIXELS = 5
STRIDE_M = 0.01  # between the poses of an advance


def measured_advance_m(
    depth_m: npt.NDArray[np.float32],
    object_mask: npt.NDArray[np.bool_],
    camera: PinholeCamera,
    gripper_from_camera: SE3,
    gripper: GripperGeometry = ROBOTIQ_2F85,
) -> float:
    """How far a robot would advance by its own depth image: until the fingertips are 25 mm past what is between them.

    Args:
        depth_m: (H, W), m, 0 where nothing is measured. object_mask: (H, W).
        gripper_from_camera: as the robot believes it.

    Returns:
        The length in m, at least 0; the paper's 0.3 m where nothing of the object is between the fingers.
    """
    usable = object_mask & (depth_m > 0)
    points = gripper_from_camera.apply(camera.unproject(depth_m)[usable])
    aside = np.abs(points[:, :2]) < [gripper.max_width_m / 2, gripper.finger_breadth_m / 2]
    ahead = points[aside.all(axis=1), 2]
    if len(ahead) < MIN_PIXELS:
        return STANDOFF_M
    return max(0.0, float(np.percentile(ahead, NEAREST_PERCENT)) + OVERLAP_M - FINGERTIP_DEPTH_M)


def driven_on(scene_from_gripper: Array, advance_m: float) -> Array:
    """A path (T + 1, 4, 4) and the straight advance from its last pose, in poses at most 1 cm apart."""
    end = scene_from_gripper[-1]
    count = max(1, int(np.ceil(advance_m / STRIDE_M)))
    further = np.repeat(end[None], count, axis=0)
    further[:, :3, 3] += np.arange(1, count + 1)[:, None] / count * advance_m * end[:3, 2]
    return np.concatenate([scene_from_gripper, further])

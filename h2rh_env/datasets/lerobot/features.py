"""What LeRobot is shown of a handover: names, shapes and sentences that export, plug-in and policy agree on."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from ...core.geometry import Array
from ...core.task import Task

RGB, MASKS, STATE, ACTION = (
    "observation.images.rgb",
    "observation.images.masks",
    "observation.state",
    "action",
)
POSE_NAMES = ["x_m", "y_m", "z_m", "qw", "qx", "qy", "qz"]
ACTION_NAMES = ["a_rad", "b_rad", "c_rad", "x_m", "y_m", "z_m", "grasp_score"]
OBJECT_GREY, HAND_GREY = 255, 128
SENTENCES: dict[Task, str] = {
    "reach": "Move to the pre-grasp pose of the object that the hand holds out.",
    "grasp": "Take the object that the hand holds out.",
}  # what a policy that reads language is told


def grey(masks: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Returns masks (..., H, W, 2) as grey images (..., H, W, 3): object 255, hand 128, neither 0."""
    levels = np.where(masks[..., 0] > 0, OBJECT_GREY, np.where(masks[..., 1] > 0, HAND_GREY, 0))
    return np.repeat(levels[..., None].astype(np.uint8), 3, axis=-1)


def pose_numbers(matrices: Array) -> npt.NDArray[np.float32]:
    """Returns poses (T, 4, 4) as (T, 7): position, m, and quaternion wxyz with w at least 0."""
    wxyz = Rotation.from_matrix(matrices[:, :3, :3]).as_quat(canonical=True, scalar_first=True)
    return np.concatenate([matrices[:, :3, 3], wxyz], axis=1).astype(np.float32)


def state(fixed_from_first: Array, fixed_from_camera: Array) -> npt.NDArray[np.float32]:
    """Returns the camera's poses as `observation.state` (T, 7): `first_from_camera`, which a robot knows of itself.

    Args:
        fixed_from_first: (4, 4), the camera's pose at the episode's first frame, in a frame that stands still.
        fixed_from_camera: (T, 4, 4), its poses in the same frame.
    """
    return pose_numbers(np.linalg.inv(fixed_from_first) @ fixed_from_camera)

"""Action: seven numbers to a camera motion with a grasp score, and back."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .errors import ActionError
from .geometry import SE3, euler_xyz_from_rotation, rotation_from_euler_xyz
from .motion_limits import MAX_STEP_ROTATION_RAD, MAX_STEP_TRANSLATION_M

_HIGH = np.array([MAX_STEP_ROTATION_RAD] * 3 + [MAX_STEP_TRANSLATION_M] * 3 + [1.0], np.float32)
LIMITS = (np.concatenate([-_HIGH[:6], [0.0]]).astype(np.float32), _HIGH)  # low and high of an action (7,)


def encode_action(camera_from_next_camera: SE3, grasp_score: float) -> npt.NDArray[np.float32]:
    """A one-step camera motion and a grasp score to an action (7,)."""
    angles = euler_xyz_from_rotation(camera_from_next_camera.rotation)
    return np.array([*angles, *camera_from_next_camera.translation, grasp_score], np.float32)


def decode_action(action: npt.ArrayLike) -> tuple[SE3, float]:
    """An action (7,) to `camera_from_next_camera` and a grasp score; values outside the space are clipped.

    Raises:
        ActionError: wrong shape, or a value that is not finite. NaN is never clipped into a motion.
    """
    a = np.asarray(action, np.float64)
    if a.shape != (7,):
        raise ActionError(
            f"an action has shape (7,): 3 rotation, 3 translation, 1 grasp score; got {a.shape}"
        )
    ((camera_from_next_camera, grasp_score),) = decode_actions(a[None])
    return camera_from_next_camera, grasp_score


def decode_actions(actions: npt.ArrayLike) -> list[tuple[SE3, float]]:
    """Many actions (B, 7), each as `decode_action` does.

    Raises:
        ActionError: likewise; names the first that is not finite.
    """
    a = np.asarray(actions, np.float64)
    if a.ndim != 2 or a.shape[1] != 7:
        raise ActionError(f"actions have shape (B, 7); got {a.shape}")
    if not np.isfinite(a).all():
        bad = int(np.argmin(np.isfinite(a).all(axis=1)))
        raise ActionError(f"an action must be finite; got {a[bad].tolist()}")
    if not len(a):
        return []
    a = np.clip(a, *LIMITS)
    rotations = rotation_from_euler_xyz(a[:, :3])
    return [
        (SE3(rotation, row[3:6].copy()), float(row[6])) for rotation, row in zip(rotations, a, strict=True)
    ]

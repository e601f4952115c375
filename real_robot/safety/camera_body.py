"""The camera's own body on the gripper: what the workspace bounds, and what must not meet hand, object or arm."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from h2rh_env.core.clearance import SWEEP_MARGIN_M, sweep_gap
from h2rh_env.core.geometry import SE3, Array

D435I_SIZE_M = np.array([0.090, 0.025, 0.025])  # about its lenses, along the camera's axes
HALF_LENGTH_M = float(D435I_SIZE_M[0] - D435I_SIZE_M[1]) / 2  # of its long axis, between rounded ends


def camera_box(gripper_from_camera: SE3) -> Array | None:
    """(2, 3) lower and upper corner of the camera in the gripper's frame, m, upright in it.

    None for a camera whose place is within the gripper, as a simulated one that is an eye without a body.
    """
    if sweep_gap(gripper_from_camera.translation, 0.0) < 0:
        return None
    corners = camera_corners(gripper_from_camera)
    return np.stack([corners.min(axis=0), corners.max(axis=0)])


def camera_corners(gripper_from_camera: SE3) -> Array:
    """(8, 3) corners in the gripper's frame, m; (0, 3) for a camera within the gripper."""
    if sweep_gap(gripper_from_camera.translation, 0.0) < 0:
        return np.zeros((0, 3))
    signs = np.array(np.meshgrid([-1, 1], [-1, 1], [-1, 1])).reshape(3, 8).T
    return gripper_from_camera.apply(signs * D435I_SIZE_M / 2)


def camera_axis(gripper_from_camera: SE3) -> Array | None:
    """(2, 3) ends of its long axis in the gripper's frame, m; None for a camera within the gripper."""
    if sweep_gap(gripper_from_camera.translation, 0.0) < 0:
        return None
    return gripper_from_camera.apply(np.array([[-HALF_LENGTH_M, 0.0, 0.0], [HALF_LENGTH_M, 0.0, 0.0]]))


def box_hits(
    points_world: Array,
    world_from_gripper: SE3,
    box: Array,
    advance_m: float,
    margin_m: float = SWEEP_MARGIN_M,
) -> npt.NDArray[np.bool_]:
    """Which points (P, 3), m, a `camera_box` touches, a margin about it, while the gripper advances along its z."""
    points = world_from_gripper.inverse().apply(points_world)
    low, high = box[0] - margin_m, box[1] + margin_m + [0.0, 0.0, advance_m]
    return np.asarray(((points > low) & (points < high)).all(axis=1))

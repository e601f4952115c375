"""Shapes: what is drawn beside a splat, as arrays in the scene's frame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from ..core.camera import PinholeCamera
from ..core.geometry import SE3, Array, rotation_from_wxyz
from ..core.gripper import FINGERTIP_DEPTH_M, ROBOTIQ_2F85, GripperGeometry
from ..scenes.gaussians import SH_C0, GaussianScene

Colours = npt.NDArray[np.uint8]
POLICY_COLOURS = ((0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167), (230, 159, 0), (86, 180, 233))


def covariances(gaussians: GaussianScene) -> Array:
    """Returns the covariances R S S R^T, (N, 3, 3), m2."""
    wxyz = np.where(gaussians.wxyz.any(axis=1, keepdims=True), gaussians.wxyz, [1.0, 0, 0, 0])
    scaled = rotation_from_wxyz(wxyz) * np.exp(gaussians.log_scales.astype(np.float64))[:, None, :]
    return np.asarray(scaled @ scaled.transpose(0, 2, 1))


def base_colours(gaussians: GaussianScene) -> npt.NDArray[np.float32]:
    """Returns the colours (N, 3), in [0, 1], that the harmonics of degree 0 give."""
    rgb: npt.NDArray[np.float32] = np.clip(0.5 + SH_C0 * gaussians.sh[:, 0], 0, 1).astype(np.float32)
    return rgb


def gripper_lines(scene_from_grasp: SE3, opening_m: float, gripper: GripperGeometry = ROBOTIQ_2F85) -> Array:
    """Returns a gripper as four segments (4, 2, 3), m: two fingers, the palm, and the approach."""
    half, palm = opening_m / 2, gripper.palm_depth_m
    left, right = [-half, 0, palm], [half, 0, palm]
    segments = [
        [left, [-half, 0, FINGERTIP_DEPTH_M]],
        [right, [half, 0, FINGERTIP_DEPTH_M]],
        [left, right],
        [[0, 0, palm - 0.04], [0, 0, palm]],
    ]
    return scene_from_grasp.apply(np.array(segments))


def by_score(scores: Sequence[float]) -> Colours:
    """Returns colours (N, 3) of scores: yellow for the best of them, violet for the worst."""
    from matplotlib import colormaps

    values = np.asarray(scores, np.float64)
    spread = np.ptp(values) if len(values) else 0.0
    shares = (values - values.min()) / spread if spread else np.ones(len(values))
    return np.asarray(colormaps["viridis"](shares)[:, :3] * 255 + 0.5, np.uint8)


def segments_between(positions: Array) -> Array:
    """Returns a path (T, 3) as segments (T - 1, 2, 3)."""
    return np.stack([positions[:-1], positions[1:]], axis=1)


class Place(TypedDict):
    """A pose in viser's arguments."""

    wxyz: Array
    position: Array


class Field(TypedDict):
    """A camera's vertical angle of view, rad, and its width over its height."""

    fov: float
    aspect: float


def placed(scene_from_thing: SE3) -> Place:
    wxyz = Rotation.from_matrix(scene_from_thing.rotation).as_quat(scalar_first=True)
    return {"wxyz": wxyz, "position": scene_from_thing.translation}


def field_of_view(camera: PinholeCamera) -> Field:
    return {
        "fov": 2 * float(np.arctan2(camera.height / 2, camera.fy)),
        "aspect": camera.width / camera.height,
    }

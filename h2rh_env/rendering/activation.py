"""Activates a scene's raw parameters in float64; values beyond all use are capped, never NaN."""

from __future__ import annotations

import numpy as np

from ..core.geometry import Array
from ..scenes.gaussians import GaussianScene
from .base import MAX_SCALE_M


def opacities(scene: GaussianScene) -> Array:
    """Returns the opacities (N,) in [0, 1]."""
    return 1 / (1 + np.exp(-np.clip(scene.opacity_logits.astype(np.float64), -700, 700)))


def scaled_axes(scene: GaussianScene) -> Array:
    """Returns R diag(s), (N, 3, 3), m: column j is the j-th principal axis, and its square is the covariance.

    A zero quaternion means no rotation.
    """
    wxyz = scene.wxyz.astype(np.float64)
    norm = np.linalg.norm(wxyz, axis=1, keepdims=True)
    w, x, y, z = np.where(norm > 0, wxyz / np.where(norm > 0, norm, 1), [1.0, 0, 0, 0]).T
    rotation = np.empty((len(scene), 3, 3))
    rotation[:, 0] = np.stack([1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)], 1)
    rotation[:, 1] = np.stack([2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)], 1)
    rotation[:, 2] = np.stack([2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)], 1)
    scales = np.exp(np.clip(scene.log_scales.astype(np.float64), -700, np.log(MAX_SCALE_M)))
    return rotation * scales[:, None, :]

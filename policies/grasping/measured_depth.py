"""Measured depth: how far away the object really is, where the camera measures it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from h2rh_env.core.camera import PinholeCamera
from h2rh_env.core.geometry import Array

from .inputs import CropView

LEAST_PIXELS = 40  # of the object whose depth must be measured
BOUNDS = 0.5, 2.0  # of what can be believed


def measured_over_said(
    depth_m: npt.NDArray[np.float32],
    object_mask: npt.NDArray[np.bool_],
    camera: PinholeCamera,
    view: CropView,
    said_m: Array,
) -> float | None:
    """How many times as far away as the network says the object was measured; None where too little of it was.

    The median over the object's pixels, so that edges, holes and a hand beside it don't matter.

    Args:
        depth_m: (H, W), m along the camera's z, 0 where nothing is measured. object_mask: (H, W).
        view: where the network looked. said_m: (C, C), m along the view's z, what it says of each of its cells.
    """
    rows, columns = np.nonzero(object_mask & (depth_m > 0))
    z = depth_m[rows, columns].astype(np.float64)
    x, y = (columns + 0.5 - camera.cx) / camera.fx * z, (rows + 0.5 - camera.cy) / camera.fy * z
    points = np.stack([x, y, z], axis=1) @ view.camera_from_crop
    cells = len(said_m)
    places = (points[:, 1::-1] / points[:, 2:] / view.half_tangent + 1) * cells / 2
    inside = ((places >= 0) & (places < cells)).all(axis=1)
    if inside.sum() < LEAST_PIXELS:
        return None
    down, across = places[inside].astype(int).T
    return float(np.clip(np.median(points[inside, 2] / said_m[down, across]), *BOUNDS))

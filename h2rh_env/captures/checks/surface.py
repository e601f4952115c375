"""The surface that one camera measured: points, normals and brightness, smoothed over its holes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.ndimage import maximum_filter, minimum_filter, uniform_filter

from ...core.camera import PIXEL_CENTRE_PX, PinholeCamera
from ...core.labels import Label
from ..base import RgbdView
from .sampling import Array, Mask

WIDTH_PX = 640  # finer images are thinned to about this width
WINDOW_PX = 5
LEAST_FILLED = 0.4  # of the window
FLAT_M, FLAT_SHARE = (
    0.02,
    0.02,
)  # spread of depth in a window on one surface: at 0 m, and for each metre of distance
WIDENED_PX, STEP_M = 10, 0.03  # by which depth of near surfaces reaches over what is behind them
FAR_M = 100.0  # in place of what was not measured
LEAST_FACING = 0.35  # cosine between normal and ray
LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True, eq=False)
class Surface:
    """What a camera measured, in its own frame.

    Attributes:
        view: the view, thinned if it was large.
        points: (H, W, 3) m.
        normals: (H, W, 3), towards or away from the camera alike in all images.
        good: (H, W) whether point and normal can be trusted.
        luma: (H, W) smoothed brightness, 0 to 255.
        slopes: its derivatives along x and y, (2, H, W), a px.
    """

    view: RgbdView
    points: Array
    normals: Array
    good: Mask
    luma: Array
    slopes: Array


def surface(view: RgbdView) -> Surface:
    view = _thinned(view)
    depth_m = view.depth_m.astype(np.float64)
    measured = depth_m > 0
    filled = uniform_filter(measured.astype(np.float64), WINDOW_PX)
    points = view.camera.unproject(depth_m)
    smooth = np.stack([uniform_filter(points[..., k], WINDOW_PX) for k in range(3)], -1)
    smooth /= np.maximum(filled, 1e-9)[..., None]
    nearest = minimum_filter(np.where(measured, depth_m, np.inf), WINDOW_PX)
    flat = maximum_filter(depth_m, WINDOW_PX) - nearest < FLAT_M + FLAT_SHARE * depth_m
    normals, step = np.zeros_like(smooth), WINDOW_PX // 2 + 1
    across = smooth[:, 2 * step :] - smooth[:, : -2 * step]
    down = smooth[2 * step :] - smooth[: -2 * step]
    normals[step:-step, step:-step] = np.cross(across[step:-step], down[:, step:-step])
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True) + 1e-12
    facing = np.abs((normals * points).sum(-1)) / (np.linalg.norm(points, axis=-1) + 1e-9)
    spread = minimum_filter(filled, 2 * step + 1) > LEAST_FILLED
    good = measured & flat & spread & (facing > LEAST_FACING) & ~_widened(view)
    luma = uniform_filter(uniform_filter(view.rgb @ np.array(LUMA), WINDOW_PX), WINDOW_PX)
    along_y, along_x = np.gradient(luma)
    return Surface(view, points, normals, good, luma, np.stack([along_x, along_y]))


def _widened(view: RgbdView) -> Mask:
    """Returns the background (H, W) that may show the depth of what is before it: near surfaces come out too wide."""
    depth_m = np.where(view.depth_m > 0, view.depth_m, FAR_M)
    size = 2 * WIDENED_PX + 1
    step = (depth_m - minimum_filter(depth_m, 3) > STEP_M) & (depth_m < FAR_M)
    on_near_side = depth_m - minimum_filter(depth_m, size) < FLAT_M + FLAT_SHARE * depth_m
    widened: Mask = (view.labels == Label.BACKGROUND) & maximum_filter(step, size) & on_near_side
    return widened


def _thinned(view: RgbdView) -> RgbdView:
    every = max(1, round(view.camera.width / WIDTH_PX))
    if every == 1:
        return view
    labels: npt.NDArray[np.uint8] = view.labels[::every, ::every]
    height, width = labels.shape
    c = view.camera
    centre = [(x - PIXEL_CENTRE_PX) / every + PIXEL_CENTRE_PX for x in (c.cx, c.cy)]
    camera = PinholeCamera(width, height, c.fx / every, c.fy / every, *centre)
    return replace(
        view,
        camera=camera,
        labels=labels,
        rgb=view.rgb[::every, ::every],
        depth_m=view.depth_m[::every, ::every],
    )

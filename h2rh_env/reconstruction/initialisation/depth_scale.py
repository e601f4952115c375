"""The depth scale of each camera, from what all cameras of a rig see: the table.

A depth camera is off by some tenths of a percent, millimetres at arm's length, and by another amount than its
neighbour. A camera at height H above a level table, whose depth is (1 + s) times the truth, sees the table s H
too low.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ...captures.base import HandoverCapture, RgbdView
from ...core.labels import Label

HEIGHTS_M = (-0.5, 1.0)  # where a table may be in the world
BIN_M = 0.002
SMOOTHING_M = 0.005
WINDOW_M = 0.025  # how far off a camera may see it
MAX_RANGE_M = 1.6
MAX_SCALE_ERROR = 0.02
MIN_PIXELS = 2000
MIN_SHARE = 0.1  # of a camera's background that the table must make
MARKER_M = 0.01  # a table this near to z = 0 carries the rig's marker, so z = 0 is its true height


def depth_scale_errors(capture: HandoverCapture) -> npt.NDArray[np.float64]:
    """Returns s of each view (V,), such that depth / (1 + s) is metric; 0 for a view that sees no level table."""
    heights = [_background_heights(view) for view in capture.views]
    edges = np.arange(HEIGHTS_M[0], HEIGHTS_M[1] + BIN_M, BIN_M)
    share = np.sum([np.histogram(z, edges)[0] / max(len(z), 1) for z in heights], axis=0)
    common = edges[ndimage.gaussian_filter1d(share, SMOOTHING_M / BIN_M).argmax()] + BIN_M / 2
    seen = np.full(len(heights), np.nan)
    for i, z in enumerate(heights):
        near = z[np.abs(z - common) < WINDOW_M]
        if len(near) >= max(MIN_PIXELS, MIN_SHARE * len(z)):
            seen[i] = np.median(near[np.abs(near - np.median(near)) < WINDOW_M / 2])
    if np.isnan(seen).all():
        return np.zeros(len(heights))
    table = float(np.nanmedian(seen))
    table = 0.0 if abs(table) < MARKER_M else table
    above = np.array([view.world_from_camera.translation[2] for view in capture.views]) - table
    errors = (table - seen) / np.where(above > 0.1, above, np.nan)
    return np.where(np.abs(errors) < MAX_SCALE_ERROR, errors, 0.0)


def metric(capture: HandoverCapture) -> HandoverCapture:
    """Returns the capture with every camera's depth scale corrected."""
    return rescaled(capture, depth_scale_errors(capture))


def rescaled(capture: HandoverCapture, errors: npt.NDArray[np.float64]) -> HandoverCapture:
    """Returns the capture with depth divided by 1 + errors, (V,)."""
    views = tuple(
        replace(view, depth_m=(view.depth_m / (1 + error)).astype(np.float32))
        for view, error in zip(capture.views, errors, strict=True)
    )
    return replace(capture, views=views)


def _background_heights(view: RgbdView, stride: int = 2) -> npt.NDArray[np.float64]:
    """Returns the heights (K,), m, of background pixels in range, of every second row and column."""
    z = view.world_from_camera.apply(view.camera.unproject(view.depth_m))[::stride, ::stride, 2]
    depth = view.depth_m[::stride, ::stride]
    background = view.labels[::stride, ::stride] == Label.BACKGROUND
    heights: npt.NDArray[np.float64] = z[background & (depth > 0) & (depth < MAX_RANGE_M)]
    return heights

"""Doubts about what single cameras measured: too little depth, constant, coarse or rough depth."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import median_filter

from ...core.labels import Label
from ..base import HandoverCapture, RgbdView
from .doubt import Doubt

MIN_MEASURED = 0.3  # share of an object's pixels that should have depth
MIN_PIXELS = 200  # fewer are a remnant that tells nothing of the sensor
MOST_AT_ONE_DEPTH = 0.5  # share of the measured pixels
COARSEST_M = 0.008  # step between neighbouring depths, for a sensor that reaches 1 m
ROUGHEST_M = 0.006  # median deviation from the median of 5x5 px; sound cameras: 2 mm


def odd_depth(capture: HandoverCapture) -> list[Doubt]:
    found = [doubt for view in capture.views for doubt in (_of(view),) if doubt]
    every = len(found) == len(capture.views)
    return [Doubt(d.sentence, refused=every, fix=d.fix) for d in found]


def _of(view: RgbdView) -> Doubt | None:
    held = view.labels != Label.BACKGROUND
    on_object = view.labels == Label.OBJECT
    measured = (view.depth_m > 0)[on_object].mean() if on_object.sum() >= MIN_PIXELS else 1.0
    if measured < MIN_MEASURED:
        return Doubt(
            f"camera {view.name} measured depth on {measured:.0%} of the object; "
            f"at least {MIN_MEASURED:.0%} is usual"
        )
    depth_m = view.depth_m[held & (view.depth_m > 0)]
    if len(depth_m) < MIN_PIXELS:
        return None
    values, counts = np.unique(depth_m, return_counts=True)
    if counts.max() > MOST_AT_ONE_DEPTH * len(depth_m):
        return Doubt(
            f"camera {view.name} has the same depth, {values[counts.argmax()]:.3f} m, on "
            f"{counts.max() / len(depth_m):.0%} of object and hand: it is a constant or a far plane that stands for "
            "'not measured'; write 0 there, and record depth again if nothing else is left"
        )
    step_m = float(np.median(np.diff(values))) if len(values) > 1 else np.inf
    spread_m = float(np.subtract(*np.percentile(depth_m, [95, 5])))
    if step_m > COARSEST_M and spread_m > 2 * step_m:
        return Doubt(
            f"camera {view.name} has depth in steps of {1e3 * step_m:.0f} mm on object and hand, as 8-bit images "
            "give; save depth as 16-bit PNG in the camera's own unit"
        )
    rough_m = _roughness_m(view)
    if rough_m > ROUGHEST_M:
        return Doubt(
            f"camera {view.name} has depth that scatters by {1e3 * rough_m:.0f} mm from pixel to pixel on object "
            "and hand; 1 to 3 mm are usual; take the median of some frames, move the camera closer, or check that "
            "the bytes of the 16-bit depth are in the right order"
        )
    return None


def _roughness_m(view: RgbdView) -> float:
    """Returns the median deviation, m, of depth on object and hand from the median around it."""
    rows, columns = np.nonzero(view.labels != Label.BACKGROUND)
    window = np.s_[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    depth_m = view.depth_m[window]
    inner = (view.labels[window] != Label.BACKGROUND) & (depth_m > 0)
    return float(np.median(np.abs(depth_m - median_filter(depth_m, 5))[inner]))

"""From a shot to a capture: views where the rig says, with masks yet to be made."""

from __future__ import annotations

import numpy as np

from h2rh_env.captures.importers.base import Imported, make_view
from h2rh_env.captures.realsense import Photograph
from h2rh_env.captures.rig import Rig

from .recorder import Shot

MASKS = "make a mask of object (1) and hand (2) for each view, under the name that cameras.json has"
NO_CLOCK = "the cameras share no clock; times are those at which images arrived, and may be off by a frame"


def capture_of(shot: Shot, rig: Rig) -> Imported:
    """Puts a shot's photographs where the rig has their cameras.

    Raises:
        CaptureError: The rig was calibrated without one of them.
    """
    views = tuple(
        make_view(p.serial, p.camera, rig.pose_of(p.serial), p.rgb, p.depth_m) for p in shot.photographs
    )
    notes = (MASKS,) if shot.has_one_clock else (NO_CLOCK, MASKS)
    return Imported(
        views,
        {p.depth_scale_m for p in shot.photographs},
        frozenset(shot.times_s),
        notes,
        times_s=shot.times_s,
    )


def described(photograph: Photograph, late_s: float) -> str:
    """Tells in a line what a camera took, to see at once that it looks where it should.

    Args:
        late_s: how much later than the first camera's it is.
    """
    height, width, _ = photograph.rgb.shape
    measured = float((photograph.depth_m > 0).mean())
    middle_m = np.median(photograph.depth_m[height // 3 : -height // 3, width // 3 : -width // 3])
    return (
        f"{photograph.serial}: {width}x{height} px, brightness {photograph.rgb.mean():.0f} of 255, depth on "
        f"{100 * measured:.0f} % of the pixels, {middle_m:.2f} m in the middle, {1e3 * late_s:.0f} ms after the first"
    )

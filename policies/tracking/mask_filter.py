"""Specks: parts of a segmenter's masks that were not there before, and so are nothing of object or hand."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.ndimage import label

from h2rh_env.core.geometry import Array

from .keyframes import HAND, OBJECT, SHRINK, Frame, focal_px
from .numba_sweep import seen_before

EIGHT = np.ones((3, 3), int)  # pixels that touch at a corner are connected
LEAST_PX = 6  # of a part at half size; what is smaller does no harm
WITHIN_PX = 3  # of where a pixel should have been before
SEEN_BEFORE = 0.5  # of a part, to be believed


def specks(
    frame: Frame, before: Frame, before_from_now: Array, distance_m: float
) -> npt.NDArray[np.bool_] | None:
    """Pixels (h, w, 2) of object and hand that belong to small parts which the frame before did not show.

    A fingertip beside an object is a small part too, but stays from frame to frame. The largest part always stays.

    Args:
        frame, before: as segmented. before_from_now: (4, 4), between their cameras. distance_m: to the scene.

    Returns:
        None if there are none.
    """
    found = np.zeros((*frame.shape[:2], 2), bool)
    for k, channel in enumerate((OBJECT, HAND)):
        parts, count = label(frame[..., channel] > 0, EIGHT)
        sizes = np.bincount(parts.ravel(), minlength=count + 1)
        sizes[0] = 0
        if np.count_nonzero(sizes >= LEAST_PX) < 2:
            continue
        seen = np.zeros(count + 1)
        seen_before(
            parts, before[..., channel] > 0, before_from_now[:3].astype(np.float32), focal_px(frame),
            np.float32(distance_m), WITHIN_PX, seen,
        )  # fmt: skip
        main = int(np.argmax(seen + 0.1 * sizes))
        gone = (sizes >= LEAST_PX) & (seen < SEEN_BEFORE * sizes)
        gone[main] = False
        found[..., k] = gone[parts]
    return found if found.any() else None


def without(
    rgb: npt.NDArray[np.uint8], masks: npt.NDArray[np.uint8], gone: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Images (H, W, 3) and (H, W, 2) without such pixels; what no mask holds is black, as anywhere."""
    height, width = masks.shape[:2]
    full = gone[1:-1, 1:-1].repeat(SHRINK, axis=0).repeat(SHRINK, axis=1)
    full = np.pad(full, ((0, height - len(full)), (0, width - full.shape[1]), (0, 0)))
    kept = np.where(full, np.uint8(0), masks)
    black = full.any(axis=2, keepdims=True) & ~kept.any(axis=2, keepdims=True)
    return np.where(black, np.uint8(0), rgb), kept

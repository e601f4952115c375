"""Mask filter: takes away the parts of a segmenter's masks that the frame before did not show."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.ndimage import label

from h2rh_env.core.geometry import SE3

from ..config import MaskFilterConfig
from .keyframes import HAND, OBJECT, SHRINK, Bytes, Frame, rows_of
from .numba_sweep import seen_before

EIGHT = np.ones((3, 3), int)  # pixels that touch at a corner are connected

Pixels = npt.NDArray[np.bool_]


def false_parts(
    frame: Frame,
    before: Frame,
    before_from_now: SE3,
    distance_m: float,
    focal_px: float,
    config: MaskFilterConfig,
) -> Pixels | None:
    """Finds small parts of object and hand that the frame before did not show.

    A fingertip beside an object is a small part too, but it stays from frame to frame. The largest part always stays.

    Args:
        frame, before: two frames in a row, as they were segmented.
        before_from_now: the motion between their cameras.
        distance_m: to the scene.
        focal_px: of the frames.

    Returns:
        Pixels (h, w, 2) of object and hand, or None if there are none.
    """
    found = np.zeros((*frame.shape[:2], 2), bool)
    for k, channel in enumerate((OBJECT, HAND)):
        parts, count = label(frame[..., channel] > 0, EIGHT)
        sizes = np.bincount(parts.ravel(), minlength=count + 1)
        sizes[0] = 0
        if np.count_nonzero(sizes >= config.least_pixels) < 2:
            continue
        seen = np.zeros(count + 1)
        seen_before(
            parts,
            before[..., channel] > 0,
            rows_of(before_from_now),
            focal_px,
            np.float32(distance_m),
            config.within_px,
            seen,
        )
        main = int(np.argmax(seen + config.size_weight * sizes))
        gone = (sizes >= config.least_pixels) & (seen < config.seen_before * sizes)
        gone[main] = False
        found[..., k] = gone[parts]
    return found if found.any() else None


def without(rgb: Bytes, masks: Bytes, gone: Pixels) -> tuple[Bytes, Bytes]:
    """Images (H, W, 3) and masks (H, W, 2) without the pixels of `gone`, a result of `false_parts`.

    What no mask holds any more becomes black, as the background is.
    """
    height, width = masks.shape[:2]
    full = gone[1:-1, 1:-1].repeat(SHRINK, axis=0).repeat(SHRINK, axis=1)
    full = np.pad(full, ((0, height - len(full)), (0, width - full.shape[1]), (0, 0)))
    kept = np.where(full, np.uint8(0), masks)
    black = full.any(axis=2, keepdims=True) & ~kept.any(axis=2, keepdims=True)
    return np.where(black, np.uint8(0), rgb), kept

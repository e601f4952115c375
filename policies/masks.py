"""Masks as a segmenter gives them, without the specks."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

LEAST_SHARE = 0.2  # of the largest part's pixels; fingers part an object, but seldom so unevenly

Bytes = npt.NDArray[np.uint8]


def without_specks(rgb: Bytes, masks: Bytes) -> tuple[Bytes, Bytes]:
    """A frame (H, W, 3) and its masks (H, W, 2) without the small parts of either mask, black there."""
    kept = np.stack([_large_parts(masks[..., label]) for label in range(2)], axis=-1)
    if np.array_equal(kept, masks):
        return rgb, masks
    return rgb * (kept > 0).any(axis=-1, keepdims=True), kept


def _large_parts(mask: Bytes) -> Bytes:
    parts, count = ndimage.label(mask)
    if count < 2:
        return mask
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    return np.where((sizes >= LEAST_SHARE * sizes.max())[parts], mask, 0).astype(np.uint8)


def all_without_specks(rgb: Bytes, masks: Bytes) -> tuple[Bytes, Bytes]:
    """The same of frames (B, H, W, 3) and (B, H, W, 2)."""
    cleaned = [without_specks(*frame) for frame in zip(rgb, masks, strict=True)]
    return np.stack([frame for frame, _ in cleaned]), np.stack([frame_masks for _, frame_masks in cleaned])

"""Sorts keys, and orders points in space so that neighbours come together."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True, error_model="numpy")
def spatial_keys(points, keys):
    """Returns where points (N, 3) lie along a space-filling curve (Morton) through their box, 10 bits a side."""
    f32, u32 = np.float32, np.uint32
    keys[: len(points)] = 0
    for axis in range(3):
        low, high = f32(3e38), f32(-3e38)
        for i in range(len(points)):
            low, high = min(low, points[i, axis]), max(high, points[i, axis])
        middle = f32(0.5) * low + f32(0.5) * high
        scale = f32(1023) / max(high - low, f32(1e-30))
        for i in range(len(points)):
            place = (points[i, axis] - middle) * scale + f32(511.5)
            cell = u32(min(place, f32(1023))) if place > 0 else u32(0)
            cell = (cell | (cell << u32(16))) & u32(0x030000FF)
            cell = (cell | (cell << u32(8))) & u32(0x0300F00F)
            cell = (cell | (cell << u32(4))) & u32(0x030C30C3)
            cell = (cell | (cell << u32(2))) & u32(0x09249249)
            keys[i] |= cell << u32(axis)


@njit(cache=True, nogil=True, error_model="numpy")
def radix_sort(keys, count, order, spare_keys, spare_order, histogram):
    """Stable sort of the first `count` keys (uint32): their places go to `order`, the keys are used up.

    11 bits a pass, as many passes as the range of the keys needs. `histogram` holds 2048 values.
    """
    u32 = np.uint32
    if count == 0:
        return
    low, high = keys[0], keys[0]
    for i in range(count):
        low, high = min(low, keys[i]), max(high, keys[i])
    span, passes = high - low, 0
    while span > 0:
        span >>= u32(11)
        passes += 1
    for i in range(count):
        keys[i] -= low
        order[i] = i
    for step in range(passes):
        shift = u32(11 * step)
        histogram[:2048] = 0
        for i in range(count):
            histogram[(keys[i] >> shift) & u32(2047)] += u32(1)
        total = u32(0)
        for b in range(2048):
            histogram[b], total = total, total + histogram[b]
        for i in range(count):
            b = (keys[i] >> shift) & u32(2047)
            place = histogram[b]
            histogram[b] = place + u32(1)
            spare_keys[place], spare_order[place] = keys[i], order[i]
        keys, spare_keys = spare_keys, keys
        order, spare_order = spare_order, order
    if passes % 2:
        for i in range(count):
            spare_order[i] = order[i]

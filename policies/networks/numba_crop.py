"""Crop kernels: moments of masks, and the means of a frame over the cells of a rectangle."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True, error_model="numpy")
def mask_sums(masks, sums):
    """Fills `sums` (3, 6) float64 for object, hand and both with sums of 1, x, y, x x, y y, x y over their pixels.

    A place is that of a pixel's corner, in whole px; a pixel weighs what the mask says.

    Args:
        masks: (H, W, 2) uint8.
    """
    i64 = np.int64
    height, width, _ = masks.shape
    sums[:] = 0
    for y in range(height):
        object_0, object_1, object_2 = i64(0), i64(0), i64(0)
        hand_0, hand_1, hand_2 = i64(0), i64(0), i64(0)
        both_0, both_1, both_2 = i64(0), i64(0), i64(0)
        for x in range(width):
            first, second = i64(masks[y, x, 0]), i64(masks[y, x, 1])
            most = max(first, second)
            object_0 += first
            object_1 += first * x
            object_2 += first * x * x
            hand_0 += second
            hand_1 += second * x
            hand_2 += second * x * x
            both_0 += most
            both_1 += most * x
            both_2 += most * x * x
        row = ((object_0, object_1, object_2), (hand_0, hand_1, hand_2), (both_0, both_1, both_2))
        for k in range(3):
            mass, along, square = row[k]
            sums[k, 0] += mass
            sums[k, 1] += along
            sums[k, 2] += mass * y
            sums[k, 3] += square
            sums[k, 4] += mass * y * y
            sums[k, 5] += along * y


@njit(cache=True, nogil=True, error_model="numpy")
def cell_means(rgb, masks, left, top, wide, high, cells):
    """Fills `cells` (6, h, w) uint8 with the exact means of rgb, object, hand, and 255 times the share that lies in
    the frame, over the cells of a rectangle; what lies outside of the frame counts as 0.

    Args:
        rgb: (H, W, 3) uint8.
        masks: (H, W, 2) uint8.
        left, top, wide, high: of the rectangle, px.
    """
    f32 = np.float32
    _, rows, columns = cells.shape
    height, width, _ = masks.shape
    wide, high = f32(wide) / f32(columns), f32(high) / f32(rows)
    begin, end = max(int(np.floor(left)), 0), min(int(np.ceil(left + wide * columns)), width)
    colours, parts = np.empty((width, 3), np.float32), np.empty((width, 2), np.float32)
    for row in range(rows):
        low, up = f32(top) + high * f32(row), f32(top) + high * f32(row + 1)
        colours[begin:end] = f32(0)
        parts[begin:end] = f32(0)
        covered = f32(0)
        for y in range(max(int(np.floor(low)), 0), min(int(np.ceil(up)), height)):
            share = (min(up, f32(y + 1)) - max(low, f32(y))) / high
            covered += share
            for x in range(begin, end):
                for channel in range(3):
                    colours[x, channel] += share * f32(rgb[y, x, channel])
                for channel in range(2):
                    parts[x, channel] += share * f32(masks[y, x, channel])
        for column in range(columns):
            near, far = f32(left) + wide * f32(column), f32(left) + wide * f32(column + 1)
            r, g, b, obj, hand, within = f32(0.5), f32(0.5), f32(0.5), f32(0.5), f32(0.5), f32(0)
            for x in range(max(int(np.floor(near)), 0), min(int(np.ceil(far)), width)):
                share = (min(far, f32(x + 1)) - max(near, f32(x))) / wide
                within += share
                r += share * colours[x, 0]
                g += share * colours[x, 1]
                b += share * colours[x, 2]
                obj += share * parts[x, 0]
                hand += share * parts[x, 1]
            means = (r, g, b, obj, hand, f32(255) * covered * within + f32(0.5))
            for channel in range(6):
                cells[channel, row, column] = np.uint8(min(means[channel], f32(255)))

"""Plane sweep: how well earlier frames agree with the present one if what it shows lies at a distance."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

SAMPLES = 30  # of the window, along each side


@njit(cache=True, nogil=True, error_model="numpy")
def sweep(current, earlier, earlier_from_current, focal, window, distances, costs):
    """Fills `costs` (C, C, D) with the mean absolute difference of the channels over each of a window's cells.

    Args:
        current: (h, w, 4) float32, zero along the border; earlier: (K, h, w, 4), seen from elsewhere.
        earlier_from_current: (K, 3, 4) float32. focal: px of these images, whose principal point is their middle.
        window: (3,) float32, its middle's x and y and its side, px.
        distances: (D,) float32, m, of the plane that stands upright to the sight of the window's middle.
        costs: float32; its C divides `SAMPLES`.
    """
    f32 = np.float32
    height, width, _ = current.shape
    f, cx, cy = f32(focal), f32(width) / f32(2), f32(height) / f32(2)
    sx, sy = (window[0] - cx) / f, (window[1] - cy) / f
    norm = math.sqrt(sx * sx + sy * sy + f32(1))
    costs[:] = 0
    width_of_cell = SAMPLES // len(costs)
    for row in range(SAMPLES):
        v = window[1] + window[2] * ((f32(row) + f32(0.5)) / f32(SAMPLES) - f32(0.5))
        for column in range(SAMPLES):
            u = window[0] + window[2] * ((f32(column) + f32(0.5)) / f32(SAMPLES) - f32(0.5))
            total = costs[row // width_of_cell, column // width_of_cell]
            here = _sample(current, u, v)
            rx, ry = (u - cx) / f, (v - cy) / f
            to_plane = norm / (rx * sx + ry * sy + f32(1))  # along the ray, of a plane at distance 1
            for k in range(len(earlier)):
                m, seen = earlier_from_current[k], earlier[k]
                ax = (m[0, 0] * rx + m[0, 1] * ry + m[0, 2]) * to_plane
                ay = (m[1, 0] * rx + m[1, 1] * ry + m[1, 2]) * to_plane
                az = (m[2, 0] * rx + m[2, 1] * ry + m[2, 2]) * to_plane
                for d in range(len(distances)):
                    scale = f / max(az * distances[d] + m[2, 3], f32(0.01))
                    x = (ax * distances[d] + m[0, 3]) * scale + cx
                    y = (ay * distances[d] + m[1, 3]) * scale + cy
                    there = _sample(seen, x, y)
                    total[d] += abs(here[0] - there[0]) + abs(here[1] - there[1]) + abs(here[2] - there[2])
    costs /= f32(3 * width_of_cell * width_of_cell * len(earlier))


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _sample(image, u, v):
    """The first three channels between four pixels, whose centres lie at halves; the border's beyond it."""
    f32, u64 = np.float32, np.uint64
    height, width, _ = image.shape
    u = min(max(u - f32(0.5), f32(0)), f32(width) - f32(1.001))
    v = min(max(v - f32(0.5), f32(0)), f32(height) - f32(1.001))
    x, y = u64(u), u64(v)
    fx, fy = u - f32(x), v - f32(y)
    nw, ne = (f32(1) - fx) * (f32(1) - fy), fx * (f32(1) - fy)
    sw, se = (f32(1) - fx) * fy, fx * fy
    a, b = image[y, x], image[y, x + u64(1)]
    c, d = image[y + u64(1), x], image[y + u64(1), x + u64(1)]
    return (
        nw * a[0] + ne * b[0] + sw * c[0] + se * d[0],
        nw * a[1] + ne * b[1] + sw * c[1] + se * d[1],
        nw * a[2] + ne * b[2] + sw * c[2] + se * d[2],
    )

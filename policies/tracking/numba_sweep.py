"""Plane sweep: how well earlier frames agree with the present one if what it shows lies at a distance."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True, error_model="numpy")
def sweep(current, earlier, earlier_from_current, focal, places, sight, distances, costs):
    """Fills `costs` (P, D) with the mean absolute difference of the channels, of each place at each distance.

    Args:
        current: (h, w, 4) float32, zero along the border; earlier: (K, h, w, 4), seen from elsewhere.
        earlier_from_current: (K, 3, 4) float32. focal: px of these images, whose principal point is their middle.
        places: (P, 2) float32, x and y in `current`, px.
        sight: (3,) float32, unit normal of the planes. distances: (D,) float32, m, of the planes along it.
    """
    f32 = np.float32
    height, width, _ = current.shape
    f, cx, cy = f32(focal), f32(width) / f32(2), f32(height) / f32(2)
    share = f32(1) / f32(3 * len(earlier))
    for i in range(len(places)):
        here = _sample(current, places[i, 0], places[i, 1])
        rx, ry = (places[i, 0] - cx) / f, (places[i, 1] - cy) / f
        to_plane = f32(1) / (rx * sight[0] + ry * sight[1] + sight[2])  # along the ray, at distance 1
        total = costs[i]
        total[:] = f32(0)
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
                apart = abs(here[0] - there[0]) + abs(here[1] - there[1]) + abs(here[2] - there[2])
                total[d] += share * apart


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


@njit(cache=True, nogil=True, error_model="numpy")
def halve(rgb, masks, frame):
    """Fills `frame` (h, w, 4) float32 with brightness and two masks in [0, 1] of twice as wide and high uint8."""
    share, third = np.float32(1 / (255 * 4)), np.float32(1 / 3)
    height, width, _ = frame.shape
    for y in range(height):
        for x in range(width):
            light, first, second = np.int32(0), np.int32(0), np.int32(0)
            for row in range(2 * y, 2 * y + 2):
                for column in range(2 * x, 2 * x + 2):
                    light += np.int32(rgb[row, column, 0]) + rgb[row, column, 1] + rgb[row, column, 2]
                    first += np.int32(masks[row, column, 0])
                    second += np.int32(masks[row, column, 1])
            frame[y, x, 0] = light * share * third
            frame[y, x, 1] = first * share
            frame[y, x, 2] = second * share


@njit(cache=True, nogil=True, error_model="numpy")
def seen_before(parts, before, before_from_now, focal, distance, within, seen):
    """Adds to `seen` (N + 1,), for each part, its pixels that were near a set pixel of `before` in the frame before.

    Args:
        parts: (h, w) numbers of connected parts, 0 for none; before: (h, w) bool.
        before_from_now: (3, 4) float32. distance: m, along the ray of a pixel.
        within: px, how far off to look, left, right, above and below.
    """
    f32 = np.float32
    height, width = parts.shape
    f, cx, cy = f32(focal), f32(width) / f32(2), f32(height) / f32(2)
    m = before_from_now
    for row in range(height):
        for column in range(width):
            part = parts[row, column]
            if part == 0:
                continue
            rx, ry = (f32(column) + f32(0.5) - cx) / f, (f32(row) + f32(0.5) - cy) / f
            scale = distance / np.sqrt(rx * rx + ry * ry + f32(1))
            z = (m[2, 0] * rx + m[2, 1] * ry + m[2, 2]) * scale + m[2, 3]
            if z <= f32(0.01):
                continue
            x = ((m[0, 0] * rx + m[0, 1] * ry + m[0, 2]) * scale + m[0, 3]) / z * f + cx
            y = ((m[1, 0] * rx + m[1, 1] * ry + m[1, 2]) * scale + m[1, 3]) / z * f + cy
            seen[part] += _near(before, int(np.floor(x)), int(np.floor(y)), within)


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _near(mask, x, y, within):
    """1 if a pixel is set at a place or the given steps beside it, else 0."""
    for v in (y - within, y, y + within):
        for u in (x - within, x, x + within):
            if 0 <= v < mask.shape[0] and 0 <= u < mask.shape[1] and mask[v, u]:
                return 1
    return 0

"""Registration kernel: by what motion one frame's window becomes part of another frame."""

from __future__ import annotations

import numpy as np
from numba import njit

from .numba_sweep import _sample


@njit(cache=True, nogil=True, error_model="numpy")
def register(now, then, then_from_now, focal, places, sight, shift, rounds, tolerated):
    """Improves `shift` (3,) until what lies in a plane of `now` looks alike in `then` (Gauss-Newton, damped).

    A point X of the plane, whose distance along `sight` is the unit of length, lies at `then_from_now X + shift`
    before the other camera.

    Args:
        now, then: (h, w, 4) float32, zero along the border. then_from_now: (3, 3) float32, a rotation.
        focal: px of these images, whose principal point is their middle.
        places: (P, 2) float32, x and y in `now`, px. sight: (3,) float32, the plane's unit normal.
        shift: (3,) float64, where to begin.
        rounds: of improvement, at most.
        tolerated: float32; differences of pixels beyond this count less.
    """
    height, width, _ = now.shape
    cx, cy = np.float32(width) / np.float32(2), np.float32(height) / np.float32(2)
    tried, normal, slope = shift.copy(), np.zeros((3, 3)), np.zeros(3)
    best_normal, best_slope, least, damping = np.zeros((3, 3)), np.zeros(3), np.inf, 1e-3
    for _ in range(rounds):
        normal[:], slope[:], cost = 0, 0, 0.0
        for i in range(len(places)):
            rx, ry = (places[i, 0] - cx) / focal, (places[i, 1] - cy) / focal
            to_plane = np.float32(1) / (rx * sight[0] + ry * sight[1] + sight[2])
            m = then_from_now
            x = (m[0, 0] * rx + m[0, 1] * ry + m[0, 2]) * to_plane + np.float32(tried[0])
            y = (m[1, 0] * rx + m[1, 1] * ry + m[1, 2]) * to_plane + np.float32(tried[1])
            z = max((m[2, 0] * rx + m[2, 1] * ry + m[2, 2]) * to_plane + np.float32(tried[2]), NEAREST)
            cost += _compare(
                now, then, places[i, 0], places[i, 1], x, y, z, focal, cx, cy, tolerated, normal, slope
            )
        if cost < least:
            least, damping = cost, 0.3 * damping
            shift[:], best_normal[:], best_slope[:] = tried, normal, slope
        else:
            damping = min(8 * damping, 1e3)
        damped = best_normal.copy()
        for k in range(3):
            damped[k, k] += damping * best_normal[k, k] + 1e-6
        step = np.linalg.solve(damped, best_slope)
        tried = shift - step
        if np.abs(step).max() < CLOSE:
            break


NEAREST = np.float32(0.05)  # of a point before the other camera, in distances of the plane
CLOSE = 2e-5  # a step so small is the last


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _compare(now, then, u, v, x, y, z, focal, cx, cy, tolerated, normal, slope):
    """Adds the channels' differences at one place to the normal equations; returns the cost."""
    half = np.float32(0.5)
    pu, pv = x / z * focal + cx, y / z * focal + cy
    height, width, _ = then.shape
    if pu < 1 or pv < 1 or pu > width - 1 or pv > height - 1:
        return 0.0
    here, there = _sample(now, u, v), _sample(then, pu, pv)
    right, left = _sample(then, pu + half, pv), _sample(then, pu - half, pv)
    below, above = _sample(then, pu, pv + half), _sample(then, pu, pv - half)
    cost, scale = 0.0, focal / z
    for c in range(3):
        apart = there[c] - here[c]
        weight = tolerated / max(tolerated, abs(apart))
        gx, gy = (right[c] - left[c]) * scale, (below[c] - above[c]) * scale
        gz = -(gx * x + gy * y) / z
        normal[0, 0] += weight * gx * gx
        normal[0, 1] += weight * gx * gy
        normal[0, 2] += weight * gx * gz
        normal[1, 1] += weight * gy * gy
        normal[1, 2] += weight * gy * gz
        normal[2, 2] += weight * gz * gz
        slope[0] += weight * gx * apart
        slope[1] += weight * gy * apart
        slope[2] += weight * gz * apart
        cost += weight * apart * apart
    normal[1, 0], normal[2, 0], normal[2, 1] = normal[0, 1], normal[0, 2], normal[1, 2]
    return cost

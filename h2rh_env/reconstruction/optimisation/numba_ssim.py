"""Structural similarity and its gradient, sixteen pixels at a time: an 11x11 Gaussian window as two passes of 11."""

from __future__ import annotations

import numpy as np
from numba import njit

from ...rendering.simd.vector import fma, lane_index, lane_sum, load, splat, store, where

RADIUS = 5
_GAUSSIAN = np.exp(-0.5 * (np.arange(-RADIUS, RADIUS + 1) / 1.5) ** 2)
WINDOW = (_GAUSSIAN / _GAUSSIAN.sum()).astype(np.float32)
C1, C2 = 0.01**2, 0.03**2  # for images in [0, 1]
MAPS = 5


def padded_shape(height: int, width: int) -> tuple[int, int]:
    """Returns rows and stride of a plane with a margin of 5 all round, padded to whole vectors on the right."""
    return height + 2 * RADIUS, -(-width // 16) * 16 + 16


@njit(cache=True, nogil=True, error_model="numpy")
def similarity(x, y, width, window, blurred, slopes, g_similarity, g_x):
    """Returns the summed SSIM of two planes, zero in their margins; writes its scaled gradient to g_x.

    Args:
        x: flat; y: flat, the same shape.
        width: of the image; rows beyond 5 at top and bottom are derived from the size.
        window: (11,).
        blurred: (5, rows, stride) scratch; slopes: (3, rows * stride) scratch, zero in its margins.
        g_similarity: derivative of the loss by the sum.
        g_x: (rows * stride,), overwritten.
    """
    u64, f32 = np.uint64, np.float32
    rows, stride = blurred.shape[1], blurred.shape[2]
    plane = u64(rows * stride)
    flat = blurred.reshape(-1)
    vectors = (width + 15) // 16
    blurred[:, :RADIUS] = 0
    blurred[:, rows - RADIUS :] = 0
    for row in range(RADIUS, rows - RADIUS):
        for v in range(vectors):
            _blur_five(x, y, u64(row * stride + 16 * v), window, flat, plane)
    total = splat(f32(0))
    for row in range(RADIUS, rows - RADIUS):
        for v in range(vectors):
            inside = lane_index() < splat(f32(width - 16 * v))
            value = _compare(
                flat, plane, u64(row * stride + 16 * v), u64(stride), window, inside, slopes, g_similarity
            )
            total = total + value
    for row in range(RADIUS, rows - RADIUS):
        for v in range(vectors):
            at = u64(row * stride + 16 * v)
            for m in range(3):
                value = splat(f32(0))
                for k in range(11):
                    value = fma(splat(window[k]), load(slopes, u64(m) * plane + at + u64(k)), value)
                store(flat, u64(m) * plane + at, value)
    for row in range(RADIUS, rows - RADIUS):
        for v in range(vectors):
            at = u64(row * stride + 16 * v)
            mean, square, product = splat(f32(0)), splat(f32(0)), splat(f32(0))
            for k in range(11):
                i = at + u64(k) * u64(stride) - u64(RADIUS * stride)
                mean = fma(splat(window[k]), load(flat, i), mean)
                square = fma(splat(window[k]), load(flat, i + plane), square)
                product = fma(splat(window[k]), load(flat, i + plane + plane), product)
            here = at + u64(RADIUS)
            square = splat(f32(2)) * load(x, here) * square
            store(g_x, here, mean + square + load(y, here) * product)
    return lane_sum(total)


@njit(cache=True, nogil=True, error_model="numpy")
def _blur_five(x, y, at, window, flat, plane):
    """Along a row: windowed x, y, x^2, y^2, x y of sixteen pixels."""
    u64, f32 = np.uint64, np.float32
    zero = splat(f32(0))
    mx, my, mxx, myy, mxy = zero, zero, zero, zero, zero
    for k in range(11):
        a, b, w = load(x, at + u64(k)), load(y, at + u64(k)), splat(window[k])
        wa, wb = w * a, w * b
        mx, my = mx + wa, my + wb
        mxx, myy, mxy = fma(wa, a, mxx), fma(wb, b, myy), fma(wa, b, mxy)
    store(flat, at, mx)
    store(flat, at + plane, my)
    store(flat, at + plane * u64(2), mxx)
    store(flat, at + plane * u64(3), myy)
    store(flat, at + plane * u64(4), mxy)


@njit(cache=True, nogil=True, error_model="numpy")
def _compare(flat, plane, at, stride, window, inside, slopes, g_similarity):
    """Along columns: SSIM of sixteen pixels, and what it passes on to windowed x, x^2 and x y."""
    u64, f32 = np.uint64, np.float32
    zero, two = splat(f32(0)), splat(f32(2))
    mx, my, mxx, myy, mxy = zero, zero, zero, zero, zero
    for k in range(11):
        i, w = at + u64(k) * stride - u64(RADIUS) * stride, splat(window[k])
        mx, my = fma(w, load(flat, i), mx), fma(w, load(flat, i + plane), my)
        mxx = fma(w, load(flat, i + plane * u64(2)), mxx)
        myy = fma(w, load(flat, i + plane * u64(3)), myy)
        mxy = fma(w, load(flat, i + plane * u64(4)), mxy)
    a1 = fma(two * mx, my, splat(f32(C1)))
    b1 = fma(mx, mx, fma(my, my, splat(f32(C1))))
    a2 = fma(two, mxy - mx * my, splat(f32(C2)))
    b2 = mxx - mx * mx + myy - my * my + splat(f32(C2))
    below = splat(f32(1)) / (b1 * b2)
    value = a1 * a2 * below
    g = where(inside, splat(f32(g_similarity)), zero)
    by_square = zero - g * value / b2
    by_product = g * two * a1 * below
    by_mean = g * (two * my * a2 * below - two * mx * value / b1) - two * mx * by_square - my * by_product
    store(slopes, at + u64(RADIUS), by_mean)
    store(slopes, at + u64(RADIUS) + plane, by_square)
    store(slopes, at + u64(RADIUS) + plane * u64(2), by_product)
    return where(inside, value, zero)

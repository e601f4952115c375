"""The gradient of the projection: from ellipses and colours in the image to a scene's raw parameters and the pose."""

from __future__ import annotations

import numpy as np
from numba import njit

from ..base import DILATION_PX2, MAX_SCALE_M
from ..cpu.project import SHARP_MIN, axis_px, covariance, directions_px, to_camera
from ..cpu.scene import ACTIVATIONS, INVERSE_NORM, LEAST_SCALE, SCALES, TRANSPARENCY, clamp
from ..simd.functions import transpose16
from ..simd.vector import bits, fma, lane_sum, load, splat, store, where
from .blend import DEPTH, Q_DX, Q_DX2, Q_DXDY, Q_DY, Q_DY2, Q
from .colour import colour_backward

# Rows of the scratch memory, 16 floats each, after the 16 of a record's gradient: raw gradients of mean (3),
# axes (9), quaternion (4), log scales (3), logit.
MEAN, AXES_G, QUATERNION, LOG_SCALES, LOGIT, SCRATCH = 16, 19, 28, 32, 35, 36
POSE = 15  # d rotation (9) and d translation (3) of camera_from_world, d eye (3)


@njit(cache=True, nogil=True, error_model="numpy")
def project_backward(
    rows,
    activations,
    degree,
    antialiased,
    camera,
    sources,
    count,
    upper,
    lower,
    scratch,
    g_means,
    g_wxyz,
    g_log_scales,
    g_logits,
    g_sh,
    g_pose,
):
    """Writes the derivatives of the loss by a scene's parameters, zero for Gaussians that were not drawn.

    Lanes are in the scene's order. `upper` and `lower` hold what two parts of the image gave to the first `count`
    records. `g_pose` (15,) float64 is added to.
    """
    u64, zero = np.uint64, splat(np.float32(0))
    k = cleared = 0
    while k < count:
        row = sources[k] >> 4
        for i in range(16):
            store(scratch, u64(16 * i), splat(np.float32(0)))
        first, any_received = k, u64(0)
        while k < count and sources[k] >> 4 == row:
            o = u64(16 * k)
            received = load(upper, o) + load(lower, o)
            any_received |= u64(0xFFFF) ^ u64(
                bits((received >= zero) & (received <= zero))
            )  # NaN is something
            store(scratch, u64(16 * (sources[k] & 15)), received)
            k += 1
        if any_received == 0:
            continue  # hidden, as are most of the far side
        _clear(cleared, 16 * row, g_means, g_wxyz, g_log_scales, g_logits, g_sh)
        cleared = min(16 * (row + 1), len(g_logits))
        _clear(16 * row, cleared, g_means, g_wxyz, g_log_scales, g_logits, g_sh[:0])
        transpose16(scratch)
        _row_backward(rows, u64(row * rows.shape[1] * 16), antialiased, camera, scratch, g_pose)
        colour_backward(rows, row, degree, camera, scratch, u64(16 * MEAN), g_sh, g_pose)
        _activation_backward(activations, u64(row), scratch)
        for j in range(first, k):
            lane = u64(sources[j] & 15)
            g = u64(row) * u64(16) + lane
            for c in range(3):
                g_means[g, c] = scratch[u64(16 * (MEAN + c)) + lane]
                g_log_scales[g, c] = scratch[u64(16 * (LOG_SCALES + c)) + lane]
            for c in range(4):
                g_wxyz[g, c] = scratch[u64(16 * (QUATERNION + c)) + lane]
            g_logits[g] = scratch[u64(16 * LOGIT) + lane]
    _clear(cleared, len(g_logits), g_means, g_wxyz, g_log_scales, g_logits, g_sh)


@njit(cache=True, nogil=True, error_model="numpy")
def _clear(first, last, g_means, g_wxyz, g_log_scales, g_logits, g_sh):
    g_means[first:last] = 0
    g_wxyz[first:last] = 0
    g_log_scales[first:last] = 0
    g_logits[first:last] = 0
    g_sh[first:last] = 0


@njit(cache=True, nogil=True, error_model="numpy")
def _row_backward(rows, o, antialiased, camera, scratch, g_pose):
    """From the sums over pixels to means and axes of a row; adds to the pose's gradient."""
    _, inverse, u, v = to_camera(rows, o, camera)
    x0, x1, x2, y0, y1, y2 = directions_px(camera, u, v)
    kx, ky = splat(camera[15]) * inverse, splat(camera[16]) * inverse
    p0, q0 = axis_px(rows, o, 0, kx, x0, x1, x2), axis_px(rows, o, 0, ky, y0, y1, y2)
    p1, q1 = axis_px(rows, o, 1, kx, x0, x1, x2), axis_px(rows, o, 1, ky, y0, y1, y2)
    p2, q2 = axis_px(rows, o, 2, kx, x0, x1, x2), axis_px(rows, o, 2, ky, y0, y1, y2)
    gx, gy, gxx, gxy, gyy, d0, d1, d2 = _covariance_backward(scratch, antialiased, p0, p1, p2, q0, q1, q2)
    g0 = (
        kx * fma(gxx, p0, fma(gxy, q0, q1 * d2 - q2 * d1)),
        ky * fma(gyy, q0, fma(gxy, p0, d1 * p2 - d2 * p1)),
    )
    g1 = (
        kx * fma(gxx, p1, fma(gxy, q1, q2 * d0 - q0 * d2)),
        ky * fma(gyy, q1, fma(gxy, p1, d2 * p0 - d0 * p2)),
    )
    g2 = (
        kx * fma(gxx, p2, fma(gxy, q2, q0 * d1 - q1 * d0)),
        ky * fma(gyy, q2, fma(gxy, p2, d0 * p1 - d1 * p0)),
    )
    hx0, hy0 = _axes_backward(rows, o, 0, x0, y0, g0, g1, g2, scratch)
    hx1, hy1 = _axes_backward(rows, o, 1, x1, y1, g0, g1, g2, scratch)
    hx2, hy2 = _axes_backward(rows, o, 2, x2, y2, g0, g1, g2, scratch)

    # By x/z and y/z, of the linearisation where it is not held at the edge and of the centre; then by the mean.
    zero, r20, r21, r22 = splat(np.float32(0)), splat(camera[6]), splat(camera[7]), splat(camera[8])
    free_u, free_v = (
        (u > splat(camera[21])) & (u < splat(camera[23])),
        (v > splat(camera[22])) & (v < splat(camera[24])),
    )
    gu = fma(splat(camera[15]), gx, where(free_u, zero - fma(hx0, r20, fma(hx1, r21, hx2 * r22)), zero))
    gv = fma(splat(camera[16]), gy, where(free_v, zero - fma(hy0, r20, fma(hy1, r21, hy2 * r22)), zero))
    by_focal = fma(x0, hx0, fma(x1, hx1, x2 * hx2)) + fma(y0, hy0, fma(y1, hy1, y2 * hy2))
    tx, ty = gu * inverse, gv * inverse
    tz = load(scratch, np.uint64(16 * DEPTH)) - (fma(gu, u, gv * v) + by_focal) * inverse
    u, v = clamp(u, camera[21], camera[23]), clamp(v, camera[22], camera[24])
    _mean_backward(rows, o, camera, 0, tx, ty, tz, hx0, hy0, u, v, scratch, g_pose)
    _mean_backward(rows, o, camera, 1, tx, ty, tz, hx1, hy1, u, v, scratch, g_pose)
    _mean_backward(rows, o, camera, 2, tx, ty, tz, hx2, hy2, u, v, scratch, g_pose)
    g_pose[9] += lane_sum(tx)
    g_pose[10] += lane_sum(ty)
    g_pose[11] += lane_sum(tz)


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _covariance_backward(scratch, antialiased, p0, p1, p2, q0, q1, q2):
    """Derivatives by the centre, by |p|^2 / 2, p q and |q|^2 / 2, and by the cross product p x q (if antialiased)."""
    u64, f32 = np.uint64, np.float32
    zero, one, half, two = splat(f32(0)), splat(f32(1)), splat(f32(0.5)), splat(f32(2))
    xx, xy, yy, det, sharp, c0, c1, c2 = covariance(p0, p1, p2, q0, q1, q2)
    a, b, c = yy / det, zero - xy / det, xx / det
    # dL/dcovariance = -conic dL/dconic conic, with dL/dconic = -1/2 sum q d d^T.
    mx, my = load(scratch, u64(16 * Q_DX)), load(scratch, u64(16 * Q_DY))
    sxx, syy = half * load(scratch, u64(16 * Q_DX2)), half * load(scratch, u64(16 * Q_DY2))
    sxy = half * load(scratch, u64(16 * Q_DXDY))
    left, right, low, lowest = (
        fma(a, sxx, b * sxy),
        fma(a, sxy, b * syy),
        fma(b, sxx, c * sxy),
        fma(b, sxy, c * syy),
    )
    gxx, gxy, gyy = fma(left, a, right * b), two * fma(left, b, right * c), fma(low, b, lowest * c)
    g_sharp = zero
    if antialiased:
        # ln(opacity) gained half of ln(sharp / det).
        q = half * load(scratch, u64(16 * Q))
        usable = sharp > splat(f32(SHARP_MIN))
        g_det = zero - q / det
        gxx = fma(g_det, splat(f32(DILATION_PX2)), gxx)
        gyy = fma(g_det, splat(f32(DILATION_PX2)), gyy)
        g_sharp = two * where(usable, fma(q, one / where(usable, sharp, one), g_det), zero)
    gx, gy = fma(a, mx, b * my), fma(b, mx, c * my)
    return gx, gy, two * gxx, gxy, two * gyy, g_sharp * c0, g_sharp * c1, g_sharp * c2


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _axes_backward(rows, o, component, x, y, g0, g1, g2, scratch):
    """Stores derivatives by one world component of the three axes; returns those by the image directions."""
    i = o + np.uint64(48 + 48 * component)
    e0, e1, e2 = load(rows, i), load(rows, i + np.uint64(16)), load(rows, i + np.uint64(32))
    at = np.uint64(16 * AXES_G + 48 * component)
    store(scratch, at, fma(x, g0[0], y * g0[1]))
    store(scratch, at + np.uint64(16), fma(x, g1[0], y * g1[1]))
    store(scratch, at + np.uint64(32), fma(x, g2[0], y * g2[1]))
    return fma(e0, g0[0], fma(e1, g1[0], e2 * g2[0])), fma(e0, g0[1], fma(e1, g1[1], e2 * g2[1]))


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _mean_backward(rows, o, camera, component, tx, ty, tz, hx, hy, u, v, scratch, g_pose):
    """Stores the derivative by one world component of the means, adds to those of a column of the rotation."""
    r0, r1, r2 = splat(camera[component]), splat(camera[3 + component]), splat(camera[6 + component])
    store(scratch, np.uint64(16 * (MEAN + component)), fma(r0, tx, fma(r1, ty, r2 * tz)))
    world = load(rows, o + np.uint64(16 * component))
    g_pose[component] += lane_sum(fma(tx, world, hx))
    g_pose[3 + component] += lane_sum(fma(ty, world, hy))
    g_pose[6 + component] += lane_sum(tz * world - u * hx - v * hy)


@njit(cache=True, nogil=True, error_model="numpy")
def _activation_backward(activations, row, scratch):
    """From axes to quaternions and log scales, from ln(opacity) to logits."""
    u64, f32 = np.uint64, np.float32
    i = row * u64(ACTIVATIONS * 16)
    two, zero = splat(f32(2)), splat(f32(0))
    w, x = load(activations, i), load(activations, i + u64(16))
    y, z = load(activations, i + u64(32)), load(activations, i + u64(48))
    s0, s1 = load(activations, i + u64(16 * SCALES)), load(activations, i + u64(16 * SCALES + 16))
    s2 = load(activations, i + u64(16 * SCALES + 32))
    g = u64(16 * AXES_G)
    a00, a01, a02 = load(scratch, g) * s0, load(scratch, g + u64(16)) * s1, load(scratch, g + u64(32)) * s2
    a10, a11, a12 = (
        load(scratch, g + u64(48)) * s0,
        load(scratch, g + u64(64)) * s1,
        load(scratch, g + u64(80)) * s2,
    )
    a20, a21, a22 = (
        load(scratch, g + u64(96)) * s0,
        load(scratch, g + u64(112)) * s1,
        load(scratch, g + u64(128)) * s2,
    )
    # By the rotation's entries a; a scale's own derivative is their product with the rotation.
    one = splat(f32(1))
    wx, wy, wz, xy, xz, yz = w * x, w * y, w * z, x * y, x * z, y * z
    xx, yy, zz = x * x, y * y, z * z
    store(
        scratch,
        u64(16 * LOG_SCALES),
        fma(one - two * (yy + zz), a00, two * fma(xy + wz, a10, (xz - wy) * a20)),
    )
    store(
        scratch,
        u64(16 * LOG_SCALES + 16),
        fma(one - two * (xx + zz), a11, two * fma(xy - wz, a01, (yz + wx) * a21)),
    )
    store(
        scratch,
        u64(16 * LOG_SCALES + 32),
        fma(one - two * (xx + yy), a22, two * fma(xz + wy, a02, (yz - wx) * a12)),
    )
    for c in range(3):
        # Beyond its caps a scale changes nothing.
        scale, at = load(activations, i + u64(16 * (SCALES + c))), u64(16 * (LOG_SCALES + c))
        free = (scale > splat(f32(LEAST_SCALE * 1.001))) & (scale < splat(f32(MAX_SCALE_M * 0.999)))
        store(scratch, at, where(free, load(scratch, at), zero))
    gw = two * (x * (a21 - a12) + y * (a02 - a20) + z * (a10 - a01))
    gx = two * (w * (a21 - a12) + y * (a01 + a10) + z * (a02 + a20) - two * x * (a11 + a22))
    gy = two * (w * (a02 - a20) + x * (a01 + a10) + z * (a12 + a21) - two * y * (a00 + a22))
    gz = two * (w * (a10 - a01) + x * (a02 + a20) + y * (a12 + a21) - two * z * (a00 + a11))
    inverse = load(activations, i + u64(16 * INVERSE_NORM))
    along = fma(w, gw, fma(x, gx, fma(y, gy, z * gz)))
    store(scratch, u64(16 * QUATERNION), (gw - w * along) * inverse)
    store(scratch, u64(16 * QUATERNION + 16), (gx - x * along) * inverse)
    store(scratch, u64(16 * QUATERNION + 32), (gy - y * along) * inverse)
    store(scratch, u64(16 * QUATERNION + 48), (gz - z * along) * inverse)
    store(
        scratch,
        u64(16 * LOGIT),
        load(scratch, u64(16 * Q)) * load(activations, i + u64(16 * TRANSPARENCY)),
    )

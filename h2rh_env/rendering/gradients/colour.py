"""The gradient of spherical harmonics: from colours to coefficients, and to the direction they are seen from."""

from __future__ import annotations

import numpy as np
from numba import njit

from ...scenes.gaussians import SH_C0
from ..base import MAX_COLOUR
from ..cpu.scene import COLOUR
from ..simd.functions import transpose16
from ..simd.vector import fma, lane_sum, load, splat, sqrt16, store, where
from ..spherical_harmonics import SH_C1, SH_C2, SH_C3
from .blend import BLUE, GREEN, RED

# Rows of the scratch memory, 16 floats each: derivatives by the direction, where sums unused lie; the basis (16);
# the coefficients' gradients (48).
DIRECTION, BASIS, COEFFICIENTS = 13, 36, 52
RGB = (RED, GREEN, BLUE)


@njit(cache=True, nogil=True, error_model="numpy")
def colour_backward(rows, row, degree, camera, scratch, mean, g_sh, g_pose):
    """Writes the row's part of `g_sh` (N, K, 3); adds to the means' gradients at `mean` and to the eye's."""
    u64, f32 = np.uint64, np.float32
    o = u64(row) * u64(rows.shape[1]) * u64(16)
    zero, one, most = splat(f32(0)), splat(f32(1)), splat(f32(MAX_COLOUR))
    if degree == 0:
        for channel in range(3):
            colour = load(rows, o + u64(16 * (COLOUR + channel)))
            g = splat(f32(SH_C0)) * load(scratch, u64(16 * RGB[channel]))
            at = u64(16 * (COEFFICIENTS + channel))
            store(scratch, at, where((colour > zero) & (colour < most), g, zero))
        _store_coefficients(scratch, row, g_sh)
        return
    x = load(rows, o) - splat(camera[12])
    y = load(rows, o + u64(16)) - splat(camera[13])
    z = load(rows, o + u64(32)) - splat(camera[14])
    inverse = one / sqrt16(fma(x, x, fma(y, y, fma(z, z, splat(f32(1e-30))))))
    x, y, z = x * inverse, y * inverse, z * inverse
    _store_basis(degree, x, y, z, scratch)
    coefficients = g_sh.shape[1]
    for channel in range(3):
        colour = splat(f32(0.5))
        for k in range(coefficients):
            sh = load(rows, o + u64(16 * (COLOUR + 3 * k + channel)))
            colour = fma(load(scratch, u64(16 * (BASIS + k))), sh, colour)
        g = load(scratch, u64(16 * RGB[channel]))
        store(scratch, u64(16 * RGB[channel]), where((colour > zero) & (colour < most), g, zero))
    # Slots of the basis turn into what each basis function receives, once its coefficients have been served.
    for k in range(coefficients):
        basis, received = load(scratch, u64(16 * (BASIS + k))), zero
        for channel in range(3):
            g = load(scratch, u64(16 * RGB[channel]))
            received = fma(g, load(rows, o + u64(16 * (COLOUR + 3 * k + channel))), received)
            store(scratch, u64(16 * (COEFFICIENTS + 3 * k + channel)), basis * g)
        store(scratch, u64(16 * (BASIS + k)), received)
    _store_coefficients(scratch, row, g_sh)
    _store_direction(degree, x, y, z, scratch)
    d = u64(16 * DIRECTION)
    gx, gy, gz = load(scratch, d), load(scratch, d + u64(16)), load(scratch, d + u64(32))
    along = fma(x, gx, fma(y, gy, z * gz))
    gx, gy, gz = (gx - x * along) * inverse, (gy - y * along) * inverse, (gz - z * along) * inverse
    store(scratch, mean, load(scratch, mean) + gx)
    store(scratch, mean + u64(16), load(scratch, mean + u64(16)) + gy)
    store(scratch, mean + u64(32), load(scratch, mean + u64(32)) + gz)
    g_pose[12] -= lane_sum(gx)
    g_pose[13] -= lane_sum(gy)
    g_pose[14] -= lane_sum(gz)


@njit(cache=True, nogil=True, error_model="numpy")
def _store_coefficients(scratch, row, g_sh):
    """Writes the row's gradients to the Gaussians that they belong to, sixteen values at a time where there are."""
    u64 = np.uint64
    size, lanes, flat = g_sh.shape[1] * 3, min(16, len(g_sh) - 16 * row), g_sh.reshape(-1)
    for first in range(0, size - size % 16, 16):
        square = scratch[16 * (COEFFICIENTS + first) : 16 * (COEFFICIENTS + first) + 256]
        transpose16(square)
        for lane in range(lanes):
            store(flat, u64((16 * row + lane) * size + first), load(square, u64(16 * lane)))
    for j in range(size - size % 16, size):
        for lane in range(lanes):
            flat[u64((16 * row + lane) * size + j)] = scratch[16 * (COEFFICIENTS + j) + lane]


@njit(cache=True, nogil=True, error_model="numpy")
def _store_basis(degree, x, y, z, scratch):
    u64, f32 = np.uint64, np.float32
    b = u64(16 * BASIS)
    store(scratch, b, splat(f32(SH_C0)))
    store(scratch, b + u64(16), splat(f32(-SH_C1)) * y)
    store(scratch, b + u64(32), splat(f32(SH_C1)) * z)
    store(scratch, b + u64(48), splat(f32(-SH_C1)) * x)
    if degree >= 2:
        xx, yy, zz = x * x, y * y, z * z
        store(scratch, b + u64(64), splat(f32(SH_C2[0])) * x * y)
        store(scratch, b + u64(80), splat(f32(SH_C2[1])) * y * z)
        store(scratch, b + u64(96), splat(f32(SH_C2[2])) * (zz + zz - xx - yy))
        store(scratch, b + u64(112), splat(f32(SH_C2[3])) * x * z)
        store(scratch, b + u64(128), splat(f32(SH_C2[4])) * (xx - yy))
        if degree >= 3:
            three, four = splat(f32(3)), splat(f32(4))
            store(scratch, b + u64(144), splat(f32(SH_C3[0])) * y * (three * xx - yy))
            store(scratch, b + u64(160), splat(f32(SH_C3[1])) * x * y * z)
            store(scratch, b + u64(176), splat(f32(SH_C3[2])) * y * (four * zz - xx - yy))
            store(scratch, b + u64(192), splat(f32(SH_C3[3])) * z * (zz + zz - three * (xx + yy)))
            store(scratch, b + u64(208), splat(f32(SH_C3[4])) * x * (four * zz - xx - yy))
            store(scratch, b + u64(224), splat(f32(SH_C3[5])) * z * (xx - yy))
            store(scratch, b + u64(240), splat(f32(SH_C3[6])) * x * (xx - three * yy))


@njit(cache=True, nogil=True, error_model="numpy")
def _store_direction(degree, x, y, z, scratch):
    """Derivative by the direction, to its three rows, from what each basis function receives."""
    u64, f32 = np.uint64, np.float32
    b = u64(16 * BASIS)
    c1 = splat(f32(SH_C1))
    gx, gy, gz = splat(f32(0)), splat(f32(0)), c1 * load(scratch, b + u64(32))
    gx, gy = gx - c1 * load(scratch, b + u64(48)), gy - c1 * load(scratch, b + u64(16))
    if degree >= 2:
        two, four = splat(f32(2)), splat(f32(4))
        s4, s5 = (
            splat(f32(SH_C2[0])) * load(scratch, b + u64(64)),
            splat(f32(SH_C2[1])) * load(scratch, b + u64(80)),
        )
        s6, s7 = (
            splat(f32(SH_C2[2])) * load(scratch, b + u64(96)),
            splat(f32(SH_C2[3])) * load(scratch, b + u64(112)),
        )
        s8 = splat(f32(SH_C2[4])) * load(scratch, b + u64(128))
        gx = fma(s4, y, fma(s7, z, fma(two * x, s8 - s6, gx)))
        gy = fma(s4, x, fma(s5, z, fma(two * y, zero_minus(s8 + s6), gy)))
        gz = fma(s5, y, fma(s7, x, fma(four * z, s6, gz)))
        if degree >= 3:
            three, six, eight = splat(f32(3)), splat(f32(6)), splat(f32(8))
            xx, yy, zz, xy, xz, yz = x * x, y * y, z * z, x * y, x * z, y * z
            t0 = splat(f32(SH_C3[0])) * load(scratch, b + u64(144))
            t1 = splat(f32(SH_C3[1])) * load(scratch, b + u64(160))
            t2 = splat(f32(SH_C3[2])) * load(scratch, b + u64(176))
            t3 = splat(f32(SH_C3[3])) * load(scratch, b + u64(192))
            t4 = splat(f32(SH_C3[4])) * load(scratch, b + u64(208))
            t5 = splat(f32(SH_C3[5])) * load(scratch, b + u64(224))
            t6 = splat(f32(SH_C3[6])) * load(scratch, b + u64(240))
            gx = gx + t0 * six * xy + t1 * yz - t2 * two * xy - t3 * six * xz
            gx = gx + t4 * (four * zz - three * xx - yy) + t5 * two * xz + t6 * three * (xx - yy)
            gy = gy + t0 * three * (xx - yy) + t1 * xz + t2 * (four * zz - xx - three * yy)
            gy = gy - t3 * six * yz - t4 * two * xy - t5 * two * yz - t6 * six * xy
            gz = gz + t1 * xy + t2 * eight * yz + t3 * three * (two * zz - xx - yy)
            gz = gz + t4 * eight * xz + t5 * (xx - yy)
    store(scratch, u64(16 * DIRECTION), gx)
    store(scratch, u64(16 * DIRECTION + 16), gy)
    store(scratch, u64(16 * DIRECTION + 32), gz)


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def zero_minus(x):
    return splat(np.float32(0)) - x

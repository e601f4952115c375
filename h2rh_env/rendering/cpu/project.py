"""Projects Gaussians to ellipses in the image, sixteen at a time."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from numba import njit

from ...core.camera import PinholeCamera
from ...core.geometry import SE3
from ...scenes.gaussians import SH_C0
from ..base import ALPHA_MIN, DILATION_PX2, FAR_M, MAX_COLOUR, NEAR_M
from ..reference import edge_directions
from ..simd.functions import log2_16, transpose16
from ..simd.vector import bits, floor16, fma, from_bits, lane_sum, load, splat, sqrt16, store, where
from ..spherical_harmonics import SH_C1, SH_C2, SH_C3
from .scene import COLOUR, HAND, LOG2_OPACITY, OBJECT, clamp

# A record is 16 floats: centre (2), the three coefficients of log2(alpha) in dx^2, dx dy, dy^2, log2 of opacity,
# rgb, object, hand, depth, half extents of the visible ellipse in x and y, half its width at the centre's
# height, and the height of its rightmost point above the centre.
LOG2_ALPHA_MIN = math.log2(ALPHA_MIN)
HALF_LOG2_E = 0.5 / math.log(2)
SCRATCH, BOXES = 272, 256  # floats that `project` works in: sixteen records, and from where on their boxes
SHARP_MIN = 1e-30  # px^4; ellipses thinner than this are invisible where antialiased


def pack_camera(camera: PinholeCamera, camera_from_world: SE3) -> npt.NDArray[np.float32]:
    """Packs a camera in (25,): rotation, translation, eye, fx fy cx cy, width height, least and greatest x/z, y/z."""
    eye = camera_from_world.inverse().translation
    (left, top), (right, bottom) = edge_directions(camera)
    return np.array(
        [
            *camera_from_world.rotation.ravel(),
            *camera_from_world.translation,
            *eye,
            camera.fx,
            camera.fy,
            camera.cx,
            camera.cy,
            camera.width,
            camera.height,
            left,
            top,
            right,
            bottom,
        ],
        np.float32,
    )


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def to_camera(rows, o, camera):
    """Depths of a row's means, and their x/z and y/z; depths that are not positive count as 1."""
    x, y, z = load(rows, o), load(rows, o + np.uint64(16)), load(rows, o + np.uint64(32))
    depth = fma(splat(camera[6]), x, fma(splat(camera[7]), y, fma(splat(camera[8]), z, splat(camera[11]))))
    inverse = splat(np.float32(1)) / where(depth > splat(np.float32(0)), depth, splat(np.float32(1)))
    u = (
        fma(splat(camera[0]), x, fma(splat(camera[1]), y, fma(splat(camera[2]), z, splat(camera[9]))))
        * inverse
    )
    v = (
        fma(splat(camera[3]), x, fma(splat(camera[4]), y, fma(splat(camera[5]), z, splat(camera[10]))))
        * inverse
    )
    return depth, inverse, u, v


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def directions_px(camera, u, v):
    """Rows of J R without their factors fx/z and fy/z: how a motion in the world moves a mean in the image."""
    u, v = clamp(u, camera[21], camera[23]), clamp(v, camera[22], camera[24])
    x0, x1, x2 = (
        splat(camera[0]) - u * splat(camera[6]),
        splat(camera[1]) - u * splat(camera[7]),
        splat(camera[2]) - u * splat(camera[8]),
    )
    y0, y1, y2 = (
        splat(camera[3]) - v * splat(camera[6]),
        splat(camera[4]) - v * splat(camera[7]),
        splat(camera[5]) - v * splat(camera[8]),
    )
    return x0, x1, x2, y0, y1, y2


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def axis_px(rows, o, axis, scale, d0, d1, d2):
    """The part of one scaled axis along an image direction, px."""
    i = o + np.uint64(48 + 16 * axis)
    return scale * fma(
        d0, load(rows, i), fma(d1, load(rows, i + np.uint64(48)), d2 * load(rows, i + np.uint64(96)))
    )


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def covariance(p0, p1, p2, q0, q1, q2):
    """xx, xy, yy of the projected covariance and its determinant, dilated; the determinant before, and its minors.

    The determinant is a sum of squared minors: no cancellation for needles, unlike xx yy - xy^2.
    """
    dilation = splat(np.float32(DILATION_PX2))
    c0, c1, c2 = p1 * q2 - p2 * q1, p2 * q0 - p0 * q2, p0 * q1 - p1 * q0
    sharp = fma(c0, c0, fma(c1, c1, c2 * c2))
    xx, yy = fma(p0, p0, fma(p1, p1, p2 * p2)), fma(q0, q0, fma(q1, q1, q2 * q2))
    xy = fma(p0, q0, fma(p1, q1, p2 * q2))
    det = fma(dilation, xx + yy, sharp) + dilation * dilation
    return xx + dilation, xy, yy + dilation, det, sharp, c0, c1, c2


@njit(cache=True, nogil=True, error_model="numpy")
def project(rows, wanted, degree, antialiased, camera, scratch, records, depths, boxes, sources):
    """Writes a record, a depth, a box and the place in the rows of each wanted Gaussian that covers a pixel's centre.

    `wanted` holds a uint16 for each row, a bit for each lane. `boxes` says which 4x4 blocks the box around an
    ellipse meets if these are at most two by two, see `_packed_box`, else -1. Returns the number of records and a
    bound on the number of (Gaussian, tile) pairs.
    """
    u64, f32 = np.uint64, np.float32
    zero = splat(f32(0))
    right, bottom = splat(camera[19] - f32(0.5)), splat(camera[20] - f32(0.5))
    count, pairs = u64(0), zero
    for row in range(rows.shape[0]):
        if wanted[row] == 0:
            continue
        o = u64(row) * u64(rows.shape[1]) * u64(16)
        z, inverse, u, v = to_camera(rows, o, camera)
        seen = from_bits(wanted[row]) & (z >= splat(f32(NEAR_M))) & (z <= splat(f32(FAR_M)))
        if bits(seen) == 0:
            continue
        mx, my = fma(splat(camera[15]), u, splat(camera[17])), fma(splat(camera[16]), v, splat(camera[18]))
        opacity, xx, xy, yy, det = _ellipses(rows, o, camera, antialiased, inverse, u, v)
        reach2 = (opacity - splat(f32(LOG2_ALPHA_MIN))) * splat(f32(1 / HALF_LOG2_E))
        seen = seen & (reach2 >= zero) & (det < splat(f32(1e37)))
        hx, hy = sqrt16(reach2 * xx), sqrt16(reach2 * yy)
        left, across = _blocks_met(mx, hx, right)
        top, down = _blocks_met(my, hy, bottom)
        seen = seen & (across >= zero) & (down >= zero)
        visible = bits(seen)
        if visible == 0:
            continue
        k = splat(f32(-HALF_LOG2_E)) / det
        store(scratch, u64(0), mx)
        store(scratch, u64(16), my)
        store(scratch, u64(32), k * yy)
        store(scratch, u64(48), splat(f32(-2)) * k * xy)
        store(scratch, u64(64), k * xx)
        store(scratch, u64(80), opacity)
        _store_colours(rows, o, degree, camera, scratch)
        store(scratch, u64(144), load(rows, o + u64(16 * OBJECT)))
        store(scratch, u64(160), load(rows, o + u64(16 * HAND)))
        store(scratch, u64(176), z)
        store(scratch, u64(192), hx)
        store(scratch, u64(208), hy)
        store(scratch, u64(224), sqrt16(reach2 * det / yy))
        store(scratch, u64(240), reach2 * xy / where(hx > zero, hx, splat(f32(1))))
        store(scratch, u64(BOXES), _packed_box(left, top, across, down))
        transpose16(scratch)
        for lane in range(16):
            s = u64(lane) * u64(16)
            store(records, count * u64(16), load(scratch, s))
            depths[count] = scratch[s + u64(11)]
            boxes[count] = scratch[u64(BOXES + lane)]
            sources[count] = row * 16 + lane
            count += u64((visible >> np.uint32(lane)) & np.uint32(1))
        pairs = pairs + where(seen, _tiles_spanned(mx, hx, right) * _tiles_spanned(my, hy, bottom), zero)
    return np.int64(count), lane_sum(pairs)


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _blocks_met(centre, reach, end):
    """The first 4-pixel block with a pixel's centre in centre +- reach, and how many more there are; negative for
    none. `end` is the last pixel's centre."""
    f32 = np.float32
    zero, quarter, last = splat(f32(0)), splat(f32(0.25)), centre + reach
    first = zero - floor16((splat(f32(3.5)) - (centre - reach)) * quarter)
    first = where(first > zero, first, zero)
    last = where(last < end, last, end)
    return first, floor16((last - splat(f32(0.5))) * quarter) - first


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _packed_box(left, top, across, down):
    """One float for a box of at most two by two blocks: row (from bit 13), column (from bit 2), whether there is one
    more below and one more to the right; -1 for larger boxes."""
    f32 = np.float32
    one, two = splat(f32(1)), splat(f32(2))
    packed = fma(top, splat(f32(8192)), fma(left, splat(f32(4)), fma(down, two, across)))
    return where((across <= one) & (down <= one), packed, splat(f32(-1)))


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _ellipses(rows, o, camera, antialiased, inverse, u, v):
    """log2 of opacity, the dilated covariance and its determinant."""
    x0, x1, x2, y0, y1, y2 = directions_px(camera, u, v)
    kx, ky = splat(camera[15]) * inverse, splat(camera[16]) * inverse
    p0, q0 = axis_px(rows, o, 0, kx, x0, x1, x2), axis_px(rows, o, 0, ky, y0, y1, y2)
    p1, q1 = axis_px(rows, o, 1, kx, x0, x1, x2), axis_px(rows, o, 1, ky, y0, y1, y2)
    p2, q2 = axis_px(rows, o, 2, kx, x0, x1, x2), axis_px(rows, o, 2, ky, y0, y1, y2)
    xx, xy, yy, det, sharp, _, _, _ = covariance(p0, p1, p2, q0, q1, q2)
    opacity = load(rows, o + np.uint64(16 * LOG2_OPACITY))
    if antialiased:
        tiny = splat(np.float32(SHARP_MIN))
        ratio = where(sharp > tiny, sharp, tiny) / det
        opacity = opacity + splat(np.float32(0.5)) * log2_16(ratio)
    return opacity, xx, xy, yy, det


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _tiles_spanned(centre, reach, end):
    """How many 16-pixel tiles the interval centre +- reach meets between 0 and `end`."""
    zero, tile = splat(np.float32(0)), splat(np.float32(0.0625))
    first, last = centre - reach, centre + reach
    first, last = where(first > zero, first, zero), where(last < end, last, end)
    return floor16(last * tile) - floor16(first * tile) + splat(np.float32(1))


@njit(cache=True, nogil=True, error_model="numpy")
def _store_colours(rows, o, degree, camera, scratch):
    """Colours of one row as seen from the eye, to scratch rows 6 to 8."""
    u64, f32 = np.uint64, np.float32
    c = o + u64(16 * COLOUR)
    if degree == 0:
        for channel in range(3):
            store(scratch, u64(96 + 16 * channel), load(rows, c + u64(16 * channel)))
        return
    one = splat(f32(1))
    x = load(rows, o) - splat(camera[12])
    y = load(rows, o + u64(16)) - splat(camera[13])
    z = load(rows, o + u64(32)) - splat(camera[14])
    inverse = one / sqrt16(fma(x, x, fma(y, y, fma(z, z, splat(f32(1e-30))))))
    x, y, z = x * inverse, y * inverse, z * inverse
    half, c0 = splat(f32(0.5)), splat(f32(SH_C0))
    red = fma(c0, load(rows, c), half)
    green = fma(c0, load(rows, c + u64(16)), half)
    blue = fma(c0, load(rows, c + u64(32)), half)
    red, green, blue = _add(rows, c + u64(48), splat(f32(-SH_C1)) * y, red, green, blue)
    red, green, blue = _add(rows, c + u64(96), splat(f32(SH_C1)) * z, red, green, blue)
    red, green, blue = _add(rows, c + u64(144), splat(f32(-SH_C1)) * x, red, green, blue)
    if degree >= 2:
        xx, yy, zz = x * x, y * y, z * z
        red, green, blue = _add(rows, c + u64(192), splat(f32(SH_C2[0])) * x * y, red, green, blue)
        red, green, blue = _add(rows, c + u64(240), splat(f32(SH_C2[1])) * y * z, red, green, blue)
        red, green, blue = _add(
            rows, c + u64(288), splat(f32(SH_C2[2])) * (zz + zz - xx - yy), red, green, blue
        )
        red, green, blue = _add(rows, c + u64(336), splat(f32(SH_C2[3])) * x * z, red, green, blue)
        red, green, blue = _add(rows, c + u64(384), splat(f32(SH_C2[4])) * (xx - yy), red, green, blue)
        if degree >= 3:
            red, green, blue = _add_degree_3(rows, c + u64(432), x, y, z, red, green, blue)
    store(scratch, u64(96), clamp(red, f32(0), f32(MAX_COLOUR)))
    store(scratch, u64(112), clamp(green, f32(0), f32(MAX_COLOUR)))
    store(scratch, u64(128), clamp(blue, f32(0), f32(MAX_COLOUR)))


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _add(rows, i, basis, red, green, blue):
    """Adds one basis function times its three coefficients, which follow each other."""
    return (
        fma(basis, load(rows, i), red),
        fma(basis, load(rows, i + np.uint64(16)), green),
        fma(basis, load(rows, i + np.uint64(32)), blue),
    )


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _add_degree_3(rows, i, x, y, z, red, green, blue):
    u64, f32 = np.uint64, np.float32
    xx, yy, zz = x * x, y * y, z * z
    three, four = splat(f32(3)), splat(f32(4))
    red, green, blue = _add(rows, i, splat(f32(SH_C3[0])) * y * (three * xx - yy), red, green, blue)
    red, green, blue = _add(rows, i + u64(48), splat(f32(SH_C3[1])) * x * y * z, red, green, blue)
    red, green, blue = _add(
        rows, i + u64(96), splat(f32(SH_C3[2])) * y * (four * zz - xx - yy), red, green, blue
    )
    red, green, blue = _add(
        rows, i + u64(144), splat(f32(SH_C3[3])) * z * (zz + zz - three * (xx + yy)), red, green, blue
    )
    red, green, blue = _add(
        rows, i + u64(192), splat(f32(SH_C3[4])) * x * (four * zz - xx - yy), red, green, blue
    )
    red, green, blue = _add(rows, i + u64(240), splat(f32(SH_C3[5])) * z * (xx - yy), red, green, blue)
    return _add(rows, i + u64(288), splat(f32(SH_C3[6])) * x * (xx - three * yy), red, green, blue)

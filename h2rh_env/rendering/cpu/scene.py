"""A scene as the kernels read it: rows of sixteen Gaussians, all attributes of a row together."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from ...core.labels import Label
from ...scenes.gaussians import SH_C0, GaussianScene
from ..activation import opacities
from ..base import ALPHA_MIN, MAX_COLOUR, MAX_SCALE_M
from ..simd.functions import exp2_small, log2_16, transpose16
from ..simd.vector import LANES, fma, load, splat, sqrt16, store, where
from .sort import radix_sort, spatial_keys

# Attributes of a row: mean (3), scaled axes (9, row-major), log2 of opacity, object, hand, then colour: activated
# rgb at degree 0, else spherical harmonics with r, g, b of each coefficient together.
AXES, LOG2_OPACITY, OBJECT, HAND, COLOUR = 3, 12, 13, 14, 15
# What else the gradient needs: unit quaternion (4), 1 / length of the raw one, scales (3), 1 - opacity.
INVERSE_NORM, SCALES, TRANSPARENCY, ACTIVATIONS = 4, 5, 8, 9
LOG2_E = 1 / math.log(2)
LOGIT_LIMIT, LEAST_SCALE = 60.0, math.exp(-60.0)  # beyond these nothing changes that an image could show


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows that are derived once from a scene.

    Attributes:
        values: (R, A, 16) float32.
        lanes: (R,) uint16, a bit for each lane that is no padding.
        index: (R * 16,) int32, index in the scene of each lane; -1 in padding.
        degree: the degree of the spherical harmonics.
        antialiased: as in the scene.
    """

    values: npt.NDArray[np.float32]
    lanes: npt.NDArray[np.uint16]
    index: npt.NDArray[np.int32]
    degree: int
    antialiased: bool


def make_rows(scene: GaussianScene) -> Rows:
    """Makes rows of the Gaussians that can be seen at all, neighbours in space together."""
    seen = np.flatnonzero(opacities(scene) >= ALPHA_MIN)
    index = row_index(seen[spatial_order(scene.means[seen])])
    values = np.empty((len(index) // LANES, COLOUR + 3 * scene.sh.shape[1], LANES), np.float32)
    activations = np.empty((len(values), ACTIVATIONS, LANES), np.float32)
    pack(
        _for_reading(scene.means),
        _for_reading(scene.wxyz),
        _for_reading(scene.log_scales),
        _for_reading(scene.opacity_logits),
        _for_reading(scene.sh),
        _for_reading(scene.labels),
        index,
        values,
        activations,
    )
    return Rows(values, lane_bits(index >= 0), index, scene.sh_degree, scene.antialiased)


def _for_reading(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The same array as one that is not written to, wherever it comes from, so that one type is compiled."""
    read_only = np.ascontiguousarray(array).view()
    read_only.flags.writeable = False
    return read_only


def row_index(order: npt.NDArray[np.integer]) -> npt.NDArray[np.int32]:
    """Returns indices in the order of the lanes, padded to whole rows with -1."""
    index = np.full(-(-len(order) // LANES) * LANES, -1, np.int32)
    index[: len(order)] = order
    return index


def lane_bits(flags: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint16]:
    """Packs flags (R * 16,) of lanes into a uint16 for each row, lane 0 in the lowest bit."""
    return np.packbits(flags, bitorder="little").view("<u2").astype(np.uint16)


def spatial_order(means: npt.NDArray[np.float32]) -> npt.NDArray[np.uint32]:
    """Returns an order of points (N, 3) in which neighbours in space are neighbours in memory."""
    n = len(means)
    keys, order, spare_keys, spare_order = np.empty((4, n), np.uint32)
    spatial_keys(means, keys)
    radix_sort(keys, n, order, spare_keys, spare_order, np.empty(2048, np.uint32))
    return order


@njit(cache=True, nogil=True, error_model="numpy")
def pack(means, wxyz, log_scales, logits, sh, labels, index, values, activations):
    """Fills `values` and `activations` (R, 9, 16) from a scene's raw parameters."""
    u64 = np.uint64
    flat, flat_activations = values.reshape(-1), activations.reshape(-1)
    square = np.empty(256, np.float32)
    for row in range(values.shape[0]):
        for lane in range(16):
            i = u64(row) * u64(values.shape[1] * 16) + u64(lane)
            a = u64(row) * u64(ACTIVATIONS * 16) + u64(lane)
            if index[row * 16 + lane] < 0:
                values[row, :, lane] = 0
                activations[row, :, lane] = 0
                activations[row, TRANSPARENCY, lane] = -LOGIT_LIMIT
                continue
            g = u64(index[row * 16 + lane])  # unsigned, or numba looks for negative indices
            largest = max(abs(wxyz[g, 0]), abs(wxyz[g, 1]), abs(wxyz[g, 2]), abs(wxyz[g, 3]))
            shrink = np.float32(1) / largest if largest > 1e18 or 0 < largest < 1e-18 else np.float32(1)
            for k in range(4):
                flat_activations[a + u64(16 * k)] = wxyz[g, k] * shrink
            flat_activations[a + u64(16 * INVERSE_NORM)] = shrink
            for k in range(3):
                flat[i + u64(16 * k)] = means[g, k]
                flat_activations[a + u64(16 * (SCALES + k))] = log_scales[g, k]
            flat_activations[a + u64(16 * TRANSPARENCY)] = logits[g]
            flat[i + u64(16 * OBJECT)] = labels[g] == Label.OBJECT
            flat[i + u64(16 * HAND)] = labels[g] == Label.HAND
        _pack_colours(
            sh.reshape(-1), 3 * sh.shape[1], index, row, flat, u64(row * values.shape[1] * 16), square
        )
        _activate(values, activations, row)
        if sh.shape[1] == 1:
            _colour_of_degree_0(values, row)


@njit(cache=True, nogil=True, error_model="numpy")
def _pack_colours(sh, size, index, row, flat, o, square):
    """Spherical harmonics (N * size,) of the Gaussians of one row to its lanes, sixteen at a time where there are."""
    u64 = np.uint64
    for first in range(0, size - size % 16, 16):
        for lane in range(16):
            g = index[row * 16 + lane]
            values = load(sh, u64(g * size + first)) if g >= 0 else splat(np.float32(0))
            store(square, u64(16 * lane), values)
        transpose16(square)
        for k in range(16):
            store(flat, o + u64(16 * (COLOUR + first + k)), load(square, u64(16 * k)))
    for k in range(size - size % 16, size):
        for lane in range(16):
            g = index[row * 16 + lane]
            if g >= 0:
                flat[o + u64(16 * (COLOUR + k) + lane)] = sh[u64(g * size + k)]


@njit(cache=True, nogil=True, error_model="numpy")
def _activate(values, activations, row):
    """Raw quaternions, log scales and logits of one row to axes, opacity and what the gradient needs."""
    u64, f32 = np.uint64, np.float32
    zero, one, two = splat(f32(0)), splat(f32(1)), splat(f32(2))
    a = u64(row) * u64(ACTIVATIONS * 16)
    v = u64(row) * u64(values.shape[1]) * u64(16)
    w, x, y, z = (
        load(activations, a),
        load(activations, a + u64(16)),
        load(activations, a + u64(32)),
        load(activations, a + u64(48)),
    )
    length2 = fma(w, w, fma(x, x, fma(y, y, z * z)))
    turned = length2 > zero
    inverse = where(turned, one / sqrt16(where(turned, length2, one)), zero)
    w, x, y, z = where(turned, w * inverse, one), x * inverse, y * inverse, z * inverse
    store(activations, a, w)
    store(activations, a + u64(16), x)
    store(activations, a + u64(32), y)
    store(activations, a + u64(48), z)
    store(activations, a + u64(64), inverse * load(activations, a + u64(64)))
    for j in range(3):
        log_scale = clamp(
            load(activations, a + u64(80 + 16 * j)), f32(math.log(LEAST_SCALE)), f32(math.log(MAX_SCALE_M))
        )
        s = exp2_small(log_scale * splat(f32(LOG2_E)))
        store(activations, a + u64(80 + 16 * j), s)
        if j == 0:
            e0, e1, e2 = one - two * (y * y + z * z), two * (x * y + w * z), two * (x * z - w * y)
        elif j == 1:
            e0, e1, e2 = two * (x * y - w * z), one - two * (x * x + z * z), two * (y * z + w * x)
        else:
            e0, e1, e2 = two * (x * z + w * y), two * (y * z - w * x), one - two * (x * x + y * y)
        store(values, v + u64(48 + 16 * j), e0 * s)
        store(values, v + u64(96 + 16 * j), e1 * s)
        store(values, v + u64(144 + 16 * j), e2 * s)
    logit = clamp(load(activations, a + u64(128)), f32(-LOGIT_LIMIT), f32(LOGIT_LIMIT))
    odds = exp2_small(logit * splat(f32(-LOG2_E)))
    store(values, v + u64(16 * LOG2_OPACITY), zero - log2_16(one + odds))
    store(activations, a + u64(128), odds / (one + odds))


@njit(cache=True, nogil=True, error_model="numpy")
def _colour_of_degree_0(values, row):
    for k in range(COLOUR, COLOUR + 3):
        i = np.uint64((row * values.shape[1] + k) * 16)
        colour = fma(splat(np.float32(SH_C0)), load(values, i), splat(np.float32(0.5)))
        store(values, i, clamp(colour, np.float32(0), np.float32(MAX_COLOUR)))


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def clamp(x, low, high):
    """x within [low, high]; NaN becomes low."""
    x = where(x > splat(low), x, splat(low))
    return where(x < splat(high), x, splat(high))

"""The gradient of alpha blending: a second walk front to back, from what the pixels receive to each Gaussian."""

from __future__ import annotations

import numpy as np
from numba import njit

from ..cpu.blend import CHUNK, LOG2_ALPHA_MAX, capped_alpha, covered_blocks, list_block, log2_alpha, passed
from ..cpu.project import LOG2_ALPHA_MIN
from ..simd.functions import block_moments
from ..simd.vector import bits, block_x, block_y, fma, load, load_block, splat, store, where

# The gradient of a record is 16 floats. With q = dL / d ln(alpha) at a pixel and (dx, dy) from the centre to it:
# sums over all pixels, in the order of `block_moments`, with dL / d(r, g, b, depth) for a, b, c, d.
GRADIENT = 16
Q, Q_DX, Q_DX2, RED, Q_DY, Q_DXDY, GREEN, Q_DY2, BLUE, DEPTH = 0, 1, 2, 3, 4, 5, 7, 8, 11, 12


@njit(cache=True, nogil=True, error_model="numpy")
def backward_tiles(
    records,
    starts,
    offsets,
    touched,
    width,
    height,
    tiles,
    chunk,
    block,
    planes,
    g_rgb,
    g_labels,
    g_alpha,
    g_depth,
    gradients,
):
    """Adds to `gradients` (16 * M) what some tiles of a strip contribute, see `blend_tiles`.

    `planes` is what `blend_tiles` drew, flat; g_rgb (3 * H * W), g_labels (2 * H * W), g_alpha and g_depth (H * W)
    are the derivatives of the loss by its planes.
    """
    tiles_x = (width + 15) >> 4
    for tile in range(tiles[1], tiles[2]):
        first, last = starts[tile], starts[tile + 1]
        y, x = 16 * (tiles[0] + tile // tiles_x), 16 * (tile % tiles_x)
        covered = covered_blocks(touched, first, last)
        for b in range(16):
            left, top = x + 4 * (b & 3), y + 4 * (b >> 2)
            if (covered >> np.uint64(b)) & np.uint64(1) and left < width and top < height:
                for k in range(3):
                    _read_block(g_rgb, k, left, top, width, height, block, k)
                    _read_block(planes, k, left, top, width, height, block, k + 8)
                for k in range(2):
                    _read_block(g_labels, k, left, top, width, height, block, k + 3)
                    _read_block(planes, k + 3, left, top, width, height, block, k + 11)
                _read_block(g_alpha, 0, left, top, width, height, block, 5)
                _read_block(g_depth, 0, left, top, width, height, block, 6)
                _read_block(planes, 5, left, top, width, height, block, 13)
                _read_block(planes, 6, left, top, width, height, block, 14)
                _backward_block(records, offsets, touched, first, last, b, left, top, chunk, block, gradients)


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _read_block(planes, plane, left, top, width, height, block, slot):
    """Copies a block of one plane to a vector of `block`; zero beyond the image."""
    corner = (plane * height + top) * width + left
    if left + 4 <= width and top + 4 <= height:
        store(block, np.uint64(16 * slot), load_block(planes, np.uint64(corner), np.uint64(width)))
    else:
        store(block, np.uint64(16 * slot), splat(np.float32(0)))
        for y in range(min(4, height - top)):
            for x in range(min(4, width - left)):
                block[16 * slot + 4 * y + x] = planes[corner + y * width + x]


@njit(cache=True, nogil=True, error_model="numpy")
def _backward_block(records, offsets, touched, first, last, b, left, top, chunk, block, gradients):
    u64, f32 = np.uint64, np.float32
    zero, one = splat(f32(0)), splat(f32(1))
    threshold, most = splat(f32(LOG2_ALPHA_MIN)), splat(f32(LOG2_ALPHA_MAX))
    g_red, g_green, g_blue = load(block, u64(0)), load(block, u64(16)), load(block, u64(32))
    g_thing, g_hand = load(block, u64(48)), load(block, u64(64))
    alpha, depth = load(block, u64(208)), load(block, u64(224))
    # Expected depth is a quotient: what it passes on to the sum of depths, and to alpha below it.
    g_sum = where(alpha > zero, load(block, u64(96)) / where(alpha > zero, alpha, one), zero)
    g_weight = load(block, u64(80)) - g_sum * depth
    # The part of the loss's derivative along the colours that lies behind the Gaussian at hand.
    behind = fma(
        g_red, load(block, u64(128)), fma(g_green, load(block, u64(144)), g_blue * load(block, u64(160)))
    )
    behind = fma(g_thing, load(block, u64(176)), fma(g_hand, load(block, u64(192)), behind))
    behind = fma(load(block, u64(80)), alpha, behind)
    px, py = block_x() + splat(f32(left)), block_y() + splat(f32(top))
    transmittance = one
    begin = first
    while begin < last:
        length = list_block(offsets, touched, begin, min(begin + CHUNK, last), b, chunk)
        begin += CHUNK
        for i in range(length):
            o = u64(chunk[i])
            exponent = log2_alpha(records, o, px, py)
            hit = exponent >= threshold
            if bits(hit) == 0:
                continue
            opaque = where(hit, capped_alpha(exponent), zero)
            weight, transmittance, going = passed(transmittance, transmittance * opaque)
            value = fma(g_red, splat(records[o + u64(6)]), fma(g_green, splat(records[o + u64(7)]), g_weight))
            value = fma(g_blue, splat(records[o + u64(8)]), fma(g_sum, splat(records[o + u64(11)]), value))
            value = fma(g_thing, splat(records[o + u64(9)]), fma(g_hand, splat(records[o + u64(10)]), value))
            share = weight * value
            behind = behind - share
            q = share - behind * (opaque / (one - opaque))
            q = where(hit & going & (exponent < most), q, zero)
            dx, dy = px - splat(records[o]), py - splat(records[o + u64(1)])
            sums = block_moments(q, dx, dy, weight * g_red, weight * g_green, weight * g_blue, weight * g_sum)
            store(gradients, o, load(gradients, o) + sums)
            if bits(going) == 0:
                begin = last
                break

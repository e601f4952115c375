"""Alpha blending, front to back: a block of 4x4 pixels is one vector, its sums stay in registers."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from ..base import ALPHA_MAX, TRANSMITTANCE_MIN
from ..masks import MASK_ALPHA_MIN
from ..simd.functions import append_marked, exp2_small
from ..simd.vector import bits, block_x, block_y, fma, lane_sum, load, splat, store, store_block, where
from .project import LOG2_ALPHA_MIN

LOG2_ALPHA_MAX = math.log2(ALPHA_MAX)
CHUNK = 256  # pairs of a tile that are listed for a block at a time
PLANES = 8  # rgb, object, hand, alpha, expected depth, median depth


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def covered_blocks(touched, first, last):
    """The 16 blocks of a tile that any of its pairs touches, a bit each."""
    covered = np.uint64(0)
    for i in range(np.uint64(first), np.uint64(last)):
        covered |= np.uint64(touched[i])
    return covered


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def list_block(offsets, touched, begin, end, block, chunk):
    """Writes where the records of a block's pairs begin to `chunk`; returns how many there are.

    `chunk` has room for sixteen more than there are pairs, and the pairs' arrays go on for sixteen after `end`.
    """
    u64, length = np.uint64, np.uint64(0)
    for i in range(u64(begin), u64(end), u64(16)):
        length = append_marked(offsets, touched, i, u64(end), u64(block), chunk, length)
    return length


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def log2_alpha(records, o, px, py):
    """log2 of a Gaussian's alpha at the pixel centres (px, py)."""
    dx, dy = px - splat(records[o]), py - splat(records[o + np.uint64(1)])
    slope = fma(splat(records[o + np.uint64(2)]), dx, splat(records[o + np.uint64(3)]) * dy)
    exponent = splat(records[o + np.uint64(5)])
    exponent = fma(splat(records[o + np.uint64(4)]) * dy, dy, exponent)
    return fma(dx, slope, exponent)


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def capped_alpha(exponent):
    most = splat(np.float32(LOG2_ALPHA_MAX))
    return exp2_small(where(exponent < most, exponent, most))


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def passed(transmittance, weight):
    """What a Gaussian adds to each pixel where it would weigh `weight`, what is seen behind it, and where any is."""
    zero, stop = splat(np.float32(0)), splat(np.float32(TRANSMITTANCE_MIN))
    after = transmittance - weight
    going = after > stop
    return where(going, weight, zero), where(going, after, zero), going


@njit(cache=True, nogil=True, error_model="numpy")
def blend_tiles(records, starts, offsets, touched, width, height, tiles, chunk, block, planes):
    """Draws some tiles of a strip into `planes` (8 * height * width, zero before).

    `tiles` is the strip's first row of tiles, then the first tile to draw and the one to stop before.
    """
    tiles_x = (width + 15) >> 4
    for tile in range(tiles[1], tiles[2]):
        first, last = starts[tile], starts[tile + 1]
        y, x = 16 * (tiles[0] + tile // tiles_x), 16 * (tile % tiles_x)
        covered = covered_blocks(touched, first, last)
        for b in range(16):
            if (covered >> np.uint64(b)) & np.uint64(1):
                left, top = x + 4 * (b & 3), y + 4 * (b >> 2)
                _blend_block(records, offsets, touched, first, last, b, left, top, chunk, block)
                _write_block(block, left, top, width, height, planes)


@njit(cache=True, nogil=True, error_model="numpy")
def _blend_block(records, offsets, touched, first, last, b, left, top, chunk, block):
    """Blends a block's pairs into the 8 vectors of `block`."""
    u64, f32 = np.uint64, np.float32
    zero, half = splat(f32(0)), splat(f32(0.5))
    threshold = splat(f32(LOG2_ALPHA_MIN))
    px, py = block_x() + splat(f32(left)), block_y() + splat(f32(top))
    transmittance = splat(f32(1))
    red, green, blue, held, hand, alpha, depth, median = zero, zero, zero, zero, zero, zero, zero, zero
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
            weight = where(hit, transmittance * capped_alpha(exponent), zero)
            z = splat(records[o + u64(11)])
            median = where(hit & (transmittance > half), z, median)
            weight, transmittance, going = passed(transmittance, weight)
            red = fma(weight, splat(records[o + u64(6)]), red)
            green = fma(weight, splat(records[o + u64(7)]), green)
            blue = fma(weight, splat(records[o + u64(8)]), blue)
            held = fma(weight, splat(records[o + u64(9)]), held)
            hand = fma(weight, splat(records[o + u64(10)]), hand)
            depth = fma(weight, z, depth)
            alpha = alpha + weight
            if bits(going) == 0:
                begin = last
                break
    store(block, u64(0), red)
    store(block, u64(16), green)
    store(block, u64(32), blue)
    store(block, u64(48), held)
    store(block, u64(64), hand)
    store(block, u64(80), alpha)
    store(block, u64(96), depth / where(alpha > zero, alpha, splat(f32(1))))
    store(block, u64(112), where(alpha >= half, median, zero))


@njit(cache=True, nogil=True, error_model="numpy")
def _write_block(block, left, top, width, height, planes):
    """Copies a block's 8 vectors into the planes, leaving out what lies beyond the image."""
    u64 = np.uint64
    for plane in range(PLANES):
        corner = (plane * height + top) * width + left
        if left + 4 <= width and top + 4 <= height:
            store_block(planes, u64(corner), u64(width), load(block, u64(16 * plane)))
        else:
            for y in range(min(4, height - top)):
                for x in range(min(4, width - left)):
                    planes[corner + y * width + x] = block[16 * plane + 4 * y + x]


@njit(cache=True, nogil=True, error_model="numpy")
def blend_observation(records, starts, offsets, touched, width, height, tiles, chunk, block, rgb, masks):
    """Like `blend_tiles`, to what a policy sees: rgb uint8 (H, W, 3) and masks uint8 (H, W, 2), zero before."""
    tiles_x = (width + 15) >> 4
    for tile in range(tiles[1], tiles[2]):
        first, last = starts[tile], starts[tile + 1]
        y, x = 16 * (tiles[0] + tile // tiles_x), 16 * (tile % tiles_x)
        covered = covered_blocks(touched, first, last)
        for b in range(16):
            if (covered >> np.uint64(b)) & np.uint64(1):
                left, top = x + 4 * (b & 3), y + 4 * (b >> 2)
                _observe_block(records, offsets, touched, first, last, b, left, top, chunk, block)
                for i in range(min(4, height - top)):
                    for j in range(min(4, width - left)):
                        k = 4 * i + j
                        for channel in range(3):
                            rgb[top + i, left + j, channel] = np.uint8(block[16 * channel + k])
                        masks[top + i, left + j, 0] = np.uint8(block[48 + k])
                        masks[top + i, left + j, 1] = np.uint8(block[64 + k])


@njit(cache=True, nogil=True, error_model="numpy")
def _observe_block(records, offsets, touched, first, last, b, left, top, chunk, block):
    """Blends a block's pairs into 5 vectors: rgb and the two masks, in 0 to 255."""
    u64, f32 = np.uint64, np.float32
    zero, one, white = splat(f32(0)), splat(f32(1)), splat(f32(255))
    threshold = splat(f32(LOG2_ALPHA_MIN))
    px, py = block_x() + splat(f32(left)), block_y() + splat(f32(top))
    transmittance = one
    red, green, blue, held, hand, alpha = zero, zero, zero, zero, zero, zero
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
            weight = where(hit, transmittance * capped_alpha(exponent), zero)
            weight, transmittance, going = passed(transmittance, weight)
            red = fma(weight, splat(records[o + u64(6)]), red)
            green = fma(weight, splat(records[o + u64(7)]), green)
            blue = fma(weight, splat(records[o + u64(8)]), blue)
            held = fma(weight, splat(records[o + u64(9)]), held)
            hand = fma(weight, splat(records[o + u64(10)]), hand)
            alpha = alpha + weight
            if bits(going) == 0:
                begin = last
                break
    half = splat(f32(0.5))
    store(block, u64(0), fma(where(red < one, red, one), white, half))
    store(block, u64(16), fma(where(green < one, green, one), white, half))
    store(block, u64(32), fma(where(blue < one, blue, one), white, half))
    covered = alpha >= splat(f32(MASK_ALPHA_MIN))
    store(block, u64(48), where(covered & (held >= hand) & (held > zero), white, zero))
    store(block, u64(64), where(covered & (hand > held), white, zero))


@njit(cache=True, nogil=True, error_model="numpy")
def sum_weights(records, starts, offsets, touched, width, tiles, chunk, weights):
    """Adds to `weights`, one for each record, what it contributes to all pixels together."""
    u64, f32 = np.uint64, np.float32
    zero, threshold = splat(f32(0)), splat(f32(LOG2_ALPHA_MIN))
    tiles_x = (width + 15) >> 4
    for tile in range(tiles[1], tiles[2]):
        y, x = 16 * (tiles[0] + tile // tiles_x), 16 * (tile % tiles_x)
        for b in range(16):
            px, py = block_x() + splat(f32(x + 4 * (b & 3))), block_y() + splat(f32(y + 4 * (b >> 2)))
            transmittance = splat(f32(1))
            begin, last = starts[tile], starts[tile + 1]
            while begin < last:
                length = list_block(offsets, touched, begin, min(begin + CHUNK, last), b, chunk)
                begin += CHUNK
                for i in range(length):
                    exponent = log2_alpha(records, u64(chunk[i]), px, py)
                    weight = where(exponent >= threshold, transmittance * capped_alpha(exponent), zero)
                    weight, transmittance, going = passed(transmittance, weight)
                    weights[u64(chunk[i]) >> u64(4)] += lane_sum(weight)
                    if bits(going) == 0:
                        begin = last
                        break

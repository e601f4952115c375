"""Which 4x4 blocks of which 16x16 tiles each ellipse touches, exactly, as lists in depth order."""

from __future__ import annotations

import numpy as np
from numba import njit

from ..simd.functions import first_of_four, last_of_four
from ..simd.vector import bits, block_x, block_y, first_sign, fma, splat, sqrt16, where

# A pair, before it is sorted, is a uint64: tile (from bit 41), mask of the tile's 16 blocks (from bit 25), record.
TILE_SHIFT, MASK_SHIFT, RECORD_MASK = 41, 25, (1 << 25) - 1
# A candidate, before the mask is known: row of the tile (from bit 48), its column (from bit 32).
ROW_SHIFT, COLUMN_SHIFT = 48, 32
LEAST_SMALL = 0.3  # part of the boxes


@njit(cache=True, nogil=True, error_model="numpy")
def bin_tiles(
    records, boxes, order, count, width, height, tile_rows, ends, unsorted, starts, offsets, touched
):
    """Lists what each tile shows, in depth order, for tiles of rows tile_rows[0] to tile_rows[1] - 1.

    Of each pair of a tile and a Gaussian, `offsets` receives where the record begins, `touched` the blocks; `starts`
    (tiles + 1) where each tile's pairs begin, where tiles are counted from the first of those rows. Plain passes, of
    which none waits for another's branches: pairs in the order of memory, then a sort by tile in the order of depth,
    which jumps about in the short list of pairs and not in the long one of records.
    """
    u64 = np.uint64
    tiles_x = (width + 15) >> 4
    tiles = tiles_x * (tile_rows[1] - tile_rows[0])
    starts[: tiles + 1] = 0
    if tile_rows[0] == 0 and 16 * tile_rows[1] >= height and _are_many_small(boxes, count):
        _pairs_by_size(records, boxes, count, width, height, tile_rows, ends, unsorted, starts, offsets)
    else:
        _pairs(records, count, width, height, tile_rows, ends, unsorted, starts)
    for tile in range(tiles):
        starts[tile + 1] += starts[tile]
    spare = starts[tiles]
    for i in range(u64(count)):
        record = u64(order[i])
        for k in range(ends[record - u64(1)] if record else u64(0), ends[record]):
            tile = unsorted[k] >> u64(TILE_SHIFT)
            mask = (unsorted[k] >> u64(MASK_SHIFT)) & u64(0xFFFF)
            place = u64(starts[tile] if mask != 0 else spare)
            offsets[place], touched[place] = record << u64(4), mask
            starts[tile] += np.int64(mask != 0)
    for tile in range(tiles, 0, -1):
        starts[tile] = starts[tile - 1]
    starts[0] = 0


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _pairs_of_small_box(box, record, tiles_x, starts, unsorted, written):
    """Appends the pairs of a box of at most two by two blocks, all of which count as touched; returns the new length.

    A corner block that the ellipse leaves out costs less in blending, which tests each pixel, than to find it here.
    """
    u64, one = np.uint64, np.uint64(1)
    column, row = (box >> u64(2)) & u64(0x7FF), box >> u64(13)
    columns = (one | ((box & one) << one)) << (column & u64(3))  # of this tile, and the next one's first
    rows = (one | (((box >> one) & one) << u64(4))) << (u64(4) * (row & u64(3)))
    here, right, above, below = columns & u64(15), columns >> u64(4), rows & u64(0xFFFF), rows >> u64(16)
    tile = (row >> u64(2)) * tiles_x + (column >> u64(2))
    written = _append(tile, here * above, record, starts, unsorted, written)
    written = _append(tile + one, right * above, record, starts, unsorted, written)
    written = _append(tile + tiles_x, here * below, record, starts, unsorted, written)
    return _append(tile + tiles_x + one, right * below, record, starts, unsorted, written)


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _append(tile, mask, record, starts, unsorted, written):
    """Appends a pair if its mask is not empty, without a branch that could be mispredicted."""
    u64 = np.uint64
    unsorted[written] = (tile << u64(TILE_SHIFT)) | (mask << u64(MASK_SHIFT)) | record
    starts[tile + u64(1)] += np.int64(mask != 0)
    return written + u64(mask != 0)


@njit(cache=True, nogil=True, error_model="numpy")
def _pairs(records, count, width, height, tile_rows, ends, unsorted, starts):
    """Fills `unsorted` with all pairs, `ends` with where each Gaussian's end, and counts the tiles' in `starts`."""
    u64 = np.uint64
    tiles_x, pairs = u64((width + 15) >> 4), u64(0)
    for i in range(u64(count)):
        pairs = _tiles_of_box(records, i, width, height, tile_rows, unsorted, pairs)
        ends[i] = pairs
    for k in range(pairs):
        _pair_of_candidate(records, k, tile_rows, tiles_x, starts, unsorted)


@njit(cache=True, nogil=True, error_model="numpy")
def _pairs_by_size(records, boxes, count, width, height, tile_rows, ends, unsorted, starts, unknown):
    """The same where many boxes are small; `unknown` serves for the places of pairs whose masks are not known yet."""
    u64 = np.uint64
    tiles_x, pairs, missing = u64((width + 15) >> 4), u64(0), u64(0)
    for i in range(u64(count)):
        if boxes[i] >= np.float32(0):
            pairs = _pairs_of_small_box(u64(boxes[i]), i, tiles_x, starts, unsorted, pairs)
        else:
            begin = pairs
            pairs = _tiles_of_box(records, i, width, height, tile_rows, unsorted, begin)
            for k in range(begin, pairs):
                unknown[missing] = k
                missing += u64(1)
        ends[i] = pairs
    for k in range(missing):
        _pair_of_candidate(records, u64(unknown[k]), tile_rows, tiles_x, starts, unsorted)


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _are_many_small(boxes, count):
    """Whether it pays to treat small boxes apart: their branch costs more than it saves where they are few."""
    small = 0
    for i in range(count):
        small += boxes[i] >= np.float32(0)
    return small >= LEAST_SMALL * count


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _pair_of_candidate(records, k, tile_rows, tiles_x, starts, unsorted):
    """Replaces a candidate by its pair: the mask is exact, and may be empty."""
    u64 = np.uint64
    column, row = (unsorted[k] >> u64(COLUMN_SHIFT)) & u64(0xFFFF), unsorted[k] >> u64(ROW_SHIFT)
    record = unsorted[k] & u64(0xFFFFFFFF)
    mask = _touched_blocks(records, record, column, row)
    tile = (row - u64(tile_rows[0])) * tiles_x + column
    unsorted[k] = (tile << u64(TILE_SHIFT)) | (u64(mask) << u64(MASK_SHIFT)) | record
    starts[tile + u64(1)] += np.int64(mask != 0)


@njit(cache=True, nogil=True, error_model="numpy")
def _tiles_of_box(records, record, width, height, tile_rows, candidates, written):
    """Appends the tiles that the box around an ellipse meets; returns the new length."""
    u64, i64, f32 = np.uint64, np.int64, np.float32
    o = record * u64(16)
    mx, my, hx, hy = records[o], records[o + u64(1)], records[o + u64(12)], records[o + u64(13)]
    left = i64(max(mx - hx, f32(0)) * f32(0.0625))
    right = i64(min(mx + hx, f32(width - 1)) * f32(0.0625))
    top = max(i64(max(my - hy, f32(0)) * f32(0.0625)), tile_rows[0])
    bottom = min(i64(min(my + hy, f32(height - 1)) * f32(0.0625)), tile_rows[1] - 1)
    if top > bottom:
        return written
    if right - left < 2 and bottom - top < 2:
        # At most two by two, by far the most frequent: written without a branch that could be mispredicted.
        corner = record | (u64(left) << u64(COLUMN_SHIFT)) | (u64(top) << u64(ROW_SHIFT))
        across, down = u64(right - left), u64(bottom - top)
        candidates[written] = corner
        written += u64(1)
        candidates[written] = corner + (u64(1) << u64(COLUMN_SHIFT))
        written += across
        candidates[written] = corner + (u64(1) << u64(ROW_SHIFT))
        written += down
        candidates[written] = corner + (u64(1) << u64(COLUMN_SHIFT)) + (u64(1) << u64(ROW_SHIFT))
        return written + (across & down)
    for row in range(top, bottom + 1):
        for column in range(left, right + 1):
            candidates[written] = record | (u64(column) << u64(COLUMN_SHIFT)) | (u64(row) << u64(ROW_SHIFT))
            written += u64(1)
    return written


@njit(cache=True, nogil=True, error_model="numpy")
def _touched_blocks(records, record, column, row):
    """The blocks of a tile that an ellipse touches, a bit each.

    The lanes of a vector are the blocks. What an ellipse touches in a row of blocks is an interval: its right end is
    the rightmost point of the ellipse that the row's height allows, its left end likewise.
    """
    u64, f32 = np.uint64, np.float32
    o = record * u64(16)
    hx, hy, rightmost = records[o + u64(12)], records[o + u64(13)], records[o + u64(15)]
    flat = f32(1) / max(hy * hy, f32(1e-30))
    high, low, flatness, skew = splat(hy), splat(-hy), splat(-flat), splat(rightmost * hx * flat)
    one, zero, three = splat(f32(1)), splat(f32(0)), splat(f32(3))
    first = _four_blocks(block_y()) + splat(f32(u64(16) * row) - records[o + u64(1)])
    last = first + three
    crossed = (first <= high) & (last >= low)
    first, last = where(first > low, first, low), where(last < high, last, high)
    # The first two blocks of a row find its right end, the others its left end.
    turning = splat(rightmost) * first_sign()
    y = where(turning > first, turning, first)
    y = where(y < last, y, last)
    arc = fma(y * y, flatness, one)
    half_width = splat(records[o + u64(14)]) * first_sign()
    ends = fma(skew, y, half_width * sqrt16(where(arc > zero, arc, zero)))
    x = _four_blocks(block_x()) + splat(f32(u64(16) * column) - records[o])
    return bits(crossed & (x >= last_of_four(ends) - three) & (x <= first_of_four(ends)))


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _four_blocks(pixel):
    """Pixel centres 0.5 to 3.5 of a block to the first pixel centres of a tile's four blocks: 0.5, 4.5, 8.5, 12.5."""
    return fma(pixel, splat(np.float32(4)), splat(np.float32(-1.5)))

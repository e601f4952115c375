"""Prepares one image for blending: projects, sorts by depth and bins, a strip of tile rows at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from ...core.camera import PinholeCamera
from ..simd.vector import LANES
from .bin import bin_tiles
from .blend import CHUNK, blend_observation
from .project import SCRATCH, project
from .scene import Rows
from .sort import radix_sort

MAX_PAIRS = 4_000_000  # of a Gaussian and a tile, held at once; more are drawn strip by strip
CACHE_LINE = 64  # a record that straddles two costs twice


class Workspace:
    """Scratch memory of one thread; grows, and is kept between images."""

    def __init__(self) -> None:
        self._arrays: dict[str, npt.NDArray[Any]] = {}

    def array(self, name: str, size: int, dtype: type) -> npt.NDArray[Any]:
        """Returns at least `size` values of unspecified content, from the start of a cache line."""
        array = self._arrays.get(name)
        if array is None or len(array) < size:
            length = max(size, 16) * 5 // 4 * np.dtype(dtype).itemsize
            memory = np.empty(length + CACHE_LINE, np.uint8)
            start = -memory.ctypes.data % CACHE_LINE
            array = self._arrays[name] = memory[start : start + length].view(dtype)
        return array

    def chunk(self, part: int = 0) -> npt.NDArray[np.uint32]:
        """Returns room for what `list_block` lists, for one of an image's parts."""
        return self.array(f"chunk {part}", CHUNK + LANES, np.uint32)

    @property
    def nbytes(self) -> int:
        return sum(array.nbytes for array in self._arrays.values())


@dataclass(frozen=True, eq=False)
class Strip:
    """Some rows of an image's tiles, ready to be blended.

    Attributes:
        records: float32, 16 values for each Gaussian in view, see `project`; it may be longer.
        sources: int32, the place in the rows of each Gaussian in view; it may be longer.
        count: number of Gaussians in view.
        starts: (tiles + 1,) int64, where each tile's pairs begin.
        offsets: uint32, where the record of each pair of a tile and a Gaussian begins, see `bin`.
        touched: uint16, the blocks of the tile that each pair touches.
        tile_rows: (2,) int64, the first and the one behind the last.
        tiles_x: tiles in a row.
    """

    records: npt.NDArray[np.float32]
    sources: npt.NDArray[np.int32]
    count: int
    starts: npt.NDArray[np.int64]
    offsets: npt.NDArray[np.uint32]
    touched: npt.NDArray[np.uint16]
    tile_rows: npt.NDArray[np.int64]
    tiles_x: int

    @property
    def pairs(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint32], npt.NDArray[np.uint16]]:
        return self.starts, self.offsets, self.touched

    def extent(self, camera: PinholeCamera) -> tuple[slice, slice]:
        """Returns the rows and columns of the image within which anything is drawn; all if it has other strips."""
        tiles_y = -(-camera.height // 16)
        if int(self.tile_rows[1] - self.tile_rows[0]) < tiles_y:
            return slice(None), slice(None)
        used = (np.diff(self.starts[: self.tiles_x * tiles_y + 1]) > 0).reshape(tiles_y, self.tiles_x)
        rows, columns = np.flatnonzero(used.any(axis=1)), np.flatnonzero(used.any(axis=0))
        if len(rows) == 0:
            return slice(0), slice(0)
        return slice(16 * int(rows[0]), 16 * int(rows[-1]) + 16), slice(
            16 * int(columns[0]), 16 * int(columns[-1]) + 16
        )

    def parts(self, number: int) -> list[npt.NDArray[np.int64]]:
        """Divides its tiles into `number` runs of about equally many pairs, each as `blend_tiles` takes it."""
        end = self.tiles_x * int(self.tile_rows[1] - self.tile_rows[0])
        starts = self.starts[: end + 1]
        cuts = np.searchsorted(starts, starts[end] * np.arange(1, number) // number)
        bounds = [0, *cuts.tolist(), end]
        return [np.array([self.tile_rows[0], *run]) for run in pairwise(bounds)]


def strips(
    rows: Rows,
    camera: PinholeCamera,
    packed_camera: npt.NDArray[np.float32],
    memory: Workspace,
    wanted: npt.NDArray[np.uint16] | None = None,
) -> Iterator[Strip]:
    """Yields the strips of one image, top to bottom; none if no Gaussian is in view.

    Their arrays lie in the workspace and hold until the next strip. `wanted` (R,) selects lanes of the rows.
    """
    records, sources, order, count, bound = _splat(rows, packed_camera, memory, wanted)
    if count == 0:
        return
    tiles_x, tiles_y = -(-camera.width // 16), -(-camera.height // 16)
    step = tiles_y if bound <= MAX_PAIRS else max(1, MAX_PAIRS // (count * tiles_x))
    bound = min(bound, count * tiles_x * step + 1)
    starts = memory.array("starts", room_for_starts(tiles_x, step), np.int64)
    unsorted, ends = memory.array("unsorted", bound, np.uint64), memory.array("ends", count, np.uint64)
    # Lists are read sixteen at a time.
    offsets = memory.array("offsets", bound + LANES, np.uint32)
    touched = memory.array("touched", bound + LANES, np.uint16)
    for top in range(0, tiles_y, step):
        tile_rows = np.array([top, min(top + step, tiles_y)])
        bin_tiles(
            records,
            memory.array("boxes", count, np.float32),
            order,
            count,
            camera.width,
            camera.height,
            tile_rows,
            ends,
            unsorted,
            starts,
            offsets,
            touched,
        )
        yield Strip(records, sources, count, starts, offsets, touched, tile_rows, tiles_x)


def _splat(
    rows: Rows,
    packed_camera: npt.NDArray[np.float32],
    memory: Workspace,
    wanted: npt.NDArray[np.uint16] | None,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int32], npt.NDArray[np.uint32], int, int]:
    """Returns records, their sources and order, how many there are, and a bound on the pairs."""
    n = len(rows.index) + 1  # the projection writes one record ahead
    records, depths = memory.array("records", n * LANES, np.float32), memory.array("depths", n, np.float32)
    sources, order = memory.array("sources", n, np.int32), memory.array("order", n, np.uint32)
    count, bound = project(
        rows.values,
        rows.lanes if wanted is None else wanted,
        rows.degree,
        rows.antialiased,
        packed_camera,
        memory.array("scratch", SCRATCH, np.float32),
        records,
        depths,
        memory.array("boxes", n, np.float32),
        sources,
    )
    radix_sort(
        depths.view(np.uint32),
        count,
        order,
        memory.array("spare_keys", n, np.uint32),
        memory.array("spare_order", n, np.uint32),
        memory.array("histogram", 2048, np.uint32),
    )
    return records, sources, order, int(count), room_for_pairs(bound)


def observe(
    rows: Rows,
    camera: PinholeCamera,
    packed_camera: npt.NDArray[np.float32],
    memory: Workspace,
    wanted: npt.NDArray[np.uint16],
    rgb: npt.NDArray[np.uint8],
    masks: npt.NDArray[np.uint8],
) -> None:
    """Draws one image in 8 bits, rgb (H, W, 3) and masks (H, W, 2), over whatever was there.

    In one call as long as the workspace has room, so that a thread does not wait for the others at every stage.
    """
    n = len(rows.index) + 1  # the projection writes one record ahead
    tiles_x, tiles_y = -(-camera.width // 16), -(-camera.height // 16)
    pairs = memory.array("unsorted", 1, np.uint64)
    done = _observe(
        rows.values,
        wanted,
        rows.degree,
        rows.antialiased,
        packed_camera,
        memory.array("scratch", SCRATCH, np.float32),
        memory.array("records", n * LANES, np.float32),
        memory.array("depths", n, np.float32),
        memory.array("boxes", n, np.float32),
        memory.array("sources", n, np.int32),
        memory.array("order", n, np.uint32),
        memory.array("spare_keys", n, np.uint32),
        memory.array("spare_order", n, np.uint32),
        memory.array("histogram", 2048, np.uint32),
        memory.array("ends", n, np.uint64),
        pairs,
        memory.array("starts", room_for_starts(tiles_x, tiles_y), np.int64),
        memory.array("offsets", len(pairs) + LANES, np.uint32),
        memory.array("touched", len(pairs) + LANES, np.uint16),
        memory.chunk(),
        rgb,
        masks,
    )
    if done:
        return
    for strip in strips(rows, camera, packed_camera, memory, wanted):
        blend_observation(
            strip.records,
            *strip.pairs,
            camera.width,
            camera.height,
            strip.parts(1)[0],
            memory.chunk(),
            memory.array("scratch", SCRATCH, np.float32),
            rgb,
            masks,
        )


@njit(cache=True, nogil=True, error_model="numpy")
def _observe(
    values,
    wanted,
    degree,
    antialiased,
    camera,
    scratch,
    records,
    depths,
    boxes,
    sources,
    order,
    spare_keys,
    spare_order,
    histogram,
    ends,
    unsorted,
    starts,
    offsets,
    touched,
    chunk,
    rgb,
    masks,
):
    """Clears and draws; returns False, with nothing drawn, if there are more pairs than fit."""
    rgb[:], masks[:] = 0, 0
    height, width = rgb.shape[:2]
    count, bound = project(
        values, wanted, degree, antialiased, camera, scratch, records, depths, boxes, sources
    )
    if count == 0:
        return True
    if room_for_pairs(bound) > len(unsorted):
        return False
    radix_sort(depths.view(np.uint32), count, order, spare_keys, spare_order, histogram)
    tiles_x, tiles_y = (width + 15) >> 4, (height + 15) >> 4
    tile_rows = np.array([0, tiles_y])
    bin_tiles(
        records, boxes, order, count, width, height, tile_rows, ends, unsorted, starts, offsets, touched
    )
    tiles = np.array([0, 0, tiles_x * tiles_y])
    blend_observation(records, starts, offsets, touched, width, height, tiles, chunk, scratch, rgb, masks)
    return True


def room_for_starts(tiles_x: int, tiles_y: int) -> int:
    """Returns the entries needed: a box at the last tile looks, in vain, at those to its right and below."""
    return tiles_x * (tiles_y + 1) + 3


@njit(cache=True, nogil=True, error_model="numpy")
def room_for_pairs(bound):
    """Returns the entries needed: the bound was summed in float32, and some pairs turn out to be empty."""
    return np.int64(np.float64(bound) * 1.001) + 16

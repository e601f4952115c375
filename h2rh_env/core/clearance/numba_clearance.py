"""SceneClearance: a `Clearance` that is faster for a few positions at a time, as environments ask."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from ..geometry import Array
from . import Clearance

BLOCK = 64  # points that are near each other
FEW = 64  # positions
CELLS = 1024  # along the longest side of the cloud
SPREAD = (
    (16, 0x030000FF),
    (8, 0x0300F00F),
    (4, 0x030C30C3),
    (2, 0x09249249),
)  # two zeros between bits of ten


class SceneClearance(Clearance):
    """Equals `Clearance` in every bit.

    A search tree jumps about in memory, which takes most of its time where images have passed through the cache
    since. Here points lie in blocks with a box about each; what is read is the boxes, and the few blocks that come
    into question.
    """

    def distance(self, positions_world: npt.ArrayLike) -> Array:
        """See `Clearance.distance`."""
        positions = np.ascontiguousarray(positions_world, np.float64)  # one layout is compiled
        if not len(self._points) or positions.size > 3 * FEW or not np.isfinite(positions).all():
            return super().distance(positions)
        distances: Array = _nearest(*self._blocks, positions.reshape(-1, 3)).reshape(positions.shape[:-1])
        return distances

    @cached_property
    def _blocks(self) -> tuple[npt.NDArray[np.floating], npt.NDArray[np.floating]]:
        """Points (K, 3, BLOCK), the last one repeated, and boxes (2, 3, K)."""
        points: npt.NDArray[np.floating[Any]] = self._points[_along_a_curve(self._points)]
        short = points.astype(np.float32)
        if (short == points).all():
            points = short
        padded = np.concatenate([points, np.repeat(points[-1:], -len(points) % BLOCK, axis=0)])
        blocks = np.ascontiguousarray(padded.reshape(-1, BLOCK, 3).transpose(0, 2, 1))
        boxes = np.stack([blocks.min(axis=2).T, blocks.max(axis=2).T])
        return blocks, np.ascontiguousarray(boxes)  # one layout is compiled


def _along_a_curve(points: Array) -> npt.NDArray[np.intp]:
    """The order of points (P, 3) along Morton's curve, on which neighbours are near each other."""
    low, high = points.min(axis=0), points.max(axis=0)
    cells = ((points - low) * ((CELLS - 1) / max(float((high - low).max()), 1e-12))).astype(np.uint64)
    for shift, mask in SPREAD:
        cells = (cells | cells << np.uint64(shift)) & np.uint64(mask)
    order: npt.NDArray[np.intp] = np.argsort(cells @ np.array([1, 2, 4], np.uint64), kind="stable")
    return order


@njit(cache=True, fastmath={"nnan", "nsz"})
def _nearest(blocks, boxes, positions):
    """Distances (N,) of positions (N, 3), summed in float64 in the order in which cKDTree does.

    No point is nearer than its box, whatever rounding does: each step of it is monotonic.
    """
    count = blocks.shape[0]
    bounds, distances = np.empty(count), np.empty(len(positions))
    for n in range(len(positions)):
        x, y, z = positions[n, 0], positions[n, 1], positions[n, 2]
        for k in range(count):
            dx = max(boxes[0, 0, k] - x, x - boxes[1, 0, k], 0.0)
            dy = max(boxes[0, 1, k] - y, y - boxes[1, 1, k], 0.0)
            dz = max(boxes[0, 2, k] - z, z - boxes[1, 2, k], 0.0)
            bounds[k] = dx * dx + dy * dy + dz * dz
        least = _nearest_in(blocks[np.argmin(bounds)], x, y, z)
        for k in range(count):
            if bounds[k] < least:
                least = min(least, _nearest_in(blocks[k], x, y, z))
        distances[n] = np.sqrt(least)
    return distances


@njit(cache=True, fastmath={"nnan", "nsz"}, inline="always")
def _nearest_in(block, x, y, z):
    least = np.inf
    for i in range(BLOCK):
        dx, dy, dz = block[0, i] - x, block[1, i] - y, block[2, i] - z
        least = min(least, dx * dx + dy * dy + dz * dz)
    return least

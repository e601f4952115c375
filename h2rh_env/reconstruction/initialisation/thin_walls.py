"""Adds what a signed distance cannot hold: walls thinner than the errors of depth, seen from both sides.

Where the two sides of a wall are nearer to each other than cameras agree, each side says that the other lies in free
space, and fusion leaves a hole. What was measured there is kept as it is: oriented points, averaged over views,
with the two sides held apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.spatial import cKDTree

from .fusion import SEEN_THROUGH_M, DepthView

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

EXPLAINED_SPACINGS = 1.2  # a measurement this near, sideways, to a point that faces as it does is explained
EXPLAINED_M = 0.004  # and this near along the normal: the errors of depth
SAME_SIDE_COSINE = 0.3
SMOOTHING_SPACINGS = 3.0
MIN_SUPPORT = 6  # measurements of a new point
WALL_M = 0.001  # least distance between two sides
NEIGHBOURS = 12


@dataclass(frozen=True, eq=False)
class Surfels:
    """Oriented points: points (P, 3), m, outward normals (P, 3), labels (P,)."""

    points: Array
    normals: Array
    labels: npt.NDArray[np.int64]

    def select(self, keep: Mask | npt.NDArray[np.int64]) -> Surfels:
        """Returns the surfels that a mask (P,) or an index picks."""
        return Surfels(self.points[keep], self.normals[keep], self.labels[keep])


def missing(views: Sequence[DepthView], points: Array, normals: Array, spacing_m: float) -> Surfels:
    """Returns points on measured surface that points (P, 3) with normals (P, 3) do not explain.

    Args:
        views: all views, with the depth that was fused.
        points: what fusion found, m, about `spacing_m` apart.
        normals: unit length, outwards.
        spacing_m: the spacing of the new points, m.
    """
    seen = _measured(views)
    seen = seen.select(~_explained(seen, points, normals, EXPLAINED_SPACINGS * spacing_m))
    seen = seen.select(~_seen_through(views, seen.points))
    if not len(seen.points):
        return seen
    new = _smoothed(_thinned(seen, spacing_m), seen, SMOOTHING_SPACINGS * spacing_m)
    return _apart(new, points, normals, 2 * spacing_m)


def _measured(views: Sequence[DepthView]) -> Surfels:
    parts = []
    for v in views:
        on = v.depth_m > 0
        points = v.view.world_from_camera.apply(v.view.camera.unproject(v.depth_m)[on])
        parts.append((points, v.normals_world[on].astype(np.float64), v.view.labels[on].astype(np.int64)))
    return Surfels(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def _explained(seen: Surfels, points: Array, normals: Array, sideways_m: float) -> Mask:
    reach_m = float(np.hypot(sideways_m, EXPLAINED_M))
    distance, index = cKDTree(points).query(
        seen.points, min(NEIGHBOURS, len(points)), distance_upper_bound=reach_m
    )
    near = np.isfinite(distance)
    index = np.where(near, index, 0)
    along = np.einsum("pkc,pkc->pk", seen.points[:, None] - points[index], normals[index])
    sideways = np.sqrt(np.maximum(np.where(near, distance, np.inf) ** 2 - along**2, 0))
    facing = np.einsum("pkc,pc->pk", normals[index], seen.normals)
    explained: Mask = (
        (sideways < sideways_m) & (np.abs(along) < EXPLAINED_M) & (facing > SAME_SIDE_COSINE)
    ).any(axis=1)
    return explained


def _seen_through(views: Sequence[DepthView], points: Array) -> Mask:
    """Returns which points (P,) some view looks past, to what lies well behind them."""
    through = np.zeros(len(points), bool)
    for v in views:
        camera_points = v.view.world_from_camera.inverse().apply(points)
        uv = np.nan_to_num(v.view.camera.project(camera_points), nan=-1)
        inside = np.all((uv >= 0) & (uv < [v.view.camera.width, v.view.camera.height]), axis=1)
        column, row = np.where(inside[:, None], uv, 0).astype(int).T
        behind = np.maximum(v.background_m, v.depth_m)[row, column]
        through |= inside & (behind > camera_points[:, 2] + SEEN_THROUGH_M)
    return through


def _thinned(seen: Surfels, spacing_m: float) -> Surfels:
    """Averages the measurements in each cell of space that face the same way; few do not count."""
    axis = np.abs(seen.normals).argmax(axis=1)
    side = 2 * axis + (np.take_along_axis(seen.normals, axis[:, None], 1)[:, 0] > 0)
    cells = np.column_stack([np.floor(seen.points / spacing_m).astype(np.int64), side])
    _, owner, counts = np.unique(cells, axis=0, return_inverse=True, return_counts=True)
    owner = owner.reshape(-1)

    def mean(values: Array) -> Array:
        sums = [np.bincount(owner, values[:, k], len(counts)) for k in range(values.shape[1])]
        return np.stack(sums, axis=1) / counts[:, None]

    votes = mean((seen.labels[:, None] == np.arange(3)).astype(np.float64))
    return Surfels(mean(seen.points), mean(seen.normals), votes.argmax(axis=1))


def _smoothed(new: Surfels, seen: Surfels, reach_m: float) -> Surfels:
    """Moves points along their normals to the mean plane of the measurements about them, and drops the lonely."""
    tree = cKDTree(seen.points)
    points, normals = new.points, new.normals
    for _ in range(2):
        normals = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
        pairs = cKDTree(points).sparse_distance_matrix(tree, reach_m, output_type="coo_matrix")
        rows, columns, distance = pairs.row, pairs.col, pairs.data
        facing = np.einsum("pc,pc->p", normals[rows], seen.normals[columns])
        weights = np.where(facing > SAME_SIDE_COSINE, (1 - (distance / reach_m) ** 2) ** 2, 0)
        mean = coo_array((weights, (rows, columns)), shape=(len(points), len(seen.points))).tocsr()
        total = np.maximum(mean.sum(axis=1), 1e-9)
        centre, normals = mean @ seen.points / total[:, None], mean @ seen.normals / total[:, None]
        unit = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
        points = points + unit * ((centre - points) * unit).sum(axis=1, keepdims=True)
        support = np.bincount(rows, weights > 0, len(points))
    return Surfels(points, unit, new.labels).select(support >= MIN_SUPPORT)


def _apart(new: Surfels, points: Array, normals: Array, reach_m: float) -> Surfels:
    """Moves points outwards until opposite sides are a wall apart."""
    all_points, all_normals = np.concatenate([new.points, points]), np.concatenate([new.normals, normals])
    distance, index = cKDTree(all_points).query(new.points, NEIGHBOURS, distance_upper_bound=reach_m)
    near = np.isfinite(distance)
    index = np.where(near, index, 0)
    opposed = near & (np.einsum("pkc,pc->pk", all_normals[index], new.normals) < -SAME_SIDE_COSINE)
    gap = np.einsum("pkc,pc->pk", new.points[:, None] - all_points[index], new.normals)
    mean_gap = np.where(opposed, gap, 0).sum(axis=1) / np.maximum(opposed.sum(axis=1), 1)
    shift = np.where(opposed.any(axis=1), np.clip((WALL_M - mean_gap) / 2, 0, WALL_M), 0)
    return Surfels(new.points + shift[:, None] * new.normals, new.normals, new.labels)

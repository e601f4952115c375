"""Surface: an object's points thinned to an even spacing, with outward normals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from ..core.errors import GraspError
from ..core.geometry import Array

MIN_POINTS = 100
NEIGHBOURS = 70
FINEST_VOXEL_M = 0.003
LOOK_ROUND_M = 0.05  # how far around a point the object's bulk is looked for to tell inside from outside


@dataclass(frozen=True, eq=False)
class Surface:
    """Points and outward unit normals, (M, 3) each, m, scene frame."""

    points: Array
    normals: Array

    @classmethod
    def from_points(cls, points_scene: npt.ArrayLike, max_points: int = 1600) -> Surface:
        """Thins a cloud (P, 3), m, to at most about `max_points` and estimates normals.

        A normal is the least axis of the nearest points; it points away from the object's bulk, which is right
        for solid shapes even where the hand hides a part of them.

        Raises:
            GraspError: There are fewer than 100 points, or some that are not finite.
        """
        cloud = np.asarray(points_scene, np.float64).reshape(-1, 3)
        if len(cloud) < MIN_POINTS or not np.isfinite(cloud).all():
            finite = int(np.isfinite(cloud).all(axis=1).sum())
            raise GraspError(
                f"the object has {finite} finite points of {len(cloud)}; at least {MIN_POINTS} are needed, all finite"
            )
        voxel = FINEST_VOXEL_M
        points = thinned(cloud, voxel)
        while len(points) > max_points:
            voxel *= max(1.05, np.sqrt(len(points) / max_points))
            points = thinned(cloud, voxel)
        _, near = cKDTree(cloud).query(points, k=min(NEIGHBOURS, len(cloud)))
        offsets = cloud[near] - cloud[near].mean(axis=1, keepdims=True)  # (M, K, 3)
        _, axes = np.linalg.eigh(np.einsum("mki,mkj->mij", offsets, offsets))
        normals = axes[:, :, 0]
        return cls(points, normals * _outward_sign(points, normals)[:, None])


def thinned(points: npt.ArrayLike, voxel_m: float) -> Array:
    """Returns the mean of the points (P, 3) in each occupied voxel, (M, 3)."""
    cloud = np.asarray(points, np.float64).reshape(-1, 3)
    if not len(cloud):
        return cloud
    cells = np.floor(cloud / voxel_m).astype(np.int64)
    _, cell, counts = np.unique(cells, axis=0, return_inverse=True, return_counts=True)
    sums = np.stack([np.bincount(cell.ravel(), cloud[:, axis]) for axis in range(3)], axis=1)
    return sums / counts[:, None]


def _outward_sign(points: Array, normals: Array) -> Array:
    """Returns +1 where a normal points away from the bulk around its point, -1 where it points into it; (M,)."""
    bulk = points[:: max(1, len(points) // 600)]
    offsets = bulk[None] - points[:, None]  # (M, S, 3)
    weights = np.exp(-0.5 * np.einsum("msi,msi->ms", offsets, offsets) / LOOK_ROUND_M**2)
    depth = np.einsum("ms,msi,mi->m", weights, offsets, normals, optimize=True)
    return np.where(depth > 0, -1.0, 1.0)

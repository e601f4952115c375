"""Surface: an object's points thinned to an even spacing, with the direction of the surface's normal at each."""

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


@dataclass(frozen=True, eq=False)
class Surface:
    """Points and unit normals, (M, 3) each, m, scene frame.

    Normals have no sign: a cloud does not tell the inside of a bowl from its outside, and a grasp need not know,
    since the outermost of what lies between two pads faces them.
    """

    points: Array
    normals: Array

    @classmethod
    def from_points(cls, points_scene: npt.ArrayLike, max_points: int = 1600) -> Surface:
        """Thins a cloud (P, 3), m, to at most about `max_points` and estimates normals.

        A normal is the least axis of the nearest points.

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
        return cls(points, axes[:, :, 0])


def thinned(points: npt.ArrayLike, voxel_m: float) -> Array:
    """Returns the mean of the points (P, 3) in each occupied voxel, (M, 3)."""
    cloud = np.asarray(points, np.float64).reshape(-1, 3)
    if not len(cloud):
        return cloud
    cells = np.floor(cloud / voxel_m).astype(np.int64)
    _, cell, counts = np.unique(cells, axis=0, return_inverse=True, return_counts=True)
    sums = np.stack([np.bincount(cell.ravel(), cloud[:, axis]) for axis in range(3)], axis=1)
    return sums / counts[:, None]

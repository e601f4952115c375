"""Distances to hand and object: the one definition that grasps, expert, metrics and robot share."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from ..geometry import SE3, Array
from ..gripper import FINGERTIP_DEPTH_M, ROBOTIQ_2F85, GripperGeometry

Floats = npt.NDArray[np.floating[Any]]  # float32 does where many poses are tried

SWEEP_MARGIN_M = 0.01
MARCH_STEPS = 1000
MARCH_TOLERANCE_M = 1e-4


class Clearance:
    """Distances to a fixed cloud of points."""

    def __init__(self, points_world: npt.ArrayLike) -> None:
        """Args: points_world: (P, 3), m; an empty cloud is infinitely far."""
        self._points = np.asarray(points_world, np.float64).reshape(-1, 3)

    @cached_property
    def _tree(self) -> Any:
        from scipy.spatial import cKDTree  # half of what it takes to make an environment, which needs none

        # Positions are mostly outside, where few large leaves are faster.
        return cKDTree(self._points, leafsize=64, compact_nodes=False)

    def distance(self, positions_world: npt.ArrayLike) -> Array:
        """Returns min_p ||T - p|| (left side of Eq. 14) for positions (..., 3), m; shape (...)."""
        positions = np.asarray(positions_world, np.float64)
        if not len(self._points):
            return np.full(positions.shape[:-1], np.inf)
        return np.asarray(self._tree.query(positions)[0])

    def nearest(self, position_world: npt.ArrayLike) -> Array:
        """Returns the point (3,) of the cloud that is nearest to a position (3,), m.

        Raises:
            ValueError: The cloud is empty.
        """
        if not len(self._points):
            raise ValueError("an empty cloud has no nearest point")
        point: Array = self._points[self._tree.query(np.asarray(position_world, np.float64))[1]]
        return point

    def keeps(
        self, starts_world: npt.ArrayLike, ends_world: npt.ArrayLike, least_m: float
    ) -> npt.NDArray[np.bool_]:
        """Returns whether all of a straight path keeps more than `least_m` (Eq. 14), to 0.1 mm on the safe side.

        From a place whose distance is D, no point is nearer than `least_m` within D - `least_m`; so the path is
        walked in such strides, all paths at once.

        Args:
            starts_world, ends_world: (..., 3), m, broadcast against each other.

        Returns:
            (...) bool.
        """
        starts, ends = np.broadcast_arrays(
            np.asarray(starts_world, np.float64), np.asarray(ends_world, np.float64)
        )
        shape = starts.shape[:-1]
        starts, paths = starts.reshape(-1, 3), (ends - starts).reshape(-1, 3)
        lengths = np.linalg.norm(paths, axis=1)
        along = np.zeros(len(starts))
        kept = np.ones(len(starts), bool)
        open_paths = np.arange(len(starts))
        for _ in range(MARCH_STEPS):
            if not len(open_paths):
                return kept.reshape(shape)
            fraction = along[open_paths] / np.maximum(lengths[open_paths], 1e-12)
            stride = self.distance(starts[open_paths] + fraction[:, None] * paths[open_paths]) - least_m
            kept[open_paths[stride <= MARCH_TOLERANCE_M]] = False
            along[open_paths] += stride
            open_paths = open_paths[(stride > MARCH_TOLERANCE_M) & (along[open_paths] < lengths[open_paths])]
        kept[open_paths] = False
        return kept.reshape(shape)


def swept_hits(
    points_world: npt.ArrayLike,
    world_from_gripper: SE3,
    advance_m: float,
    margin_m: float = SWEEP_MARGIN_M,
    gripper: GripperGeometry = ROBOTIQ_2F85,
) -> npt.NDArray[np.bool_]:
    """Returns which points (P, 3) the open gripper touches while it advances straight along its z.

    Args:
        world_from_gripper: pose before the advance.
        advance_m: length of the advance, m, at least 0.
        margin_m: the gripper is this much fatter on every side, m.

    Returns:
        (P,) bool.
    """
    points = np.asarray(points_world, np.float64).reshape(-1, 3)
    gripper_from_world, boxes = world_from_gripper.inverse(), gripper.boxes()
    low, high = boxes[:, 0].min(axis=0), boxes[:, 1].max(axis=0) + [0, 0, advance_m]
    spare_m = margin_m + 1e-6
    rows = np.arange(len(points))
    for axis in (1, 0, 2):  # the gripper is thinnest along y
        near = points[rows] if len(rows) < len(points) else points
        along = near @ gripper_from_world.rotation[axis] + gripper_from_world.translation[axis]
        rows = rows[(along >= low[axis] - spare_m) & (along <= high[axis] + spare_m)]
    gap = sweep_gap(gripper_from_world.apply(points[rows]), advance_m, gripper)
    hits = np.zeros(len(points), bool)
    hits[rows[gap <= margin_m]] = True
    return hits


def sweep_gap(points_gripper: Floats, advance_m: float, gripper: GripperGeometry = ROBOTIQ_2F85) -> Array:
    """Returns how much fatter (...), m, on every side the open gripper may be before its advance touches points.

    Args:
        points_gripper: (..., 3), m, in the gripper's frame before the advance.

    Returns:
        Negative for a point inside one of the boxes.
    """
    x, y, z = np.moveaxis(points_gripper, -1, 0)
    boxes = gripper.boxes()
    boxes[:, 1, 2] += advance_m
    gap = np.full(x.shape, np.inf)
    for (x0, y0, z0), (x1, y1, z1) in boxes:
        outside = np.maximum(
            np.abs(x - (x0 + x1) / 2) - (x1 - x0) / 2, np.abs(y - (y0 + y1) / 2) - (y1 - y0) / 2
        )
        gap = np.minimum(gap, np.maximum(outside, np.abs(z - (z0 + z1) / 2) - (z1 - z0) / 2))
    return gap


def between_fingers(
    points_gripper: Floats, gripper: GripperGeometry = ROBOTIQ_2F85, margin_m: float = 0.0
) -> npt.NDArray[np.bool_]:
    """Returns on which points (..., 3) in the gripper's frame the open fingers would close; (...) bool."""
    x, y, z = np.moveaxis(points_gripper, -1, 0)
    inside: npt.NDArray[np.bool_] = (
        (np.abs(x) < gripper.max_width_m / 2 + margin_m)
        & (np.abs(y) < gripper.finger_breadth_m / 2 + margin_m)
        & (z > gripper.palm_depth_m - margin_m)
        & (z < FINGERTIP_DEPTH_M + margin_m)
    )
    return inside

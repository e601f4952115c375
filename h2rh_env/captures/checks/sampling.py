"""What one camera measured, looked up in the images of another: the comparison that all checks rest on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..base import RgbdView

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

SAME_SURFACE_M = 0.02  # two cameras that measured one surface
FINE_M = 0.012  # two good cameras that measured one surface, with depth that is off by 1 % at most
FINEST_M = 0.008  # most of them
HIDDEN_M = 0.1  # a point that lies further behind what a camera measured is hidden from it
NEIGHBOURS = 3
AROUND_M = 2.0  # what is further from a camera is not looked at
LEAST_PLACED = 100  # points that tell how well a camera is placed


@dataclass(frozen=True, eq=False)
class Pixels:
    """Pixels of a view: rows and columns, (P,) each, and their points in the camera's frame, (P, 3), m."""

    rows: Index
    columns: Index
    points_camera: Array


@dataclass(frozen=True, eq=False)
class Lookup:
    """Where points of the world fall in a view.

    Attributes:
        rows, columns: (P,) the pixel; the first pixel where outside.
        inside: (P,) whether the point falls into the image and before the camera.
        behind_m: (P,) how far the point lies behind what the camera measured there; meaningless where depth is 0.
        measured: (P,) whether it lies inside and the camera measured depth there.
    """

    rows: Index
    columns: Index
    inside: Mask
    behind_m: Array
    measured: Mask

    @property
    def visible(self) -> Mask:
        """(P,) whether the camera measured a surface at the point itself."""
        return self.measured & (np.abs(self.behind_m) < SAME_SURFACE_M)


def sample(view: RgbdView, mask: Mask, most: int) -> Pixels:
    """Returns up to `most` of the pixels (H, W) of a mask that have depth, spread evenly over them."""
    rows, columns = np.nonzero(mask & (view.depth_m > 0))
    if len(rows) > most:
        chosen = np.linspace(0, len(rows) - 1, most).astype(int)
        rows, columns = rows[chosen], columns[chosen]
    return Pixels(rows, columns, points_at(view, rows, columns))


def points_at(view: RgbdView, rows: Index, columns: Index) -> Array:
    """Returns the points (P, 3), m, in the camera's frame that a view measured at pixels."""
    depth_m = view.depth_m[rows, columns].astype(np.float64)
    x = (columns + 0.5 - view.camera.cx) / view.camera.fx
    y = (rows + 0.5 - view.camera.cy) / view.camera.fy
    return np.stack([x * depth_m, y * depth_m, depth_m], axis=-1)


def look_up(view: RgbdView, points_world: Array) -> Lookup:
    """Looks points (P, 3), m, up in a view."""
    local = view.world_from_camera.inverse().apply(points_world)
    uv = np.nan_to_num(view.camera.project(local), nan=-1)
    inside = np.all((uv >= 0) & (uv < [view.camera.width, view.camera.height]), axis=1)
    columns, rows = np.where(inside[:, None], uv, 0).astype(int).T
    depth_m = view.depth_m[rows, columns]
    return Lookup(rows, columns, inside, local[:, 2] - depth_m, inside & (depth_m > 0))


@dataclass(frozen=True)
class Placing:
    """How well what a camera measured lies on what its neighbours measured.

    Attributes:
        count: number of points that a neighbour could have seen.
        same: share of these within 2 cm of what a neighbour measured; sound captures: 0.86 and more.
        fine, finest: share of the seen within 12 mm, and within 8 mm.
    """

    count: int
    same: float
    fine: float
    finest: float


def placing(view: RgbdView, others: Sequence[RgbdView], points: int = 600) -> Placing | None:
    """Compares what a camera measured of anything with its neighbours; None where too little overlaps."""
    around = sample(view, view.depth_m < AROUND_M, points).points_camera
    points_world = view.world_from_camera.apply(around)
    seen, same, fine, finest = np.zeros((4, len(points_world)), bool)
    for other in neighbours(view, others, NEIGHBOURS):
        found = look_up(other, points_world)
        seen |= found.measured & (found.behind_m < HIDDEN_M)
        same |= found.visible
        fine |= found.measured & (np.abs(found.behind_m) < FINE_M)
        finest |= found.measured & (np.abs(found.behind_m) < FINEST_M)
    count = int(seen.sum())
    return (
        Placing(count, *(float(p.sum()) / count for p in (same, fine, finest)))
        if count >= LEAST_PLACED
        else None
    )


def neighbours(view: RgbdView, others: Sequence[RgbdView], most: int) -> list[RgbdView]:
    """Returns the cameras that look most in the direction of a view."""
    if not others:
        return []
    forward = np.array([other.world_from_camera.rotation[:, 2] for other in others])
    order = np.argsort(-forward @ view.world_from_camera.rotation[:, 2])
    return [others[int(k)] for k in order][:most]

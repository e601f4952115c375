"""Solids of cells, from a signed distance where the shape is known, else from points; and boxes that fill them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial import cKDTree

from ..core.errors import SceneError
from ..core.geometry import SE3, Array

CELL_M = 0.003  # with 4 mm, 7 of 51 verdicts were others than with exact convex pieces; with 3 mm none
LARGEST_M = 1.0
CHUNK = 200_000
DILATION = 1.5  # of the spacing of points, so that a surface has no holes
ENCLOSED = 17  # of 26 directions in which an inner cell meets the surface
FILL_CELL_M = 0.002  # finer than the boxes: a cloud's surface is then closed and taken back by whole cells
IsFree = Callable[[Array], npt.NDArray[np.bool_]]
DIRECTIONS = np.array([d for d in product((-1, 0, 1), repeat=3) if any(d)])


@dataclass(frozen=True, eq=False)
class SolidCells:
    """filled (X, Y, Z) bool; cell_m (3,) sizes of a cell; scene_from_cells: of the grid's lower corner and axes."""

    filled: npt.NDArray[np.bool_]
    cell_m: Array
    scene_from_cells: SE3


def solid_of_distance(
    distance: Callable[[Array], Array], bounds: Array, scene_from_object: SE3, cell_m: float = CELL_M
) -> SolidCells:
    """The cells whose centres lie inside a known shape.

    Cells fit the bounds exactly, so that a box keeps its width to the micrometre.

    Args:
        distance: signed, of points (P, 3) in the object's frame, m; negative inside.
        bounds: (2, 3) lower and upper corner, m.

    Raises:
        SceneError: nothing is inside, or the bounds are larger than what a hand holds.
    """
    low, extent = bounds[0], bounds[1] - bounds[0]
    _check_size(extent)
    counts = np.maximum(1, np.round(extent / cell_m)).astype(int)
    cell = extent / counts
    centres = low + (np.indices(counts).reshape(3, -1).T + 0.5) * cell
    inside = np.concatenate([distance(centres[i : i + CHUNK]) < 0 for i in range(0, len(centres), CHUNK)])
    if not inside.any():
        raise SceneError(f"the object encloses no cell of {1e3 * cell_m:.0f} mm; is its surface closed?")
    return SolidCells(inside.reshape(counts), cell, scene_from_object @ SE3(np.eye(3), low))


def solid_of_cloud(points_scene: npt.ArrayLike, is_free: IsFree | None = None) -> SolidCells:
    """The cells that a cloud (P, 3), m, of a surface seen from some sides encloses.

    The surface is dilated until it is closed, what it encloses is filled, and the dilation is taken back; cells with
    points stay, so that blades and shafts do. What is hollow and seen from few sides comes out filled, unless it is
    known what is free.

    Args:
        is_free: of points (P, 3), m, scene frame: whether nothing is there, for certain.

    Raises:
        SceneError: a cloud larger than what a hand holds.
    """
    points = np.asarray(points_scene, np.float64)
    centre, axes = points.mean(axis=0), _principal_axes(points)
    local = (points - centre) @ axes
    spacing = float(np.median(cKDTree(local).query(local, 2)[0][:, 1])) if len(local) > 1 else FILL_CELL_M
    reach = max(DILATION * spacing, 0.75 * FILL_CELL_M)
    low = local.min(axis=0) - reach - 2 * FILL_CELL_M
    extent = local.max(axis=0) + reach + 2 * FILL_CELL_M - low
    _check_size(extent)
    counts = np.ceil(extent / FILL_CELL_M).astype(int)
    centres = low + (np.indices(counts).reshape(3, -1).T + 0.5) * FILL_CELL_M
    near = cKDTree(local).query(centres, distance_upper_bound=reach)[0].reshape(counts) < np.inf
    inside = enclosed(near) & ~near
    if is_free is not None:
        inside[inside] = ~is_free(centres[inside.ravel()] @ axes.T + centre)
    body = near | inside
    kept = ndimage.distance_transform_edt(body) * FILL_CELL_M > reach
    kept[tuple(((local - low) / FILL_CELL_M).astype(int).T)] = True
    grid = SE3(axes, centre + axes @ low)
    return SolidCells(kept, np.full(3, FILL_CELL_M), grid)


def enclosed(surface: npt.NDArray[np.bool_], least: int = ENCLOSED) -> npt.NDArray[np.bool_]:
    """The cells from which at least so many of the 26 directions meet the surface (X, Y, Z)."""
    hits = np.zeros(surface.shape, np.uint8)
    for direction in DIRECTIONS:
        hits += _met(surface, direction)
    return hits >= least


def _met(surface: npt.NDArray[np.bool_], direction: npt.NDArray[np.int_]) -> npt.NDArray[np.bool_]:
    """Whether a ray from each cell along `direction` meets the surface: a sweep of slices against the ray."""
    axis = int(np.flatnonzero(direction)[0])
    ahead = direction[axis]
    slices = np.moveaxis(surface, axis, 0)[::-ahead]
    others = tuple(np.delete(direction, axis).tolist())
    met = np.zeros(slices.shape, bool)
    for k in range(1, len(slices)):
        met[k] = _shifted(met[k - 1] | slices[k - 1], others)
    return np.moveaxis(met[::-ahead], 0, axis)


def _shifted(plane: npt.NDArray[np.bool_], offset: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    """The plane seen from each of its cells at an offset; False beyond the edge."""
    out = np.zeros_like(plane)
    to = tuple(slice(max(0, -o), n - max(0, o)) for o, n in zip(offset, plane.shape, strict=True))
    source = tuple(slice(max(0, o), n - max(0, -o)) for o, n in zip(offset, plane.shape, strict=True))
    out[to] = plane[source]
    return out


def _principal_axes(points: Array) -> Array:
    """(3, 3) right-handed rotation whose columns are the cloud's axes, longest last."""
    if len(points) < 4:
        return np.eye(3)
    axes = np.linalg.eigh(np.cov(points.T))[1]
    return np.asarray(axes * np.array([1.0, 1.0, np.sign(np.linalg.det(axes))]))


def _check_size(extent: Array) -> None:
    if not (np.isfinite(extent).all() and extent.max() <= LARGEST_M):
        raise SceneError(
            f"the object measures {np.round(extent, 2).tolist()} m; at most {LARGEST_M} m is held"
        )


def greedy_boxes(solid: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint16]:
    """Covers the filled cells (X, Y, Z) exactly.

    Each box starts at the first cell that is not covered yet and grows along z, then y, then x.

    Returns:
        (B, 2, 3) uint16: lower corner and upper corner (exclusive) of each box, in cells.
    """
    left = solid.copy()
    boxes: list[tuple[tuple[int, int, int], tuple[int, int, int]]] = []
    for x, y, z in np.argwhere(solid).tolist():
        if not left[x, y, z]:
            continue
        z1 = z + _run(left[x, y, z:])
        y1 = y + _run(np.asarray(left[x, y:, z:z1].all(axis=1)))
        x1 = x + _run(np.asarray(left[x:, y:y1, z:z1].all(axis=(1, 2))))
        left[x:x1, y:y1, z:z1] = False
        boxes.append(((x, y, z), (x1, y1, z1)))
    return np.array(boxes, np.uint16).reshape(-1, 2, 3)


def _run(filled: npt.NDArray[np.bool_]) -> int:
    """How many are filled from the first on."""
    return len(filled) if filled.all() else int(filled.argmin())

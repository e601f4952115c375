"""Fuses the labelled depth of all views to one surface: a signed distance averaged in a band of voxels.

Each view votes for a voxel with the distance to the surface that its pixel saw. Views that look past a voxel
carve it away, and so do silhouettes, which are sharper than depth. On thin parts a view of the far side
knows nothing of the near one (Curless and Levoy 1996, with opposed normals kept apart).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from ...captures.base import RgbdView
from ...core.errors import CaptureError
from ...core.labels import Label

Float = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

MAX_DEPTH_M = 3.0  # a RealSense is of no use for surfaces beyond
JUMP_RATIO = 0.015  # depth steps larger than this share of the depth are edges between surfaces
BAND_VOXELS = 4  # half thickness of the band
SEEN_THROUGH_M = 0.015
MAX_VOXELS = 60_000_000
SMOOTHING_VOXELS = 0.8
MIN_COMPONENT_M2 = 4e-4
GRAZING_COSINE = 0.15


@dataclass(frozen=True, eq=False)
class DepthView:
    """What fusion needs of one view: cleaned depth, and the normals of its surfaces.

    Attributes:
        depth_m: (H, W) float32 of pixels that belong to object or hand, else 0.
        normals_world: (H, W, 3) float32 of those pixels, towards the camera.
        cosines: (H, W) float32 between ray and normal.
        background_m: (H, W) float32: depth behind the silhouette, 0 at and beside it or where unknown.
    """

    view: RgbdView
    depth_m: Float
    normals_world: Float
    cosines: Float
    background_m: Float


@dataclass(frozen=True, eq=False)
class Surface:
    """A triangle mesh of all that was seen: vertices (P, 3), m, outward normals (P, 3), faces (F, 3)."""

    vertices: npt.NDArray[np.float64]
    normals: npt.NDArray[np.float64]
    faces: npt.NDArray[np.int64]


def clean_depth(view: RgbdView) -> DepthView:
    """Drops flying pixels, completes depth to the edge of the masks, and estimates normals.

    All three come from planes that are fitted about each pixel within one label.
    """
    h, w = view.labels.shape
    depth, normals = np.zeros((h, w)), np.zeros((h, w, 3))
    for label in (Label.OBJECT, Label.HAND):
        mask = view.labels == label
        if mask.any():
            part = around(mask)
            camera_rows, camera_columns = part
            fit, slope_u, slope_v, spread = _local_planes(view.depth_m[part], mask[part])
            measured = np.where(mask[part] & (view.depth_m[part] > 0), view.depth_m[part], np.nan)
            good = np.abs(measured - fit) < np.maximum(3 * spread, JUMP_RATIO / 3 * fit)
            filled = mask[part] & ~good & (spread < JUMP_RATIO / 2 * fit)
            value = np.where(good, measured, np.where(filled, fit, 0))
            depth[part] = np.where(mask[part], value, depth[part])
            u = np.arange(w)[camera_columns] + 0.5 - view.camera.cx
            v = np.arange(h)[camera_rows] + 0.5 - view.camera.cy
            normal = np.stack(
                [
                    slope_u * view.camera.fx,
                    slope_v * view.camera.fy,
                    -(fit + slope_u * u[None, :] + slope_v * v[:, None]),
                ],
                axis=2,
            )
            normals[part][mask[part]] = normal[mask[part]]
    normals /= np.maximum(np.linalg.norm(normals, axis=2, keepdims=True), 1e-12)
    rays = view.camera.unproject(np.ones((h, w)))
    cosines = -(normals * rays).sum(axis=2) / np.linalg.norm(rays, axis=2)
    depth[(cosines < GRAZING_COSINE) | (depth > MAX_DEPTH_M)] = 0
    beside = ndimage.binary_dilation(view.labels != Label.BACKGROUND, iterations=1)
    return DepthView(
        view,
        depth.astype(np.float32),
        (normals @ view.world_from_camera.rotation.T).astype(np.float32),
        cosines.astype(np.float32),
        np.where(beside, 0, view.depth_m).astype(np.float32),
    )


def around(mask: Mask, border_px: int = 8) -> tuple[slice, slice]:
    """Returns the rows and columns of a mask (H, W) that is not empty, with a border."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return (
        slice(max(rows[0] - border_px, 0), rows[-1] + border_px + 1),
        slice(max(columns[0] - border_px, 0), columns[-1] + border_px + 1),
    )


def _local_planes(depth: Float, mask: Mask, sigma_px: float = 2.0) -> tuple[npt.NDArray[np.float64], ...]:
    """Fits a plane about each pixel by weighted least squares, to pixels of the mask that are off depth steps.

    Returns:
        The plane's depth (H, W) at the pixel, its slopes along u and v, and the spread of depth about it, m;
        spread is infinite where too few pixels support the fit.
    """
    sure = mask & (depth > 0) & ~_on_step(np.where(mask, depth, 0))
    d = np.where(sure, depth, 0).astype(np.float64)
    u, v = np.meshgrid(np.arange(float(depth.shape[1])), np.arange(float(depth.shape[0])))

    def mean(image: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        blurred: npt.NDArray[np.float64] = ndimage.gaussian_filter(
            image, sigma_px, mode="constant", truncate=3.0
        )
        return blurred

    weight = mean(sure.astype(np.float64))
    enough = weight > 0.05
    scale = 1 / np.maximum(weight, 1e-9)
    mu, mv, md = (mean(sure * x) * scale for x in (u, v, d))
    uu, uv, vv = (mean(sure * x) * scale for x in (u * u, u * v, v * v))
    ud, vd, dd = (mean(x) * scale for x in (u * d, v * d, d * d))
    uu, uv, vv = uu - mu * mu + 1e-2, uv - mu * mv, vv - mv * mv + 1e-2
    ud, vd, dd = ud - mu * md, vd - mv * md, dd - md * md
    determinant = np.maximum(uu * vv - uv * uv, 1e-9)
    slope_u, slope_v = (vv * ud - uv * vd) / determinant, (uu * vd - uv * ud) / determinant
    variance = np.maximum(dd - slope_u * ud - slope_v * vd, 0)
    spread = np.where(enough, np.sqrt(variance), np.inf)
    return md + slope_u * (u - mu) + slope_v * (v - mv), slope_u, slope_v, spread


def _on_step(depth: Float) -> Mask:
    """Returns which pixels lie beside a depth step; a depth of 0 is unknown."""
    low = ndimage.minimum_filter(np.where(depth > 0, depth, np.inf), 3)
    high = ndimage.maximum_filter(depth, 3)
    steps: Mask = high - low > 2 * JUMP_RATIO * depth
    return steps


def fuse(views: list[DepthView], voxel_m: float) -> Surface:
    """Fuses depth to the surface of object and hand together.

    Raises:
        CaptureError: There is too little depth on object and hand to make a surface of.
    """
    points = np.concatenate([_world_points(v) for v in views])
    if len(points) < 100:
        raise CaptureError(
            f"only {len(points)} depth pixels on object and hand are usable; at least 100 are needed"
        )
    low, high = _main_extent(points)
    low -= 2 * BAND_VOXELS * voxel_m
    shape = tuple(np.ceil((high - low) / voxel_m).astype(int) + 2 * BAND_VOXELS)
    if np.prod(shape, dtype=np.float64) > MAX_VOXELS:
        raise CaptureError(
            f"object and hand span {np.round(high - low, 2).tolist()} m, too much for voxels of {voxel_m} m; "
            "check the extrinsics and masks, or use larger voxels"
        )
    band = _band(points, low, shape, voxel_m)
    index = np.argwhere(band)
    distance, weight = _average(views, low + (index + 0.5) * voxel_m, BAND_VOXELS * voxel_m)
    return _isosurface(index, distance, weight, shape, low, voxel_m)


def _world_points(v: DepthView) -> npt.NDArray[np.float64]:
    return v.view.world_from_camera.apply(v.view.camera.unproject(v.depth_m)[v.depth_m > 0])


def _main_extent(points: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Returns the bounds of the largest cluster, so that a stray pixel does not inflate the grid."""
    cell = 0.02
    cells, counts = np.unique(np.floor(points / cell).astype(int), axis=0, return_counts=True)
    busy = np.flatnonzero(counts > 10)
    if not len(busy):
        busy = np.arange(len(cells))
    pairs = cKDTree(cells[busy]).query_pairs(2.5, output_type="ndarray")
    graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(busy), len(busy)))
    component = connected_components(graph, directed=False)[1]
    main = np.bincount(component, weights=counts[busy]).argmax()
    inside = cells[busy[component == main]]
    return (inside.min(axis=0) - 1) * cell, (inside.max(axis=0) + 2) * cell


def _band(
    points: npt.NDArray[np.float64], low: npt.NDArray[np.float64], shape: tuple[int, ...], voxel_m: float
) -> Mask:
    """Returns which voxels lie within the band about any point."""
    hit = np.zeros(shape, bool)
    index = np.floor((points - low) / voxel_m).astype(int)
    index = index[((index >= 0) & (index < shape)).all(axis=1)]
    hit[tuple(index.T)] = True
    band: Mask = ndimage.binary_dilation(hit, ndimage.generate_binary_structure(3, 2), iterations=BAND_VOXELS)
    return band


def _average(
    views: list[DepthView], centres: npt.NDArray[np.float64], truncation_m: float
) -> tuple[Float, Float]:
    """Returns the weighted mean signed distance (M,) of the voxels and its weight, 0 where nobody sees the voxel."""
    observed = [_observe(v, centres, truncation_m) for v in views]
    nearest = np.full(len(centres), np.inf, np.float32)
    nearest_normal = np.zeros((len(centres), 3), np.float32)
    for distance, weight, normal in observed:
        closer = (weight > 0) & (np.abs(distance) < nearest)
        nearest[closer] = np.abs(distance[closer])
        nearest_normal[closer] = normal[closer]
    total, total_weight = np.zeros(len(centres), np.float32), np.zeros(len(centres), np.float32)
    for distance, weight, normal in observed:
        same_side = (distance > 0) | ((normal * nearest_normal).sum(axis=1) > 0)
        w = np.where(same_side, weight, 0)
        total += w * distance
        total_weight += w
    return (total / np.maximum(total_weight, 1e-9)).astype(np.float32), total_weight


def _observe(
    v: DepthView, centres: npt.NDArray[np.float64], truncation_m: float
) -> tuple[Float, Float, Float]:
    """Returns one view's signed distance (M,), weight (M,) and normal (M, 3) at voxel centres (M, 3)."""
    camera_points = v.view.world_from_camera.inverse().apply(centres)
    z = camera_points[:, 2].astype(np.float32)
    uv = v.view.camera.project(camera_points)
    size = np.array([v.view.camera.width, v.view.camera.height])
    inside = np.all((uv >= 0) & (uv < size), axis=1)
    column, row = np.where(inside[:, None], uv, 0).astype(int).T
    depth, cosine = v.depth_m[row, column], v.cosines[row, column]
    distance = np.clip((depth - z) * cosine, -truncation_m, truncation_m)
    weight = np.where(inside & (depth > 0) & (distance > -truncation_m), cosine / np.maximum(z, 0.1) ** 2, 0)
    behind = v.background_m[row, column]
    carved = inside & (behind > z + SEEN_THROUGH_M)
    distance = np.where(carved, truncation_m, distance)
    weight = np.where(carved, 3.0, weight)
    return distance.astype(np.float32), weight.astype(np.float32), v.normals_world[row, column]


def _isosurface(
    index: npt.NDArray[np.int64],
    distance: Float,
    weight: Float,
    shape: tuple[int, ...],
    low: npt.NDArray[np.float64],
    voxel_m: float,
) -> Surface:
    from skimage.measure import marching_cubes

    volume = np.zeros(shape, np.float32)
    known = np.zeros(shape, np.float32)
    seen = weight > 0
    at = tuple(index[seen].T)
    volume[at], known[at] = distance[seen], 1
    blurred = ndimage.gaussian_filter(volume, SMOOTHING_VOXELS)
    share = ndimage.gaussian_filter(known, SMOOTHING_VOXELS)
    volume = np.where(known > 0, blurred / np.maximum(share, 1e-6), BAND_VOXELS * voxel_m)
    try:
        vertices, faces, _, _ = marching_cubes(volume, 0.0, mask=known > 0)
    except (ValueError, RuntimeError):
        raise CaptureError(
            "the views' depth makes no surface; check the depth scale and extrinsics"
        ) from None
    gradient = np.stack(
        [ndimage.map_coordinates(g, vertices.T, order=1, mode="nearest") for g in np.gradient(volume)], axis=1
    )
    normals = gradient / np.maximum(np.linalg.norm(gradient, axis=1, keepdims=True), 1e-12)
    surface = Surface(low + (vertices + 0.5) * voxel_m, normals.astype(np.float64), faces.astype(np.int64))
    between_known = ndimage.map_coordinates(known, vertices.T, order=1) > 0.99  # not the band's own rim
    return drop_small_components(select_vertices(surface, between_known))


def face_areas(surface: Surface) -> npt.NDArray[np.float64]:
    """Returns the areas of the faces (F,), m^2."""
    a, b, c = (surface.vertices[surface.faces[:, i]] for i in range(3))
    areas: npt.NDArray[np.float64] = np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2
    return areas


def components(faces: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.int32]:
    """Returns the connected component (count,) of each vertex."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]]])
    graph = coo_array((np.ones(len(edges), np.int8), (edges[:, 0], edges[:, 1])), shape=(count, count))
    component: npt.NDArray[np.int32] = connected_components(graph, directed=False)[1]
    return component


def select_vertices(surface: Surface, keep: Mask) -> Surface:
    """Returns the part of the surface whose vertices (P,) are kept."""
    renumbered = np.cumsum(keep) - 1
    faces = surface.faces[keep[surface.faces].all(axis=1)]
    return Surface(surface.vertices[keep], surface.normals[keep], renumbered[faces])


def drop_small_components(surface: Surface) -> Surface:
    """Drops islands below 4 cm^2: noise, and corners of other surfaces that a mask touched."""
    component = components(surface.faces, len(surface.vertices))
    area = np.bincount(component[surface.faces[:, 0]], face_areas(surface), minlength=component.max() + 1)
    keep = (area >= min(MIN_COMPONENT_M2, area.max()))[component]
    return select_vertices(surface, keep)

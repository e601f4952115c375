"""Shapes: the ContactShape of a capture whose maker knows the truth, or of the clouds of a scene."""

from __future__ import annotations

import hashlib
from collections import OrderedDict

import numpy as np
import numpy.typing as npt

from ..captures.base import TrueShapes
from ..core.geometry import Array
from ..core.task import OBJECT_DENSITY_KG_M3
from ..scenes.contact_shape import HAND_UNIT_M, ContactShape
from ..scenes.handover_scene import HandoverScene
from .solids import IsFree, SolidCells, greedy_boxes, solid_of_cloud, solid_of_distance

MASS_RANGE_KG = (0.05, 0.8)
TRUE_HAND_SPACING_M, TRUE_HAND_RADIUS_M = 0.006, 0.005
CLOUD_HAND_SPACING_M, CLOUD_HAND_RADIUS_M = 0.004, 0.002
KEPT_CLOUD_SHAPES = 64

_of_clouds: OrderedDict[str, ContactShape] = OrderedDict()


def shape_of(scene: HandoverScene | ContactShape) -> ContactShape:
    """Returns a shape itself, a scene's own, or one made from its points if it has none, kept while it is in use."""
    if isinstance(scene, ContactShape):
        return scene
    if scene.contact_shape is not None:
        return scene.contact_shape
    key = hashlib.sha256(scene.object_points.tobytes() + b"|" + scene.hand_points.tobytes()).hexdigest()
    if key not in _of_clouds:
        _of_clouds[key] = shape_of_clouds(scene.object_points, scene.hand_points)
        if len(_of_clouds) > KEPT_CLOUD_SHAPES:
            _of_clouds.popitem(last=False)
    _of_clouds.move_to_end(key)
    return _of_clouds[key]


def shape_of_clouds(
    object_points: npt.ArrayLike, hand_points: npt.ArrayLike, is_free: IsFree | None = None
) -> ContactShape:
    """From points (P, 3) on the surfaces of object and hand, m, scene frame.

    Args:
        is_free: see `solid_of_cloud`.

    Raises:
        SceneError: the object is larger than what a hand holds.
    """
    cells = solid_of_cloud(object_points, is_free)
    hand = _thinned(np.asarray(hand_points, np.float64).reshape(-1, 3), CLOUD_HAND_SPACING_M)
    return _shape("cloud", cells, None, hand, CLOUD_HAND_RADIUS_M)


def true_shape(truth: TrueShapes) -> ContactShape:
    """From what a generator knows of the object and the hand that it made.

    Raises:
        SceneError: the object's surface encloses nothing.
    """
    cells = solid_of_distance(truth.object_distance, truth.object_bounds, truth.scene_from_object)
    surface, normals = _samples(truth, TRUE_HAND_SPACING_M)
    inside = _thinned(surface - TRUE_HAND_RADIUS_M * normals, TRUE_HAND_SPACING_M)
    return _shape("true", cells, truth.mass_kg, inside, TRUE_HAND_RADIUS_M)


def _shape(
    source: str, cells: SolidCells, mass_kg: float | None, hand_centres: Array, hand_radius_m: float
) -> ContactShape:
    boxes = greedy_boxes(cells.filled)
    volume_m3 = float(cells.filled.sum() * cells.cell_m.prod())
    mass = float(np.clip(OBJECT_DENSITY_KG_M3 * volume_m3, *MASS_RANGE_KG)) if mass_kg is None else mass_kg
    origin = (
        np.floor(hand_centres.min(axis=0, initial=np.inf) * 1e3) / 1e3 if len(hand_centres) else np.zeros(3)
    )
    steps = np.round((hand_centres - origin) / HAND_UNIT_M).astype(np.uint16)
    return ContactShape(
        "true" if source == "true" else "cloud",
        cells.scene_from_cells,
        cells.cell_m,
        boxes,
        mass,
        origin,
        np.unique(steps.reshape(-1, 3), axis=0),
        hand_radius_m,
    )


def _thinned(points: Array, spacing_m: float) -> Array:
    """One point, the mean, of each cell of a grid."""
    if not len(points):
        return points
    cells, index, counts = np.unique(
        np.floor(points / spacing_m).astype(np.int64), axis=0, return_inverse=True, return_counts=True
    )
    sums = np.zeros((len(cells), 3))
    np.add.at(sums, index.reshape(-1), points)
    return sums / counts[:, None]


def _samples(truth: TrueShapes, spacing_m: float) -> tuple[Array, Array]:
    """Points of the hand's surface no further apart than about `spacing_m`, with unit normals, (P, 3) each."""
    corners = truth.hand_vertices[truth.hand_faces]  # (F, 3, 3)
    corner_normals = truth.hand_normals[truth.hand_faces]
    longest = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max(axis=1)
    parts = np.ceil(longest / spacing_m).astype(int)
    points, normals = [truth.hand_vertices], [truth.hand_normals]
    for count in np.unique(parts[parts > 1]):
        i, j = np.meshgrid(np.arange(count + 1), np.arange(count + 1), indexing="ij")
        weights = np.stack([i, j, count - i - j], axis=-1)[i + j <= count] / count  # (W, 3)
        of_count = parts == count
        points.append(np.einsum("wk,fki->fwi", weights, corners[of_count]).reshape(-1, 3))
        normals.append(np.einsum("wk,fki->fwi", weights, corner_normals[of_count]).reshape(-1, 3))
    normal = np.concatenate(normals)
    return np.concatenate(points), normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)

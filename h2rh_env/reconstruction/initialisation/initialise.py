"""Makes first Gaussians from metric depth: fuses all views to one surface and covers it with flat Gaussians."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from ...captures.base import HandoverCapture
from ...core.errors import CaptureError
from ...core.labels import Label
from ...scenes.gaussians import SH_C0, GaussianScene
from .depth_scale import metric
from .frame_bias import aligned
from .fusion import DepthView, Surface, clean_depth, components, face_areas, fuse, select_vertices
from .painting import Sightings, look, paint, vote
from .thin_walls import missing

Array = npt.NDArray[np.float64]
Float = npt.NDArray[np.float32]

VOXEL_M = 0.002  # spacing of Gaussians that stay as depth put them
HEXAGON = 0.866  # area per point of a hexagonal lattice, in units of its spacing squared
TANGENT_SIGMA = 0.55  # of the spacing: neighbours overlap without a hole
NORMAL_SIGMA_M = 0.0001  # thicker discs reach beyond silhouettes: 0.4 mm costs 0.005 of overlap
OPACITY = 0.95
MIN_ISLAND_M2 = 1e-4
MAX_GUESS_M = 0.004  # surface that no camera shows is kept this far from what one does


def initialise(
    capture: HandoverCapture, voxel_m: float = VOXEL_M, max_gaussians: int = 30_000, corrected: bool = True
) -> tuple[GaussianScene, Float, Float]:
    """Puts Gaussians on what the cameras saw of object and hand, and returns clean clouds of both with them.

    Args:
        capture: what the cameras saw.
        voxel_m: spacing of points and Gaussians, m; it is widened where `max_gaussians` would be exceeded.
        max_gaussians: upper bound on the number of Gaussians.
        corrected: whether the biases of frames are taken out, and what was measured where fusion left a hole is
            added; see `frame_bias.py` and `thin_walls.py`. Scenes from depth alone are built without.

    Returns:
        Gaussians of degree 0, object points (P, 3), m, and hand points (P, 3), m, possibly none.

    Raises:
        CaptureError: No depth on the object is usable, or too little depth altogether.
    """
    scaled = aligned(capture).capture if corrected else metric(capture)
    labelled = [view for view in scaled.views if (view.labels != Label.BACKGROUND).any()]
    views = [clean_depth(view) for view in labelled or scaled.views]
    surface = fuse(views, voxel_m)
    surface, labels = _labelled(surface, look(views, surface.vertices, surface.normals))
    if not (labels == Label.OBJECT).any():
        raise CaptureError(
            f"capture {capture.name}: no depth on the object survives; check its masks and the extrinsics"
        )
    points, normals, labels, spacing = _covered(views, surface, labels, voxel_m, max_gaussians, corrected)
    colours, seen = paint(look(views, points, normals), labels)
    colours = colours[seen][cKDTree(points[seen]).query(points)[1]] if seen.any() else colours
    scene = flat_gaussians(points, normals, spacing, colours, labels.astype(np.uint8))
    return scene, scene.means[labels == Label.OBJECT], scene.means[labels == Label.HAND]


def flat_gaussians(
    points: Array, normals: Array, spacing_m: Array, colours: Array, labels: npt.NDArray[np.uint8]
) -> GaussianScene:
    """Makes Gaussians that are flat discs.

    Args:
        points: (N, 3), m.
        normals: (N, 3), unit length.
        spacing_m: (N,), distance to the neighbours, m.
        colours: (N, 3), in [0, 1].
        labels: (N,), values of `Label`.
    """
    log_scales = np.log(np.stack([TANGENT_SIGMA * spacing_m] * 2 + [np.full(len(points), NORMAL_SIGMA_M)], 1))
    return GaussianScene(
        means=points.astype(np.float32),
        wxyz=_turning_z_to(normals).astype(np.float32),
        log_scales=log_scales.astype(np.float32),
        opacity_logits=np.full(len(points), np.log(OPACITY / (1 - OPACITY)), np.float32),
        sh=((colours - 0.5) / SH_C0).astype(np.float32)[:, None, :],
        labels=labels,
        antialiased=True,
    )


def _turning_z_to(normals: Array) -> Array:
    """Returns quaternions (N, 4), wxyz, of the least rotations from z to unit normals (N, 3)."""
    flipped = np.where(
        normals[:, 2:] < 0, -normals, normals
    )  # a disc has no front: stay away from the half turn
    half = np.stack([1 + flipped[:, 2], -flipped[:, 1], flipped[:, 0], np.zeros(len(normals))], axis=1)
    wxyz: Array = half / np.linalg.norm(half, axis=1, keepdims=True)
    return wxyz


def _labelled(surface: Surface, sightings: Sightings) -> tuple[Surface, npt.NDArray[np.int64]]:
    """Labels vertices by vote and gives islands to their surroundings; background and guesses are cut off."""
    labels = vote(sightings)
    known = labels >= 0
    if not known.any():
        return select_vertices(surface, known), labels[known]
    gap, nearest = cKDTree(surface.vertices[known]).query(surface.vertices)
    labels = _without_islands(surface, labels[known][nearest])
    keep = (labels != Label.BACKGROUND) & (gap < MAX_GUESS_M)
    return select_vertices(surface, keep), labels[keep]


def _without_islands(surface: Surface, labels: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Gives patches of one label below 1 cm^2 the label of the nearest larger patch."""
    same = surface.faces[(labels[surface.faces] == labels[surface.faces[:, :1]]).all(axis=1)]
    patch = components(same, len(labels))
    corner_area = np.repeat(face_areas(surface) / 3, 3)
    area = np.bincount(patch[surface.faces.ravel()], corner_area, minlength=patch.max() + 1)
    large = (area >= MIN_ISLAND_M2)[patch]
    if not large.any():
        return labels
    nearest: npt.NDArray[np.int64] = labels[large][
        cKDTree(surface.vertices[large]).query(surface.vertices)[1]
    ]
    return nearest


def _covered(
    views: list[DepthView],
    surface: Surface,
    labels: npt.NDArray[np.int64],
    voxel_m: float,
    limit: int,
    corrected: bool,
) -> tuple[Array, Array, npt.NDArray[np.int64], Array]:
    """Returns points, normals, labels and spacings of the surface and, if wished, of the thin walls it lacks."""
    room = limit
    while True:
        points, normals, point_labels, spacing = _sample(surface, labels, voxel_m, room)
        if not corrected:
            return points, normals, point_labels, spacing
        width = float(np.median(spacing))
        new = missing(views, points, normals, width)
        if len(points) + len(new.points) <= limit:
            break
        room = min(int(0.98 * room * limit / (len(points) + len(new.points))), room - 1)
    return (
        np.concatenate([points, new.points]),
        np.concatenate([normals, new.normals]),
        np.concatenate([point_labels, new.labels]),
        np.concatenate([spacing, np.full(len(new.points), width)]),
    )


def _sample(
    surface: Surface, labels: npt.NDArray[np.int64], voxel_m: float, limit: int
) -> tuple[Array, Array, npt.NDArray[np.int64], Array]:
    """Spaces points evenly on the surface: centres of small patches (Lloyd's iteration on the triangles)."""
    faces = surface.faces
    areas = face_areas(surface)
    centroids = surface.vertices[faces].mean(axis=1)
    normals = surface.normals[faces].mean(axis=1)
    face_labels = np.median(labels[faces], axis=1).astype(np.int64)
    spacing = max(voxel_m, float(np.sqrt(areas.sum() / (HEXAGON * limit))))
    cells = np.unique(np.floor(centroids / spacing * 0.9).astype(np.int64), axis=0, return_index=True)[1]
    seeds = centroids[cells]
    for _ in range(4):
        owner = cKDTree(seeds).query(centroids)[1]
        total = np.bincount(owner, areas, len(seeds)).astype(np.float64)
        kept = total > 0
        seeds = _mean_by(owner, areas, centroids, total)[kept]
    if len(seeds) > limit:
        seeds = seeds[np.linspace(0, len(seeds) - 1, limit).astype(int)]
    owner = cKDTree(seeds).query(centroids)[1]
    total = np.maximum(np.bincount(owner, areas, len(seeds)).astype(np.float64), 1e-12)
    normal = _mean_by(owner, areas, normals, total)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
    is_hand = np.bincount(owner, areas * (face_labels == Label.HAND), len(seeds)) > total / 2
    label = np.where(is_hand, int(Label.HAND), int(Label.OBJECT))
    own_spacing = np.clip(np.sqrt(total / HEXAGON), 0.7 * spacing, 1.5 * spacing)
    return seeds, normal, label, own_spacing


def _mean_by(owner: npt.NDArray[np.int64], weights: Array, values: Array, total: Array) -> Array:
    """Returns weighted means (N, 3) of values (M, 3) by owner (M,)."""
    sums = [np.bincount(owner, weights * values[:, k], len(total)) for k in range(3)]
    return np.stack(sums, axis=1) / np.maximum(total, 1e-12)[:, None]

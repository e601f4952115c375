"""Colour that depends on the view, from what all Gaussians of a label share.

Few cameras see a Gaussian, too few to tell what it alone would look like from elsewhere. All Gaussians of a label
together tell two things:

- the surroundings that they mirror: spherical harmonics of the ray, mirrored at a Gaussian's normal;
- how they grow brighter or darker at a slant: Legendre polynomials of the cosine, times their own colour.

Both are spherical harmonics of the ray itself, of the same degree, so that any renderer can draw them. The degree is
the one that predicts best the colours in each camera from those in the others; without evidence it is 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ...captures.base import RgbdView
from ...core.geometry import rotation_from_wxyz
from ...core.labels import Label
from ...rendering.cpu.visibility import fibonacci_sphere
from ...rendering.spherical_harmonics import sh_basis
from ...scenes.gaussians import SH_C0, GaussianScene
from ..initialisation.fusion import clean_depth
from ..initialisation.painting import Sightings, log_gains, look, of_label, robust_mean

Array = npt.NDArray[np.float64]

NOISE = 0.04  # of colours; larger errors count less
PRIOR = 1e-2  # ridge, for each Gaussian
ROUNDS = 3  # of reweighting
NEGLIGIBLE_LOG_GAIN = 0.15  # a glossy bowl makes 0.13 where cameras agree within a few percent
MIN_GAUSSIANS = 50  # of a label, to learn from
MAX_SAMPLES = 3000
MIN_GAIN = 0.01  # of the squared error in left-out cameras, for a higher degree
SAMPLES = 64  # directions at which harmonics are fitted


@dataclass(frozen=True, eq=False)
class Evidence:
    """What V views saw of P Gaussians.

    Attributes:
        rays: (V, P, 3), from the eye to the Gaussian, unit length.
        normals: (P, 3), unit length, towards the cameras.
        weights: (V, P), 0 where a view does not see it.
        colours: (V, P, 3), with the cameras' gains evened out.
    """

    rays: Array
    normals: Array
    weights: Array
    colours: Array

    def part(self, index: npt.NDArray[np.int64]) -> Evidence:
        """Returns the evidence of some Gaussians."""
        return Evidence(
            self.rays[:, index], self.normals[index], self.weights[:, index], self.colours[:, index]
        )


@dataclass(frozen=True, eq=False)
class SharedColour:
    """What a label shares: `mirrored` ((degree + 1)^2 - 1, 3) and `slant` (degree, 3) coefficients."""

    mirrored: Array
    slant: Array

    @property
    def degree(self) -> int:
        return len(self.slant)


def with_shared_colour(
    scene: GaussianScene, views: Sequence[RgbdView], max_degree: int
) -> tuple[GaussianScene, Array]:
    """Returns first Gaussians with colours that depend on the view as far as left-out cameras confirm it.

    Args:
        scene: Gaussians of degree 0.
        views: the views that they were made from, with metric depth.
        max_degree: upper bound on the degree of the result, 0 to 3.

    Returns:
        The Gaussians, and the log gains (V, 3) of the cameras' colour channels, of mean 0, that were evened out.
    """
    seen, gains = _evidence(scene, views)
    shared: dict[int, SharedColour] = {}
    for label in (int(Label.OBJECT), int(Label.HAND)):
        index = np.flatnonzero((scene.labels == label) & ((seen.weights > 0).sum(axis=0) > 1))
        if len(index) >= MIN_GAUSSIANS:
            part = seen.part(index[:: -(-len(index) // MAX_SAMPLES)])
            degree = best_degree(part, max_degree)
            if degree:
                shared[label] = fit(part, degree)
    if not shared and not gains.any():
        return scene, gains
    degree = max((one.degree for one in shared.values()), default=0)
    rest, shade = np.zeros((len(scene), (degree + 1) ** 2 - 1, 3)), np.zeros_like(seen.colours)
    for label, one in shared.items():
        mine = np.flatnonzero(scene.labels == label)
        part = seen.part(mine)
        base = robust_mean(part.colours, part.weights)
        shade[:, mine] = predicted(one, part, base)
        rest[mine, : (one.degree + 1) ** 2 - 1] = harmonics(one, part.normals, base)
    known = seen.weights.sum(axis=0) > 0
    own = (robust_mean(seen.colours - shade, seen.weights) - 0.5) / SH_C0
    first = np.where(known[:, None], own, scene.sh[:, 0])
    sh = np.concatenate([first[:, None], rest], axis=1).astype(np.float32)
    return replace(scene, sh=sh), gains


def best_degree(seen: Evidence, max_degree: int) -> int:
    """Returns the degree whose fit to the other cameras predicts each camera best; 0 if none predicts better."""
    errors = np.zeros(max_degree + 1)
    for view in range(len(seen.weights)):
        others = seen.weights.copy()
        others[view] = 0
        both = (seen.weights[view] > 0) & (others.sum(axis=0) > 0)
        if not both.any():
            continue
        train, on = replace(seen, weights=others), np.flatnonzero(both)
        base = robust_mean(train.colours, others)
        for degree in range(max_degree + 1):
            colours = seen.colours
            if degree:
                colours = colours - predicted(fit(train, degree), train, base)
            off = colours[view, on] - robust_mean(colours[:, on], others[:, on])
            errors[degree] += float(np.minimum(off**2, (4 * NOISE) ** 2).sum())
    best = 0
    for degree in range(1, max_degree + 1):
        if errors[degree] < (1 - MIN_GAIN) * errors[best]:
            best = degree
    return best


def fit(seen: Evidence, degree: int) -> SharedColour:
    """Fits what is shared by robust least squares to how the colours of a Gaussian differ between views."""
    base = robust_mean(seen.colours, seen.weights)
    weights = seen.weights / np.maximum(seen.weights.max(axis=0), 1e-12)
    count = (degree + 1) ** 2 - 1
    solution = np.empty((count + degree, 3))
    for channel in range(3):
        design = _design(seen, base[:, channel], degree)
        solution[:, channel] = _robust_fit(design, seen.colours[..., channel], weights)
    return SharedColour(solution[:count], solution[count:])


def predicted(shared: SharedColour, seen: Evidence, base: Array) -> Array:
    """Returns what is added (V, P, 3) to the colours of Gaussians, whose own are `base` (P, 3), in each view."""
    return np.stack(
        [
            _design(seen, base[:, c], shared.degree) @ np.concatenate([shared.mirrored, shared.slant])[:, c]
            for c in range(3)
        ],
        axis=2,
    )


def harmonics(shared: SharedColour, normals: Array, base: Array) -> Array:
    """Returns the same as higher coefficients (P, K - 1, 3) of spherical harmonics of the ray."""
    degree = shared.degree
    directions = fibonacci_sphere(SAMPLES)
    to_coefficients = np.linalg.pinv(_basis(degree, directions))[1:]  # (K - 1, M)
    mirrored = directions - 2 * (normals @ directions.T)[..., None] * normals[:, None]
    turned = to_coefficients @ (_basis(degree, mirrored)[..., 1:] @ shared.mirrored)
    orders = np.concatenate([[d] * (2 * d + 1) for d in range(1, degree + 1)])
    zonal = _basis(degree, normals)[:, 1:] * (4 * np.pi / (2 * orders + 1))
    slanted: Array = zonal[..., None] * shared.slant[orders - 1] * base[:, None]
    return turned + slanted


def _evidence(scene: GaussianScene, views: Sequence[RgbdView]) -> tuple[Evidence, Array]:
    depth_views = [clean_depth(view) for view in views]
    points = scene.means.astype(np.float64)
    normals = rotation_from_wxyz(scene.wxyz.astype(np.float64))[:, :, 2]
    front, back = (look(depth_views, points, sign * normals) for sign in (1, -1))
    is_front = front.weights.sum(axis=0) >= back.weights.sum(axis=0)
    weights = np.where(is_front, front.weights, back.weights)
    labels = scene.labels.astype(np.int64)
    weights = of_label(Sightings(weights, front.labels, front.colours), labels)
    gains = _gains(front.colours, weights, labels)
    eyes = np.stack([view.world_from_camera.translation for view in views])
    rays = points[None] - eyes[:, None]
    rays /= np.linalg.norm(rays, axis=2, keepdims=True)
    outwards = np.where(is_front[:, None], normals, -normals)
    return Evidence(rays, outwards, weights, front.colours / np.exp(gains)[:, None]), gains


def _gains(colours: Array, weights: Array, labels: npt.NDArray[np.int64]) -> Array:
    """Returns the log gains (V, 3) of the cameras, or zeros if they are no larger than what surfaces may cause.

    What mirrors looks different to each camera, as if it had another gain; the label whose gains spread less counts.
    """
    shared = (weights > 0).sum(axis=0) > 1
    found = [
        log_gains(colours[:, mine], weights[:, mine])
        for label in (Label.OBJECT, Label.HAND)
        if (mine := np.flatnonzero(shared & (labels == label))).size >= MIN_GAUSSIANS
    ]
    least = min(found, key=np.std, default=np.zeros((len(weights), 3)))
    return least if np.abs(least).max() > NEGLIGIBLE_LOG_GAIN else np.zeros_like(least)


def _design(seen: Evidence, base: Array, degree: int) -> Array:
    """Returns what each shared coefficient adds (V, P, C) to a colour channel."""
    cosines = (seen.rays * seen.normals).sum(axis=2)
    mirrored = _basis(degree, seen.rays - 2 * cosines[..., None] * seen.normals)[..., 1:]
    legendre = (cosines, (3 * cosines**2 - 1) / 2, (5 * cosines**3 - 3 * cosines) / 2)[:degree]
    return np.concatenate([mirrored, np.stack(legendre, axis=2) * base[:, None]], axis=2)


def _robust_fit(design: Array, values: Array, weights: Array) -> Array:
    """Returns coefficients (C,); each Gaussian's own mean over views is free."""
    solution, doubt = np.zeros(design.shape[2]), np.ones_like(weights)
    for _ in range(ROUNDS):
        w = weights * doubt
        total = np.maximum(w.sum(axis=0), 1e-9)
        x = design - (w[..., None] * design).sum(axis=0) / total[:, None]
        y = values - (w * values).sum(axis=0) / total
        rows = x.reshape(-1, x.shape[2])
        weighted = rows * w.reshape(-1, 1)
        ridge = PRIOR * values.shape[1] * np.eye(x.shape[2])
        solution = np.linalg.solve(rows.T @ weighted + ridge, weighted.T @ y.ravel())
        doubt = 1 / np.maximum(1, np.abs(y - x @ solution) / NOISE)
    return solution


def _basis(degree: int, directions: Array) -> Array:
    return np.stack(sh_basis(degree, directions[..., 0], directions[..., 1], directions[..., 2]), axis=-1)

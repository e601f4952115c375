"""The bias of each camera's depth on hand and object, from where views overlap.

A real depth camera is off by millimetres on one surface, each frame by another amount. Where two views see the same
surface, the gap between what they measured, along its normal, tells the difference of their biases; the mean of all
stays unknown and is taken to be zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ...captures.base import HandoverCapture
from .depth_scale import depth_scale_errors, rescaled
from .fusion import DepthView, clean_depth

Array = npt.NDArray[np.float64]

REACH_M = 0.03  # measurements farther apart are of different surfaces
PAIR_ERROR_M = 0.002  # what errors of pose and shape add to the gap of two views
PRIOR_M = 0.006  # spread of biases
MIN_PIXELS = 150  # of overlap
FACING = 0.7  # least cosine between the normals that two views measured
MAX_POINTS = 4000
ROUNDS = 4
NEGLIGIBLE_M = 0.001  # biases that are all below are noise, and left in


@dataclass(frozen=True, eq=False)
class _Samples:
    """Points (P, 3) in the world that one view measured, their rays of unit depth (P, 3) and normals (P, 3)."""

    points: Array
    rays: Array
    normals: Array


@dataclass(frozen=True, eq=False)
class Alignment:
    """A capture whose depth is metric and agrees between views, and what was taken out of it.

    Attributes:
        capture: the corrected capture.
        scale_errors: (V,), by which share of itself each view's depth was too large.
        biases_m: (V,), by how much more it was too large on hand and object, m.
    """

    capture: HandoverCapture
    scale_errors: Array
    biases_m: Array


def aligned(capture: HandoverCapture) -> Alignment:
    """Takes the scales of the cameras' depth, and then the biases of its frames, out of a capture."""
    errors = depth_scale_errors(capture)
    scaled = rescaled(capture, errors)
    biases = frame_biases([clean_depth(view) for view in scaled.views])
    views = tuple(
        replace(view, depth_m=np.where(view.depth_m > 0, view.depth_m - bias, 0).astype(np.float32))
        for view, bias in zip(scaled.views, biases, strict=True)
    )
    return Alignment(replace(scaled, views=views), errors, biases)


def frame_biases(views: Sequence[DepthView]) -> Array:
    """Returns by how much each view's depth of hand and object is too large (V,), m; zeros if they agree."""
    samples = [_samples(view) for view in views]
    biases = np.zeros(len(views))
    for _ in range(ROUNDS):
        rows, gaps, weights = [], [], []
        for i, mine in enumerate(samples):
            for j, view in enumerate(views):
                found = _gap(mine, biases[i], view, biases[j]) if i != j else None
                if found:
                    row = np.zeros(len(views))
                    row[i], row[j], gap, variance = found
                    rows.append(row)
                    gaps.append(gap)
                    weights.append(1 / variance)
        if not rows:
            return biases
        design, weight = np.array(rows), np.array(weights)
        normal = (design.T * weight) @ design + np.eye(len(views)) / PRIOR_M**2
        biases = biases + np.linalg.solve(normal, (design.T * weight) @ gaps - biases / PRIOR_M**2)
    biases -= biases.mean()
    return biases if np.abs(biases).max() >= NEGLIGIBLE_M else np.zeros(len(views))


def _samples(view: DepthView) -> _Samples:
    on = np.flatnonzero(view.depth_m > 0)
    on = on[:: max(1, -(-len(on) // MAX_POINTS))]
    rays = view.view.camera.unproject(np.ones(view.depth_m.shape)).reshape(-1, 3)[on]
    rays = rays @ view.view.world_from_camera.rotation.T
    points = view.view.world_from_camera.translation + rays * view.depth_m.reshape(-1, 1)[on]
    return _Samples(points, rays, view.normals_world.reshape(-1, 3)[on].astype(np.float64))


def _gap(
    mine: _Samples, my_bias_m: float, other: DepthView, other_bias_m: float
) -> tuple[float, float, float, float] | None:
    """Returns how the gap between two views depends on the bias of each, the gap, m, and its variance, m^2."""
    points = mine.points - my_bias_m * mine.rays
    camera_points = other.view.world_from_camera.inverse().apply(points)
    uv = np.nan_to_num(other.view.camera.project(camera_points), nan=-1)
    inside = np.all((uv >= 0) & (uv < [other.view.camera.width, other.view.camera.height]), axis=1)
    column, row = np.where(inside[:, None], uv, 0).astype(int).T
    depth = other.depth_m[row, column].astype(np.float64)
    facing = (mine.normals * other.normals_world[row, column]).sum(axis=1)
    rays = (points - other.view.world_from_camera.translation) / camera_points[:, 2:]
    towards = (mine.normals * rays).sum(axis=1)
    gap = (camera_points[:, 2] - depth + other_bias_m) * towards
    hit = inside & (depth > 0) & (facing > FACING) & (np.abs(gap) < REACH_M) & (towards < 0)
    if hit.sum() < MIN_PIXELS:
        return None
    middle = float(np.median(gap[hit]))
    spread = 1.4826 * float(np.median(np.abs(gap[hit] - middle)))
    mine_towards = (mine.normals[hit] * mine.rays[hit]).sum(axis=1)
    variance = PAIR_ERROR_M**2 + spread**2 / np.sqrt(hit.sum())
    return float(np.median(mine_towards)), -float(np.median(towards[hit])), middle, variance

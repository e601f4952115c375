"""How far the cameras of a capture agree about where object and hand are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ...core.labels import Label
from ..base import RgbdView
from .repairs import THICKNESS_M
from .sampling import SAME_SURFACE_M, Array, Index, Mask, look_up, sample

SAMPLES = 3000
SEEN_THROUGH_M = 0.05


@dataclass(frozen=True)
class Agreement:
    """What the other cameras say about one camera's points on object and hand, as shares of these points.

    Attributes:
        confirmed: the point lies on what another camera labels object or hand, at its surface or just behind.
        refuted: another camera sees through the point, and none confirms it.
    """

    confirmed: float
    refuted: float


def agreement(view: RgbdView, others: Sequence[RgbdView]) -> Agreement | None:
    """Compares a camera's points with all other cameras.

    Returns:
        None if there is nothing to compare: the camera measured no point, or there is no other camera.
    """
    points = held_points(view)
    if not len(points) or not others:
        return None
    confirmed, refuted = np.zeros(len(points), bool), np.zeros(len(points), bool)
    for other in others:
        confirms, refutes = _judged_by(other, points)
        confirmed |= confirms
        refuted |= refutes
    return Agreement(float(confirmed.mean()), float((refuted & ~confirmed).mean()))


def held_points(view: RgbdView) -> Array:
    """Returns a sample (P, 3), m, in the world frame, of what a camera measured on object and hand."""
    return view.world_from_camera.apply(sample(view, view.labels != Label.BACKGROUND, SAMPLES).points_camera)


def _judged_by(other: RgbdView, points_world: Array) -> tuple[Mask, Mask]:
    """Returns which points (P, 3) another camera confirms, and which it sees through, (P,) each."""
    found = look_up(other, points_world)
    held = found.measured & (other.labels[found.rows, found.columns] != Label.BACKGROUND)
    confirms = held & (found.behind_m > -SAME_SURFACE_M) & (found.behind_m < THICKNESS_M)
    depth_of_points_m = found.behind_m + other.depth_m[found.rows, found.columns]
    least_m = _least_around(other.depth_m, found.rows, found.columns)
    return confirms, found.inside & (least_m > depth_of_points_m + SEEN_THROUGH_M)


def _least_around(depth_m: npt.NDArray[np.float32], row: Index, column: Index) -> npt.NDArray[np.float32]:
    """Returns the least depth (P,), m, in windows of 5 px about pixels, each given by row (P,) and column (P,)."""
    offsets = np.arange(-2, 3)
    rows = np.clip(row[:, None, None] + offsets[:, None], 0, depth_m.shape[0] - 1)
    columns = np.clip(column[:, None, None] + offsets, 0, depth_m.shape[1] - 1)
    least: npt.NDArray[np.float32] = depth_m[rows, columns].min(axis=(1, 2))
    return least


def extent_m(view: RgbdView, label: Label) -> float:
    """Estimates a label's extent, m, along image rows or columns, whichever is longer; 0 if nothing was measured.

    It is taken at the label's median depth, so that stray depth on thin parts does not matter.
    """
    rows, columns = np.nonzero(view.labels == label)
    depth_m = view.depth_m[rows, columns]
    if not (depth_m > 0).any():
        return 0.0
    spans = [np.diff(np.percentile(places, [2, 98]))[0] for places in (columns, rows)]
    along = max(spans[0] / view.camera.fx, spans[1] / view.camera.fy)
    return float(along * np.median(depth_m[depth_m > 0]))

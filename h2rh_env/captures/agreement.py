"""How far the cameras of a capture agree about where object and hand are, and what would explain that they do not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ..core.geometry import SE3
from ..core.labels import Label
from .base import RgbdView

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

SAMPLES = 3000
SAME_SURFACE_M = 0.02  # two cameras that measured one surface
SEEN_THROUGH_M = 0.05
THICKNESS_M = 0.25  # the far side of what is held lies no further behind its near side
EXPLAINED = 0.5  # share of confirmed points from which a mistake is named as the cause
OPENCV_FROM_OPENGL = SE3(np.diag([1.0, -1.0, -1.0]), np.zeros(3))
DEPTH_FACTORS = (0.1, 0.25, 0.5, 2.0, 4.0, 10.0)


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
    held = (view.labels != Label.BACKGROUND) & (view.depth_m > 0)
    points = view.camera.unproject(view.depth_m)[held]
    return view.world_from_camera.apply(points[:: max(1, len(points) // SAMPLES)])


def _judged_by(other: RgbdView, points_world: Array) -> tuple[Mask, Mask]:
    """Returns which points (P, 3) another camera confirms, and which it sees through, (P,) each."""
    local = other.world_from_camera.inverse().apply(points_world)
    uv = np.nan_to_num(other.camera.project(local), nan=-1)
    inside = np.all((uv >= 0) & (uv < [other.camera.width, other.camera.height]), axis=1)
    column, row = np.where(inside[:, None], uv, 0).astype(int).T
    behind = local[:, 2] - other.depth_m[row, column]
    held = inside & (other.labels[row, column] != Label.BACKGROUND) & (other.depth_m[row, column] > 0)
    confirms = held & (behind > -SAME_SURFACE_M) & (behind < THICKNESS_M)
    return confirms, inside & (_least_around(other.depth_m, row, column) > local[:, 2] + SEEN_THROUGH_M)


def _least_around(depth_m: npt.NDArray[np.float32], row: Index, column: Index) -> npt.NDArray[np.float32]:
    """Returns the least depth (P,), m, in windows of 5 px about pixels, each given by row (P,) and column (P,)."""
    offsets = np.arange(-2, 3)
    rows = np.clip(row[:, None, None] + offsets[:, None], 0, depth_m.shape[0] - 1)
    columns = np.clip(column[:, None, None] + offsets, 0, depth_m.shape[1] - 1)
    least: npt.NDArray[np.float32] = depth_m[rows, columns].min(axis=(1, 2))
    return least


def explanation(views: Sequence[RgbdView], suspects: Sequence[RgbdView]) -> str:
    """Names the mistake without which the suspects would agree with all views, and its repair, if any.

    Args:
        views: all views of the capture, the suspects among them.
        suspects: the views that share the mistake.
    """
    best, found = EXPLAINED, ""
    for sentence, repaired in _repairs(suspects):
        known = [view for view in views if all(view is not suspect for suspect in suspects)] + repaired
        shares = [agreement(view, [v for v in known if v is not view]) for view in repaired]
        confirmed = float(np.mean([share.confirmed for share in shares if share] or [0.0]))
        if confirmed > best:
            best, found = confirmed, f"{sentence} ({confirmed:.0%} would then be confirmed)"
    return found


def _repairs(views: Sequence[RgbdView]) -> list[tuple[str, list[RgbdView]]]:
    """Lists the known mistakes: what to write about each, and the views without it."""
    repairs = [
        (
            "the poses seem to be in OpenGL axes (x right, y up, z backward), as nerfstudio, Record3D and Blender "
            "write them: multiply world_from_camera by diag(1, -1, -1, 1) from the right",
            [replace(v, world_from_camera=v.world_from_camera @ OPENCV_FROM_OPENGL) for v in views],
        ),
        (
            "world_from_camera seems to be its inverse, camera_from_world: invert it",
            [replace(v, world_from_camera=v.world_from_camera.inverse()) for v in views],
        ),
    ]
    for factor in DEPTH_FACTORS:
        scaled = [replace(v, depth_m=(v.depth_m * np.float32(factor)).astype(np.float32)) for v in views]
        repairs.append((f"the depth scale seems to be wrong: multiply depth_scale_m by {factor:g}", scaled))
    return repairs


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

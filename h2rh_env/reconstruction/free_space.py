"""Free space: what cameras look past, so that the hollow of a bowl is not taken for its inside."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ..captures.base import RgbdView
from ..core.geometry import Array
from .initialisation.fusion import SEEN_THROUGH_M

LEAST_VIEWS = 2  # a single one may be a flying pixel


def seen_free(views: Sequence[RgbdView], points_world: Array) -> npt.NDArray[np.bool_]:
    """Returns which points (P, 3), m, at least two views look past, to what they measured well behind."""
    votes = np.zeros(len(points_world), np.uint8)
    for view in views:
        points = view.world_from_camera.inverse().apply(points_world)
        pixels = np.nan_to_num(view.camera.project(points), nan=-1)
        inside = np.all((pixels >= 0) & (pixels < [view.camera.width, view.camera.height]), axis=1)
        columns, rows = np.where(inside[:, None], pixels, 0).astype(int).T
        votes += inside & (points[:, 2] > 0) & (view.depth_m[rows, columns] > points[:, 2] + SEEN_THROUGH_M)
    free: npt.NDArray[np.bool_] = votes >= LEAST_VIEWS
    return free

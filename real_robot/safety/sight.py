"""Whether the hand is in sight where it should be: what the control loop asks before it advances or closes.

Sight may fail in three ways that an empty path does not show. The segmenter loses a hand that is still there; the
hand is nearer than the camera can measure, so that its pixels have no depth; or the hand moves.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from h2rh_env.core.clearance import Clearance, between_fingers, sweep_gap, swept_hits
from h2rh_env.core.geometry import SE3, Array

from ..interfaces import Frame

LEAST_DEPTH_M = 1e-3
BORDER = 0.04  # of the image's width, in which nothing is expected
HIDDEN_M = 0.01  # a point this far behind what was seen there may have been there before
OCCLUDED_M = 0.02  # a point this far behind what is seen there is hidden
LEAST_EXPECTED = 20  # remembered points in view, of which one at least must be seen as hand
KNOWN_NEAR = (
    0.06  # of the image's width about a remembered point, within which pixels without depth are explained
)
LEAST_UNMEASURED = 0.001  # share of the image; fewer pixels are an edge's
NEAR_SWEEP_M = 0.15  # a hand that moves further off the gripper's path is let be
LEAST_MOVED = 3  # points
CLOSING_MARGIN_M = 0.01


def is_hand_lost(
    frame: Frame, masks: npt.NDArray[np.uint8], hand_points: Array, camera_from_world: SE3
) -> bool:
    """Whether none of the hand is seen although it should be in view, as a lost mask shows.

    Args:
        masks: (H, W, 2) of the frame; hand_points: (P, 3) remembered, m, in the world.
    """
    if masks[..., 1].any():
        return False
    rows, columns, depth = _projected(frame, hand_points, camera_from_world)
    seen_m = frame.depth_m[rows, columns]
    is_hidden = (masks[rows, columns, 0] > 0) | ((seen_m > 0) & (seen_m < depth - OCCLUDED_M))
    return int((~is_hidden).sum()) >= LEAST_EXPECTED


def is_hand_unmeasured(
    frame: Frame, masks: npt.NDArray[np.uint8], hand_points: Array, camera_from_world: SE3
) -> bool:
    """Whether hand is seen that has no depth and is not where the remembered hand is: nearer than is measured."""
    unmeasured = (masks[..., 1] > 0) & (frame.depth_m <= 0)
    # A hand's edge often has no depth: only what is wider than that counts.
    unmeasured &= ~ndimage.binary_dilation((masks[..., 1] > 0) & (frame.depth_m > 0), iterations=2)
    if unmeasured.sum() < LEAST_UNMEASURED * unmeasured.size:
        return False
    explained = np.zeros_like(unmeasured)
    rows, columns, _ = _projected(frame, hand_points, camera_from_world)
    explained[rows, columns] = True
    reach = max(1, round(KNOWN_NEAR * frame.camera.width / 2))
    explained = ndimage.maximum_filter(explained, size=2 * reach + 1)
    return bool((unmeasured & ~explained).sum() >= LEAST_UNMEASURED * unmeasured.size)


@dataclass(frozen=True, eq=False)
class SightBefore:
    """What was seen when the advance began: how far it is to the hand as it was, and the frame of then."""

    hand: Clearance
    frame: Frame
    camera_from_world: SE3

    def was_hidden(self, points_world: Array) -> npt.NDArray[np.bool_]:
        """(P,) bool: whether something stood before each of these points (P, 3), so that it could not be seen."""
        points = self.camera_from_world.apply(points_world)
        camera = self.frame.camera
        columns, rows = np.floor(np.nan_to_num(camera.project(points), nan=-1.0)).astype(np.intp).T
        inside = (columns >= 0) & (columns < camera.width) & (rows >= 0) & (rows < camera.height)
        seen_m = np.zeros(len(points))
        seen_m[inside] = self.frame.depth_m[rows[inside], columns[inside]]
        return (seen_m > 0) & (seen_m < points[:, 2] - HIDDEN_M)


def has_hand_moved(
    new_points: Array, before: SightBefore, world_from_gripper: SE3, advance_m: float, most_m: float
) -> bool:
    """Whether hand near the gripper's path shows further than `most_m` from where it was, where it could be seen.

    Args:
        new_points: (P, 3) of the newest frame, m, in the world.
        advance_m: path still to go, straight ahead.
    """
    moved = new_points[before.hand.distance(new_points) > most_m]
    moved = moved[~before.was_hidden(moved)] if len(moved) else moved
    if len(moved) < LEAST_MOVED:
        return False
    gap = sweep_gap(world_from_gripper.inverse().apply(moved), advance_m)
    return int((gap < NEAR_SWEEP_M).sum()) >= LEAST_MOVED


def is_hand_in_gripper(hand_points: Array, world_from_gripper: SE3) -> bool:
    """Whether any point of the hand is between the open fingers, or within a centimetre of the gripper."""
    if swept_hits(hand_points, world_from_gripper, 0.0).any():
        return True
    inside = between_fingers(world_from_gripper.inverse().apply(hand_points), margin_m=CLOSING_MARGIN_M)
    return bool(inside.any())


def _projected(
    frame: Frame, points_world: Array, camera_from_world: SE3
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], Array]:
    """Rows, columns and depth, m, of the points that are well within the image."""
    camera, points = frame.camera, camera_from_world.apply(points_world)
    points = points[points[:, 2] > LEAST_DEPTH_M]
    columns, rows = np.floor(camera.project(points)).T
    border = BORDER * camera.width
    inside = (columns >= border) & (columns < camera.width - border)
    inside &= (rows >= border) & (rows < camera.height - border)
    return rows[inside].astype(np.intp), columns[inside].astype(np.intp), points[inside, 2]

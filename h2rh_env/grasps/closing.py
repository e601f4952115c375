"""Closing: what the pads of a parallel gripper meet when they close on a surface."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..core.clearance import Floats, between_fingers
from ..core.geometry import Array
from ..core.gripper import FINGERTIP_DEPTH_M, GripperGeometry
from .surface import Surface

FRICTION = 0.5  # coefficient mu between rubber pads and household objects, on the low side
CONE_COS = float(np.cos(np.arctan(FRICTION)))
OPEN_GAP_M = 0.004  # between the object and the open fingers and palm
PATCH_M = 0.003  # points this near to the outermost one are touched by a pad
MIN_PATCH_POINTS = 3
MIN_WIDTH_M = 0.002  # thinner is one noisy side of a surface whose other side was not seen
MIN_SCORE = 0.1  # a grasp that scores less is too near to slipping
MIN_OVERLAP_M = 0.01  # of pads and object along the approach
FULL_OVERLAP_M = 0.03  # more does not count as better


@dataclass(frozen=True, eq=False)
class Closing:
    """What n grasps close on, an array (n,) each.

    Attributes:
        width_m: The distance between the closed pads, m.
        middle_m: The midpoint of the two contacts along the closing axis, m.
        score: The alignment of both contacts' normals with the closing axis, 1 when exact, 0 at the edge of the
            friction cone, times how much of the pads is used; 0 where the pads hold nothing.
    """

    width_m: Array
    middle_m: Array
    score: Array


def close_on(
    x: Floats, normal_x: Floats, depth: Floats, between: npt.NDArray[np.bool_], gripper: GripperGeometry
) -> Closing:
    """Closes the pads of n grasps along x on M points each; all arguments are (n, M).

    Args:
        x: The points' coordinate along the closing axis, m.
        normal_x: The same component of their normals, of either sign.
        depth: Their distance behind the fingertips along the approach, m.
        between: Which points lie between the open pads.
        gripper: The gripper, whose opening limits the width.
    """
    low, high = least(x, between), -least(-x, between)
    left = between & (x < low[:, None] + PATCH_M)
    right = between & (x > high[:, None] - PATCH_M)
    counts, facing = (left.sum(axis=1), right.sum(axis=1)), np.abs(normal_x)
    alignment = np.minimum(
        np.where(left, facing, 0).sum(axis=1) / np.maximum(counts[0], 1),
        np.where(right, facing, 0).sum(axis=1) / np.maximum(counts[1], 1),
    )
    overlap = np.where(between, depth, 0).max(axis=1)
    held = (np.minimum(*counts) >= MIN_PATCH_POINTS) & (overlap > MIN_OVERLAP_M)
    held &= (high > low + MIN_WIDTH_M) & (high < low + gripper.max_width_m - 2 * OPEN_GAP_M)
    low, high = np.where(held, low, 0), np.where(held, high, 0)
    score = np.minimum(overlap / FULL_OVERLAP_M, 1) * (alignment - CONE_COS) / (1 - CONE_COS)
    return Closing(high - low, 0.5 * (low + high), np.where(held, np.clip(score, 0, 1), 0))


def closing_of(rotations: Array, origins: Array, surface: Surface, gripper: GripperGeometry) -> Closing:
    """Closes grasps given by rotations (n, 3, 3) and origins (n, 3), m, scene from grasp frame, on a surface."""
    points = (surface.points[None] - origins[:, None]) @ rotations  # (n, M, 3)
    normal_x = rotations[:, :, 0] @ surface.normals.T
    return close_on(
        points[..., 0],
        normal_x,
        FINGERTIP_DEPTH_M - points[..., 2],
        between_fingers(points, gripper),
        gripper,
    )


def least(values: Floats, mask: npt.NDArray[np.bool_]) -> Array:
    """Returns the least of `values` where `mask` is set, over the last axis; infinity where it is nowhere set."""
    smallest: Array = np.where(mask, values, np.inf).min(axis=-1)
    return smallest

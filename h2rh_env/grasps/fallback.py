"""Fallback: poses to approach an object that the gripper cannot close on."""

from __future__ import annotations

import numpy as np

from ..core.geometry import SE3, Array, upright_rotation
from ..core.gripper import FINGERTIP_DEPTH_M
from .base import GraspCandidate

DIRECTIONS = 500
CORRIDOR_M = 0.02  # around the line of approach, where the object's front is looked for
GAPS_M = (0.005, 0.03)  # between the fingertips and that front; the greater where a hand leaves little free


def approach_poses(object_points: Array, aim: Array) -> list[GraspCandidate]:
    """Returns upright poses from all around, whose open fingertips end before the object's front.

    Args:
        object_points: The object's points (P, 3), m.
        aim: The point (3,), m, that all poses point at.
    """
    poses = []
    for direction in even_directions(DIRECTIONS):
        along = (object_points - aim) @ direction
        across = np.linalg.norm(object_points - aim - along[:, None] * direction, axis=1)
        corridor = across < CORRIDOR_M
        if corridor.any():
            for gap in GAPS_M:
                origin = aim + (along[corridor].min() - gap - FINGERTIP_DEPTH_M) * direction
                pose = SE3(upright_rotation(direction), origin)
                poses.append(GraspCandidate(pose, width_m=0.0, score=0.0, graspable=False))
    return poses


def even_directions(count: int) -> Array:
    """Returns unit vectors (count, 3) spread evenly over the sphere by Fibonacci's spiral, the same every time."""
    index = np.arange(count) + 0.5
    z = 1 - 2 * index / count
    radius, turn = np.sqrt(1 - z**2), np.pi * (1 + np.sqrt(5)) * index
    return np.stack([radius * np.cos(turn), radius * np.sin(turn), z], axis=1)

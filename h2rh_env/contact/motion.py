"""Motion: where the arm's setpoint is at each time step: along a path, back, and shaken."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from scipy.spatial import cKDTree

from ..core.errors import HandoverError
from ..core.geometry import SE3, Array, rotation_angle, slerp
from ..core.gripper import FINGERTIP_DEPTH_M, GripperGeometry

STRIDE_M, STRIDE_RAD = 0.005, 0.05  # between poses of a path that are looked at
TIP = np.array([0.0, 0.0, FINGERTIP_DEPTH_M])


def dense_path(poses: Sequence[SE3]) -> list[SE3]:
    """The same path with no two poses further apart than a stride.

    Raises:
        HandoverError: an empty path, or a pose that is not finite.
    """
    if not poses:
        raise HandoverError("the gripper's path is empty; give at least the pose where the fingers close")
    if not all(np.isfinite(pose.matrix).all() for pose in poses):
        raise HandoverError("a pose of the gripper's path is not finite")
    dense = [poses[0]]
    for start, end in pairwise(poses):
        angle = rotation_angle(start.rotation.T @ end.rotation)
        count = max(1, int(np.ceil(max(_travel_m(start, end) / STRIDE_M, angle / STRIDE_RAD))))
        dense += _evenly(start, end, count)
    return dense


def _evenly(start: SE3, end: SE3, count: int) -> Iterator[SE3]:
    """So many poses behind `start` on the straight path to `end`, which is the last of them, evenly turning."""
    shares = np.arange(1, count + 1) / count
    translations = start.translation + shares[:, None] * (end.translation - start.translation)
    return map(SE3, slerp(start.rotation, end.rotation, shares), translations)


def near_part(path: Sequence[SE3], points_scene: Array, gripper: GripperGeometry, near_m: float) -> list[SE3]:
    """From the last pose before anything comes near the open gripper, or what is between its fingers, to the end.

    Args:
        points_scene: (P, 3) of object and hand, m.

    Returns:
        Empty if nothing ever comes near.
    """
    left, right, palm = gripper.boxes()
    envelope = np.array([[left[0], right[1]], palm])
    reach = float(np.linalg.norm(envelope.reshape(-1, 3), axis=1).max()) + near_m
    tree = cKDTree(points_scene)
    for k, pose in enumerate(path):
        around = tree.query_ball_point(pose.translation, reach)
        if around and _nearest_m(pose.inverse().apply(points_scene[around]), envelope) < near_m:
            return list(path[max(0, k - 1) :])
    return []


def _nearest_m(points_gripper: Array, boxes: Array) -> float:
    """How much fatter on every side boxes (K, 2, 3) may be before they meet points (P, 3)."""
    off = np.abs(points_gripper[:, None] - boxes.mean(axis=1)) - (boxes[:, 1] - boxes[:, 0]) / 2
    return float(off.max(axis=2).min())


def along(path: Sequence[SE3], speed_mps: float, time_step_s: float) -> Iterator[SE3]:
    """Setpoints at every time step along a path, neither origin nor fingertips faster than the speed."""
    for start, end in pairwise(path):
        steps = max(1, int(np.ceil(_travel_m(start, end) / (speed_mps * time_step_s))))
        yield from _evenly(start, end, steps)


def retreat(pose: SE3, length_m: float, duration_s: float, time_step_s: float) -> Iterator[SE3]:
    """Setpoints straight back along the approach, with the least jerk."""
    steps = round(duration_s / time_step_s)
    for k in range(1, steps + 1):
        t = k / steps
        share = t**3 * (10 - 15 * t + 6 * t**2)
        yield SE3(pose.rotation, pose.translation - share * length_m * pose.rotation[:, 2])


def shake(pose: SE3, amplitude_m: float, duration_s: float, time_step_s: float) -> Iterator[SE3]:
    """Setpoints out and back along each axis of the gripper in turn."""
    steps = round(duration_s / 3 / time_step_s)
    for axis in range(3):
        for k in range(1, steps + 1):
            out = amplitude_m * (1 - np.cos(2 * np.pi * k / steps)) / 2
            yield SE3(pose.rotation, pose.translation + out * pose.rotation[:, axis])


def _travel_m(start: SE3, end: SE3) -> float:
    """What neither origin nor fingertips travel farther than: the origin's way and the arc that the tips turn."""
    origin = math.dist(start.translation, end.translation)
    return origin + FINGERTIP_DEPTH_M * rotation_angle(start.rotation.T @ end.rotation)

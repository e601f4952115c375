"""Safety: which grasps harm the hand (Eq. 1), cannot be approached, or end where the object is not seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..core.clearance import SWEEP_MARGIN_M, Floats, between_fingers, sweep_gap
from ..core.geometry import Array
from ..core.gripper import ROBOTIQ_2F85, GripperGeometry
from ..core.task import CLEARANCE_M, STANDOFF_M

BATCH_POINTS = 200_000
SIGHT_M = 0.005  # a point this near to the optical axis lies under the image's centre
MIN_HELD_POINTS = 5

FAULTS = (
    "have the hand within the safety distance",
    "would sweep the hand",
    "begin too near to the hand",
    "would hit the object",
    "close on nothing",
    "begin outside the distance band",
    "do not see the object in the middle",
)


@dataclass(frozen=True)
class Limits:
    """What a grasp must keep, m.

    Attributes:
        hand_distance_m: The distance d_s of Eq. 1, from the grasp frame's origin to the hand.
        sweep_margin_m: The gap between the hand and the gripper during its final approach, and between the hand and
            what the fingers close on; a little more than the figures ask for, because nobody arrives exactly.
        object_margin_m: The gap between the object and the open gripper during its final approach.
        standoff_m: The length s of Eq. 7.
        band_m: The limits of the least distance from the pre-grasp pose to the object.
        clearance_m: The distance d_min of Eq. 14, from the pre-grasp pose to the hand.
    """

    hand_distance_m: float = 0.1
    sweep_margin_m: float = SWEEP_MARGIN_M + 0.002
    object_margin_m: float = 0.002
    standoff_m: float = STANDOFF_M
    band_m: tuple[float, float] = (0.36, 0.44)
    clearance_m: float = CLEARANCE_M


def hand_is_near(points_grasp: Floats, hand_distance_m: float = 0.1) -> npt.NDArray[np.bool_]:
    """Eq. 1 tells which hand points p'_h = G^-1 p_h (..., 3) lie within d_s of the grasp's origin; (...) bool."""
    near: npt.NDArray[np.bool_] = np.linalg.norm(points_grasp, axis=-1) < hand_distance_m
    return near


@dataclass(frozen=True, eq=False)
class Verdicts:
    """The verdicts on N grasps.

    Attributes:
        faults: What is wrong first (N,): 0 for nothing, else 1 + the index in `FAULTS`.
        hand_gap_m: The gap (N,) between the hand and the gripper during its final approach, m.
    """

    faults: npt.NDArray[np.int64]
    hand_gap_m: Array


def judge(
    rotations: Array,
    origins: Array,
    object_points: Array,
    hand_points: Array,
    limits: Limits,
    closes: bool = True,
    gripper: GripperGeometry = ROBOTIQ_2F85,
) -> Verdicts:
    """Judges grasps by their rotations (N, 3, 3) and origins (N, 3), m, scene from grasp frame.

    Args:
        rotations: Rotations of the grasps.
        origins: Origins of the grasps.
        object_points: Points (P, 3), m, scene frame.
        hand_points: Points (P, 3), m, scene frame.
        limits: What the grasps must keep.
        closes: Whether the fingers must have something to close on; if not, they stop before the object.
        gripper: The gripper.
    """
    faults, gaps = np.zeros(len(rotations), np.int64), np.full(len(rotations), np.inf)
    if len(hand_points):
        for batch in _batches(len(rotations), len(hand_points)):
            points = _in_frames(hand_points, rotations[batch], origins[batch])
            faults[batch], gaps[batch] = _hand_faults(points, limits, gripper)
    harmless = np.flatnonzero(faults == 0)
    for batch in _batches(len(harmless), len(object_points)):
        these = harmless[batch]
        points = _in_frames(object_points, rotations[these], origins[these])
        faults[these] = _object_faults(points, limits, closes, gripper)
    return Verdicts(faults, gaps)


def _hand_faults(
    points_grasp: Floats, limits: Limits, gripper: GripperGeometry
) -> tuple[npt.NDArray[np.int64], Array]:
    ahead = points_grasp + _behind(limits)
    gaps = sweep_gap(ahead, limits.standoff_m, gripper).min(axis=1)
    pinched = between_fingers(points_grasp, gripper, limits.sweep_margin_m).any(axis=1)
    wrong = [
        hand_is_near(points_grasp, limits.hand_distance_m).any(axis=1),
        (gaps <= limits.sweep_margin_m) | pinched,
        hand_is_near(ahead, limits.clearance_m).any(axis=1),
    ]
    return _first(wrong, 1), gaps


def _object_faults(
    points_grasp: Floats, limits: Limits, closes: bool, gripper: GripperGeometry
) -> npt.NDArray[np.int64]:
    ahead = points_grasp + _behind(limits)
    distance = np.linalg.norm(ahead, axis=2).min(axis=1)
    held = between_fingers(points_grasp, gripper).sum(axis=1) >= MIN_HELD_POINTS
    wrong = [
        (sweep_gap(ahead, limits.standoff_m, gripper) <= limits.object_margin_m).any(axis=1)
        | (held & (not closes)),
        ~held & closes,
        (distance < limits.band_m[0]) | (distance > limits.band_m[1]),
        np.linalg.norm(ahead[:, :, :2], axis=2).min(axis=1) > SIGHT_M,
    ]
    return _first(wrong, 4)


def _first(wrong: list[npt.NDArray[np.bool_]], number: int) -> npt.NDArray[np.int64]:
    """Returns the number of the first fault of each grasp, counted from `number`; 0 where there is none."""
    stacked = np.stack(wrong)
    return np.where(stacked.any(axis=0), number + stacked.argmax(axis=0), 0)


def _behind(limits: Limits) -> npt.NDArray[np.float32]:
    """Returns what a point in the grasp frame gains when seen from the pre-grasp pose."""
    return np.array([0.0, 0.0, limits.standoff_m], np.float32)


def _in_frames(points_scene: Array, rotations: Array, origins: Array) -> npt.NDArray[np.float32]:
    """Returns points (P, 3) in each grasp's frame, (N, P, 3), whose coordinates lie contiguous for speed."""
    inverse = rotations.transpose(0, 2, 1)
    shifted = inverse.astype(np.float32) @ (points_scene - origins.mean(axis=0)).astype(np.float32).T
    offsets = (inverse @ (origins - origins.mean(axis=0))[:, :, None]).astype(np.float32)
    points: npt.NDArray[np.float32] = (shifted - offsets).transpose(0, 2, 1)
    return points


def _batches(count: int, points: int) -> list[slice]:
    size = max(1, BATCH_POINTS // max(points, 1))
    return [slice(first, first + size) for first in range(0, count, size)]

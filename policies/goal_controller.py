"""Servo: one step towards a goal that is seen from the camera, by the three phases of Sec. III-B."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from h2rh_env.core.clearance import sweep_gap
from h2rh_env.core.geometry import Array
from h2rh_env.core.motion_limits import (
    ARRIVED_M,
    ARRIVED_RAD,
    IN_VIEW_RAD,
    SETTLE_WITHIN_M,
    STEP_M,
    STEP_RAD,
)
from h2rh_env.core.task import GRASP_SCORE_THRESHOLD, MAX_EPISODE_STEPS, STANDOFF_M

from .tracking.depth import Track

CAUTION_M = 0.015
GAP_M = (0.385, 0.405)  # from a goal to the object's nearest point; the band allows 0.35 to 0.45 m
WIDEST_GAP_M = 0.425  # where the hand is in the gripper's way
HAND_GAP_M = 0.025  # between the open gripper's advance and the hand; a safe advance takes 0.01 m
HASTY_FRAMES, HASTE = 10, 0.25  # before so many, the range is too uncertain to declare but right at the goal
PATIENT_FRAMES, MOST_PATIENCE = 18, 4.0
STEPS_BACK_M = np.arange(-0.03, 0.161, 0.005)


def act_on(camera_from_goal: Array, tracks: Sequence[Track]) -> npt.NDArray[np.float32]:
    """Actions (B, 7) from goals (B, 3, 4) before the cameras of what was sighted."""
    goals = cautious(camera_from_goal, tracks)
    growth = [patience(seen) for seen in tracks]
    now = np.stack([seen.camera_from_frame for seen in tracks])
    turn, shift = now[:, :3, :3], now[:, :3, 3]
    goals = turn @ goals
    goals[:, :, 3] += shift
    middles = np.stack([seen.sight * seen.distance_m for seen in tracks])
    towards = np.einsum("bij,bj->bi", turn, middles) + shift
    return step_towards(goals, towards / np.linalg.norm(towards, axis=1, keepdims=True), growth)


def cautious(camera_from_goal: Array, tracks: Sequence[Track]) -> Array:
    """Goals (B, 3, 4) set back along their approach.

    One who errs by centimetres had better stay short of the hand: by `CAUTION_M`, or by what it takes to be within
    `GAP_M` of what is seen of the object, and further where the gripper, advancing, would come near to what is seen
    of the hand.
    """
    behind = camera_from_goal.copy()
    for goal, seen in zip(behind, tracks, strict=True):
        goal[:, 3] -= _step_back_m(goal, seen) * goal[:, 2]
    return behind


def _step_back_m(goal: Array, seen: Track) -> float:
    if not len(seen.object_points):
        return CAUTION_M
    apart = seen.object_points - goal[:, 3]
    squares = (apart**2).sum(axis=1) + STEPS_BACK_M[:, None] * (
        2 * apart @ goal[:, 2] + STEPS_BACK_M[:, None]
    )
    gaps = np.sqrt(squares.min(axis=1))
    off_band = np.maximum(np.maximum(GAP_M[0] - gaps, gaps - GAP_M[1]), 0)
    first = int(np.lexsort((np.abs(STEPS_BACK_M - CAUTION_M), off_band))[0])
    if not len(seen.hand_points):
        return float(STEPS_BACK_M[first])
    hand = (seen.hand_points - goal[:, 3]) @ goal[:, :3]
    allowed = STEPS_BACK_M[[k for k in range(first, len(gaps)) if k == first or gaps[k] <= WIDEST_GAP_M]]
    free = sweep_gap(hand + [0, 0, 1] * allowed[:, None, None], STANDOFF_M).min(axis=1)
    return float(allowed[np.argmax(np.minimum(free, HAND_GAP_M))])


def patience(seen: Track) -> float:
    """By how much the tolerance of declaring has grown: late in an episode, where the pose at hand would do too; less
    than 1 at its beginning."""
    if seen.frames < HASTY_FRAMES:
        return HASTE
    late = float(np.clip((seen.frames - PATIENT_FRAMES) / (MAX_EPISODE_STEPS - 2 - PATIENT_FRAMES), 0, 1))
    if not late or not len(seen.object_points):
        return 1.0
    gap = np.linalg.norm(seen.object_points, axis=1).min()
    free = sweep_gap(seen.hand_points, STANDOFF_M).min(initial=np.inf)
    would_do = GAP_M[0] - 0.015 <= gap <= WIDEST_GAP_M and free >= HAND_GAP_M / 2
    return 1 + (MOST_PATIENCE - 1) * late if would_do else 1.0


def step_towards(
    camera_from_goal: Array, sight: Array, patience: npt.ArrayLike = 1.0
) -> npt.NDArray[np.float32]:
    """Actions (B, 7) from goals (B, 3, 4), unit directions (B, 3) to the object, and the tolerance's growth (B,).

    The grasp score falls with what remains to the goal; it is tau_c where that is 2 cm, or 4 degrees, times the
    growth: chosen on validation scenes, where a stricter one left a third of the episodes undeclared.
    """
    rotation, position = camera_from_goal[:, :, :3], camera_from_goal[:, :, 3]
    turns_more = rotation[:, 0, 0] + rotation[:, 1, 1] < 0  # than with the gripper turned by half a turn
    rotation = np.where(turns_more[:, None, None], rotation * [-1, -1, 1], rotation)
    turn = Rotation.from_matrix(rotation).as_rotvec()
    distance, angle = np.linalg.norm(position, axis=1), np.linalg.norm(turn, axis=1)

    to_object = _turn_to(sight)
    off_centre = np.linalg.norm(to_object, axis=1)
    far = distance >= SETTLE_WITHIN_M
    turning = off_centre > np.where(far, STEP_RAD, IN_VIEW_RAD)

    steps = np.maximum(1, np.maximum(distance / STEP_M, angle / STEP_RAD))[:, None]
    forward = position * (STEP_M / np.maximum(distance, STEP_M))[:, None]
    aimed = to_object * np.minimum(1, STEP_RAD / np.maximum(off_centre, 1e-9))[:, None]
    translation = np.where(turning[:, None], 0, np.where(far[:, None], forward, position / steps))
    rotvec = np.where((turning | far)[:, None], aimed, turn / steps)
    left = np.maximum(distance / ARRIVED_M, angle / ARRIVED_RAD) / np.asarray(patience)
    score = GRASP_SCORE_THRESHOLD ** (left**2)
    euler = Rotation.from_rotvec(rotvec).as_euler("xyz")
    return np.concatenate([euler, translation, score[:, None]], axis=1).astype(np.float32)


def _turn_to(sight: Array) -> Array:
    """Rotation vectors (B, 3) that turn z to unit directions (B, 3)."""
    axis = np.stack([-sight[:, 1], sight[:, 0], np.zeros(len(sight))], axis=1)
    sine = np.linalg.norm(axis, axis=1)
    angle = np.arctan2(sine, sight[:, 2])
    return axis * (angle / np.maximum(sine, 1e-12))[:, None]

"""Goal controller: one step towards a goal that is seen from the camera, by the three phases of Sec. III-B."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from h2rh_env.core.clearance import sweep_gap
from h2rh_env.core.geometry import SE3, Array

from .config import ControlConfig
from .tracking.tracker import Track


def act_on(frame_from_goals: SE3, tracks: Sequence[Track], config: ControlConfig) -> npt.NDArray[np.float32]:
    """Actions (B, 7) towards goals, a batch (B,) in the frames of the cameras that took the tracks' frames."""
    camera_from_frames = SE3.stack(seen.camera_from_frame for seen in tracks)
    camera_from_goals = camera_from_frames @ cautious(frame_from_goals, tracks, config)
    middles = camera_from_frames.apply(np.stack([seen.sight * seen.distance_m for seen in tracks]))
    sights = middles / np.linalg.norm(middles, axis=1, keepdims=True)
    growth = np.array([patience(seen, config) for seen in tracks])
    return step_towards(camera_from_goals, sights, config, growth)


def cautious(frame_from_goals: SE3, tracks: Sequence[Track], config: ControlConfig) -> SE3:
    """Goals (B,) set back along their approach.

    A policy that errs by centimetres had better stay short of the hand: by `caution_m`, or by what it takes to be
    within `gap_m` of what is seen of the object, and further where the gripper, advancing, would come near to what is
    seen of the hand.
    """
    back_m = np.array(
        [_setback_m(goal, seen, config) for goal, seen in zip(frame_from_goals, tracks, strict=True)]
    )
    approach = frame_from_goals.rotation[:, :, 2]
    return SE3(frame_from_goals.rotation, frame_from_goals.translation - back_m[:, None] * approach)


def _setback_m(goal: SE3, seen: Track, config: ControlConfig) -> float:
    if not len(seen.object_points):
        return config.caution_m
    setbacks_m = np.arange(*config.setback_m, config.setback_step_m)
    apart = seen.object_points - goal.translation
    along = 2 * apart @ goal.rotation[:, 2]
    squares = (apart**2).sum(axis=1) + setbacks_m[:, None] * (along + setbacks_m[:, None])
    gaps = np.sqrt(squares.min(axis=1))
    nearest, farthest = config.gap_m
    off_band = np.maximum(np.maximum(nearest - gaps, gaps - farthest), 0)
    first = int(np.lexsort((np.abs(setbacks_m - config.caution_m), off_band))[0])
    if not len(seen.hand_points):
        return float(setbacks_m[first])
    further = [k for k in range(first, len(gaps)) if k == first or gaps[k] <= config.widest_gap_m]
    allowed_m = setbacks_m[further]
    hand = (seen.hand_points - goal.translation) @ goal.rotation
    free = sweep_gap(hand + [0, 0, 1] * allowed_m[:, None, None], config.standoff_m).min(axis=1)
    return float(allowed_m[np.argmax(np.minimum(free, config.hand_gap_m))])


def patience(seen: Track, config: ControlConfig) -> float:
    """Factor of the tolerance of declaring.

    It is less than 1 at an episode's beginning, and grows late in an episode where the pose at hand would do too.
    """
    if seen.frames < config.hasty_frames:
        return config.haste
    patient = config.episode_steps - 2 - config.patient_frames
    late = float(np.clip((seen.frames - config.patient_frames) / patient, 0, 1))
    if not late or not len(seen.object_points):
        return 1.0
    gap = np.linalg.norm(seen.object_points, axis=1).min()
    free = sweep_gap(seen.hand_points, config.standoff_m).min(initial=np.inf)
    near_enough = config.gap_m[0] - config.patient_gap_m <= gap <= config.widest_gap_m
    would_do = near_enough and free >= config.hand_gap_m / 2
    return 1 + (config.most_patience - 1) * late if would_do else 1.0


def step_towards(
    camera_from_goals: SE3, sights: Array, config: ControlConfig, patience: npt.ArrayLike = 1.0
) -> npt.NDArray[np.float32]:
    """Actions (B, 7) towards goals (B,), with the grasp score that falls with what remains to the goal.

    The score is tau_c where 2 cm or 4 degrees remain, times `patience`: this was chosen on validation scenes, where a
    stricter one left a third of the episodes undeclared.

    Args:
        sights: (B, 3), unit lines of sight to the object.
        patience: (B,), factors of the tolerance.
    """
    rotation, position = camera_from_goals.rotation, camera_from_goals.translation
    nearer_half_turned = rotation[:, 0, 0] + rotation[:, 1, 1] < 0  # with the fingers exchanged
    rotation = np.where(nearer_half_turned[:, None, None], rotation * [-1, -1, 1], rotation)
    rotvec = Rotation.from_matrix(rotation).as_rotvec()
    distance, angle = np.linalg.norm(position, axis=1), np.linalg.norm(rotvec, axis=1)

    to_object = _rotvec_to(sights)
    off_centre = np.linalg.norm(to_object, axis=1)
    far = distance >= config.settle_within_m
    turning = off_centre > np.where(far, config.step_rad, config.in_view_rad)

    steps = np.maximum(1, np.maximum(distance / config.step_m, angle / config.step_rad))[:, None]
    forward = position * (config.step_m / np.maximum(distance, config.step_m))[:, None]
    aimed = to_object * np.minimum(1, config.step_rad / np.maximum(off_centre, 1e-9))[:, None]
    translation = np.where(turning[:, None], 0, np.where(far[:, None], forward, position / steps))
    step_rotvec = np.where((turning | far)[:, None], aimed, rotvec / steps)
    left = np.maximum(distance / config.arrived_m, angle / config.arrived_rad) / np.asarray(patience)
    score = config.declaring_score ** (left**2)
    euler = Rotation.from_rotvec(step_rotvec).as_euler("xyz")
    return np.concatenate([euler, translation, score[:, None]], axis=1).astype(np.float32)


def _rotvec_to(sights: Array) -> Array:
    """Rotation vectors (B, 3) that turn z to unit vectors (B, 3)."""
    axis = np.stack([-sights[:, 1], sights[:, 0], np.zeros(len(sights))], axis=1)
    sine = np.linalg.norm(axis, axis=1)
    angle = np.arctan2(sine, sights[:, 2])
    return np.asarray(axis * (angle / np.maximum(sine, 1e-12))[:, None])

"""Controller: round the contact at a distance, on to the line of approach, straight in, and close."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from h2rh_env.core.geometry import (
    SE3,
    Array,
    aim,
    angle_between,
    cross,
    rotation_about,
    rotation_angle,
    slerp,
)
from h2rh_env.core.gripper import FINGERTIP_DEPTH_M

from .fusion import Goal


@dataclass(frozen=True)
class ControlConfig:
    """How the gripper moves.

    Attributes:
        circle_m: distance from the contact at which it goes round.
        step_m, step_rad: longest step and turn; near_step_m: longest step within `near_m` of the closing pose.
        funnel_m, funnel_slope: how far beside the line of approach it may be, at the closing pose and more per metre
            before it, to go on straight in. Within `corridor_m` it goes straight back until the funnel holds it.
        close_m, close_rad: how near to the closing pose the fingers close.
        baseline: how far it steps aside at first, as a part of the distance, where depth is not known.
        sure: support that a goal needs before the gripper goes nearer to the contact than `look_m`; until then it
            looks from other sides, but no more than `most_looks` times in an episode.
    """

    circle_m: float = 0.40
    step_m: float = 0.05
    step_rad: float = 0.2
    near_m: float = 0.12
    near_step_m: float = 0.025
    funnel_m: float = 0.006
    funnel_slope: float = 0.3
    corridor_m: float = 0.045
    close_m: float = 0.004
    close_rad: float = 0.06
    baseline: float = 0.08
    sure: float = 0.6
    look_m: float = 0.30
    most_looks: int = 8


def next_pose(world_from_gripper: SE3, goal: Goal, config: ControlConfig, standoff_m: float = 0.0) -> SE3:
    """The next pose `world_from_gripper` on the way to a goal, or to the pose so far before it."""
    approach = goal.rotation[:, 2]
    from_contact = world_from_gripper.translation - goal.contact
    along = float(-from_contact @ approach)
    beside = from_contact + along * approach
    beside_m = float(np.linalg.norm(beside))
    left_m = along - FINGERTIP_DEPTH_M - standoff_m
    missing_m = (beside_m - config.funnel_m) / config.funnel_slope - max(left_m, 0.0)
    if along > 0 and missing_m <= 0:
        position = _straight_in(goal, along, left_m, beside, config)
    elif 0 < along < config.circle_m and beside_m <= config.corridor_m:
        position = world_from_gripper.translation - min(config.step_m, missing_m) * approach
    else:
        position = goal.contact + _round(from_contact, -approach, config)
    return SE3(_turned(world_from_gripper.rotation, position, goal, config), position)


def arrived(world_from_gripper: SE3, goal: Goal, config: ControlConfig, standoff_m: float = 0.0) -> bool:
    """Whether a pose is the one to close in, or to declare so far before it."""
    off = goal.pose_before(standoff_m).inverse() @ world_from_gripper
    turn = min(rotation_angle(off.rotation), rotation_angle(off.rotation @ np.diag([-1.0, -1.0, 1.0])))
    return bool(np.linalg.norm(off.translation) <= config.close_m and turn <= config.close_rad)


def aside(world_from_gripper: SE3, goal: Goal, config: ControlConfig) -> SE3:
    """A step across the line of sight, the way round if there is one, so that the next frame shows depth."""
    from_contact = world_from_gripper.translation - goal.contact
    distance = float(np.linalg.norm(from_contact))
    sight = -from_contact / distance
    across = -goal.rotation[:, 2] + sight * float(goal.rotation[:, 2] @ sight)
    if np.linalg.norm(across) < 0.1:
        across = world_from_gripper.rotation[:, 0]
    across = across - sight * float(across @ sight)
    position = world_from_gripper.translation + config.step_m * across / np.linalg.norm(across)
    return SE3(_turned(world_from_gripper.rotation, position, goal, config), position)


def _straight_in(goal: Goal, along: float, left_m: float, beside: Array, config: ControlConfig) -> Array:
    step_m = config.near_step_m if left_m < config.near_m else config.step_m
    forward = float(np.clip(left_m, -step_m, step_m))
    beside_m = float(np.linalg.norm(beside))
    shrunk = max(0.0, beside_m - 0.5 * step_m)
    position: Array = goal.contact - (along - forward) * goal.rotation[:, 2]
    return position + beside * (shrunk / max(beside_m, 1e-9))


def _round(from_contact: Array, towards: Array, config: ControlConfig) -> Array:
    """From one place about the contact to the next, on the circle as soon as it is reached."""
    radius = float(np.linalg.norm(from_contact))
    direction = from_contact / max(radius, 1e-9)
    angle = float(angle_between(direction, towards))
    inward = config.circle_m - radius
    share = 1.0 if inward > 0 else 0.8  # too near: first away
    radial = float(np.clip(inward, -share * config.step_m, share * config.step_m))
    arc = min(angle, np.sqrt(max(config.step_m**2 - radial**2, 0.0)) / max(radius, config.circle_m / 2))
    axis = cross(direction, towards)
    length = float(np.linalg.norm(axis))
    if length < 1e-6:
        axis, length = cross(direction, np.array([0.3, 0.5, 0.8])), 1.0
        axis = axis / np.linalg.norm(axis)
    moved: Array = (radius + radial) * (rotation_about(axis / length, arc) @ direction)
    return moved


def _turned(rotation: Array, position: Array, goal: Goal, config: ControlConfig) -> Array:
    """Turns towards the contact, with the fingers as the goal has them or exchanged, whichever is nearer."""
    sight = goal.contact - position
    poses = [aim(goal.rotation @ np.diag([s, s, 1.0]), sight) for s in (1.0, -1.0)]
    wanted = min(poses, key=lambda r: rotation_angle(rotation.T @ r))
    angle = rotation_angle(rotation.T @ wanted)
    return slerp(rotation, wanted, min(1.0, config.step_rad / max(angle, 1e-9)))

"""Where an arm's base stands for a scene: so that grasp and start are within reach, away from singularities."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, takewhile

import numpy as np
from scipy.spatial.transform import Rotation

from h2rh_env.core.clearance import swept_hits
from h2rh_env.core.errors import RobotError
from h2rh_env.core.geometry import (
    SE3,
    Array,
    between,
    look_at,
    rotation_angle,
    rotation_from_euler_xyz,
    uniform_directions,
)
from h2rh_env.core.gripper import FINGERTIP_DEPTH_M
from h2rh_env.core.task import STANDOFF_M
from h2rh_env.scenes.handover_scene import HandoverScene

from ..control.grasp_alignment import ahead
from ..drivers.ur.kinematics import ArmGeometry, condition_number, inverse, joint_frames, nearest_joints

POSITIONS = {
    "middle": (0.0, 0.0),
    "left": (0.15, 0.0),
    "right": (-0.15, 0.0),
    "top": (0.0, 0.12),
    "bottom": (0.0, -0.12),
}  # of the object, m: sideways and upwards, as the arm sees it
REACH_M = (0.42, 0.52, 0.62, 0.74, 0.86)  # of the object from the base
HEIGHT_M = (-0.30, -0.15, 0.0, 0.15, 0.30, 0.45)
TURNS_RAD = tuple(math.radians(t) for t in (0, 20, -20, 40, -40, 60, -60, 80, -80, 100, -100, 120, -120, 180))
START_M = (0.5, 0.68)  # from the object
START_CONE_RAD = math.radians(75)  # about the path back from the grasp
JITTER_RAD = math.radians(8)
LEAST_CLEARANCE_M = 0.3  # of a start from hand and object
MOST_CONDITION = 15.0
LEAST_ELBOW_M = 0.2  # above the base, and so above the table it stands on
STEP_M, STEP_RAD, BRANCH_RAD = 0.02, 0.1, 0.5
ABOUT_RAD = tuple(math.radians(t) for t in range(0, 360, 45))  # axes across the approach,
TILTS_RAD = tuple(math.radians(t) for t in (20, 40, 60))  # and turns about each of them
OFFSETS_M = ((0.15, 0.3), (-0.15, -0.3))  # along each of them: to the contact, and back
MOST_RISE = 0.3  # of a path to take it, per metre
LEAST_ROOM = 0.2  # part of the poses on such paths
MOST_TURN_RAD = 1.0  # of a joint from one of them to the next
TRIES = 150


@dataclass(frozen=True, eq=False)
class Placement:
    """`world_from_base`, the pose to start from, and its joints (6,)."""

    world_from_base: SE3
    world_from_start: SE3
    joints: Array


def place(
    scene: HandoverScene,
    arm: ArmGeometry,
    flange_from_tcp: SE3,
    rng: np.random.Generator,
    position: str = "middle",
) -> Placement:
    """A base and a start from which the straight paths to the pre-grasp pose and the grasp can be followed.

    Bases from which most other paths to take the object are open come first: a policy chooses its own.

    Raises:
        RobotError: none was found: the grasp comes from where no arm can.
    """
    aside, above = POSITIONS[position]
    bases = [
        _base(scene, turn, (reach, aside, height + above))
        for turn in TURNS_RAD
        for height in HEIGHT_M
        for reach in REACH_M
    ]
    paths = _open_paths(scene)
    rooms = [_room(arm, flange_from_tcp, base, scene, paths) for base in bases]
    for number in np.argsort(rooms, kind="stable")[::-1]:
        if rooms[number] < LEAST_ROOM:
            break
        base = bases[number]
        for _ in range(TRIES // 10):
            start = _start(scene, rng)
            path = [_grasp(scene), scene.grasp.pregrasp(), start]
            clear = _is_clear(scene, start)
            if clear and (joints := _joints_along(arm, flange_from_tcp, base, path)):
                return Placement(base, start, joints[-1])
    raise RobotError(f"no place for an {arm.name} from which it could take {scene.name} at the {position}")


def _room(
    arm: ArmGeometry, flange_from_tcp: SE3, base: SE3, scene: HandoverScene, paths: Sequence[Sequence[SE3]]
) -> float:
    """Part of the poses on paths from the pre-grasp pose, and before and behind each, that the arm reaches one
    after the other, away from singularities; 0 where the grasp cannot be advanced on."""
    if not (found := _joints_along(arm, flange_from_tcp, base, [_grasp(scene), scene.grasp.pregrasp()])):
        return 0.0
    base_from_world, tcp_from_flange = base.inverse(), flange_from_tcp.inverse()

    def reached(poses: Iterable[SE3], joints: Array) -> Iterator[Array]:
        for pose in poses:
            base_from_tcp = base_from_world @ pose
            following = nearest_joints(arm, (base_from_tcp @ tcp_from_flange).matrix, joints)
            if following is None or np.abs(following - joints).max() > MOST_TURN_RAD:
                return
            if condition_number(arm, following, base_from_tcp.matrix) > MOST_CONDITION:
                return
            joints = following
            yield joints

    count = 0
    for path in paths:
        for pose, joints in zip(path, reached(path, found[-1]), strict=False):
            count += 1
            for offsets in OFFSETS_M:
                count += sum(1 for _ in reached([ahead(pose, offset) for offset in offsets], joints))
    most = (1 + sum(map(len, OFFSETS_M))) * sum(map(len, paths))
    return count / max(1, most)


def _open_paths(scene: HandoverScene) -> list[list[SE3]]:
    """From the pre-grasp pose about the object, to where a policy may want to take it from instead: not from below,
    nor through the hand."""
    pivot = ahead(SE3.identity(), STANDOFF_M + FINGERTIP_DEPTH_M)
    paths = []
    for about in ABOUT_RAD:
        axis = np.array([math.cos(about), math.sin(about), 0.0])
        tilts = [SE3(Rotation.from_rotvec(tilt * axis).as_matrix(), np.zeros(3)) for tilt in TILTS_RAD]
        path = [scene.grasp.pregrasp() @ pivot @ tilt @ pivot.inverse() for tilt in tilts]
        paths.append(list(takewhile(lambda pose: _is_open(scene, pose), path)))
    return paths


def _is_open(scene: HandoverScene, world_from_gripper: SE3) -> bool:
    rises = float(world_from_gripper.rotation[2, 2]) > MOST_RISE
    return not rises and not swept_hits(scene.hand_points, world_from_gripper, STANDOFF_M).any()


def _grasp(scene: HandoverScene) -> SE3:
    return scene.grasp.scene_from_grasp


def _base(scene: HandoverScene, turn_rad: float, object_base: tuple[float, float, float]) -> SE3:
    """Upright, so that the grasp's approach leads away from it but for `turn_rad`."""
    approach = _grasp(scene).rotation[:, 2]
    heading = math.atan2(approach[1], approach[0]) if np.hypot(*approach[:2]) > 0.2 else 0.0
    c, s = math.cos(heading + turn_rad), math.sin(heading + turn_rad)
    rotation = np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
    return SE3(rotation, scene.object_centre - rotation @ np.array(object_base))


def _start(scene: HandoverScene, rng: np.random.Generator) -> SE3:
    """Looking at the object, more or less, from somewhere behind the pre-grasp pose."""
    back = -_grasp(scene).rotation[:, 2]
    while True:
        away = uniform_directions(rng, 1)[0]
        if float(away @ back) > math.cos(START_CONE_RAD):
            break
    eye = scene.object_centre + rng.uniform(*START_M) * away
    jitter = rotation_from_euler_xyz(np.array([*rng.uniform(-JITTER_RAD, JITTER_RAD, 2), 0.0]))
    return look_at(eye, scene.object_centre) @ SE3(jitter, np.zeros(3))


def _is_clear(scene: HandoverScene, start: SE3) -> bool:
    return float(scene.clearance.distance(start.translation)) > LEAST_CLEARANCE_M


def _joints_along(arm: ArmGeometry, flange_from_tcp: SE3, base: SE3, path: list[SE3]) -> list[Array]:
    """Joints at each pose of a path made of straight pieces; empty where the arm can't follow it."""
    base_from_world, tcp_from_flange = base.inverse(), flange_from_tcp.inverse()
    for first in inverse(arm, (base_from_world @ path[0] @ tcp_from_flange).matrix):
        found, joints = [first], first
        for before, after in pairwise(path):
            joints_after = _follow(arm, base_from_world, tcp_from_flange, (before, after), joints)
            if joints_after is None:
                break
            joints = joints_after
            found.append(joints)
        if len(found) == len(path):
            return found
    return []


def _follow(
    arm: ArmGeometry, base_from_world: SE3, tcp_from_flange: SE3, ends: tuple[SE3, SE3], joints: Array
) -> Array | None:
    """Joints at the end of a straight path begun with given ones; None if it can't be followed smoothly."""
    before, after = ends
    path = after.translation - before.translation
    turn = rotation_angle(before.rotation.T @ after.rotation)
    steps = max(1, math.ceil(max(float(np.linalg.norm(path)) / STEP_M, turn / STEP_RAD)))
    for k in range(steps + 1):
        pose = base_from_world @ between(before, after, k / steps)
        following = nearest_joints(arm, (pose @ tcp_from_flange).matrix, joints)
        if following is None or np.abs(following - joints).max() > BRANCH_RAD:
            return None
        if condition_number(arm, following, pose.matrix) > MOST_CONDITION:
            return None
        if joint_frames(arm, following)[2][2, 3] < LEAST_ELBOW_M:
            return None
        joints = following
    return joints

"""The bench: one base for every giver and position, where the giver stands before it, and where a trial begins.

The place is the one, of a few dozen tried, from which most straight approaches from all about a giver's object can be
followed: a UR5's reach is what the paper's 0.3 m of standoff wants most of. No scene, grasp or policy was asked.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from h2rh_env.core.errors import RobotError
from h2rh_env.core.geometry import SE3, Array, look_at
from h2rh_env.scenes.handover_scene import HandoverScene

from ...drivers.ur.kinematics import nearest_joints
from ...drivers.ur.reach import Reach
from ..base_placement import POSITIONS

TABLE_M = -0.4  # the arm stands on a pedestal
OBJECT_BASE_M = np.array([0.0, 0.5, -0.1])  # of the object at the middle position, from the base
HOME_JOINTS = np.radians([142.0, -128.0, -75.0, -122.0, 58.0, 160.0])
HOME_M, HOME_RAD = (
    (0.46, 0.52),
    (math.radians(32), math.radians(48)),
)  # from the middle position, and above it
HOME_ASIDE_RAD = math.radians(15)
TRIES = 100


@dataclass(frozen=True, eq=False)
class Bench:
    """A trial's beginning, in the frame of the arm's base, which is the world.

    Attributes:
        world_from_rest: the scene's frame, as the giver holds still; joints (6,): of the arm.
    """

    world_from_rest: SE3
    joints: Array


def bench_of(
    scene: HandoverScene, position: str, reach: Reach, gripper_from_camera: SE3, rng: np.random.Generator
) -> Bench:
    """The giver faces the base and holds the object at a position; the camera looks at the middle one.

    Neither depends on the scene's grasp: the giver stands so that his hand is behind the object.

    Raises:
        RobotError: no initial pose was found that the arm can take.
    """
    aside, above = POSITIONS[position]
    at = OBJECT_BASE_M + [0.0, aside, above]
    turn = Rotation.from_rotvec([0.0, 0.0, -_heading(scene)]).as_matrix()
    world_from_rest = SE3(turn, at - turn @ scene.object_centre)
    for _ in range(TRIES):
        camera = _home(rng)
        joints = _joints(reach, camera @ gripper_from_camera.inverse())
        if joints is not None:
            return Bench(world_from_rest, joints)
    raise RobotError(f"no initial pose within reach looks at where {scene.name} is held")


def _heading(scene: HandoverScene) -> float:
    """The angle, rad, about the vertical at which the hand lies from the object."""
    towards_hand = scene.hand_points.mean(axis=0) - scene.object_points.mean(axis=0)
    return math.atan2(towards_hand[1], towards_hand[0])


def _home(rng: np.random.Generator) -> SE3:
    """`world_from_camera` that looks at the middle position from before it."""
    distance, above, aside = (
        rng.uniform(*HOME_M), rng.uniform(*HOME_RAD), rng.uniform(-HOME_ASIDE_RAD, HOME_ASIDE_RAD)
    )  # fmt: skip
    back = np.array([-math.cos(above) * math.cos(aside), -math.cos(above) * math.sin(aside), math.sin(above)])
    return look_at(OBJECT_BASE_M + distance * back, OBJECT_BASE_M)


def _joints(reach: Reach, world_from_gripper: SE3) -> Array | None:
    """Joints near the home ones at which nothing speaks against being there; None without any."""
    base_from_flange = world_from_gripper.matrix @ np.linalg.inv(reach.flange_from_tcp)
    joints = nearest_joints(reach.geometry, base_from_flange, HOME_JOINTS)
    if joints is None or reach.speed_scale(world_from_gripper, joints) < 0.5:
        return None
    return joints

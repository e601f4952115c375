"""Where an arm of this family can be and go: joints exist, away from singularities, and nothing of it meets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from h2rh_env.core.geometry import SE3, Array

from .body import ArmBody
from .kinematics import ArmGeometry, condition_of, joint_frames, nearest_joints

SLOW_CONDITION, STOP_CONDITION = 17.0, 30.0  # MoveIt Servo's defaults
WORTHWHILE_SPEED_SCALE = 0.25  # on a path that isn't begun where it is less: 0.3 m once took 90 s
MAX_TURN_OF_JOINTS_RAD = 2.0  # a pose that needs more is on another branch, where no straight path leads
MAX_TURN_ON_WAY_RAD = 0.8  # from one pose of a path to the next; more is another branch, or a singularity


@dataclass(frozen=True, eq=False)
class Reach:
    """An arm at a base.

    Attributes:
        flange_from_tcp: (4, 4), as the pendant has it.
    """

    geometry: ArmGeometry
    flange_from_tcp: Array
    world_from_base: SE3 = field(default_factory=SE3.identity)
    body: ArmBody = field(default_factory=ArmBody)

    def speed_scale(self, world_from_gripper: SE3, now: Array) -> float:
        """1 away from singularities, falling to 0 where the arm, with joints `now` (6,), must not or cannot go."""
        joints = self._joints(world_from_gripper, now, MAX_TURN_OF_JOINTS_RAD)
        return 0.0 if joints is None else self._scale(world_from_gripper, joints)

    def can_follow(self, path: Sequence[SE3], world_from_gripper: SE3, now: Array) -> bool:
        """Whether the arm can go from where it is through all of these poses; see `interfaces.Arm`."""
        least, joints = min(WORTHWHILE_SPEED_SCALE, self._scale(world_from_gripper, now)), now
        for pose in path:
            following = self._joints(pose, joints, MAX_TURN_ON_WAY_RAD)
            if following is None or not 0 < self._scale(pose, following) >= least:
                return False
            joints = following
        return True

    def _joints(self, world_from_gripper: SE3, near: Array, most_rad: float) -> Array | None:
        """For a pose, on the branch of joints `near` (6,), none turned by more than `most_rad`; None if none are."""
        base_from_tcp = (self.world_from_base.inverse() @ world_from_gripper).matrix
        if not np.isfinite(base_from_tcp).all():
            return None
        joints = nearest_joints(self.geometry, base_from_tcp @ np.linalg.inv(self.flange_from_tcp), near)
        if joints is None or np.abs(joints - near).max() > most_rad:
            return None
        return joints

    def _scale(self, world_from_gripper: SE3, joints: Array) -> float:
        base_from_tcp = (self.world_from_base.inverse() @ world_from_gripper).matrix
        frames = joint_frames(self.geometry, joints)
        if not self.body.is_free(self.geometry, frames, base_from_tcp):
            return 0.0
        condition = condition_of(frames, base_from_tcp)
        return min(1.0, max(0.0, (STOP_CONDITION - condition) / (STOP_CONDITION - SLOW_CONDITION)))

"""Links, gripper and camera keep off the table and each other, and no arm can be where they do not."""

import numpy as np
import pytest

from h2rh_env.core.geometry import SE3, rotation_from_euler_xyz
from real_robot.drivers.ur.body import RADII_M, ArmBody, capsule_ends, least_gap
from real_robot.drivers.ur.kinematics import UR5, UR5E, forward, joint_frames
from real_robot.drivers.ur.reach import Reach
from real_robot.safety.camera_body import camera_axis

BENT = np.radians([10.0, -120.0, 100.0, -60.0, -80.0, 30.0])
ELBOW_DOWN = np.radians([10.0, -5.0, -110.0, -60.0, -80.0, 30.0])
FLANGE_FROM_TCP = np.eye(4)
FLANGE_FROM_TCP[2, 3] = 0.058
MOUNT = SE3(rotation_from_euler_xyz(np.array([0.2, 0.0, 0.0])), np.array([0.0, -0.075, 0.0]))


def is_free(arm, joints, table_m=-np.inf, mount=None):
    frames = joint_frames(arm, joints)
    axis = None if mount is None else camera_axis(mount)
    return ArmBody(table_m, axis).is_free(arm, frames, frames[-1] @ FLANGE_FROM_TCP)


@pytest.mark.parametrize("arm", [UR5, UR5E], ids=lambda arm: arm.name)
def test_the_links_lead_from_the_base_to_the_flange_without_a_gap(arm):
    """Each begins no further from the one before than the joint between them is long."""
    rng = np.random.default_rng(0)
    for joints in rng.uniform(-3, 3, (20, 6)):
        frames = joint_frames(arm, joints)
        ends = capsule_ends(arm, frames, frames[-1] @ FLANGE_FROM_TCP)
        for one, next_one in zip(ends[2:5, 1], ends[3:6, 0], strict=True):
            assert np.linalg.norm(one - next_one) < 0.15
        assert np.abs(ends[5, 1] - frames[-1][:3, 3]).max() < 1e-9


def test_an_arm_is_free_above_the_table_and_not_where_its_elbow_or_wrist_would_be_in_it():
    assert is_free(UR5, BENT, table_m=0.0)
    elbow = capsule_ends(UR5, joint_frames(UR5, ELBOW_DOWN), np.eye(4))[1, 1]
    assert elbow[2] < 0.15
    assert is_free(UR5, ELBOW_DOWN)
    assert not is_free(UR5, ELBOW_DOWN, table_m=0.09)


def test_the_gripper_does_not_reach_into_the_arm():
    folded = np.radians([0.0, -90.0, 150.0, 120.0, 90.0, 0.0])
    assert not is_free(UR5, folded)


def test_a_camera_meets_what_a_gripper_alone_would_pass():
    """The same arm with its wrist turned in many ways."""
    wrists = np.random.default_rng(0).uniform(-3, 3, (300, 3))
    turned = [np.concatenate([BENT[:3], wrist]) for wrist in wrists]
    free = [(is_free(UR5, joints), is_free(UR5, joints, mount=MOUNT)) for joints in turned]
    assert (True, False) in free
    assert (False, True) not in free


def test_the_gap_is_that_of_the_surfaces():
    """Two parallel wrists 0.3 m apart, all else far away."""
    ends = np.arange(16.0).reshape(8, 2, 1) * [100.0, 0.0, 0.0] + [0.0, 100.0, 0.0]
    ends[0], ends[3] = [[0, 0, 0], [0, 0, 1]], [[0.3, 0, 0.2], [0.3, 0, 0.9]]
    assert least_gap(ends) == pytest.approx(0.3 - RADII_M[0] - RADII_M[3], abs=1e-3)


def test_a_pose_whose_elbow_would_be_in_the_table_is_out_of_reach():
    pose = SE3.from_matrix(forward(UR5, ELBOW_DOWN) @ FLANGE_FROM_TCP)
    over_the_table = Reach(UR5, FLANGE_FROM_TCP, body=ArmBody(table_m=0.09))
    assert Reach(UR5, FLANGE_FROM_TCP).speed_scale(pose, ELBOW_DOWN) > 0
    assert over_the_table.speed_scale(pose, ELBOW_DOWN) == 0
    assert Reach(UR5, FLANGE_FROM_TCP).can_follow([pose], pose, ELBOW_DOWN)
    assert not over_the_table.can_follow([pose], pose, ELBOW_DOWN)

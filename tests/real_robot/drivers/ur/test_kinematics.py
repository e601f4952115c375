"""Forward and inverse kinematics undo each other; the Jacobian is the derivative; singular poses are known."""

import numpy as np
import pytest

from real_robot.drivers.ur.kinematics import (
    UR5,
    UR5E,
    condition_number,
    forward,
    inverse,
    jacobian,
    joint_frames,
    nearest_joints,
)

ARMS = pytest.mark.parametrize("arm", [UR5, UR5E], ids=lambda arm: arm.name)
BENT = np.radians([10.0, -120.0, 100.0, -60.0, -80.0, 30.0])


@ARMS
def test_every_inverse_is_one_and_the_joints_are_among_them(arm):
    rng = np.random.default_rng(0)
    for joints in rng.uniform(-3, 3, (100, 6)):
        pose = forward(arm, joints)
        found = inverse(arm, pose)
        assert all(np.abs(forward(arm, q) - pose).max() < 1e-9 for q in found)
        assert min(np.abs(np.remainder(q - joints + np.pi, 2 * np.pi) - np.pi).max() for q in found) < 1e-6


@ARMS
def test_the_nearest_joints_keep_their_turns(arm):
    joints = BENT + [0, 0, 0, 2 * np.pi, 0, -2 * np.pi]
    found = nearest_joints(arm, forward(arm, joints), joints + 0.05)
    assert np.abs(found - joints).max() < 1e-9


@ARMS
def test_out_of_reach_there_are_none(arm):
    far = forward(arm, BENT)
    far[:3, 3] = [1.5, 0, 0.2]
    assert inverse(arm, far) == []
    assert nearest_joints(arm, far, BENT) is None


@ARMS
def test_the_jacobian_is_the_derivative(arm):
    pose, step = forward(arm, BENT), 1e-6
    columns = jacobian(joint_frames(arm, BENT), pose)
    for k in range(6):
        moved = forward(arm, BENT + step * np.eye(6)[k])
        assert np.abs((moved[:3, 3] - pose[:3, 3]) / step - columns[:3, k]).max() < 1e-5
        turn = (moved[:3, :3] @ pose[:3, :3].T - np.eye(3)) / step
        assert np.abs([turn[2, 1], turn[0, 2], turn[1, 0]] - columns[3:, k]).max() < 1e-5


@ARMS
def test_a_stretched_arm_and_a_straight_wrist_are_singular(arm):
    assert condition_number(arm, BENT, forward(arm, BENT)) < 17
    for joint in (2, 4):
        joints = BENT.copy()
        joints[joint] = 0.0
        assert condition_number(arm, joints, forward(arm, joints)) > 1e6

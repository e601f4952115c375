"""One base: the giver faces it, the object is where the position says, and nothing depends on the scene's grasp."""

from dataclasses import replace

import numpy as np
import pytest

from h2rh_env.core.camera import HAND_EYE_CAMERA
from h2rh_env.core.geometry import SE3
from h2rh_env.grasps.base import GraspCandidate
from real_robot.drivers.ur.body import ArmBody
from real_robot.drivers.ur.kinematics import UR5, forward
from real_robot.drivers.ur.reach import Reach
from real_robot.emulator.base_placement import POSITIONS
from real_robot.emulator.lab.bench import OBJECT_BASE_M, TABLE_M, bench_of
from real_robot.emulator.lab.camera import MOUNT, calibrated
from real_robot.emulator.lab.devices import FLANGE_FROM_GRIPPER
from real_robot.safety.camera_body import camera_axis, camera_box

REACH = Reach(UR5, FLANGE_FROM_GRIPPER, body=ArmBody(TABLE_M, camera_axis(MOUNT)))


def bench(scene, position="middle", seed=0):
    return bench_of(scene, position, REACH, MOUNT, np.random.default_rng(seed))


@pytest.mark.parametrize("position", POSITIONS)
def test_the_object_is_where_the_position_says_and_the_hand_behind_it(scene, position):
    found = bench(scene, position)
    centre = found.world_from_rest.apply(scene.object_centre)
    aside, above = POSITIONS[position]
    assert np.allclose(centre, OBJECT_BASE_M + [0.0, aside, above])
    towards = found.world_from_rest.apply(scene.hand_points.mean(axis=0)) - centre
    assert towards[0] > 0
    assert abs(towards[1]) < 0.01
    assert np.allclose(found.world_from_rest.rotation[2], [0.0, 0.0, 1.0])


def test_the_camera_looks_at_the_middle_and_the_arm_can_be_there(scene):
    for seed in range(5):
        joints = bench(scene, seed=seed).joints
        pose = SE3.from_matrix(forward(UR5, joints) @ FLANGE_FROM_GRIPPER)
        assert REACH.speed_scale(pose, joints) >= 0.5
        seen = (pose @ MOUNT).inverse().apply(OBJECT_BASE_M)
        assert np.allclose(seen[:2], 0.0, atol=1e-9)
        assert 0.4 < seen[2] < 0.6


def test_neither_depends_on_the_grasp(scene):
    other = SE3(np.diag([1.0, -1.0, -1.0]), scene.object_centre + [0, 0, 0.3])
    turned = replace(scene, grasp=GraspCandidate(other, 0.05, 1.0))
    assert np.array_equal(bench(scene).joints, bench(turned).joints)
    assert np.array_equal(bench(scene).world_from_rest.matrix, bench(turned).world_from_rest.matrix)


def test_a_calibration_is_off_by_what_is_stated_and_the_mount_has_a_body():
    off = MOUNT.inverse() @ calibrated(MOUNT, np.random.default_rng(0))
    assert np.linalg.norm(off.translation) == pytest.approx(0.003)
    assert np.degrees(np.arccos((np.trace(off.rotation) - 1) / 2)) == pytest.approx(0.5)
    assert camera_box(MOUNT) is not None


def test_the_mounted_camera_sees_the_object_from_the_declared_pose_to_between_the_fingers():
    for ahead_m in (0.405, 0.2, 0.105):
        point = MOUNT.inverse().apply(np.array([0.0, 0.0, ahead_m]))
        column, row = HAND_EYE_CAMERA.project(point[None])[0]
        assert abs(column - HAND_EYE_CAMERA.cx) < 1e-6
        assert 0 < row < HAND_EYE_CAMERA.height

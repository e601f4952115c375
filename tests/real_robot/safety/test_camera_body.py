"""The camera on the gripper is bounded by the workspace, and hand and object are kept off it."""

import numpy as np

from h2rh_env.core.geometry import SE3
from real_robot.config import RobotConfig
from real_robot.safety.camera_body import box_hits, camera_axis, camera_box, camera_corners
from real_robot.safety.decision import Cause, Verdict
from real_robot.safety.motion_guard import MotionGuard, extent_with
from real_robot.safety.perception import SeenSurroundings

MOUNT = SE3(np.eye(3), np.array([0.0, -0.09, 0.0]))


def test_an_eye_within_the_gripper_has_no_body():
    assert camera_box(SE3.identity()) is None
    assert camera_axis(SE3.identity()) is None
    assert len(camera_corners(SE3.identity())) == 0


def test_the_box_is_as_large_as_the_camera_and_where_it_is():
    low, high = camera_box(MOUNT)
    assert np.allclose(high - low, [0.09, 0.025, 0.025])
    assert np.allclose((low + high) / 2, MOUNT.translation)


def test_a_camera_below_the_table_is_outside_the_workspace():
    """The gripper looks sideways, its camera beneath it: fingers alone would be 5 cm above the table."""
    sideways = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
    below = SE3(sideways, np.array([0.0, 0.09, 0.0]))
    turned = SE3(sideways, np.array([0.0, 0.0, 0.1]))
    assert (turned @ below).translation[2] < 0.02
    assert MotionGuard(RobotConfig()).begin(turned).verdict is Verdict.GO
    assert MotionGuard(RobotConfig(), extent_with(below)).begin(turned).cause is Cause.OUTSIDE


def test_a_hand_before_the_camera_blocks_an_advance_that_the_fingers_would_pass():
    hand = np.array([[0.0, -0.09, 0.15]])
    alone = SeenSurroundings(hand, hand[:0], None, advance_m=0.2)
    mounted = SeenSurroundings(hand, hand[:0], None, advance_m=0.2, camera_box=camera_box(MOUNT))
    assert not alone.is_blocked(SE3.identity())
    assert mounted.is_blocked(SE3.identity())
    mounted.advance_m = 0.05
    assert not mounted.is_blocked(SE3.identity())
    assert not box_hits(hand, SE3.identity(), camera_box(MOUNT), 0.05).any()

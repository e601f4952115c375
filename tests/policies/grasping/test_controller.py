"""The controller: from wherever it begins it ends in the goal, round the object and then straight in."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from h2rh_env.core.action import decode_action, encode_action
from h2rh_env.core.clearance.final_approach import final_approach_begin
from h2rh_env.core.geometry import SE3, look_at, rotation_angle, uniform_directions
from h2rh_env.core.gripper import FINGERTIP_DEPTH_M
from policies.grasping.controller import ControlConfig, arrived, aside, next_pose
from policies.grasping.fusion import Goal

CONFIG = ControlConfig()


def goal_of(seed):
    rng = np.random.default_rng(seed)
    return Goal(rng.normal(size=3) * 0.1, Rotation.random(random_state=seed).as_matrix(), 1.0)


def path_to(goal, start, most=60):
    poses = [start]
    while not arrived(poses[-1], goal, CONFIG) and len(poses) < most:
        target = next_pose(poses[-1], goal, CONFIG)
        motion, _ = decode_action(encode_action(poses[-1].inverse() @ target, 0.0))
        poses.append(poses[-1] @ motion)
    return poses


def starts(seed, distance_m):
    goal = goal_of(seed)
    direction = uniform_directions(np.random.default_rng(seed), 1)[0]
    return goal, look_at(goal.contact + distance_m * direction, goal.contact)


@pytest.mark.parametrize("distance_m", [0.12, 0.3, 0.7])
@pytest.mark.parametrize("seed", range(8))
def test_it_ends_in_the_goal_from_anywhere(seed, distance_m):
    goal, start = starts(seed, distance_m)
    poses = path_to(goal, start)
    assert arrived(poses[-1], goal, CONFIG)
    assert len(poses) < 60


@pytest.mark.parametrize("seed", range(8))
def test_it_comes_near_only_on_the_final_approach(seed):
    goal, start = starts(seed, 0.7)
    poses = path_to(goal, start)
    begin = final_approach_begin(np.array([pose.matrix for pose in poses]))
    distances = [np.linalg.norm(pose.translation - goal.contact) for pose in poses]
    assert min(distances[:begin], default=1) > 0.3
    assert min(distances) > FINGERTIP_DEPTH_M - CONFIG.close_m


def test_straight_behind_is_no_dead_point():
    goal = goal_of(3)
    position = goal.contact + 0.5 * goal.rotation[:, 2]
    assert arrived(path_to(goal, look_at(position, goal.contact))[-1], goal, CONFIG)


@pytest.mark.parametrize("seed", range(4))
def test_no_action_is_clipped(seed):
    goal, start = starts(seed, 0.7)
    pose = start
    for _ in range(40):
        target = next_pose(pose, goal, CONFIG)
        motion, _ = decode_action(encode_action(pose.inverse() @ target, 0.0))
        reached = pose @ motion
        assert np.allclose(reached.translation, target.translation, atol=1e-6)
        assert rotation_angle(reached.rotation.T @ target.rotation) < 1e-3
        pose = target


def test_fingers_may_be_exchanged():
    goal = goal_of(1)
    turned = SE3(goal.rotation @ np.diag([-1.0, -1.0, 1.0]), goal.pose_before(0).translation)
    assert arrived(turned, goal, CONFIG)
    assert arrived(goal.pose_before(0), goal, CONFIG)
    ahead = SE3(goal.rotation, turned.translation + 2 * CONFIG.close_m * goal.rotation[:, 2])
    assert not arrived(ahead, goal, CONFIG)


@pytest.mark.parametrize("seed", range(4))
def test_a_step_aside_keeps_the_distance_and_shows_parallax(seed):
    goal, start = starts(seed, 0.7)
    moved = aside(start, goal, CONFIG)
    sight = (goal.contact - start.translation) / 0.7
    step = moved.translation - start.translation
    assert np.linalg.norm(step) == pytest.approx(CONFIG.step_m)
    assert abs(step @ sight) < 1e-9


def test_a_standoff_ends_before_the_grasp_on_its_approach():
    goal, start = starts(2, 0.7)
    pose = start
    for _ in range(40):
        pose = next_pose(pose, goal, CONFIG, 0.3)
    assert arrived(pose, goal, CONFIG, 0.3)
    assert not arrived(pose, goal, CONFIG)
    assert np.allclose(
        pose.translation, goal.contact - (FINGERTIP_DEPTH_M + 0.3) * goal.rotation[:, 2], atol=CONFIG.close_m
    )


@pytest.mark.parametrize("beside_m", [0.01, 0.02, 0.04])
def test_a_goal_that_moves_a_little_close_by_is_met_without_leaving_the_corridor(beside_m):
    """It goes straight back until it can go straight in; nothing is swept aside on the way."""
    goal = goal_of(5)
    position = goal.pose_before(0.02).translation + beside_m * goal.rotation[:, 0]
    poses = path_to(goal, SE3(goal.rotation, position))
    assert arrived(poses[-1], goal, CONFIG)
    assert final_approach_begin(np.array([pose.matrix for pose in poses])) == 0
    sideways = [abs((pose.translation - goal.contact) @ goal.rotation[:, 0]) for pose in poses]
    left = [(goal.contact - pose.translation) @ goal.rotation[:, 2] - FINGERTIP_DEPTH_M for pose in poses]
    moved = -np.diff(sideways)
    assert all(before > 0.01 for step, before in zip(moved, left[:-1], strict=True) if step > CONFIG.funnel_m)
    assert len(poses) < 25

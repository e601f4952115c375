"""Motion: paths keep their ends and their speed, retreats go straight back, shakes return to where they began."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from h2rh_env.contact import motion
from h2rh_env.core.geometry import SE3, rotation_angle
from h2rh_env.core.gripper import FINGERTIP_DEPTH_M, ROBOTIQ_2F85

STEP_S = 0.002


@pytest.fixture(scope="module")
def path():
    """Three poses that move and turn."""
    rng = np.random.default_rng(0)
    return [SE3(Rotation.random(rng=rng).as_matrix(), rng.uniform(-0.3, 0.3, 3)) for _ in range(3)]


def tips(poses):
    return np.array([pose.apply(motion.TIP) for pose in poses])


def test_a_dense_path_passes_through_every_pose(path):
    dense = motion.dense_path(path)
    np.testing.assert_allclose(dense[0].matrix, path[0].matrix, atol=1e-12)
    np.testing.assert_allclose(dense[-1].matrix, path[-1].matrix, atol=1e-9)
    assert min(np.abs(pose.matrix - path[1].matrix).max() for pose in dense) < 1e-9
    assert np.linalg.norm(np.diff(tips(dense), axis=0), axis=1).max() <= 1.01 * motion.STRIDE_M


def test_nothing_is_faster_than_the_speed_and_the_end_is_reached(path):
    dense = motion.dense_path(path)
    setpoints = [dense[0], *motion.along(dense, 0.1, STEP_S)]
    origins = np.array([pose.translation for pose in setpoints])
    for points in (origins, tips(setpoints)):
        assert np.linalg.norm(np.diff(points, axis=0), axis=1).max() / STEP_S <= 0.1 + 1e-9
    np.testing.assert_allclose(setpoints[-1].matrix, path[-1].matrix, atol=1e-9)


def test_standing_still_takes_no_more_than_a_step(path):
    assert len(list(motion.along([path[0], path[0]], 0.1, STEP_S))) == 1


def test_a_retreat_is_straight_back_and_smooth(path):
    poses = list(motion.retreat(path[0], 0.15, 1.0, STEP_S))
    back = path[0].inverse().apply(np.array([pose.translation for pose in poses]))
    np.testing.assert_allclose(back[:, :2], 0, atol=1e-12)
    np.testing.assert_allclose(back[-1, 2], -0.15, atol=1e-12)
    assert (np.diff(back[:, 2]) <= 0).all()
    assert abs(back[0, 2]) < 1e-6


def test_a_shake_goes_out_along_each_axis_and_comes_back(path):
    poses = list(motion.shake(path[0], 0.02, 1.0, STEP_S))
    away = path[0].inverse().apply(np.array([pose.translation for pose in poses]))
    np.testing.assert_allclose(away.max(axis=0), 0.02, atol=1e-5)
    np.testing.assert_allclose(away[-1], 0, atol=1e-12)
    assert (np.count_nonzero(away > 1e-9, axis=1) <= 1).all()  # one axis at a time
    acceleration = np.diff(away, 2, axis=0) / STEP_S**2
    assert np.abs(acceleration).max() < 3.8


def test_only_what_comes_near_is_kept():
    ahead = np.array([[0, 0, FINGERTIP_DEPTH_M + 0.5]])
    straight = motion.dense_path([SE3.identity(), SE3(np.eye(3), np.array([0, 0, 0.5]))])
    kept = motion.near_part(straight, ahead, ROBOTIQ_2F85, 0.02)
    assert 0.02 <= straight[-1].translation[2] - kept[0].translation[2] < 0.02 + 3 * motion.STRIDE_M
    assert motion.near_part(straight, ahead + [0.5, 0, 0], ROBOTIQ_2F85, 0.02) == []


def test_what_lies_between_the_open_fingers_is_near():
    between = np.array([[0, 0, FINGERTIP_DEPTH_M - 0.02]])
    assert motion.near_part([SE3.identity()], between, ROBOTIQ_2F85, 0.005)


def test_interpolation_turns_evenly(path):
    setpoints = list(motion.along([path[0], path[1]], 0.1, STEP_S))
    turns = [rotation_angle(a.rotation.T @ b.rotation) for a, b in pairwise(setpoints)]
    np.testing.assert_allclose(turns, turns[0], rtol=1e-4)

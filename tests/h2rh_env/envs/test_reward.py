"""The shaped reward: its potential telescopes, it is bounded, and it is highest where it should be."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from h2rh_env.core.action import encode_action
from h2rh_env.core.geometry import SE3
from h2rh_env.core.gripper import half_turned
from h2rh_env.core.task import CLEARANCE_M
from h2rh_env.envs.handover import H2RHandoverEnv
from h2rh_env.envs.reward import ShapedReward, SparseReward, make_reward


def some_pose(rng, spread_m=1.0):
    return SE3(Rotation.random(rng=rng).as_matrix(), rng.normal(0, spread_m, 3))


@settings(deadline=None)
@given(seed=st.integers(0, 2**32 - 1), length=st.integers(1, 30), gamma=st.floats(0, 1))
def test_the_shaping_of_any_path_is_the_change_of_the_potential(tiny_scene, seed, length, gamma):
    rng = np.random.default_rng(seed)
    path = [some_pose(rng) for _ in range(length + 1)]
    reward = ShapedReward(gamma=gamma, shaping=1.0)
    steps = [reward.moved(tiny_scene, a, b, np.inf) for a, b in pairwise(path)]
    total = sum(gamma**t * step for t, step in enumerate(steps))
    expected = gamma**length * reward.potential(tiny_scene, path[-1]) - reward.potential(tiny_scene, path[0])
    assert total == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("success", [True, False])
def test_the_shaping_of_a_whole_episode_depends_on_its_start_alone(tiny_scene, success):
    rng = np.random.default_rng(0)
    reward, start = ShapedReward(), some_pose(rng)
    for length in (0, 3, 12):
        path = [start, *(some_pose(rng) for _ in range(length))]
        rewards = [reward.moved(tiny_scene, a, b, np.inf) for a, b in pairwise(path)]
        rewards.append(reward.declared(tiny_scene, path[-1], success))
        total = sum(reward.gamma**t * r for t, r in enumerate(rewards))
        expected = reward.gamma**length * success - reward.shaping * reward.potential(tiny_scene, start)
        assert total == pytest.approx(expected, abs=1e-12)


def test_the_potential_is_one_at_the_pregrasp_pose_whichever_way_the_gripper_is_turned(tiny_scene):
    reward, pregrasp = ShapedReward(), tiny_scene.grasp.pregrasp()
    for pose in (pregrasp, half_turned(pregrasp)):
        assert reward.potential(tiny_scene, pose) == pytest.approx(1, abs=1e-7)
    quarter = SE3(pregrasp.rotation @ Rotation.from_euler("z", np.pi / 2).as_matrix(), pregrasp.translation)
    assert reward.potential(tiny_scene, quarter) < 0.2


@settings(deadline=None)
@given(seed=st.integers(0, 2**32 - 1), fraction=st.floats(0, 1))
def test_the_potential_lies_between_zero_and_one_and_rises_along_the_straight_way(tiny_scene, seed, fraction):
    rng = np.random.default_rng(seed)
    reward, goal, start = ShapedReward(), tiny_scene.grasp.pregrasp(), some_pose(rng)
    nearer = SE3(start.rotation, goal.translation + fraction * (start.translation - goal.translation))
    assert 0 <= reward.potential(tiny_scene, start) <= reward.potential(tiny_scene, nearer) <= 1 + 1e-12


@settings(deadline=None)
@given(seed=st.integers(0, 2**32 - 1), clearance=st.floats(0, 1e6) | st.just(float("inf")))
def test_every_reward_is_finite_and_bounded(tiny_scene, seed, clearance):
    rng, reward = np.random.default_rng(seed), ShapedReward()
    step = reward.moved(tiny_scene, some_pose(rng, 1e3), some_pose(rng), clearance)
    assert -reward.shaping - reward.unsafe <= step <= reward.shaping
    for success in (True, False):
        assert -reward.shaping <= reward.declared(tiny_scene, some_pose(rng), success) <= 1


def test_coming_too_near_costs_in_proportion(tiny_scene):
    reward, pose = ShapedReward(gamma=1), some_pose(np.random.default_rng(0))
    costs = [-reward.moved(tiny_scene, pose, pose, c) for c in (0, CLEARANCE_M / 2, CLEARANCE_M, 1)]
    assert costs == pytest.approx([reward.unsafe, reward.unsafe / 2, 0, 0])


@pytest.mark.parametrize("giver", ["still", "moving"])
def test_the_environment_pays_what_the_reward_says(tiny_scene, giver):
    env, reward = H2RHandoverEnv(tiny_scene, reward="shaped", giver=giver), ShapedReward()
    env.reset(seed=0)
    env.action_space.seed(0)
    for _ in range(5):
        before = env.scene_from_gripper
        action = env.action_space.sample() * np.array([1, 1, 1, 1, 1, 1, 0], np.float32)
        _, earned, _, _, info = env.step(action)
        assert earned == reward.moved(tiny_scene, before, env.scene_from_gripper, info["clearance_m"])
    _, earned, *_ = env.step(encode_action(SE3.identity(), 1.0))
    assert earned == reward.declared(tiny_scene, env.scene_from_gripper, False)


def test_sparse_is_success_alone(tiny_scene):
    reward = make_reward("sparse")
    assert reward == SparseReward()
    assert reward.moved(tiny_scene, some_pose(np.random.default_rng(0)), SE3.identity(), 0.0) == 0
    assert [reward.declared(tiny_scene, SE3.identity(), success) for success in (True, False)] == [1, 0]

"""Stable-Baselines3: its checker is silent, PPO and SAC take actions in [-1, 1], its vector wrappers work."""

import warnings

import gymnasium as gym
import numpy as np
import pytest
from stable_baselines3 import PPO, SAC
from stable_baselines3.common.env_checker import check_env
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecNormalize

from h2rh_env.core.task import MAX_EPISODE_STEPS


def test_the_checker_only_recommends_the_wrapper_that_it_then_accepts(small, rescaled):
    with warnings.catch_warnings(record=True) as met:
        warnings.simplefilter("always")
        check_env(gym.make("H2RHandover-v0", **small))
    assert [str(w.message)[:41] for w in met] == ["We recommend you to use a symmetric and n"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(rescaled)


def test_episodes_end_as_vec_normalize_expects(tiny_scene):
    env = make_vec_env("H2RHandover-v0", 2, seed=0, env_kwargs={"scenes": tiny_scene})
    env = VecNormalize(env, norm_obs=False, norm_reward=True)
    env.reset()
    for _ in range(MAX_EPISODE_STEPS):
        _, rewards, dones, infos = env.step(np.zeros((2, 7), np.float32))
    assert dones.all()
    assert np.isfinite(rewards).all()
    assert all(info["TimeLimit.truncated"] for info in infos)
    assert infos[0]["terminal_observation"]["rgb"].shape == (168, 224, 3)


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("algorithm", "options"),
    [
        (PPO, {"n_steps": 32, "batch_size": 16, "n_epochs": 1}),
        (SAC, {"buffer_size": 200, "batch_size": 8, "learning_starts": 40}),
    ],
    ids=["PPO", "SAC"],
)
def test_an_algorithm_learns_and_counts_successes(rescaled, algorithm, options):
    model = algorithm("MultiInputPolicy", rescaled, seed=0, **options)
    before = [weight.clone() for weight in model.policy.parameters()]
    model.learn(64)
    assert any((one != two).any() for one, two in zip(before, model.policy.parameters(), strict=True))
    assert len(model.ep_info_buffer) == len(model.ep_success_buffer) > 0
    assert set(map(bool, model.ep_success_buffer)) <= {False, True}
    action, _ = model.predict(rescaled.reset(seed=0)[0], deterministic=True)
    assert rescaled.action_space.contains(action)

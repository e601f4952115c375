from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import stable_baselines3

from h2rh_env.core.camera import HAND_EYE_CAMERA
from h2rh_env.core.errors import PolicyError
from h2rh_env.core.spaces import action_space, observation_space
from policies.registry import make_policy
from policies.rl.sb3_policy import Sb3Policy

CAMERA = HAND_EYE_CAMERA.resized(48, 36)


class Blank(gym.Env):
    observation_space = observation_space(CAMERA)
    action_space = action_space()

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.observation_space.sample(), {}

    def step(self, action):
        return self.observation_space.sample(), 0.0, False, False, {}


@pytest.mark.parametrize(("algorithm", "options"), [("PPO", {}), ("A2C", {}), ("SAC", {"buffer_size": 1})])
def test_a_model_file_acts_as_the_model(tmp_path: Path, algorithm: str, options: dict[str, int]) -> None:
    model = getattr(stable_baselines3, algorithm)("MultiInputPolicy", Blank(), seed=0, **options)
    model.save(tmp_path / "model.zip")
    policy = Sb3Policy(tmp_path / "model.zip", CAMERA)
    observation = Blank.observation_space.sample()
    policy.reset(0)
    expected, _ = model.predict(observation, deterministic=True)
    np.testing.assert_allclose(policy.act(observation), expected, atol=1e-6)
    assert action_space().contains(policy.act(observation))


@pytest.mark.parametrize(("algorithm", "options"), [("PPO", {}), ("SAC", {"buffer_size": 1})])
def test_a_model_behind_rescale_action_acts_as_the_environment_was_moved(
    tmp_path: Path, algorithm: str, options: dict[str, int]
) -> None:
    env = gym.wrappers.RescaleAction(Blank(), np.float32(-1), np.float32(1))
    model = getattr(stable_baselines3, algorithm)("MultiInputPolicy", env, seed=0, **options)
    model.save(tmp_path / "model.zip")
    observation = Blank.observation_space.sample()
    expected = env.action(model.predict(observation, deterministic=True)[0])
    np.testing.assert_allclose(
        Sb3Policy(tmp_path / "model.zip", CAMERA).act(observation), expected, atol=1e-6
    )


def test_a_model_of_other_bounds_is_refused(tmp_path: Path) -> None:
    env = gym.wrappers.RescaleAction(Blank(), np.float32(-2), np.float32(2))
    stable_baselines3.PPO("MultiInputPolicy", env, seed=0).save(tmp_path / "model.zip")
    with pytest.raises(
        PolicyError, match=r"its actions lie between .*-2.*expected the environment's or \[-1, 1\]"
    ):
        Sb3Policy(tmp_path / "model.zip", CAMERA)


def test_other_files_and_other_spaces_are_told(tmp_path: Path) -> None:
    (tmp_path / "model.zip").write_bytes(b"PK")
    with pytest.raises(PolicyError, match="not a Stable-Baselines3 model"):
        make_policy(str(tmp_path / "model.zip"))
    stable_baselines3.PPO("MultiInputPolicy", Blank(), seed=0).save(tmp_path / "small.zip")
    with pytest.raises(PolicyError, match="of this environment's spaces"):
        make_policy(str(tmp_path / "small.zip"))

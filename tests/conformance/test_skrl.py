"""skrl: it wraps one environment and many, and takes their flattened observations."""

import gymnasium as gym
import pytest

torch = pytest.importorskip("torch")
wrap_env = pytest.importorskip("skrl.envs.wrappers.torch", reason="pip install skrl").wrap_env


@pytest.mark.parametrize("num_envs", [1, 3])
def test_a_wrapped_environment_begins_and_goes_on(small, num_envs):
    made = (
        gym.make("H2RHandover-v0", **small)
        if num_envs == 1
        else gym.make_vec("H2RHandover-v0", num_envs, autoreset_mode="SameStep", **small)
    )
    env = wrap_env(made, wrapper="gymnasium")
    assert env.num_envs == num_envs
    observation, info = env.reset()
    assert observation.shape == (num_envs, 42 * 56 * (3 + 2))
    actions = torch.zeros(num_envs, 7)
    actions[0, 6] = 1
    observation, reward, terminated, _, info = env.step(actions)
    assert observation.shape == (num_envs, 42 * 56 * (3 + 2))
    assert reward.shape == terminated.shape == (num_envs, 1)
    assert terminated.flatten().tolist() == [True] + [False] * (num_envs - 1)
    assert "is_success" in info

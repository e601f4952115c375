"""RLlib: PPO samples and learns from what flattened observations it is given."""

import numpy as np
import pytest

rllib = pytest.importorskip(
    "ray.rllib.algorithms.ppo", reason='pip install "ray[rllib]", in an environment of its own'
)


@pytest.mark.nightly
def test_ppo_takes_a_step_of_learning(small):
    import gymnasium as gym
    import ray
    from ray.tune.registry import register_env

    def make(config):
        env = gym.make("H2RHandover-v0", reward="shaped", **small)
        env = gym.wrappers.RescaleAction(env, np.float32(-1), np.float32(1))
        env = gym.wrappers.FlattenObservation(env)
        return gym.wrappers.TransformObservation(
            env,
            lambda flat: flat.astype(np.float32),
            gym.spaces.Box(0, 255, env.observation_space.shape, np.float32),
        )

    register_env("handover", make)
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
    try:
        config = (
            rllib.PPOConfig()
            .environment("handover")
            .env_runners(num_env_runners=0, rollout_fragment_length=64)
            .training(train_batch_size_per_learner=64, minibatch_size=32, num_epochs=1)
        )
        result = config.build_algo().train()
        assert result["env_runners"]["num_env_steps_sampled"] >= 64
        assert np.isfinite(result["env_runners"]["episode_return_mean"])
    finally:
        ray.shutdown()

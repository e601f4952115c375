"""torchrl: one environment and batches of them, with everything that an info tells."""

import gymnasium as gym
import pytest
from gymnasium.vector import AutoresetMode

torchrl_gym = pytest.importorskip("torchrl.envs.libs.gym", reason="pip install torchrl")
GymEnv, GymWrapper = torchrl_gym.GymEnv, torchrl_gym.GymWrapper
check_env_specs = pytest.importorskip("torchrl.envs.utils").check_env_specs

STEPS = 40  # more than an episode has
TOLD = {"scene_index", "scene_from_camera", "clearance_m", "is_success", "first_failure_index"}


def test_one_environment_rolls_out_with_all_that_its_info_tells(small):
    env = GymEnv("H2RHandover-v0", **small).auto_register_info_dict()
    check_env_specs(env)
    rollout = env.rollout(STEPS, break_when_any_done=False)
    assert rollout.shape == (STEPS,)
    assert set(rollout["next"].keys()) >= TOLD
    assert rollout["next", "rgb"].shape == (STEPS, 42, 56, 3)
    assert rollout["next", "scene_from_camera"].shape == (STEPS, 4, 4)
    assert rollout["next", "done"].any()


@pytest.mark.nightly
def test_processes_roll_out_together(small):
    env = GymEnv("H2RHandover-v0", num_envs=3, **small)
    try:
        check_env_specs(env)
        assert env.rollout(STEPS, break_when_any_done=False).shape == (3, STEPS)
    finally:
        env.close()


@pytest.mark.parametrize(
    "autoreset", [AutoresetMode.SAME_STEP, AutoresetMode.DISABLED], ids=lambda mode: mode.value
)
@pytest.mark.parametrize("mode", ["sync", "vector_entry_point"])
def test_a_vector_environment_rolls_out(small, mode, autoreset):
    how = {"autoreset_mode": autoreset}
    options = small | how if mode == "vector_entry_point" else small | {"vector_kwargs": how}
    env = GymWrapper(gym.make_vec("H2RHandover-v0", 3, mode, **options))
    if autoreset is AutoresetMode.DISABLED:  # the other mode reads infos by itself
        env = env.auto_register_info_dict()
    check_env_specs(env)
    rollout = env.rollout(STEPS, break_when_any_done=False)
    assert rollout.shape == (3, STEPS)
    assert rollout["next", "done"].any()
    assert set(rollout["next"].keys()) >= TOLD


def test_next_step_autoreset_is_refused_by_the_library_itself(small):
    with pytest.raises(RuntimeError, match="SAME_STEP or DISABLED"):
        GymWrapper(gym.make_vec("CartPole-v1", 2, "sync"))
    with pytest.raises(RuntimeError, match="SAME_STEP or DISABLED"):
        GymWrapper(gym.make_vec("H2RHandover-v0", 2, **small))

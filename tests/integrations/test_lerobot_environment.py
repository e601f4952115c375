"""The plug-in's environment, which needs no LeRobot: it shows what the export shows, and plays the same episodes."""

import importlib.util
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from h2rh_env.core.action import encode_action
from h2rh_env.core.camera import HAND_EYE_CAMERA
from h2rh_env.core.geometry import SE3, rotation_from_euler_xyz
from h2rh_env.core.task import EPISODE_STEPS
from h2rh_env.datasets.lerobot.features import SENTENCES, grey, pose_numbers

FILE = Path(__file__).parents[2] / "integrations" / "lerobot_env_h2rh" / "lerobot_env_h2rh" / "environment.py"
MOTION = SE3(rotation_from_euler_xyz(np.array([0.05, -0.1, 0.1])), np.array([0.01, 0.02, 0.05]))
STEP, DECLARE = encode_action(MOTION, 0.0), encode_action(SE3.identity(), 1.0)


@pytest.fixture(scope="module")
def environment():
    """The file alone: its package imports LeRobot."""
    spec = importlib.util.spec_from_file_location("plug_in_environment", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def small(tiny_scene):
    return {"scenes": tiny_scene, "camera": HAND_EYE_CAMERA.resized(56, 42)}


@pytest.fixture(params=["reach", "moving", "grasp"])
def task(request):
    return request.param


def test_it_keeps_gymnasiums_contract(environment, small, task):
    check_env(environment.LeRobotHandover(environment.HANDOVERS[task], **small), skip_render_check=True)


def test_it_says_what_lerobot_asks_for(environment, small, task):
    env = environment.LeRobotHandover(environment.HANDOVERS[task], **small)
    ended_by = "grasp" if task == "grasp" else "reach"
    assert (env.task, env.task_description) == (task, SENTENCES[ended_by])
    assert env._max_episode_steps == EPISODE_STEPS[ended_by]
    assert env.metadata["render_fps"] == 10
    env.reset(seed=0)
    assert env.render().shape == (42, 56, 3)


def test_an_observation_is_a_frame_of_the_export(environment, small, task):
    env = environment.LeRobotHandover(environment.HANDOVERS[task], **small)
    plain = gym.make(environment.HANDOVERS[task], **small)
    (seen, info), (expected, known) = env.reset(seed=3), plain.reset(seed=3)
    world_from_first = known["world_from_camera"]
    np.testing.assert_allclose(seen["agent_pos"], [0, 0, 0, 1, 0, 0, 0], atol=1e-6)
    for _ in range(3):
        seen, _, _, _, info = env.step(STEP)
        expected, _, _, _, known = plain.step(STEP)
        np.testing.assert_array_equal(seen["pixels"]["rgb"], expected["rgb"])
        np.testing.assert_array_equal(seen["pixels"]["masks"], grey(expected["masks"]))
        relative = np.linalg.inv(world_from_first) @ known["world_from_camera"]
        np.testing.assert_allclose(seen["agent_pos"], pose_numbers(relative[None])[0], atol=1e-6)
        assert not info["is_success"]
    np.testing.assert_allclose(
        seen["agent_pos"], pose_numbers((MOTION @ MOTION @ MOTION).matrix[None])[0], atol=1e-5
    )


def test_success_is_told_at_every_reset_step_and_end(environment, small, tiny_scene):
    def make():
        return environment.LeRobotHandover(**small)

    env = gym.vector.SyncVectorEnv([make, make], autoreset_mode=gym.vector.AutoresetMode.SAME_STEP)
    _, info = env.reset(seed=0, options={"scene_from_camera": tiny_scene.grasp.pregrasp()})
    assert info["is_success"].tolist() == [False, False]
    *_, info = env.step(np.stack([STEP, DECLARE]))
    assert info["final_info"]["is_success"].tolist() == [False, True]
    assert info["is_success"].tolist() == [False, False]


def test_an_episode_is_truncated_as_the_handover_is(environment, small):
    env = environment.LeRobotHandover(**small)
    env.reset(seed=0)
    ends = [env.step(np.zeros(7, np.float32))[2:4] for _ in range(env._max_episode_steps)]
    assert ends[-1] == (False, True)
    assert not any(map(any, ends[:-1]))

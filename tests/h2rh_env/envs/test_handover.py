"""The environment keeps its own specification and its seed's promise."""

import json
import pickle

import cloudpickle
import gymnasium as gym
import numpy as np
import pytest

import h2rh_env  # noqa: F401 (registers the environment)
from h2rh_env.core.action import encode_action
from h2rh_env.core.errors import ActionError, SceneError, StateError
from h2rh_env.core.geometry import SE3
from h2rh_env.core.task import MAX_EPISODE_STEPS
from h2rh_env.envs.handover import H2RHandoverEnv


@pytest.fixture
def env(tiny_scene):
    return H2RHandoverEnv(tiny_scene)


def test_the_same_seed_gives_the_same_episode(env):
    def roll(seed):
        observation, info = env.reset(seed=seed)
        env.action_space.seed(seed)
        out = [observation["rgb"], observation["masks"], info["scene_from_camera"]]
        for _ in range(4):
            action = env.action_space.sample()
            action[6] = 0
            observation, *_, info = env.step(action)
            out += [observation["rgb"], observation["masks"], info["scene_from_camera"]]
        return out

    for a, b in zip(roll(5), roll(5), strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(roll(5)[2], roll(6)[2])


def test_an_action_moves_the_camera_in_its_own_frame(env):
    env.reset(seed=0)
    before = env.scene_from_camera
    motion = SE3(np.eye(3), np.array([0.01, -0.02, 0.03]))
    env.step(encode_action(motion, 0.0))
    np.testing.assert_allclose((before.inverse() @ env.scene_from_camera).matrix, motion.matrix, atol=1e-7)


def test_the_action_that_declares_ends_the_episode_where_it_stands(env, tiny_scene):
    pregrasp = tiny_scene.grasp.pregrasp()
    env.reset(seed=0, options={"scene_from_camera": pregrasp.matrix})
    motion = SE3(np.eye(3), np.array([0, 0, 0.05]))
    _, reward, terminated, truncated, info = env.step(encode_action(motion, 0.7 + 1e-6))
    np.testing.assert_allclose(env.scene_from_camera.matrix, pregrasp.matrix)
    assert (reward, terminated, truncated) == (1.0, True, False)
    assert info["is_success"]


def test_no_success_is_told_before_there_is_one(env):
    _, info = env.reset(seed=0)
    assert not info["is_success"]
    assert not env.step(np.zeros(7, np.float32))[-1]["is_success"]


def test_declaring_at_the_start_earns_nothing_and_says_why(env):
    env.reset(seed=0)
    _, reward, terminated, _, info = env.step(encode_action(SE3.identity(), 1.0))
    assert (reward, terminated) == (0.0, True)
    assert env.failures[info["first_failure_index"]] in {"off centre", "out of the band"}


def test_an_episode_is_truncated_after_thirty_steps(tiny_scene):
    env = gym.make("H2RHandover-v0", scenes=tiny_scene)
    env.reset(seed=0)
    ends = [env.step(np.zeros(7, np.float32))[2:4] for _ in range(MAX_EPISODE_STEPS)]
    assert ends[:-1] == [(False, False)] * (MAX_EPISODE_STEPS - 1)
    assert ends[-1] == (False, True)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_an_action_that_is_not_finite_is_an_error_and_moves_nothing(env, bad):
    env.reset(seed=0)
    before = env.scene_from_camera.matrix
    with pytest.raises(ActionError, match="finite"):
        env.step(np.array([0, 0, bad, 0, 0, 0, 0]))
    np.testing.assert_array_equal(env.scene_from_camera.matrix, before)


def test_masks_are_binary_disjoint_and_show_both(env, tiny_scene):
    observation, _ = env.reset(seed=0, options={"scene_from_camera": tiny_scene.grasp.pregrasp().matrix})
    masks = observation["masks"]
    assert set(np.unique(masks)) == {0, 255}
    assert not (masks.min(axis=2) > 0).any()
    assert (masks[..., 0] > 0).sum() > 200
    assert (observation["rgb"][masks.max(axis=2) == 0] <= 128).all()


def test_depth_on_demand_is_metric(tiny_scene):
    env = H2RHandoverEnv(tiny_scene, depth=True)
    observation, _ = env.reset(seed=0, options={"scene_from_camera": tiny_scene.grasp.pregrasp().matrix})
    assert env.observation_space.contains(observation)
    centre = observation["depth"][74:94, 102:122]
    assert np.median(centre) == pytest.approx(0.405 - 0.033, abs=0.008)


def test_a_background_fills_what_is_not_covered(tiny_scene):
    background = np.full((168, 224, 3), 77, np.uint8)
    env = H2RHandoverEnv(tiny_scene, background=background)
    observation, _ = env.reset(seed=0)
    assert (observation["rgb"][0, 0] == 77).all()


def test_a_hand_eye_offset_moves_the_gripper_not_the_image(tiny_scene):
    offset = SE3(np.eye(3), np.array([0.0, 0.05, 0.1]))
    plain, offset_env = H2RHandoverEnv(tiny_scene), H2RHandoverEnv(tiny_scene, gripper_from_camera=offset)
    start = tiny_scene.grasp.pregrasp()
    a, _ = plain.reset(seed=0, options={"scene_from_camera": start.matrix})
    b, _ = offset_env.reset(seed=0, options={"scene_from_camera": start.matrix})
    np.testing.assert_array_equal(a["rgb"], b["rgb"])
    np.testing.assert_allclose((offset_env.scene_from_gripper @ offset).matrix, start.matrix, atol=1e-12)


def test_an_unknown_scene_lists_the_known_ones(env):
    with pytest.raises(SceneError, match=r"'nowhere'.*tiny"):
        env.reset(options={"scene": "nowhere"})


@pytest.mark.parametrize("make", [gym.make, gym.make_vec])
def test_an_unknown_argument_names_the_known_ones(make):
    with pytest.raises(
        TypeError,
        match=r"^unexpected keyword argument 'giverr' \(did you mean 'giver'\?\); known are .*scenes, camera.*reward",
    ):
        make("H2RHandover-v0", giverr="moving")


def test_an_unknown_reset_option_names_the_known_ones(env):
    with pytest.raises(ValueError, match=r"'world_from_camera' is unknown.*scene, scene_from_camera"):
        env.reset(options={"world_from_camera": np.eye(4)})


def test_every_argument_stands_in_the_table():
    import inspect

    documented = H2RHandoverEnv.__doc__
    for name in inspect.signature(H2RHandoverEnv).parameters:
        assert name == "unknown" or f"| `{name}` |" in documented


def test_scenes_of_one_name_are_told_apart_by_content(tiny_scene):
    from dataclasses import replace

    other = replace(tiny_scene, gaussians=tiny_scene.gaussians.select(np.arange(700, 1300)))
    env = H2RHandoverEnv([tiny_scene, other])
    with pytest.raises(SceneError, match="2 different scenes have the name 'tiny'"):
        env.reset(options={"scene": "tiny"})
    for index, scene in enumerate(env.scenes):
        for wanted in (scene, scene.content_hash):
            _, info = env.reset(seed=0, options={"scene": wanted})
            assert info["scene_index"] == index
            assert env.scene is scene
        state = env.get_state()
        again = H2RHandoverEnv([other, tiny_scene])
        assert again.set_state(state)[1]["scene_index"] == 1 - index
    with pytest.raises(StateError, match="content hash"):
        H2RHandoverEnv(tiny_scene).set_state(state)


def test_the_same_scene_twice_may_be_asked_for_by_its_name(tiny_scene):
    assert H2RHandoverEnv([tiny_scene, tiny_scene]).reset(options={"scene": "tiny"})[1]["scene_index"] == 0


def test_wrong_arguments_say_what_would_be_right(tiny_scene):
    with pytest.raises(ValueError, match="rgb_array"):
        H2RHandoverEnv(tiny_scene, render_mode="human")
    with pytest.raises(ValueError, match=r"\(168, 224, 3\)"):
        H2RHandoverEnv(tiny_scene, background=np.zeros((3, 4, 3), np.uint8))
    with pytest.raises(SceneError, match="at least one"):
        H2RHandoverEnv([])
    with pytest.raises(ValueError, match="sparse, shaped"):
        H2RHandoverEnv(tiny_scene, reward="dense")
    with pytest.raises(ValueError, match="still, moving"):
        H2RHandoverEnv(tiny_scene, giver="running")


@pytest.mark.parametrize("giver", ["still", "moving"])
@pytest.mark.parametrize("taken", [json.dumps, pickle.dumps], ids=["json", "pickle"])
def test_a_state_rewinds_an_episode(tiny_scene, giver, taken):
    env, other = H2RHandoverEnv(tiny_scene, giver=giver), H2RHandoverEnv([tiny_scene], giver=giver)
    env.reset(seed=3)
    step = encode_action(SE3(np.eye(3), np.array([0.01, 0, 0.05])), 0.0)
    env.step(step)
    state = (json.loads if taken is json.dumps else pickle.loads)(taken(env.get_state()))

    def onward(env):
        out = [env.step(step) for _ in range(3)] + [env.step(encode_action(SE3.identity(), 1.0))]
        observation, info = env.reset()
        return [
            *(o[0]["rgb"] for o in out),
            *(o[1] for o in out),
            observation["rgb"],
            info["scene_from_camera"],
        ]

    expected = onward(env)
    for again in (env, other):
        observation, info = again.set_state(state)
        assert again.observation_space.contains(observation)
        assert again.scenes[info["scene_index"]].name == "tiny"
        for a, b in zip(onward(again), expected, strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_state_of_elsewhere_is_told(env):
    env.reset(seed=0)
    state = env.get_state()
    with pytest.raises(StateError, match=r"'nowhere'.*tiny"):
        env.set_state(state | {"episode": state["episode"] | {"scene": "nowhere", "content_hash": "0" * 64}})
    with pytest.raises(StateError, match="malformed"):
        env.set_state(state | {"episode": state["episode"] | {"path": [[1, 2]]}})
    with pytest.raises(StateError, match="random generator"):
        env.set_state(state | {"rng": {"bit_generator": "none"}})


@pytest.mark.parametrize("module", [pickle, cloudpickle])
def test_a_pickled_environment_goes_on_alike(tiny_scene, module):
    env = gym.make("H2RHandover-v0", scenes=tiny_scene)
    env.reset(seed=1)
    other = module.loads(module.dumps(env))
    step = encode_action(SE3(np.eye(3), np.array([0.0, 0.02, 0.05])), 0.0)
    np.testing.assert_array_equal(env.step(step)[0]["rgb"], other.step(step)[0]["rgb"])
    np.testing.assert_array_equal(env.reset()[0]["rgb"], other.reset()[0]["rgb"])

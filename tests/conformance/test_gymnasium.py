"""Gymnasium: its checker is silent, every way of making many gives the same, its wrappers work."""

import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode

MODES = ("sync", pytest.param("async", marks=pytest.mark.nightly), "vector_entry_point")
COMMON = {
    "scene_index", "scene_from_camera", "world_from_camera", "world_from_scene", "clearance_m", "is_success",
    "first_failure_index",
}  # fmt: skip
OF_CONTACT = {"touched_hand", "pushed_m"}


def names_of(env_id):
    return COMMON | OF_CONTACT if "Grasp" in env_id else COMMON


def declaring(num_envs, *those):
    actions = np.zeros((num_envs, 7), np.float32)
    actions[list(those), 6] = 1
    return actions


def make_vec(env_id, mode, autoreset, **options):
    how = {"autoreset_mode": autoreset}
    if mode == "vector_entry_point":
        return gym.make_vec(env_id, 2, mode, **how, **options)
    return gym.make_vec(env_id, 2, mode, vector_kwargs=how, **options)


@pytest.mark.parametrize("reward", ["sparse", "shaped"])
def test_the_checker_has_nothing_to_say(env_id, small, reward):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(gym.make(env_id, render_mode="rgb_array", reward=reward, **small).unwrapped)


def test_every_info_holds_the_same_names_and_only_numbers(env_id, small):
    env = gym.make(env_id, **small)
    infos = [env.reset(seed=0)[1]]
    infos += [env.step(action)[-1] for action in (*declaring(2), declaring(1, 0)[0])]
    for info in infos:
        assert set(info) == names_of(env_id)
        for name, value in info.items():
            assert value.dtype.kind in "bif", name
        assert info["is_success"].dtype == bool


def test_a_failure_is_told_by_its_place(env_id, small):
    env = gym.make(env_id, **small)
    *_, info = env.reset(seed=0)
    assert env.unwrapped.failures[info["first_failure_index"]] is None
    *_, info = env.step(declaring(1, 0)[0])
    assert env.unwrapped.failures[info["first_failure_index"]] in {
        "off centre",
        "out of the band",
        "closed on nothing",
    }
    vector = gym.make_vec(env_id, 1, **small)
    assert vector.unwrapped.failures == env.unwrapped.failures
    assert [scene.name for scene in vector.unwrapped.scenes] == [env.unwrapped.scene.name]


@pytest.mark.parametrize("autoreset", list(AutoresetMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize("mode", MODES)
def test_all_ways_of_making_many_tell_the_same(env_id, small, mode, autoreset):
    env = make_vec(env_id, mode, autoreset, **small)
    try:
        _, begun = env.reset(seed=0)
        *_, terminations, _, ended = env.step(declaring(2, 0))
    finally:
        env.close()
    assert terminations.tolist() == [True, False]
    for infos in (begun, ended):
        for name in names_of(env_id):
            assert infos[name].dtype.kind in "bif", name
            assert infos[f"_{name}"].all()
    assert ended["is_success"].tolist() == [False, False]
    final = ended.get("final_info", {})
    assert bool(final) == (autoreset is AutoresetMode.SAME_STEP)
    if final:
        assert {name for name in final if name[0] != "_"} == names_of(env_id)
        assert final["is_success"].dtype == bool
        assert final["_is_success"].tolist() == [True, False]
        assert final["first_failure_index"][0] > 0


@pytest.mark.parametrize("many", [False, True])
def test_no_array_is_handed_out_twice(small, many):
    env = gym.make_vec("H2RHandover-v0", 2, **small) if many else gym.make("H2RHandover-v0", **small)
    given = [env.reset(seed=0)]
    given += [env.step(declaring(2) if many else declaring(1)[0])[::4] for _ in range(3)]
    arrays = [
        value
        for observation, info in given
        for value in (*observation.values(), *info.values())
        if isinstance(value, np.ndarray)
    ]
    for i, one in enumerate(arrays):
        assert one.flags.writeable
        assert not any(np.shares_memory(one, other) for other in arrays[:i])


def test_wrappers_stack_on_one_another(small):
    env = gym.make("H2RHandover-v0", render_mode="rgb_array", **small)
    env = gym.wrappers.RecordEpisodeStatistics(env)
    env = gym.wrappers.RescaleAction(env, np.float32(-1), np.float32(1))
    env = gym.wrappers.FrameStackObservation(env, 3)
    observation, _ = env.reset(seed=0)
    assert observation["rgb"].shape == (3, 42, 56, 3)
    assert env.observation_space.contains(observation)
    *_, terminated, _, info = env.step(np.float32([0, 0, 0, 0, 0, 0, 1]))
    assert terminated
    assert info["episode"]["l"] == 1
    assert not info["is_success"]


def test_an_episode_becomes_a_video(tiny_scene, tmp_path):
    pytest.importorskip("moviepy", reason="RecordVideo needs moviepy")
    env = gym.make("H2RHandover-v0", scenes=tiny_scene, render_mode="rgb_array")
    env = gym.wrappers.RecordVideo(env, str(tmp_path), episode_trigger=lambda episode: True)
    env.reset(seed=0)
    for action in (*declaring(3), declaring(1, 0)[0]):
        env.step(action)
    env.close()
    assert [path.suffix for path in tmp_path.iterdir() if path.suffix != ".json"] == [".mp4"]

"""A vector environment is its single environments, bit by bit, in every way of beginning anew."""

import copy
import json
import pickle
import runpy
from pathlib import Path

import cloudpickle
import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from h2rh_env.core.camera import HAND_EYE_CAMERA
from h2rh_env.core.errors import ActionError, StateError
from h2rh_env.core.spaces import action_space
from h2rh_env.core.task import MAX_EPISODE_STEPS
from h2rh_env.envs.handover import H2RHandoverEnv

CAMERA = HAND_EYE_CAMERA.resized(56, 42)
IDS = ("H2RHandover-v0", "H2RHandoverMoving-v0")
MODES = ("NextStep", "SameStep")


def vector(scenes, num_envs=3, name="H2RHandover-v0", **options):
    options = {"scenes": scenes, "camera": CAMERA, "rasteriser": "numba"} | options
    return gym.make_vec(name, num_envs=num_envs, vectorization_mode="vector_entry_point", **options)


def singles(scenes, num_envs=3, name="H2RHandover-v0", mode="NextStep", kind=SyncVectorEnv, **options):
    options = {"scenes": scenes, "camera": CAMERA, "rasteriser": "numba"} | options
    return kind([lambda: gym.make(name, **options)] * num_envs, autoreset_mode=mode)


def some_actions(rng, num_envs):
    """Small motions; about every second episode is declared at some time."""
    actions = rng.uniform(0.3 * action_space().low, 0.3 * action_space().high, (num_envs, 7))
    actions[:, 6] = rng.random(num_envs) * 0.72
    return actions.astype(np.float32)


def assert_equal(a, b):
    assert type(a) is type(b)
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            assert_equal(a[key], b[key])
    elif isinstance(a, tuple) or (isinstance(a, np.ndarray) and a.dtype == object):
        for one, other in zip(a, b, strict=True):
            assert_equal(one, other)
    else:
        np.testing.assert_array_equal(a, b)
        assert np.asarray(a).dtype == np.asarray(b).dtype


@pytest.fixture(scope="module")
def scenes(tiny_scene):
    from dataclasses import replace

    other = replace(tiny_scene, name="other", gaussians=tiny_scene.gaussians.select(np.arange(700, 1300)))
    return [tiny_scene, other]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", IDS)
@pytest.mark.parametrize("options", [{}, {"reward": "shaped", "depth": True}], ids=["plain", "shaped, depth"])
def test_it_equals_single_environments_step_by_step(scenes, mode, name, options):
    fast = vector(scenes, name=name, autoreset_mode=mode, **options)
    slow = singles(scenes, name=name, mode=mode, **options)
    assert fast.metadata["autoreset_mode"] == slow.metadata["autoreset_mode"] == AutoresetMode(mode)
    assert fast.observation_space == slow.observation_space
    assert fast.action_space == slow.action_space
    assert_equal(fast.reset(seed=7), slow.reset(seed=7))
    assert fast.np_random_seed == slow.np_random_seed == (7, 8, 9)
    rng, ends = np.random.default_rng(0), np.zeros(2, int)
    for _ in range(3 * MAX_EPISODE_STEPS):
        actions = some_actions(rng, 3)
        stepped = fast.step(actions)
        assert_equal(stepped, slow.step(actions))
        ends += stepped[2].any(), stepped[3].any()
    assert ends.all(), "the test must meet both ways to end"


@pytest.mark.parametrize("mode", MODES)
def test_episodes_that_end_in_the_same_step_are_told_apart(scenes, mode):
    fast, slow = vector(scenes, autoreset_mode=mode), singles(scenes, mode=mode)
    goals = [scene.grasp.pregrasp() for scene in scenes]
    for env in (fast, slow):
        env.reset(seed=2, options={"scene": "tiny", "scene_from_camera": goals[0].matrix})
    for declaring in ([0, 2], [], [0, 1, 2], []):
        actions = np.zeros((3, 7), np.float32)
        actions[declaring, 6] = 1
        stepped = fast.step(actions)
        assert_equal(stepped, slow.step(actions))
    assert slow.observation_space.contains(stepped[0])


@pytest.mark.parametrize("seed", [[3, 3, 3], [1, None, 2]])
def test_seeds_given_one_by_one(scenes, seed):
    fast, slow = vector(scenes), singles(scenes)
    for env in (fast, slow):
        env.reset(seed=5)
    assert_equal(fast.reset(seed=seed), slow.reset(seed=seed))
    with pytest.raises(ValueError, match="2 seeds"):
        fast.reset(seed=[1, 2])


def test_some_are_reset_by_a_mask_where_autoreset_is_off(scenes):
    fast, slow = vector(scenes, autoreset_mode="Disabled"), singles(scenes, mode="Disabled")
    assert_equal(fast.reset(seed=1), slow.reset(seed=1))
    declare = np.zeros((3, 7), np.float32)
    declare[1, 6] = 1
    assert_equal(fast.step(declare), slow.step(declare))
    with pytest.raises(gym.error.ResetNeeded, match=r"\[1\]"):
        fast.step(declare)
    mask = np.array([False, True, False])
    assert_equal(fast.reset(options={"reset_mask": mask}), slow.reset(options={"reset_mask": mask}))
    assert_equal(fast.step(declare), slow.step(declare))
    with pytest.raises(ValueError, match="reset_mask"):
        fast.reset(options={"reset_mask": np.zeros(3, bool)})


def test_the_action_of_an_environment_that_begins_anew_is_not_looked_at(scenes):
    env = vector(scenes)
    env.reset(seed=0)
    declare = np.zeros((3, 7), np.float32)
    declare[0, 6] = 1
    env.step(declare)
    declare[0] = np.nan
    _, _, terminations, _, _ = env.step(declare)
    assert not terminations.any()
    with pytest.raises(ActionError, match="finite"):
        env.step(declare)


def test_what_a_step_gave_is_not_written_to_again(scenes):
    env, rng = vector(scenes), np.random.default_rng(0)
    observation, _ = env.reset(seed=0)
    given = [observation]
    for _ in range(12):
        given.append(env.step(some_actions(rng, 3))[0])
    again = vector(scenes)
    expected, _ = again.reset(seed=0)
    rng = np.random.default_rng(0)
    for observation in given:
        assert_equal(observation, expected)
        expected = again.step(some_actions(rng, 3))[0]


def test_processes_give_the_same(scenes):
    slow = singles(scenes, 2)
    fast = singles(scenes, 2, kind=gym.vector.AsyncVectorEnv)
    try:
        assert_equal(fast.reset(seed=3), slow.reset(seed=3))
        actions = some_actions(np.random.default_rng(1), 2)
        for _ in range(3):
            assert_equal(fast.step(actions), slow.step(actions))
    finally:
        fast.close()


@pytest.mark.parametrize("name", IDS)
@pytest.mark.parametrize("copied", [lambda env: pickle.loads(pickle.dumps(env)), copy.deepcopy,
                                    lambda env: cloudpickle.loads(cloudpickle.dumps(env))],
                         ids=["pickle", "deepcopy", "cloudpickle"])  # fmt: skip
def test_copies_go_on_alike(scenes, name, copied):
    rng = np.random.default_rng(2)
    for env, count in ((vector(scenes, name=name), 3), (gym.make(name, scenes=scenes, camera=CAMERA), None)):
        env.reset(seed=4)
        env.step(some_actions(rng, 3) if count else np.zeros(7, np.float32))
        other = copied(env)
        actions = some_actions(rng, count or 1)
        assert_equal(env.step(actions if count else actions[0]), other.step(actions if count else actions[0]))


@pytest.mark.parametrize("name", IDS)
def test_a_state_rewinds_and_is_shared_through_json(scenes, name):
    env, other = vector(scenes, name=name), vector(scenes, name=name)
    env.reset(seed=4)
    actions = [some_actions(np.random.default_rng(i), 3) for i in range(40)]
    for action in actions[:20]:
        env.step(action)
    state = json.loads(json.dumps(env.get_state()))
    ahead = [env.step(action) for action in actions[20:]]
    for again in (env, other):
        observation = again.set_state(state)
        assert again.observation_space.contains(observation)
        for action, expected in zip(actions[20:], ahead, strict=True):
            assert_equal(again.step(action), expected)


def test_a_vector_environments_state_goes_on_in_a_single_one(scenes):
    env = vector(scenes)
    env.reset(seed=4)
    observations, *_ = env.step(np.zeros((3, 7), np.float32))
    single = H2RHandoverEnv(scenes, CAMERA)
    observation, _ = single.set_state(env.get_state()[2])
    np.testing.assert_array_equal(observation["rgb"], observations["rgb"][2])


def test_wrong_arguments_and_states_say_what_would_be_right(scenes):
    env = vector(scenes)
    env.reset(seed=0)
    with pytest.raises(StateError, match="2 states"):
        env.set_state(env.get_state()[:2])
    with pytest.raises(StateError, match="malformed"):
        env.set_state([{}] * 3)
    with pytest.raises(ValueError, match="2 environments"):
        env.step(np.zeros((2, 7), np.float32))
    with pytest.raises(ValueError, match="at least 1"):
        vector(scenes, 0)
    with pytest.raises(ValueError, match="rgb_array"):
        vector(scenes, render_mode="human")


def test_gymnasiums_vector_wrappers_work(scenes, tmp_path):
    pytest.importorskip("moviepy", reason="RecordVideo needs moviepy")
    from gymnasium.wrappers import vector as wrappers

    env: gym.vector.VectorEnv = wrappers.RecordEpisodeStatistics(vector(scenes, render_mode="rgb_array"))
    env = wrappers.RecordVideo(env, str(tmp_path / "videos"), video_length=3)
    env = wrappers.RescaleAction(env, -1, 1)
    env.reset(seed=0)
    for _ in range(MAX_EPISODE_STEPS):
        _, _, _, truncations, infos = env.step(np.full((3, 7), -1, np.float32))
    env.close()
    assert truncations.all()
    assert infos["episode"]["l"].tolist() == [MAX_EPISODE_STEPS] * 3
    assert list((tmp_path / "videos").glob("*.mp4"))


def test_frames_stack_in_single_environments_of_a_vector(scenes):
    make = lambda: gym.wrappers.FrameStackObservation(  # noqa: E731
        gym.make("H2RHandover-v0", scenes=scenes, camera=CAMERA, rasteriser="numba"), 2
    )
    stacked, plain = SyncVectorEnv([make] * 3), vector(scenes)
    before, after = plain.reset(seed=5)[0], stacked.reset(seed=5)[0]
    actions = some_actions(np.random.default_rng(0), 3)
    np.testing.assert_array_equal(after["rgb"][:, 1], before["rgb"])
    np.testing.assert_array_equal(stacked.step(actions)[0]["rgb"][:, 1], plain.step(actions)[0]["rgb"])


@pytest.mark.parametrize(
    "steps", [2_000, pytest.param(100_000, marks=pytest.mark.nightly)], ids=["short", "long"]
)
def test_neither_memory_nor_file_descriptors_grow(tiny_scene, steps):
    path = Path(__file__).parents[3] / "benchmarks" / "environment.py"
    soak = runpy.run_path(str(path))["soak"]
    moments = soak(steps, scenes=tiny_scene)
    _, memory_mb, files = zip(*moments[len(moments) // 2 :], strict=True)
    assert max(memory_mb) - memory_mb[0] < 5
    assert len(set(files)) == 1

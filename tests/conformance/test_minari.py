"""Minari: what the expert's command writes is listed, loaded by its id and true to its episodes."""

import warnings

import minari
import numpy as np
import pytest

from experts.collect import CollectConfig, collect
from h2rh_env.envs.handover import H2RHandoverEnv

ID = "h2rh/tiny-v1"


@pytest.fixture(scope="module")
def dataset(tiny_scene, tmp_path_factory):
    folder = tmp_path_factory.mktemp("minari")
    tiny_scene.save(folder / "scenes" / "tiny")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MINARI_DATASETS_PATH", str(folder / "root"))
        collect(
            CollectConfig(
                folder / "scenes",
                folder / "root" / ID / "data",
                initial_poses=3,
                views=1,
                workers=1,
                noise=0.4,
            )
        )
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert list(minari.list_local_datasets()) == [ID]
        yield minari.load_dataset(ID)


def test_its_environment_is_made_from_its_specification(dataset):
    env = dataset.recover_environment()
    assert env.spec.id == dataset.env_spec.id == "H2RHandover-v0"
    assert (env.observation_space, env.action_space) == (dataset.observation_space, dataset.action_space)


def test_rewards_and_ends_are_those_of_the_environment(dataset, tiny_scene):
    env = H2RHandoverEnv(tiny_scene)
    rewards = []
    for episode in dataset:
        env.reset(seed=0, options={"scene_from_camera": episode.infos["scene_from_camera"][0]})
        stepped = [env.step(action) for action in episode.actions]
        assert [reward for _, reward, *_ in stepped] == episode.rewards.tolist()
        assert [terminated for _, _, terminated, *_ in stepped] == episode.terminations.tolist()
        assert not episode.truncations.any()
        np.testing.assert_array_equal(stepped[-2][0]["masks"], episode.observations["masks"][-2])
        rewards.append(sum(episode.rewards))
    assert max(rewards) == 1, "the expert must have succeeded at least once"

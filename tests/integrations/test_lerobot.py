"""LeRobot itself finds the plug-in, reads the export, and evaluates a policy to what our evaluator sees of it."""

import gymnasium as gym
import numpy as np
import pytest
import torch

lerobot = pytest.importorskip(
    "lerobot", reason="pip install -c constraints-lerobot.txt lerobot, in its own environment"
)
pytestmark = pytest.mark.nightly

from experts.collect import CollectConfig, collect  # noqa: E402
from h2rh_env.core.task import MAX_EPISODE_STEPS  # noqa: E402
from h2rh_env.datasets.lerobot.export import export  # noqa: E402
from h2rh_env.datasets.lerobot.features import ACTION, MASKS, RGB, SENTENCES, STATE  # noqa: E402
from h2rh_env.datasets.minari import read_demonstrations  # noqa: E402
from h2rh_env.envs.handover import H2RHandoverEnv  # noqa: E402
from policies.registry import make_policy  # noqa: E402


@pytest.fixture(scope="module")
def scenes(tiny_scene, tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes")
    tiny_scene.save(folder / "tiny")
    return folder


@pytest.fixture(scope="module")
def data(scenes, tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    collect(CollectConfig(scenes, folder / "minari", initial_poses=2, views=0, workers=1))
    export(folder / "minari", folder / "lerobot", 10)
    return folder


@pytest.fixture(scope="module")
def dataset(data):
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    return LeRobotDataset("h2rh/tiny", root=data / "lerobot", video_backend="pyav")


def small_config(kind):
    from lerobot.policies.act.configuration_act import ACTConfig
    from lerobot.policies.diffusion.configuration_diffusion import DiffusionConfig

    common = {"n_action_steps": 4, "pretrained_backbone_weights": None, "device": "cpu", "push_to_hub": False}
    if kind == "act":
        return ACTConfig(
            chunk_size=4,
            dim_model=32,
            dim_feedforward=32,
            n_heads=2,
            n_encoder_layers=1,
            use_vae=False,
            **common,
        )
    return DiffusionConfig(
        horizon=8, down_dims=(16, 32), n_groups=4, num_inference_steps=3, crop_shape=None, **common
    )


@pytest.fixture(scope="module", params=["act", "diffusion"])
def trained(request, dataset, tmp_path_factory):
    """A small policy of random weights, saved as LeRobot's trainer saves one."""
    from lerobot.policies.factory import make_policy as make_lerobot_policy
    from lerobot.policies.factory import make_pre_post_processors

    config = small_config(request.param)
    policy = make_lerobot_policy(config, ds_meta=dataset.meta)
    folder = tmp_path_factory.mktemp(request.param)
    policy.save_pretrained(folder)
    for processor in make_pre_post_processors(config, dataset_stats=dataset.meta.stats):
        processor.save_pretrained(folder)
    return folder


def test_its_reader_gives_back_the_demonstrations(dataset, data):
    demonstrations = list(read_demonstrations(data / "minari"))
    assert dataset.num_episodes == len(demonstrations)
    assert len(dataset) == sum(map(len, demonstrations))
    index = 0
    for demonstration in demonstrations:
        for frame in range(len(demonstration)):
            item = dataset[index]
            last = frame == len(demonstration) - 1
            np.testing.assert_array_equal(item[ACTION], demonstration.actions[frame])
            assert float(item["next.reward"]) == (demonstration.reward if last else 0)
            assert bool(item["next.success"]) == (last and demonstration.reward == 1)
            assert bool(item["next.done"]) == last
            assert item["task"] == SENTENCES["reach"]
            masks = item[MASKS].numpy()[0] * 255
            np.testing.assert_array_equal(masks > 191, demonstration.masks[frame, ..., 0] > 0)
            assert abs(item[RGB].numpy().transpose(1, 2, 0) * 255 - demonstration.rgb[frame]).mean() < 4
            if frame == 0:
                np.testing.assert_allclose(item[STATE], [0, 0, 0, 1, 0, 0, 0], atol=1e-6)
            index += 1


def test_the_plug_in_is_found_and_makes_what_it_says(scenes):
    from lerobot.configs import parser
    from lerobot.envs.configs import EnvConfig
    from lerobot.envs.factory import make_env
    from lerobot.envs.utils import env_to_policy_features

    parser.load_plugin("lerobot_env_h2rh")
    config = EnvConfig.get_choice_class("h2rh")(scenes=str(scenes))
    assert config.type == "h2rh"
    assert set(env_to_policy_features(config)) == {RGB, MASKS, STATE, ACTION}
    env = make_env(config, n_envs=2)["h2rh"][0]
    assert isinstance(env, gym.vector.SyncVectorEnv)
    assert env.call("task_description") == (SENTENCES["reach"],) * 2
    assert env.call("_max_episode_steps") == (MAX_EPISODE_STEPS,) * 2
    with pytest.raises(ValueError, match="'fly'; known are reach, moving, grasp"):
        EnvConfig.get_choice_class("h2rh")(task="fly")


@pytest.mark.parametrize("task", [None, "grasp"])
def test_the_hub_makes_it_by_its_file(task):
    import lerobot_env_h2rh.env as ours
    from lerobot.envs.configs import HubEnvConfig
    from lerobot.envs.utils import _call_make_env, _load_module_from_path, _normalize_hub_result

    module = _load_module_from_path(ours.__file__)
    config = HubEnvConfig(task=task, hub_path="a/b") if task else None
    made = _normalize_hub_result(_call_make_env(module, n_envs=1, use_async_envs=False, cfg=config))
    assert made["h2rh"][0].call("task") == (task or "reach",)


def test_its_evaluation_and_ours_see_the_same_actions(trained, scenes, tiny_scene):
    from lerobot.configs.policies import PreTrainedConfig
    from lerobot.policies.factory import get_policy_class, make_pre_post_processors
    from lerobot.processor.pipeline import PolicyProcessorPipeline
    from lerobot.scripts.lerobot_eval import rollout
    from lerobot_env_h2rh import H2RHandoverConfig
    from lerobot_env_h2rh.env import make_env

    env = make_env(1, cfg=H2RHandoverConfig(scenes=str(scenes)))["h2rh"][0]
    config = PreTrainedConfig.from_pretrained(trained)
    theirs = get_policy_class(config.type).from_pretrained(trained, config=config)
    same = PolicyProcessorPipeline(steps=[])
    torch.manual_seed(0)
    found = rollout(
        env, theirs, same, same,
        *make_pre_post_processors(config, str(trained)), seeds=[5],
    )  # fmt: skip
    expected = np.clip(found["action"][0].numpy(), env.single_action_space.low, env.single_action_space.high)

    policy = make_policy(f"lerobot:{trained}")
    ours_env = gym.wrappers.TimeLimit(H2RHandoverEnv(tiny_scene), MAX_EPISODE_STEPS)
    observation, _ = ours_env.reset(seed=5)
    policy.reset(0)
    ours, ended = [], False
    while not ended:
        ours.append(policy.act(observation))
        observation, _, terminated, truncated, info = ours_env.step(ours[-1])
        ended = terminated or truncated
    assert len(ours) == int(found["done"][0].int().argmax()) + 1
    np.testing.assert_allclose(np.stack(ours), expected[: len(ours)], atol=2e-4)
    assert bool(info["is_success"]) == bool(found["success"][0].any())

"""A LeRobot policy is told what `lerobot-eval` would tell it; a stand-in notes what it is shown."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from h2rh_env.core.action import encode_action
from h2rh_env.core.camera import HAND_EYE_CAMERA
from h2rh_env.core.errors import MissingPackageError, PolicyError
from h2rh_env.core.geometry import SE3, rotation_from_euler_xyz
from h2rh_env.datasets.lerobot.features import MASKS, RGB, SENTENCES, STATE, state
from policies import lerobot_policy
from policies.lerobot_policy import LeRobotPolicy
from policies.registry import make_policy

MOTION = SE3(rotation_from_euler_xyz(np.array([0.1, -0.05, 0.2])), np.array([0.01, 0.02, 0.05]))


class Noting:
    """Notes what it is shown, and answers with one motion and some noise of torch's."""

    def __init__(self) -> None:
        self.shown: list[dict] = []
        self.resets = 0

    def reset(self) -> None:
        self.resets += 1

    def select_action(self, batch):
        self.shown.append(batch)
        return torch.from_numpy(encode_action(MOTION, 0.0))[None] + torch.tensor(
            [0.0] * 6 + [1.0]
        ) * torch.rand(1, 1)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"")
    return tmp_path


@pytest.fixture
def network(monkeypatch):
    made = Noting()
    monkeypatch.setattr(
        lerobot_policy, "_load", lambda folder: (made, lambda batch: batch, lambda action: action)
    )
    return made


@pytest.fixture
def observation():
    shape = HAND_EYE_CAMERA.height, HAND_EYE_CAMERA.width
    masks = np.zeros((*shape, 2), np.uint8)
    masks[10:20, 10:20, 0], masks[30:40, 10:20, 1] = 255, 255
    return {"rgb": np.full((*shape, 3), 51, np.uint8), "masks": masks}


def test_images_are_channels_first_in_unit_range_and_masks_grey(folder, network, observation):
    make_policy(f"lerobot:{folder}").act(observation)
    (shown,) = network.shown
    assert set(shown) == {RGB, MASKS, STATE, "task"}
    assert shown[RGB].shape == shown[MASKS].shape == (1, 3, HAND_EYE_CAMERA.height, HAND_EYE_CAMERA.width)
    assert torch.allclose(shown[RGB], torch.tensor(0.2))
    assert shown[MASKS][0, :, 15, 15].tolist() == [1.0] * 3
    assert shown[MASKS][0, :, 35, 15].tolist() == pytest.approx([128 / 255] * 3)


def test_the_pose_follows_from_its_actions_unless_a_motion_is_told(folder, network, observation):
    policy = LeRobotPolicy(folder)
    told = SE3(np.eye(3), np.array([0.0, 0.0, 0.03]))
    policy.act(observation)
    policy.act(observation)
    policy.moved(told)
    policy.act(observation)
    poses = [SE3.identity(), MOTION, MOTION @ told]
    for shown, pose in zip(network.shown, poses, strict=True):
        np.testing.assert_allclose(shown[STATE].numpy(), state(np.eye(4), pose.matrix[None]), atol=1e-6)
    policy.reset(1)
    policy.act(observation)
    np.testing.assert_allclose(network.shown[-1][STATE].numpy(), [[0, 0, 0, 1, 0, 0, 0]], atol=1e-7)


def test_the_same_seed_draws_the_same_and_disturbs_nobody(folder, network, observation):
    policy = LeRobotPolicy(folder)
    before = torch.get_rng_state()

    def scores(seed):
        policy.reset(seed)
        return [float(policy.act(observation)[6]) for _ in range(3)]

    first = scores(4)
    assert len(set(first)) == 3
    assert scores(4) == first != scores(5)
    assert torch.equal(torch.get_rng_state(), before)
    assert network.resets == 4


def test_who_closes_the_fingers_says_so_and_is_told_so(folder, network, observation):
    for name, task in {"lerobot": "reach", "lerobot-grasp": "grasp"}.items():
        policy = make_policy(f"{name}:{folder}")
        policy.act(observation)
        assert policy.task == task
        assert network.shown[-1]["task"] == [SENTENCES[task]]


def test_another_folder_is_refused_in_a_sentence(tmp_path, folder, monkeypatch):
    with pytest.raises(PolicyError, match=r"lacks config\.json or model\.safetensors.*pretrained_model"):
        make_policy(f"lerobot:{tmp_path / 'nowhere'}")
    monkeypatch.setitem(__import__("sys").modules, "lerobot", None)
    monkeypatch.setitem(__import__("sys").modules, "lerobot.configs.policies", None)
    with pytest.raises(MissingPackageError, match=r"constraints-lerobot\.txt"):
        make_policy(f"lerobot:{folder}")


def test_a_policy_of_other_observations_is_told_which_it_should_have():
    action = SimpleNamespace(shape=[6])
    config = SimpleNamespace(
        input_features={"observation.images.top": None}, output_features={"action": action}
    )
    with pytest.raises(
        ValueError, match=r"observation.images.top.*\(6,\); expected some of .*observation.state"
    ):
        lerobot_policy._check_features(config)

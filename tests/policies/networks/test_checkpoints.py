import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from h2rh_env.core.action import decode_action
from h2rh_env.core.errors import CheckpointError
from h2rh_env.core.geometry import SE3
from h2rh_env.core.spaces import action_space
from policies.learned import HandoverPolicy
from policies.networks.checkpoints import load_checkpoint, read_config, save_checkpoint
from policies.networks.factory import make_network


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    network = make_network("compact", {"window": 32, "hidden": 16})
    save_checkpoint(tmp_path / "checkpoint", "compact", network, {"seed": 0})
    return tmp_path / "checkpoint"


def observation(seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    masks = np.zeros((168, 224, 2), np.uint8)
    masks[60:100, 80:120, 0] = masks[90:150, 100:140, 1] = 255
    return {"rgb": rng.integers(0, 256, (168, 224, 3), dtype=np.uint8), "masks": masks}


def test_a_checkpoint_reloads_to_equal_actions(folder: Path, tmp_path: Path) -> None:
    network = load_checkpoint(folder)
    save_checkpoint(tmp_path / "again", "compact", network)
    first, second = HandoverPolicy(network), HandoverPolicy.load(tmp_path / "again")
    for seed in range(3):
        np.testing.assert_array_equal(first.act(observation(seed)), second.act(observation(seed)))


def test_a_policy_acts_inside_the_action_space_and_the_same_each_time(folder: Path) -> None:
    network = load_checkpoint(folder)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(50)
    policy = HandoverPolicy(network)
    policy.reset(0)
    action = policy.act(observation(0))
    assert action_space().contains(action)
    policy.reset(1)
    np.testing.assert_array_equal(action, policy.act(observation(0)))


def test_an_episode_does_not_depend_on_the_one_before(folder: Path) -> None:
    policy = HandoverPolicy.load(folder)

    def episode() -> np.ndarray:
        policy.reset(0)
        return np.stack([policy.act(observation(seed)) for seed in range(4)])

    np.testing.assert_array_equal(episode(), episode())


def test_a_motion_that_differs_from_the_action_can_be_told(folder: Path) -> None:
    told, untold = HandoverPolicy.load(folder), HandoverPolicy.load(folder)
    for policy in (told, untold):
        action = policy.act(observation(0))
    told.moved(decode_action(action)[0])
    np.testing.assert_array_equal(told.act(observation(1)), untold.act(observation(1)))
    told.moved(SE3(np.eye(3), np.array([0.05, 0.05, 0.05])))
    assert not np.array_equal(told.act(observation(2)), untold.act(observation(2)))


def test_settings_and_provenance_come_back(folder: Path) -> None:
    config = read_config(folder)
    assert config.settings["window"] == 32
    assert config.provenance == {"seed": 0}


def _edit(folder: Path, **changes: object) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changes))


def settings(folder: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((folder / "config.json").read_text())["settings"]
    return values


def test_faults_are_told_in_one_sentence(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="not a checkpoint"):
        load_checkpoint(tmp_path / "nothing")
    weights = (folder / "weights.safetensors").read_bytes()
    (folder / "weights.safetensors").write_bytes(weights[:1000])
    with pytest.raises(CheckpointError, match="bytes; the network needs"):
        load_checkpoint(folder)
    (folder / "weights.safetensors").write_bytes(b"\xff" * len(weights))
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_checkpoint(folder)


def test_weights_that_do_not_fit_are_told(folder: Path) -> None:
    _edit(folder, settings=settings(folder) | {"hidden": 15})
    with pytest.raises(CheckpointError, match=r"network .compact. has"):
        load_checkpoint(folder)


def test_a_config_that_asks_for_too_much_takes_no_memory(folder: Path) -> None:
    _edit(folder, settings=settings(folder) | {"window": 1 << 14, "hidden": 1 << 14})
    with pytest.raises(CheckpointError, match="bytes; the network needs"):
        load_checkpoint(folder)


def test_weights_that_are_not_finite_are_refused(folder: Path) -> None:
    network = load_checkpoint(folder)
    with torch.no_grad():
        next(network.parameters())[0] = float("nan")
    save_checkpoint(folder, "compact", network)
    with pytest.raises(CheckpointError, match="not finite"):
        load_checkpoint(folder)


def test_a_malformed_config_is_told(folder: Path) -> None:
    _edit(folder, format="h2rh-checkpoint-99")
    with pytest.raises(CheckpointError, match="checkpoint-99"):
        load_checkpoint(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match="malformed"):
        load_checkpoint(folder)

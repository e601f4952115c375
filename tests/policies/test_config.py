"""What a policy is made of travels with it: it is read back as it was written, and anything else is an error."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from h2rh_env.core.camera import HAND_EYE_CAMERA
from h2rh_env.core.errors import CheckpointError
from h2rh_env.utils.files import sha256_of
from policies.config import ControlConfig, CropConfig, DepthConfig, PolicyConfig, TrackingConfig
from policies.learned import HandoverPolicy
from policies.networks.checkpoints import (
    CONFIG,
    FROZEN,
    WEIGHTS,
    load_checkpoint,
    read_config,
    save_checkpoint,
)
from policies.networks.factory import make_network


def places(values: dict[str, Any], path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Paths to all numbers and lists of a JSON object."""
    found = []
    for key, value in values.items():
        found += places(value, (*path, key)) if isinstance(value, dict) else [(*path, key)]
    return found


def at(values: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    for key in path[:-1]:
        values = values[key]
    return values


def as_json() -> dict[str, Any]:
    values: dict[str, Any] = json.loads(json.dumps(PolicyConfig().to_json()))
    return values


PLACES = places(as_json())


def test_a_configuration_is_read_back_as_it_was_written() -> None:
    other = PolicyConfig(
        tracking=replace(PolicyConfig().tracking, depth=DepthConfig(initial_m=0.6, baselines_m=(0.1,)))
    )
    for config in (PolicyConfig(), other):
        assert PolicyConfig.from_json(json.loads(json.dumps(config.to_json()))) == config
    assert len(PLACES) > 70


@pytest.mark.parametrize("place", PLACES, ids=".".join)
def test_every_value_must_be_there_under_its_name_and_be_a_number(place: tuple[str, ...]) -> None:
    name, key = f"policy.{'.'.join(place)}", place[-1]
    lacking, renamed, wordy = as_json(), as_json(), as_json()
    at(lacking, place).pop(key)
    with pytest.raises(CheckpointError, match=f"missing {name}"):
        PolicyConfig.from_json(lacking)
    at(renamed, place)["unheard_of"] = at(renamed, place).pop(key)
    with pytest.raises(CheckpointError, match=r"unknown .*unheard_of; missing"):
        PolicyConfig.from_json(renamed)
    at(wordy, place)[key] = "far"
    with pytest.raises(CheckpointError, match=f"{name} is 'far'; it must be"):
        PolicyConfig.from_json(wordy)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("tracking", "depth", "samples"), 10**9),
        (("tracking", "depth", "samples"), 0),
        (("tracking", "depth", "samples"), 2.5),
        (("tracking", "depth", "samples"), True),
        (("tracking", "depth", "noise"), float("nan")),
        (("tracking", "depth", "baselines_m"), []),
        (("control", "gap_m"), [0.1, 0.2, 0.3]),
        (("control", "setback_step_m"), 0.0),
        (("control", "setback_step_m"), 1e-9),
        (("camera", "fx"), -1.0),
        (("camera", "cx"), 100.0),
        (("camera",), 3),
    ],
)
def test_what_cannot_be_is_refused(place: tuple[str, ...], value: object) -> None:
    values = as_json()
    at(values, place)[place[-1]] = value
    with pytest.raises(CheckpointError, match=r"must be|impossible|middle"):
        PolicyConfig.from_json(values)


def test_a_checkpoint_keeps_its_own_configuration(tmp_path: Path) -> None:
    own = PolicyConfig(control=ControlConfig(haste=0.9))
    save_checkpoint(tmp_path, "compact", make_network("compact", {"window": 32, "hidden": 16}, own))
    assert load_checkpoint(tmp_path).config == own != PolicyConfig()


def observation() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    masks = np.zeros((168, 224, 2), np.uint8)
    masks[60:100, 80:120, 0] = masks[90:150, 100:140, 1] = 255
    return {"rgb": rng.integers(0, 256, (168, 224, 3), dtype=np.uint8), "masks": masks}


@pytest.mark.parametrize(
    "other",
    [
        PolicyConfig(tracking=TrackingConfig(depth=DepthConfig(initial_m=0.6))),
        PolicyConfig(tracking=TrackingConfig(depth=DepthConfig(initial_sigma=0.1))),
        PolicyConfig(crop=CropConfig(typical_side=0.5)),
        PolicyConfig(control=ControlConfig(caution_m=0.1)),
        PolicyConfig(control=ControlConfig(step_m=0.01)),
        PolicyConfig(camera=HAND_EYE_CAMERA.resized(448, 336)),
    ],
)
def test_the_configuration_decides_what_a_policy_does(other: PolicyConfig) -> None:
    network, config = load_checkpoint(FROZEN), read_config(FROZEN)
    twin = make_network(config.network, config.settings, other)
    twin.load_state_dict(network.state_dict())
    policies = HandoverPolicy(network), HandoverPolicy(twin)
    for policy in policies:
        policy.use_camera(HAND_EYE_CAMERA)
    first, second = (policy.act(observation()) for policy in policies)
    assert not np.array_equal(first, second)


def test_a_checkpoint_of_format_1_has_the_values_it_was_made_with(tmp_path: Path) -> None:
    frozen = read_config(FROZEN)
    config = json.loads((FROZEN / CONFIG).read_text())
    assert config["format"] == "h2rh-checkpoint-2"
    older = {
        "format": "h2rh-checkpoint-1",
        "network": "compact",
        "settings": {key: config["settings"][key] for key in ("window", "widths", "hidden")},
        "provenance": {},
    }
    (tmp_path / CONFIG).write_text(json.dumps(older))
    (tmp_path / WEIGHTS).write_bytes((FROZEN / WEIGHTS).read_bytes())
    network = load_checkpoint(tmp_path)
    assert network.config == frozen.policy
    assert network.settings == frozen.settings


def test_the_frozen_policy_never_changes() -> None:
    policy = json.loads((FROZEN / CONFIG).read_text())["policy"]
    digest = hashlib.sha256(json.dumps(policy, sort_keys=True).encode()).hexdigest()
    assert digest == "68a6c67eded9c0fbc158f7f3afd2ca9f5fc2bdaf5b1992df790aaca85e54a6f3"
    assert sha256_of(FROZEN / WEIGHTS) == "b2f44d8a51eda7f60d08345f7004edfd58145c558e7cdd4a7d563f153069cb83"

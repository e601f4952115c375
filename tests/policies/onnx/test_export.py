"""An exported checkpoint acts as the checkpoint does, and what is no such file is answered with what would be."""

import sys
from pathlib import Path

import numpy as np
import pytest

from h2rh_env.core.errors import MissingPackageError, PolicyError
from h2rh_env.envs.handover import H2RHandoverEnv
from policies.learned import HandoverPolicy
from policies.networks.checkpoints import save_checkpoint
from policies.registry import RANGING_CHECKPOINT, make_policy
from policies.training.behaviour_cloning import seeded_network

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

SHIPPED = Path(__file__).parents[3] / "h2rh_env" / RANGING_CHECKPOINT


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    from policies.onnx.export import export_onnx

    out = tmp_path_factory.mktemp("onnx") / "shipped.onnx"
    assert export_onnx(SHIPPED, out) < 1e-3
    return out


def test_the_ranging_policy_and_its_export_act_alike_along_an_episode(exported, tiny_scene):
    policy, twin = HandoverPolicy.load(SHIPPED), make_policy(str(exported))
    env = H2RHandoverEnv(tiny_scene)
    observation, _ = env.reset(seed=1)
    policy.reset(1)
    twin.reset(1)
    for _ in range(12):
        action = policy.act(observation)
        np.testing.assert_allclose(twin.act(observation), action, atol=2e-4)
        observation, _, terminated, _, _ = env.step(np.append(action[:6], 0))
        assert not terminated


def test_the_same_holds_where_the_object_or_everything_is_out_of_sight(exported):
    policy, twin = HandoverPolicy.load(SHIPPED), make_policy(str(exported))
    hand = np.zeros((168, 224, 2), np.uint8)
    hand[30:80, 20:60, 1] = 255
    rgb = np.zeros((168, 224, 3), np.uint8)
    for masks in (hand, np.zeros_like(hand)):
        observation = {"rgb": rgb, "masks": masks}
        policy.reset(0)
        twin.reset(0)
        np.testing.assert_allclose(twin.act(observation), policy.act(observation), atol=2e-4)


@pytest.mark.nightly  # exporting 11 million weights takes half a minute
def test_a_network_that_answers_with_actions_is_exported_too(tmp_path, tiny_scene):
    from policies.onnx.export import export_onnx

    save_checkpoint(tmp_path / "paper", "resnet18", seeded_network("resnet18", 0))
    export_onnx(tmp_path / "paper", tmp_path / "paper.onnx")
    observation, _ = H2RHandoverEnv(tiny_scene).reset(seed=2)
    expected = HandoverPolicy.load(tmp_path / "paper").act(observation)
    np.testing.assert_allclose(
        make_policy(str(tmp_path / "paper.onnx")).act(observation), expected, atol=2e-4
    )


def test_what_is_no_export_is_refused(tmp_path):
    (tmp_path / "mine.onnx").write_bytes(b"nonsense")
    with pytest.raises(PolicyError, match=r"policies\.onnx\.export CHECKPOINT"):
        make_policy(str(tmp_path / "mine.onnx"))


def test_a_missing_package_names_the_line_to_type(exported, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingPackageError, match=r"pip install .*onnx"):
        make_policy(str(exported))

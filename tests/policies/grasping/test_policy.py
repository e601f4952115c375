"""The policy and its checkpoint: what goes in comes out, what is broken says so, and it lives by the protocols."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from h2rh_env.core.action import decode_action
from h2rh_env.core.camera import HAND_EYE_CAMERA
from h2rh_env.core.errors import CheckpointError
from h2rh_env.core.policy import CameraAware, OdometryPolicy
from h2rh_env.core.spaces import action_space
from h2rh_env.envs.handover import H2RHandoverEnv
from policies.grasping.checkpoint import Checkpoint, is_checkpoint, load_checkpoint, save_checkpoint
from policies.grasping.controller import ControlConfig
from policies.grasping.fusion import FusionConfig, Goal
from policies.grasping.inputs import Frame
from policies.grasping.policy import GraspingPolicy
from policies.registry import make_policy


@pytest.fixture(scope="module")
def folder(network, tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoint")
    save_checkpoint(
        folder, Checkpoint(network, FusionConfig(), ControlConfig(), HAND_EYE_CAMERA, {"by": "test"})
    )
    return folder


def test_what_was_saved_is_loaded(folder, network):
    loaded = load_checkpoint(folder)
    assert is_checkpoint(folder)
    assert loaded.provenance == {"by": "test"}
    assert (loaded.fusion, loaded.control, loaded.camera) == (
        FusionConfig(),
        ControlConfig(),
        HAND_EYE_CAMERA,
    )
    state = loaded.network.state_dict()
    assert all(torch.equal(value, state[key]) for key, value in network.state_dict().items())


def test_a_folder_is_a_policy_by_name(folder):
    policy = make_policy(str(folder))
    assert isinstance(policy, GraspingPolicy)
    assert policy.task == "grasp"
    assert isinstance(policy, OdometryPolicy)
    assert isinstance(policy, CameraAware)


@pytest.mark.parametrize("broken", ["config", "format", "weights", "unknown", "shape"])
def test_what_is_broken_is_told_in_a_sentence(folder, tmp_path, broken):
    config = json.loads((folder / "config.json").read_text())
    weights = (folder / "weights.safetensors").read_bytes()
    if broken == "format":
        config["format"] = "h2rh-grasping-0"
    if broken == "unknown":
        config["control"]["speed"] = 1
    if broken == "shape":
        config["network"]["width"] = 16
    (tmp_path / "config.json").write_text("{" if broken == "config" else json.dumps(config))
    (tmp_path / "weights.safetensors").write_bytes(weights[:100] if broken == "weights" else weights)
    with pytest.raises(CheckpointError, match=str(tmp_path)):
        load_checkpoint(tmp_path)


def test_it_acts_within_its_bounds_and_again_alike(folder, tiny_scene):
    policy, env = GraspingPolicy.load(folder), H2RHandoverEnv([tiny_scene], task="grasp")
    runs = []
    for _ in range(2):
        observation, _ = env.reset(seed=1)
        policy.reset(1)
        actions = []
        for _ in range(6):
            actions.append(policy.act(observation))
            observation, *_ = env.step(actions[-1])
        runs.append(np.array(actions))
    assert np.array_equal(*runs)
    assert all(action_space().contains(action) for action in runs[0])
    assert np.abs(runs[0][:, 3:6]).max() > 0.01


def test_it_looks_on_before_it_goes_in_to_a_goal_that_little_speaks_for(folder):
    checkpoint = load_checkpoint(folder)
    control = replace(checkpoint.control, sure=1.0, look_m=0.3, most_looks=3)
    policy = GraspingPolicy(checkpoint._replace(control=control))
    near, far = Goal(np.array([0, 0, 0.2]), np.eye(3), 0.1), Goal(np.array([0, 0, 0.4]), np.eye(3), 0.1)
    assert policy._is_sure(far)
    assert policy._is_sure(near._replace(support=1.1))
    assert [policy._is_sure(near) for _ in range(5)] == [False] * 3 + [True] * 2
    policy.reset(0)
    assert not policy._is_sure(near)


def test_it_neither_goes_in_nor_closes_where_the_hand_would_be_come_too_near(folder):
    policy = GraspingPolicy(load_checkpoint(folder))
    goal = Goal(np.array([0, 0, 0.2]), np.eye(3), 100.0)
    arrived_there = goal.pose_before(0.0)
    for danger, closes in ((0.0, True), (0.9, False)):
        policy.reset(0)
        policy._fusion.goal = goal._replace(danger=danger)
        policy._world_from_camera = arrived_there
        policy.frames = [Frame(np.zeros((1, 1, 3)), np.zeros((1, 1, 2)), arrived_there)]
        assert policy._is_sure(policy._fusion.goal) == closes
        _, score = policy._decide(depth_seen=True)
        assert (score == 1) == closes


def test_it_turns_where_nothing_is_seen_and_never_closes(folder):
    policy = GraspingPolicy.load(folder)
    nothing = {
        "rgb": np.zeros((HAND_EYE_CAMERA.height, HAND_EYE_CAMERA.width, 3), np.uint8),
        "masks": np.zeros((HAND_EYE_CAMERA.height, HAND_EYE_CAMERA.width, 2), np.uint8),
    }
    for _ in range(3):
        motion, score = decode_action(policy.act(nothing))
        assert score == 0
        assert np.abs(motion.rotation - np.eye(3)).max() > 0.1

"""Reference policies do what their names say, and know nothing else."""

import numpy as np
import pytest

from h2rh_env.benchmark.evaluation import evaluate
from h2rh_env.core.action import decode_action
from h2rh_env.core.camera import HAND_EYE_CAMERA
from h2rh_env.core.geometry import SE3, angle_between
from h2rh_env.core.spaces import action_space
from policies.baselines.reference import Blind, RandomPolicy
from policies.registry import make_policy

MIDDLE = np.array([0.0, 0.0, 1.0])


def seen(u, v, shade=0):
    """An observation with an object of 5x5 px about a pixel."""
    masks = np.zeros((168, 224, 2), np.uint8)
    masks[v - 2 : v + 3, u - 2 : u + 3, 0] = 255
    return {"rgb": np.full((168, 224, 3), shade, np.uint8), "masks": masks}


def test_blind_turns_to_the_object_before_it_drives():
    policy = Blind()
    policy.reset(0)
    motion, score = decode_action(policy.act(seen(190, 84)))
    towards = np.array([(190.5 - HAND_EYE_CAMERA.cx) / HAND_EYE_CAMERA.fx, 0.5 / HAND_EYE_CAMERA.fy, 1])
    assert not motion.translation.any()
    assert score == 0
    assert angle_between(motion.rotation[:, 2], towards) < angle_between(MIDDLE, towards)


def test_blind_drives_its_length_and_declares_then():
    policy = Blind()
    for _ in range(2):
        policy.reset(0)
        pose, score, steps = SE3.identity(), 0.0, 0
        while not score:
            motion, score = decode_action(policy.act(seen(112, 84)))
            pose, steps = pose @ motion, steps + 1
        assert np.linalg.norm(pose.translation) == pytest.approx(0.31, abs=1e-3)
        assert steps == 8


def test_blind_sees_nothing_but_where_the_object_is():
    one, other = Blind(), Blind()
    for policy in (one, other):
        policy.reset(0)
    np.testing.assert_array_equal(one.act(seen(100, 80)), other.act(seen(100, 80, shade=255)))


def test_blind_drives_straight_on_where_it_sees_no_object():
    policy = Blind()
    policy.reset(0)
    motion, _ = decode_action(policy.act(seen(112, 84) | {"masks": np.zeros((168, 224, 2), np.uint8)}))
    np.testing.assert_allclose(motion.translation, [0, 0, 0.05], atol=1e-6)


def test_random_actions_are_of_the_action_space_and_of_the_seed():
    policy, space = RandomPolicy(), action_space()
    runs = []
    for seed in (0, 0, 1):
        policy.reset(seed)
        runs.append(np.stack([policy.act({}) for _ in range(50)]))
    assert all(space.contains(action) for run in runs for action in run)
    np.testing.assert_array_equal(runs[0], runs[1])
    assert not np.array_equal(runs[0], runs[2])


def test_without_weights_every_weight_is_zero_and_the_answers_are_others(tiny_scene):
    network = make_policy("zeros").network
    assert not any(weight.any() for weight in network.parameters())
    run = evaluate({name: make_policy(name) for name in ("zeros", "learned")}, [tiny_scene], 1, 0)
    ends = [run[name][0].record.scene_from_gripper[-1] for name in ("zeros", "learned")]
    assert not np.allclose(*ends, atol=1e-3)


@pytest.mark.parametrize("name", ["zeros", "blind", "random"])
def test_reference_rows_ship_under_their_names(name):
    policy = make_policy(name)
    policy.reset(0)
    assert policy.act(seen(112, 84)).shape == (7,)

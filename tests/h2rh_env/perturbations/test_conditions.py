"""What stands between world and policy: nothing at strength 0, one thing at a time, the same for the same seed."""

import numpy as np
import pytest

from h2rh_env.benchmark.rollout import run_episode
from h2rh_env.core.action import decode_action, encode_action
from h2rh_env.core.geometry import SE3
from h2rh_env.envs.handover import H2RHandoverEnv
from h2rh_env.perturbations.conditions import AS_RENDERED, HELD, Condition, Corruption, all_conditions
from h2rh_env.perturbations.images import PERTURBATIONS


class Forward:
    """2 cm ahead at each step; keeps what it saw."""

    def reset(self, seed):
        self.seen = []

    def act(self, observation):
        self.seen.append(observation)
        return np.array([0, 0.05, 0, 0, 0, 0.02, 0], np.float32)


@pytest.fixture(scope="module")
def env(tiny_scene):
    return H2RHandoverEnv(tiny_scene)


def seen_under(env, condition, steps=4):
    policy = Forward()
    run_episode(env, policy, "forward", "tiny", 3, condition)
    return policy.seen[:steps]


@pytest.mark.parametrize("name", PERTURBATIONS)
def test_no_strength_changes_nothing_and_full_strength_does(env, name):
    plain, none, full = (
        seen_under(env, c) for c in (AS_RENDERED, Condition(name, 0.0), Condition(name, 1.0))
    )
    for a, b in zip(plain, none, strict=True):
        np.testing.assert_array_equal(a["rgb"], b["rgb"])
        np.testing.assert_array_equal(a["masks"], b["masks"])
    assert any(
        (a["rgb"] != b["rgb"]).any() or (a["masks"] != b["masks"]).any()
        for a, b in zip(plain, full, strict=True)
    )


@pytest.mark.parametrize("name", PERTURBATIONS)
def test_the_same_seed_disturbs_alike(env, name):
    first, again = (seen_under(env, Condition(name, 0.7)) for _ in range(2))
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a["rgb"], b["rgb"])


def test_a_late_frame_is_the_one_before(env):
    plain, late = seen_under(env, AS_RENDERED), seen_under(env, Condition("latency", 1.0))
    np.testing.assert_array_equal(late[0]["rgb"], plain[0]["rgb"])
    for before, arrived in zip(plain, late[1:], strict=False):
        np.testing.assert_array_equal(arrived["rgb"], before["rgb"])


@pytest.mark.parametrize("name", HELD)
def test_a_cameras_setting_lasts_through_an_episode(tiny_scene, name):
    corruption = Corruption(Condition(name, 0.8), seed=5)
    rgb = np.full((8, 8, 3), 100, np.uint8)
    frame = {"rgb": rgb, "masks": np.full((8, 8, 2), 255, np.uint8)}
    np.testing.assert_array_equal(corruption.seen(frame)["rgb"], corruption.seen(frame)["rgb"])


def test_a_wrong_calibration_moves_the_gripper_as_told_but_not_the_camera():
    corruption = Corruption(Condition("hand_eye", 1.0), seed=5)
    offset = corruption.gripper_from_camera
    assert offset is not None
    told = SE3.identity() @ decode_action([0.1, -0.05, 0.02, 0.01, 0.02, 0.03, 0.4])[0]
    motion, grasp_score = decode_action(corruption.executed(encode_action(told, 0.4)))
    np.testing.assert_allclose((offset @ motion @ offset.inverse()).matrix, told.matrix, atol=1e-6)
    assert grasp_score == pytest.approx(0.4)
    assert np.abs(motion.matrix - told.matrix).max() > 1e-4


def test_the_scale_is_every_perturbation_after_the_plain_scene():
    scale = all_conditions((0.5, 1.0))
    assert scale[0] == AS_RENDERED
    assert len(scale) == len(set(scale)) == 1 + 2 * len(PERTURBATIONS)

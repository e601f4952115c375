"""A corrupted demonstration is what the robot would have recorded; its labels still lead where the expert would."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from h2rh_env.core.action import decode_actions, encode_action
from h2rh_env.core.errors import HandoverError
from h2rh_env.core.geometry import SE3, rotation_angle
from h2rh_env.datasets.minari import Demonstration
from h2rh_env.perturbations import demonstrations as module
from h2rh_env.perturbations.demonstrations import corrupted

STEPS = 12
seeds = st.integers(0, 2**32 - 1)


def demonstration(seed: int) -> Demonstration:
    """A walk of small steps; frame t is of level t."""
    rng = np.random.default_rng(seed)
    poses = [SE3(Rotation.random(rng=rng).as_matrix(), rng.normal(size=3))]
    actions = []
    for _ in range(STEPS):
        turn = Rotation.from_rotvec(rng.normal(0, 0.05, 3)).as_matrix()
        actions.append(encode_action(SE3(turn, rng.normal(0, 0.01, 3)), 1.0))
        poses.append(poses[-1] @ decode_actions(actions[-1][None])[0][0])
    world = np.stack([pose.matrix for pose in poses])
    levels = np.arange(STEPS, dtype=np.uint8)[:, None, None, None]
    return Demonstration(
        np.tile(levels, (1, 8, 8, 3)),
        np.full((STEPS, 8, 8, 2), 255, np.uint8),
        np.stack(actions),
        world[:-1],
        np.linalg.inv(world[:-1]) @ world[-1],
        np.ones(STEPS),
        "scene",
        "0" * 64,
        seed,
    )


@pytest.fixture
def images_untouched(monkeypatch):
    monkeypatch.setattr(module, "augment", lambda rgb, masks, *_: (rgb, masks))


def same(a: Demonstration, b: Demonstration) -> bool:
    names = ("rgb", "masks", "actions", "scene_from_camera", "camera_from_goal")
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in names)


@settings(max_examples=20, deadline=None)
@given(seed=seeds)
def test_the_same_seed_disturbs_alike_and_no_chance_changes_nothing(seed):
    before = demonstration(seed)
    first, second = (corrupted(before, np.random.default_rng([seed, 7])) for _ in range(2))
    assert same(first, second)
    assert same(corrupted(before, np.random.default_rng(seed), chance=0.0), before)
    assert same(demonstration(seed), before), "the inputs are left as they are"


@settings(max_examples=30, deadline=None)
@given(seed=seeds)
def test_with_a_wrong_calibration_the_labels_move_the_true_camera_as_the_expert_would(seed):
    before = demonstration(seed)
    after = corrupted(before, np.random.default_rng(seed), chance=1.0)
    camera_from_believed = np.linalg.inv(before.scene_from_camera[0]) @ after.scene_from_camera[0]
    offset = SE3.from_matrix(camera_from_believed)
    assert 0 < rotation_angle(offset.rotation) <= np.radians(2) + 1e-9
    pairs = zip(decode_actions(before.actions), decode_actions(after.actions), strict=True)
    for (expert, _), (label, score) in pairs:
        executed = offset @ label @ offset.inverse()
        np.testing.assert_allclose(executed.matrix, expert.matrix, atol=1e-6)
        assert score == 1.0
    reached = after.scene_from_camera @ after.camera_from_goal
    np.testing.assert_allclose(reached, np.broadcast_to(reached[0], reached.shape), atol=1e-9)
    for t, (label, _) in enumerate(decode_actions(after.actions)[:-1]):
        np.testing.assert_allclose(
            after.scene_from_camera[t] @ label.matrix, after.scene_from_camera[t + 1], atol=1e-6
        )


def test_late_frames_are_those_of_the_step_before_and_poses_are_not_late(images_untouched):
    lags: list[int] = []
    for seed in range(20):
        before = demonstration(seed)
        after = corrupted(before, np.random.default_rng(seed), chance=1.0)
        late = np.arange(STEPS) - after.rgb[:, 0, 0, 0]
        assert late[0] == 0
        assert set(late) <= {0, 1}
        lags += late.tolist()
    assert 0.2 < np.mean(lags) < 0.8


def test_calibration_and_clock_are_wrong_in_some_episodes_only(images_untouched):
    before = demonstration(0)
    after = [corrupted(before, np.random.default_rng([1, number])) for number in range(100)]
    moved = np.mean([not np.array_equal(a.scene_from_camera, before.scene_from_camera) for a in after])
    late = np.mean([not np.array_equal(a.rgb, before.rgb) for a in after])
    assert 0.15 < moved < 0.45
    assert 0.1 < late < 0.45


def test_a_strength_that_is_none_is_refused():
    with pytest.raises(HandoverError, match=r"strength"):
        corrupted(demonstration(0), np.random.default_rng(0), strength=1.5, chance=1.0)

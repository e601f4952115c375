"""Perturbations are reproducible, grow with strength, touch what they name, and cut rgb as the masks do."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from h2rh_env.core.errors import HandoverError
from h2rh_env.core.geometry import rotation_angle
from h2rh_env.perturbations.images import (
    IMAGE_PERTURBATIONS,
    PERTURBATIONS,
    LateObservations,
    augment,
    hand_eye_offset,
    perturb,
)

MASK_ONES = ("erosion", "dilation", "holes", "blobs", "no_hand")
COLOUR_ONES = tuple(name for name in IMAGE_PERTURBATIONS if name not in MASK_ONES)
seeds = st.integers(0, 2**32 - 1)


def frame(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A box held from below, textured, on black; (84, 112)."""
    rng = np.random.default_rng(seed)
    masks = np.zeros((84, 112, 2), np.uint8)
    masks[20:50, 40:70, 0] = 255
    masks[50:84, 45:65, 1] = 255
    texture = rng.integers(40, 215, (21, 28, 3)).repeat(4, axis=0).repeat(4, axis=1).astype(np.uint8)
    return np.where(masks.any(axis=2, keepdims=True), texture, np.uint8(0)), masks


RGB, MASKS = frame()


def changed(name: str, strength: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    return perturb(name, strength, RGB, MASKS, np.random.default_rng(seed))


def difference(name: str, strength: float) -> float:
    """Mean over draws of what changed of either, levels."""
    both = [changed(name, strength, seed) for seed in range(12)]
    return float(
        np.mean(
            [
                np.abs(rgb.astype(float) - RGB).mean() + np.abs(m.astype(float) - MASKS).mean()
                for rgb, m in both
            ]
        )
    )


@pytest.mark.parametrize("name", IMAGE_PERTURBATIONS)
@settings(max_examples=10, deadline=None)
@given(seed=seeds, strength=st.floats(0, 1))
def test_the_same_seed_gives_the_same_frames_and_leaves_the_inputs_alone(name, seed, strength):
    before = RGB.copy(), MASKS.copy()
    first, second = changed(name, strength, seed), changed(name, strength, seed)
    for a, b, original in zip(first, second, before, strict=True):
        np.testing.assert_array_equal(a, b)
        assert a.dtype == np.uint8
        assert a.shape == original.shape
    np.testing.assert_array_equal(RGB, before[0])
    np.testing.assert_array_equal(MASKS, before[1])


@pytest.mark.parametrize("name", IMAGE_PERTURBATIONS)
def test_no_strength_changes_nothing_and_more_strength_changes_more(name):
    rgb, masks = changed(name, 0.0)
    np.testing.assert_array_equal(rgb, RGB)
    np.testing.assert_array_equal(masks, MASKS)
    assert 0 < difference(name, 0.3) < difference(name, 1.0)


@pytest.mark.parametrize("name", IMAGE_PERTURBATIONS)
def test_a_batch_is_its_frames_in_order(name):
    frames = [frame(seed) for seed in range(3)]
    rgb, masks = perturb(
        name,
        0.7,
        np.stack([f[0] for f in frames]),
        np.stack([f[1] for f in frames]),
        np.random.default_rng(5),
    )
    rng = np.random.default_rng(5)
    for i, (one_rgb, one_masks) in enumerate(frames):
        alone = perturb(name, 0.7, one_rgb, one_masks, rng)
        np.testing.assert_array_equal(rgb[i], alone[0])
        np.testing.assert_array_equal(masks[i], alone[1])


@pytest.mark.parametrize("name", COLOUR_ONES)
def test_colour_leaves_masks_and_the_black_background_alone(name):
    rgb, masks = changed(name, 1.0)
    np.testing.assert_array_equal(masks, MASKS)
    assert not rgb[~RGB.any(axis=2)].any()


@pytest.mark.parametrize("name", MASK_ONES)
@given(seed=seeds)
@settings(max_examples=10, deadline=None)
def test_masks_stay_masks_and_cut_the_picture(name, seed):
    rgb, masks = changed(name, 0.8, seed)
    assert set(np.unique(masks)) <= {0, 255}
    assert not (masks > 0).all(axis=2).any()
    assert not rgb[~masks.any(axis=2)].any()
    kept = masks.any(axis=2) & MASKS.any(axis=2)
    np.testing.assert_array_equal(rgb[kept], RGB[kept])
    new = masks.any(axis=2) & ~MASKS.any(axis=2)
    assert rgb[new].any(axis=1).all()


def test_strengths_mean_what_is_written():
    brighter = changed("exposure", 1.0)[0].astype(float)[30, 50] / RGB[30, 50]
    assert np.allclose(brighter, 0.5, atol=0.03) or (np.rint(brighter) >= 1).all()
    grown, shrunk = changed("dilation", 1.0)[1], changed("erosion", 1.0)[1]
    assert (grown[35, 36:74, 0] > 0).all()
    assert not grown[35, :36].any()
    assert (shrunk[35, 44:66, 0] > 0).all()
    assert not shrunk[35, :44].any()
    assert (shrunk[83, 49:61, 1] > 0).all(), "where the picture ends the hand does not"
    assert (changed("holes", 1.0)[1] > 0).sum() == pytest.approx(0.7 * (MASKS > 0).sum(), rel=0.02)
    assert not changed("no_hand", 1.0)[1][..., 1].any()
    np.testing.assert_array_equal(changed("no_hand", 1.0)[1][..., 0], MASKS[..., 0])


@pytest.mark.parametrize("name", IMAGE_PERTURBATIONS)
@pytest.mark.parametrize("fill", [0, 255])
def test_frames_of_nothing_and_of_the_object_alone_pass(name, fill):
    rgb, masks = np.full((20, 30, 3), fill, np.uint8), np.zeros((20, 30, 2), np.uint8)
    masks[..., 0] = fill
    assert perturb(name, 1.0, rgb, masks, np.random.default_rng(0))[0].shape == rgb.shape


@given(seed=seeds, strength=st.floats(0, 1))
def test_a_hand_eye_offset_has_the_size_of_its_strength(seed, strength):
    offset = hand_eye_offset(strength, np.random.default_rng(seed))
    assert np.linalg.norm(offset.translation) == pytest.approx(0.01 * strength)
    assert rotation_angle(offset.rotation) == pytest.approx(np.radians(2) * strength, abs=1e-9)


def observations(count: int) -> list[dict[str, np.ndarray]]:
    return [{"rgb": np.full((1, 1, 3), i, np.uint8)} for i in range(count)]


def test_late_observations_are_those_of_the_step_before_but_never_of_the_episode_before():
    late = LateObservations(1.0, np.random.default_rng(0))
    for _ in range(2):
        late.reset()
        assert [int(late(o)["rgb"][0, 0, 0]) for o in observations(4)] == [0, 0, 1, 2]
    prompt = LateObservations(0.0, np.random.default_rng(0))
    assert [int(prompt(o)["rgb"][0, 0, 0]) for o in observations(4)] == [0, 1, 2, 3]
    sometimes = LateObservations(0.5, np.random.default_rng(0))
    lags = [i - int(sometimes(o)["rgb"][0, 0, 0]) for i, o in enumerate(observations(200))]
    assert set(lags) == {0, 1}
    assert 60 < sum(lags) < 140


def test_augmenting_is_reproducible_and_leaves_some_frames_as_they_are():
    rgb, masks = np.stack([RGB] * 12), np.stack([MASKS] * 12)
    first = augment(rgb, masks, np.random.default_rng(3), chance=0.1)
    second = augment(rgb, masks, np.random.default_rng(3), chance=0.1)
    np.testing.assert_array_equal(first[0], second[0])
    same = [(a == RGB).all() and (b == MASKS).all() for a, b in zip(*first, strict=True)]
    assert 0 < sum(same) < 12
    np.testing.assert_array_equal(augment(rgb, masks, np.random.default_rng(3), 0.0)[0], rgb)


def test_every_perturbation_says_what_it_does():
    assert set(PERTURBATIONS) == {*IMAGE_PERTURBATIONS, "hand_eye", "latency"}
    assert all(perturbation.at_full_strength for perturbation in PERTURBATIONS.values())


def test_what_makes_no_sense_is_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(HandoverError, match=r"no perturbation 'fog'; there are exposure, "):
        perturb("fog", 0.5, RGB, MASKS, rng)
    with pytest.raises(HandoverError, match=r"strength is 1\.5"):
        perturb("blur", 1.5, RGB, MASKS, rng)
    with pytest.raises(HandoverError, match="strength is nan"):
        hand_eye_offset(float("nan"), rng)
    with pytest.raises(HandoverError, match="'latency' does not change images"):
        perturb("latency", 0.5, RGB, MASKS, rng)
    with pytest.raises(HandoverError, match=r"float64 \(84, 112, 3\)"):
        perturb("blur", 0.5, RGB / 255, MASKS, rng)
    with pytest.raises(HandoverError, match=r"uint8 \(84, 112, 3\)"):
        perturb("blur", 0.5, RGB, RGB, rng)

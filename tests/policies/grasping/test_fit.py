"""Samples and fit: labels lie on the object, equal seeds give equal bits, and an interrupted fit goes on to them."""

import numpy as np
import pytest
import torch

from h2rh_env.scenes.handover_scene import SHIPPED_SCENES, HandoverScene
from policies.grasping.__main__ import GraspingConfig, estimate, main
from policies.grasping.checkpoint import load_checkpoint
from policies.grasping.inputs import GraspInputs
from policies.grasping.network import GraspNetwork
from policies.grasping.training.dataset import Samples, sample_scenes, save_samples
from policies.grasping.training.fit import Fit, FitConfig
from policies.grasping.training.samples import FROM_BEHIND_RAD, Sampling, samples_of

SCENE = next(p for p in sorted(SHIPPED_SCENES.glob("mustard_bottle-*")))
INPUTS = GraspInputs()


@pytest.fixture(scope="module")
def drawn():
    return samples_of(SCENE, 12, 5, INPUTS, Sampling(perturbed=0.0))


@pytest.fixture(scope="module")
def samples(drawn, tmp_path_factory):
    path = tmp_path_factory.mktemp("samples") / "mustard.npz"
    save_samples(path, drawn)
    return Samples([path])


def test_grasps_lie_in_the_crop_in_front_of_the_camera(drawn):
    for sample in drawn:
        grasps = sample.grasps[~np.isnan(sample.grasps[:, 0])]
        assert len(grasps)
        place = grasps[:, :2] / grasps[:, 2:3] / np.exp(sample.geometry[0])
        assert (np.abs(place) <= 1).all()
        approach, closing = grasps[:, 3:6], grasps[:, 6:]
        assert np.abs((approach * closing).sum(1)).max() < 1e-5
        sight = grasps[:, :3] / np.linalg.norm(grasps[:, :3], axis=1, keepdims=True)
        assert ((approach * sight).sum(1) > np.cos(FROM_BEHIND_RAD) - 1e-5).all()


def test_the_surface_is_about_as_far_as_the_grasps(drawn):
    for sample in drawn:
        grasps = sample.grasps[~np.isnan(sample.grasps[:, 0])]
        seen = sample.depth_m[sample.depth_m > 0]
        assert abs(np.median(seen) - np.median(grasps[:, 2])) < 0.12


def test_equal_seeds_draw_equal_samples(drawn):
    again = samples_of(SCENE, 3, 5, INPUTS, Sampling(perturbed=0.0))
    for one, other in zip(drawn, again, strict=False):
        assert all(np.array_equal(a, b, equal_nan=True) for a, b in zip(one, other, strict=True))


def test_a_scene_without_grasps_gives_none(tmp_path):
    nothing = next(
        p
        for p in sorted(SHIPPED_SCENES.iterdir())
        if p.is_dir() and not HandoverScene.load(p).acceptable_grasps
    )
    assert samples_of(nothing, 3, 0, INPUTS, Sampling()) == []
    assert sample_scenes([nothing], tmp_path, 3, 0, INPUTS, Sampling()) == 0


def test_an_interrupted_fit_goes_on_to_the_same_bits(samples, tmp_path):
    config = FitConfig(steps=4, batch_size=4)
    whole, parts = Fit(config, small()), Fit(config, small())
    whole.run(samples, tmp_path / "whole", 4, lambda *_: None)
    parts.take_step(samples)
    parts.take_step(samples)
    parts.save(tmp_path / "parts")
    resumed = Fit(config, small())
    resumed.load(tmp_path / "parts")
    resumed.run(samples, tmp_path / "parts", 4, lambda *_: None)
    left, right = whole.averaged().state_dict(), resumed.averaged().state_dict()
    assert all(torch.equal(value, right[key]) for key, value in left.items())


def test_a_few_samples_can_be_learnt_by_heart(samples):
    config = FitConfig(steps=80, batch_size=12, learning_rate=3e-3, bf16=False)
    fit = Fit(config, small())
    totals = [float(fit.take_step(samples).total.detach()) for _ in range(config.steps)]
    assert np.mean(totals[-5:]) < 0.8 * np.mean(totals[:3])


def small():
    torch.manual_seed(1)
    return GraspNetwork(width=16)


def test_one_command_trains_a_policy_and_says_what_it_takes(tmp_path):
    config = GraspingConfig(
        SCENE, tmp_path / "run", views=6, rounds=1, episodes=1, round_steps=2, validation=0.0, workers=1,
        fit=FitConfig(steps=2, batch_size=4),
    )  # fmt: skip
    assert "6 samples, 4 steps, 1 episodes" in estimate(config, 1)
    main(config)
    checkpoint = load_checkpoint(config.out)
    assert checkpoint.provenance["steps"] == 4
    assert checkpoint.provenance["samples"] > 6
    weights = (config.out / "weights.safetensors").read_bytes()
    main(config)
    assert (config.out / "weights.safetensors").read_bytes() == weights

"""The whole way of one datum: capture, scene, demonstrations, checkpoint, report, rehearsed robot."""

import json
from dataclasses import replace

import numpy as np
import pytest

import evaluate
import train
from experts import collect
from h2rh_env import build
from h2rh_env.captures.load import load_capture
from h2rh_env.captures.synthetic.generate import generate_capture
from h2rh_env.captures.write_dexycb import write_dexycb
from h2rh_env.core.labels import Label
from h2rh_env.scenes.handover_scene import HandoverScene
from policies.training.behaviour_cloning import FitConfig
from real_robot import __main__ as robot


@pytest.fixture(scope="module")
def capture_folder(tmp_path_factory):
    return write_dexycb(generate_capture(0, "mustard_bottle"), tmp_path_factory.mktemp("captures"))


@pytest.fixture(scope="module")
def scene_folder(capture_folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("scenes") / "mustard"
    build.main(build.BuildConfig(capture_folder, out, steps=100))
    return out


def test_a_capture_becomes_a_metric_labelled_scene(scene_folder):
    scene = HandoverScene.load(scene_folder)
    extent = np.ptp(scene.object_points, axis=0)
    assert 0.15 < np.linalg.norm(extent) < 0.25  # 58 x 95 x 190 mm, its foot in the hand, held askew
    assert set(np.unique(scene.gaussians.labels)) == {Label.OBJECT, Label.HAND}
    assert scene.provenance["capture"]


def test_building_again_gives_the_same_scene(capture_folder, scene_folder, tmp_path):
    build.main(build.BuildConfig(capture_folder, tmp_path / "again", steps=100))
    assert HandoverScene.load(tmp_path / "again").scene_hash == HandoverScene.load(scene_folder).scene_hash


def test_nearby_grid_spacing_moves_the_grasp_little(capture_folder, scene_folder):
    coarse = build.build_scene(load_capture(capture_folder), voxel_m=0.0025).grasp
    fine = HandoverScene.load(scene_folder).grasp
    assert np.linalg.norm(coarse.contact_scene - fine.contact_scene) < 0.03


def test_demonstrations_train_a_policy_that_is_evaluated_and_rehearsed(scene_folder, tmp_path, capsys):
    collect.main(collect.CollectConfig(scene_folder, tmp_path / "data", initial_poses=3, workers=1))
    settings = train.TrainConfig(tmp_path / "data", tmp_path / "policy", validation=0.0)
    train.main(replace(settings, fit=FitConfig(epochs=2)))
    policy = str(tmp_path / "policy")
    evaluate.main(
        evaluate.EvaluateConfig((policy, "expert"), scene_folder, initial_poses=2, out=tmp_path / "report")
    )
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    assert report["summary"]["expert"]["success"]["count"] == 2
    assert len(report["settings"]["policy_hashes"][policy]) == 64

    status = robot.rehearse(robot.Rehearse(scene=scene_folder, policy="expert", logs=tmp_path / "trials"))
    assert status == 0
    assert "handed over" in capsys.readouterr().out.lower()

"""The weights that are kept are judged in scenes that were held out; where none is, the command says so."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

import train
from experts.collect import CollectConfig, collect
from h2rh_env.scenes.handover_scene import HandoverScene
from policies.networks.checkpoints import read_config
from policies.training.behaviour_cloning import FitConfig

FIT = FitConfig(epochs=2, augmentation=0)


@pytest.fixture(scope="module")
def folder(tiny_scene: HandoverScene, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("train")
    for name in ("first", "second"):
        replace(tiny_scene, name=name).save(folder / "scenes" / name)
    collect(CollectConfig(folder / "scenes", folder / "data", initial_poses=2, workers=1))
    return folder


def trained(folder: Path, out: Path, validation: float) -> dict[str, object]:
    train.main(
        train.TrainConfig(folder / "data", out, validation=validation, scenes=folder / "scenes", fit=FIT)
    )
    record: dict[str, object] = json.loads((out / "training.json").read_text())
    return record


def test_every_epoch_is_judged_by_acting_in_the_scenes_held_out(folder: Path, tmp_path: Path) -> None:
    validations = trained(folder, tmp_path, 0.5)["validations"]
    assert isinstance(validations, list)
    assert [each["epochs"] for each in validations] == [1, 2]
    assert all(each["goal_error_m"] > 0 for each in validations)
    best = min(
        validations,
        key=lambda each: (-each["handed_over"], each["goal_error_m"] + 0.3 * each["goal_error_rad"]),
    )
    assert read_config(tmp_path).provenance["epochs"] == best["epochs"]


def test_where_nothing_is_held_out_that_is_said_and_the_last_weights_are_kept(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert trained(folder, tmp_path, 0.0)["validations"] is None
    assert "no scene is held out" in " ".join("".join(capsys.readouterr()).split())
    assert read_config(tmp_path).provenance["epochs"] == 2

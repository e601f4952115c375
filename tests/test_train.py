"""The weights that are kept are judged in scenes that were held out; where none is, the command says so."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

import train
from experts.collect import CollectConfig, collect
from h2rh_env.core.errors import DatasetError, HandoverError
from h2rh_env.datasets.read import describe
from h2rh_env.scenes.handover_scene import HandoverScene
from policies.networks.checkpoints import read_config
from policies.training.behaviour_cloning import FitConfig
from policies.training.streaming.prepare import PrepareConfig, prepare
from policies.training.streaming.stream import StreamConfig, open_frames

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
        train.TrainConfig(str(folder / "data"), out, validation=validation, scenes=folder / "scenes", fit=FIT)
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


def test_prepared_frames_are_streamed_and_so_are_those_of_dagger(folder: Path, tmp_path: Path) -> None:
    frames = str(tmp_path / "frames")
    prepare(PrepareConfig(folder / "data", frames, workers=1))
    config = train.TrainConfig(
        frames,
        tmp_path / "out",
        validation=0.5,
        scenes=folder / "scenes",
        dagger_rounds=1,
        dagger_initial_poses=1,
        dagger_epochs=1,
        fit=replace(FIT, epochs=1),
        stream=StreamConfig(buffer_frames=32),
    )
    train.main(config)
    record = json.loads((tmp_path / "out" / "training.json").read_text())
    assert [each["epochs"] for each in record["validations"]] == [1, 2]
    assert record["dataset"]["provenance"] == describe(folder / "data").provenance
    more = open_frames(tmp_path / "out" / "rounds" / "1" / "frames", config.stream)
    assert len(more.scenes) == 1
    with pytest.raises(DatasetError, match=r"CropInputs of .80, 80. px; --policy resnet18 needs others"):
        train.main(replace(config, policy="resnet18"))
    with pytest.raises(HandoverError, match="--corruption has no effect with prepared frames"):
        train.main(replace(config, corruption=0.5))
    with pytest.raises(HandoverError, match="--buffer-frames has no effect with demonstrations"):
        train.main(replace(config, dataset=str(folder / "data")))


def test_where_nothing_is_held_out_that_is_said_and_the_last_weights_are_kept(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert trained(folder, tmp_path, 0.0)["validations"] is None
    assert "no scene is held out" in " ".join("".join(capsys.readouterr()).split())
    assert read_config(tmp_path).provenance["epochs"] == 2

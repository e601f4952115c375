"""The export is read as LeRobot's format v3.0 says: info first, then episodes, then frames and video by timestamp."""

import json
import re
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from h2rh_env.core.camera import HAND_EYE_CAMERA
from h2rh_env.core.errors import DatasetError, MissingPackageError, install_line
from h2rh_env.datasets.lerobot import export as exporting
from h2rh_env.datasets.lerobot.__main__ import ExportConfig
from h2rh_env.datasets.lerobot.export import export
from h2rh_env.datasets.lerobot.features import SENTENCES
from h2rh_env.datasets.lerobot.statistics import Statistics
from h2rh_env.datasets.minari import Demonstration, DemonstrationWriter, encode

pq = pytest.importorskip("pyarrow.parquet", reason=install_line("lerobot"))

CAMERA = HAND_EYE_CAMERA.resized(64, 48)
FPS = 8


def demonstration(seed: int, steps: int) -> Demonstration:
    """Smooth pictures, for a video keeps no noise."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[: CAMERA.height, : CAMERA.width]
    masks = np.zeros((steps, CAMERA.height, CAMERA.width, 2), np.uint8)
    rgb = np.zeros((steps, CAMERA.height, CAMERA.width, 3), np.uint8)
    for t in range(steps):
        masks[t, ..., 0] = 255 * (np.hypot(rows - 20, columns - 20 - 2 * t) < 9)
        masks[t, ..., 1] = 255 * (np.hypot(rows - 36, columns - 20 - 2 * t) < 7) * (masks[t, ..., 0] == 0)
        rgb[t] = (30 * seed + 8 * t + rows + columns)[..., None] % 200 + [10, 20, 30]
    poses = np.tile(np.eye(4), (2, steps, 1, 1))
    poses[..., :3, :3] = Rotation.random(2 * steps, rng=rng).as_matrix().reshape(2, steps, 3, 3)
    poses[..., :3, 3] = rng.normal(size=(2, steps, 3))
    actions = rng.normal(0, 0.02, (steps, 7)).astype(np.float32)
    return Demonstration(
        rgb,
        masks,
        actions,
        poses[0],
        poses[1],
        rng.uniform(0.1, 0.5, steps),
        f"scene-{seed}",
        "0" * 64,
        seed,
        reward=float(seed % 2),
    )


WRITTEN = [demonstration(seed, 4 + seed) for seed in range(5)]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lerobot")
    writer = DemonstrationWriter(folder / "data", CAMERA, {"seed": 0})
    for one in WRITTEN:
        writer.append(encode(one), len(one))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exporting, "EPISODES_PER_FILE", 3)  # so that there are two files of each kind
        export(folder / "data", folder / "out", FPS)
    return folder / "out"


class SpecificationReader:
    """Reads by what `meta/` says and nothing else."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.info = json.loads((root / "meta/info.json").read_text())
        self.stats = json.loads((root / "meta/stats.json").read_text())
        self.tasks = pq.read_table(root / "meta/tasks.parquet").to_pydict()
        tables = [pq.read_table(path) for path in sorted((root / "meta/episodes").glob("*/*.parquet"))]
        self.episodes = [row for table in tables for row in table.to_pylist()]

    def frames(self, episode: int) -> dict[str, list[Any]]:
        row = self.episodes[episode]
        path = self.info["data_path"].format(
            chunk_index=row["data/chunk_index"], file_index=row["data/file_index"]
        )
        table = pq.read_table(self.root / path).to_pydict()
        rows = [i for i, index in enumerate(table["episode_index"]) if index == episode]
        return {key: [values[i] for i in rows] for key, values in table.items()}

    def video(self, episode: int, key: str) -> np.ndarray:
        row = self.episodes[episode]
        path = self.info["video_path"].format(
            video_key=key,
            chunk_index=row[f"videos/{key}/chunk_index"],
            file_index=row[f"videos/{key}/file_index"],
        )
        frames = iio.imread(self.root / path, plugin="FFMPEG")
        begin, end = (
            round(row[f"videos/{key}/{side}_timestamp"] * self.info["fps"]) for side in ("from", "to")
        )
        return np.asarray(frames[begin:end])


@pytest.fixture(scope="module")
def reader(exported: Path) -> SpecificationReader:
    return SpecificationReader(exported)


def test_info_says_what_there_is(reader):
    info = reader.info
    assert info["codebase_version"] == "v3.0"
    assert (info["total_episodes"], info["total_tasks"], info["fps"]) == (5, 1, FPS)
    assert info["total_frames"] == sum(map(len, WRITTEN))
    assert info["splits"] == {"train": "0:5"}
    videos = {key for key, feature in info["features"].items() if feature["dtype"] == "video"}
    assert videos == {"observation.images.rgb", "observation.images.masks"}
    assert info["features"]["action"]["shape"] == [7]
    assert len(info["features"]["action"]["names"]) == 7
    for key in ("timestamp", "frame_index", "episode_index", "index", "task_index"):
        assert info["features"][key]["shape"] == [1]


def test_columns_are_the_features_that_are_no_video(reader):
    features = {key: f for key, f in reader.info["features"].items() if f["dtype"] != "video"}
    schema = pq.read_schema(next(reader.root.glob("data/*/*.parquet")))
    assert set(schema.names) == set(features)
    for key, feature in features.items():
        kind = schema.field(key).type
        if feature["shape"] != [1]:
            assert kind.list_size == feature["shape"][0]
            kind = kind.value_type
        assert {"float": "float32"}.get(str(kind), str(kind)) == feature["dtype"]


def test_episodes_follow_one_another_without_a_gap(reader):
    assert [row["episode_index"] for row in reader.episodes] == list(range(5))
    assert [row["data/file_index"] for row in reader.episodes] == [0, 0, 0, 1, 1]
    ends = [0, *(row["dataset_to_index"] for row in reader.episodes)]
    assert [row["dataset_from_index"] for row in reader.episodes] == ends[:-1]
    for row, written in zip(reader.episodes, WRITTEN, strict=True):
        assert row["length"] == row["dataset_to_index"] - row["dataset_from_index"] == len(written)
        assert row["tasks"] == reader.tasks["task"]
        for key in ("observation.images.rgb", "observation.images.masks"):
            length_s = row[f"videos/{key}/to_timestamp"] - row[f"videos/{key}/from_timestamp"]
            assert length_s == pytest.approx(len(written) / FPS)


def test_an_episode_is_a_row_group_and_its_origin_is_told(reader):
    paths = sorted((reader.root / "data").glob("*/*.parquet"))
    groups = [(path, i) for path in paths for i in range(pq.ParquetFile(path).num_row_groups)]
    for (path, i), written in zip(groups, WRITTEN, strict=True):
        assert pq.ParquetFile(path).read_row_group(i).num_rows == len(written)
    ours = json.loads((reader.root / "meta/h2rh.json").read_text())
    assert ours["provenance"] == {"seed": 0}
    assert [(e["scene"], e["seed"]) for e in ours["episodes"]] == [(w.scene, w.seed) for w in WRITTEN]


def test_numbers_come_back(reader):
    for episode, written in enumerate(WRITTEN):
        frames = reader.frames(episode)
        np.testing.assert_array_equal(np.array(frames["action"], np.float32), written.actions)
        np.testing.assert_allclose(frames["clearance_m"], written.clearance_m, rtol=1e-6)
        for key, matrices in (
            ("observation.state", np.linalg.inv(written.scene_from_camera[0]) @ written.scene_from_camera),
            ("camera_from_goal", written.camera_from_goal),
        ):
            poses = np.array(frames[key])
            np.testing.assert_allclose(poses[:, :3], matrices[:, :3, 3], atol=1e-6)
            rotations = Rotation.from_quat(poses[:, 3:], scalar_first=True).as_matrix()
            np.testing.assert_allclose(rotations, matrices[:, :3, :3], atol=1e-5)
        assert frames["frame_index"] == list(range(len(written)))
        np.testing.assert_allclose(frames["timestamp"], np.arange(len(written)) / FPS, rtol=1e-6)
        assert frames["next.done"] == [False] * (len(written) - 1) + [True]
        assert frames["next.success"] == [False] * (len(written) - 1) + [written.reward == 1]
        assert frames["next.reward"] == [0.0] * (len(written) - 1) + [written.reward]
        np.testing.assert_allclose(frames["observation.state"][0], [0, 0, 0, 1, 0, 0, 0], atol=1e-6)
        begin = reader.episodes[episode]["dataset_from_index"]
        assert frames["index"] == list(range(begin, begin + len(written)))


def test_masks_come_back_exactly_and_colours_nearly(reader):
    for episode, written in enumerate(WRITTEN):
        colours = reader.video(episode, "observation.images.rgb").astype(float)
        assert colours.shape == written.rgb.shape
        assert np.abs(colours - written.rgb).mean() < 6
        grey = reader.video(episode, "observation.images.masks")[..., 0].astype(int)
        np.testing.assert_array_equal(grey > 191, written.masks[..., 0] > 0)
        np.testing.assert_array_equal((grey > 64) & (grey <= 191), written.masks[..., 1] > 0)


def test_statistics_are_those_of_the_frames(reader):
    actions = np.concatenate([written.actions for written in WRITTEN])
    stats = reader.stats["action"]
    np.testing.assert_allclose(stats["mean"], actions.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(stats["std"], actions.std(axis=0), atol=1e-6)
    np.testing.assert_allclose(stats["min"], actions.min(axis=0))
    np.testing.assert_allclose(stats["q50"], np.median(actions, axis=0), atol=1e-6)
    assert stats["count"] == [len(actions)]
    pixels = np.concatenate([written.rgb[:, ::4, ::4].reshape(-1, 3) for written in WRITTEN]) / 255
    image = reader.stats["observation.images.rgb"]
    assert np.shape(image["mean"]) == (3, 1, 1)
    np.testing.assert_allclose(np.ravel(image["mean"]), pixels.mean(axis=0))
    np.testing.assert_allclose(np.ravel(image["std"]), pixels.std(axis=0))
    np.testing.assert_allclose(np.ravel(image["max"]), pixels.max(axis=0))
    assert np.abs(np.ravel(image["q50"]) - np.median(pixels, axis=0)).max() <= 1 / 255
    first = reader.episodes[0]
    np.testing.assert_allclose(first["stats/action/max"], WRITTEN[0].actions.max(axis=0))
    assert first["stats/action/count"] == [len(WRITTEN[0])]


def test_tasks_are_indexed_by_their_text_for_pandas(reader):
    assert reader.tasks == {"task_index": [0], "task": [SENTENCES["reach"]]}
    schema = pq.read_schema(reader.root / "meta/tasks.parquet")
    assert json.loads(schema.metadata[b"pandas"])["index_columns"] == ["task"]


def test_the_card_says_what_there_is_and_what_each_feature_means(reader):
    card = (reader.root / "README.md").read_text()
    front, body = card.split("---\n")[1:3]
    assert "LeRobot" in front
    assert "data/*/*.parquet" in front
    assert f"{len(WRITTEN)} episodes, {sum(map(len, WRITTEN))} frames" in body
    assert "2 of 5" in body, "those with reward"
    assert SENTENCES["reach"] in body
    for key in reader.info["features"]:
        assert f"| `{key}` |" in body
    assert str(WRITTEN[0].scene) in body


def test_who_takes_the_object_is_told_another_sentence(tmp_path):
    writer = DemonstrationWriter(tmp_path / "data", CAMERA, {}, "grasp")
    writer.append(encode(WRITTEN[0]), len(WRITTEN[0]))
    export(tmp_path / "data", tmp_path / "out", FPS)
    assert SpecificationReader(tmp_path / "out").tasks["task"] == [SENTENCES["grasp"]]


def test_adding_up_statistics_is_the_statistics_of_all():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)
    columns = {"index": np.arange(6), "action": rng.normal(size=(6, 7))}
    whole, parts = Statistics(), Statistics()
    whole.add(columns, {"rgb": images})
    for i in range(6):
        parts.add({key: values[i : i + 1] for key, values in columns.items()}, {"rgb": images[i : i + 1]})
    assert whole.nested() == parts.nested()


def test_what_cannot_be_exported_is_told(exported, tmp_path, monkeypatch):
    with pytest.raises(DatasetError, match="exists; give another --out"):
        export(exported.parent / "data", exported, FPS)
    DemonstrationWriter(tmp_path / "empty", CAMERA, {})
    with pytest.raises(DatasetError, match="holds no episode"):
        export(tmp_path / "empty", tmp_path / "out", FPS)
    with pytest.raises(DatasetError, match="--fps is 0"):
        ExportConfig(tmp_path / "empty", tmp_path / "out", fps=0)
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(MissingPackageError, match=re.escape(install_line("lerobot"))):
        export(exported.parent / "data", tmp_path / "out", FPS)
    assert not list(tmp_path.glob(".out*"))

import json
import os
import shutil
import signal
import time
import warnings
from dataclasses import fields, replace
from pathlib import Path

import h5py
import minari
import numpy as np
import pytest

from h2rh_env.core.action import decode_actions
from h2rh_env.core.errors import DatasetError
from h2rh_env.core.geometry import SE3
from h2rh_env.datasets import minari as demonstrations
from h2rh_env.datasets.minari import (
    Demonstration,
    DemonstrationWriter,
    Views,
    describe,
    encode,
    encode_views,
    read_demonstrations,
    read_views,
)

from .demonstrations import CAMERA, PROVENANCE, random_demonstration


def as_schema_1(folder: Path, demonstrations: list[Demonstration]) -> None:
    """What earlier versions wrote: labels as actions, the scene's frame called the world, no rewards, no views."""
    for number, one in enumerate(demonstrations):
        with h5py.File(folder / "episodes" / f"{number:06d}.hdf5", "a") as file:
            episode = file["episode"]
            del episode["actions"], episode["infos/label"]
            episode["actions"], episode["rewards"][...] = one.actions, 0
            episode.move("infos/scene_from_camera", "infos/world_from_camera")
    path = folder / "metadata.json"
    metadata = json.loads(path.read_text())
    metadata["h2rh"] = {"schema": "h2rh-demonstrations-1", "provenance": PROVENANCE, "dropped": 0}
    path.write_text(json.dumps(metadata))


def write(folder: Path, count: int) -> list[Demonstration]:
    writer = DemonstrationWriter(folder, CAMERA, PROVENANCE)
    written = [random_demonstration(seed, 3 + seed) for seed in range(count)]
    for demonstration in written:
        writer.append(encode(demonstration), len(demonstration))
    return written


def test_what_is_written_is_read_back_bit_for_bit(tmp_path: Path) -> None:
    written = write(tmp_path / "data", 3)
    for before, after in zip(written, read_demonstrations(tmp_path / "data"), strict=True):
        for name in ("rgb", "masks", "actions", "scene_from_camera", "camera_from_goal", "clearance_m"):
            np.testing.assert_array_equal(getattr(before, name), getattr(after, name))
        assert (before.scene, before.scene_hash, before.seed) == (after.scene, after.scene_hash, after.seed)


def test_an_episode_is_true_on_disk_and_its_labels_stand_beside_it(tmp_path: Path) -> None:
    (written,) = write(tmp_path / "data", 1)
    (read,) = read_demonstrations(tmp_path / "data")
    assert (read.reward, read.declared) == (written.reward, True)
    with h5py.File(tmp_path / "data" / "episodes" / "000000.hdf5") as file:
        episode = file["episode"]
        np.testing.assert_array_equal(episode["actions"], written.executed)
        np.testing.assert_array_equal(episode["infos/label"][:-1], written.actions)
        assert {"scene_from_camera", "camera_from_goal", "clearance_m", "label"} == set(episode["infos"])
    assert written.executed[:, 6].tolist() == [0.0] * (len(written) - 1) + [1.0]
    poses = [SE3.from_matrix(pose) for pose in written.scene_from_camera]
    for before, action, after in zip(poses, decode_actions(written.executed), poses[1:], strict=False):
        np.testing.assert_allclose((before @ action[0]).matrix, after.matrix, atol=1e-6)


def test_an_episode_that_was_not_declared_is_truncated(tmp_path: Path) -> None:
    one = replace(random_demonstration(0), declared=False)
    DemonstrationWriter(tmp_path / "data", CAMERA, PROVENANCE, "grasp").append(encode(one), len(one))
    episode = minari.MinariDataset(tmp_path / "data")[0]
    assert (episode.terminations.any(), episode.truncations[-1]) == (False, True)
    (read,) = read_demonstrations(tmp_path / "data")
    assert not read.declared
    assert describe(tmp_path / "data").task == "grasp"
    assert minari.MinariDataset(tmp_path / "data").env_spec.id == "H2RHandoverGrasp-v0"


def test_schema_1_still_loads(tmp_path: Path) -> None:
    written = write(tmp_path / "data", 2)
    as_schema_1(tmp_path / "data", written)
    assert minari.MinariDataset(tmp_path / "data").total_episodes == 2
    for before, after in zip(written, read_demonstrations(tmp_path / "data"), strict=True):
        for name in ("rgb", "masks", "actions", "scene_from_camera", "camera_from_goal", "clearance_m"):
            np.testing.assert_array_equal(getattr(before, name), getattr(after, name))
    assert list(read_views(tmp_path / "data")) == []
    assert describe(tmp_path / "data").task == "reach"
    with pytest.raises(DatasetError, match="read but not continued"):
        DemonstrationWriter(tmp_path / "data", CAMERA, PROVENANCE)


def test_views_lie_beside_the_episodes(tmp_path: Path) -> None:
    write(tmp_path / "data", 2)
    writer = DemonstrationWriter(tmp_path / "data", CAMERA, PROVENANCE)
    demonstration = random_demonstration(5, 6)
    names = [field.name for field in fields(Views)]
    views = Views(**{name: getattr(demonstration, name) for name in names})
    writer.append_views(encode_views(views))
    (read,) = read_views(tmp_path / "data")
    for name in names:
        np.testing.assert_array_equal(getattr(views, name), getattr(read, name))
    assert describe(tmp_path / "data").view_files == 1
    assert minari.MinariDataset(tmp_path / "data").total_episodes == 2
    path = tmp_path / "data" / "views" / "000000.hdf5"
    with h5py.File(path, "a") as file:
        del file["views/infos/label"]
        file["views"].create_dataset("infos/label", (10**9, 7), np.float32, chunks=(1000, 7))
    with pytest.raises(DatasetError, match=r"000000.hdf5 cannot be read \(1000000000 steps"):
        list(read_views(tmp_path / "data"))


def test_plain_minari_reads_the_data_set_wherever_it_is_moved(tmp_path: Path) -> None:
    written = write(tmp_path / "made" / "data", 2)
    shutil.move(tmp_path / "made" / "data", tmp_path / "moved")
    dataset = minari.MinariDataset(tmp_path / "moved")
    assert dataset.total_episodes == 2
    assert dataset.total_steps == sum(map(len, written))
    episode = dataset[1]
    assert len(episode.observations["masks"]) == len(episode.actions) + 1
    np.testing.assert_array_equal(episode.observations["masks"][:-1], written[1].masks)
    assert dataset.action_space.contains(episode.actions[0])
    assert episode.terminations.tolist() == [False] * (len(written[1]) - 1) + [True]
    assert dataset.env_spec.id == "H2RHandover-v0"


@pytest.mark.parametrize("name", ["h2rh/demonstrations-v0", "mine/cans/reach-v3", "alone-v1"])
def test_minari_lists_and_loads_a_data_set_by_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    written = write(tmp_path / name / "data", 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert list(minari.list_local_datasets()) == [name]
    dataset = minari.load_dataset(name)
    assert dataset.spec.dataset_id == name
    assert [float(episode.rewards.sum()) for episode in dataset] == [one.reward for one in written]


@pytest.mark.parametrize("place", ["", "loose", "h2rh/demonstrations-v0", "h2rh/unversioned/data"])
def test_where_minari_would_not_list_it_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "root"))
    with pytest.raises(DatasetError, match=r"NAMESPACE/NAME-v0/data.*--out .*/h2rh/demonstrations-v0/data"):
        write(tmp_path / "root" / place, 1)
    assert not (tmp_path / "root").exists()


def test_writing_goes_on_where_it_stopped(tmp_path: Path) -> None:
    write(tmp_path / "data", 2)
    writer = DemonstrationWriter(tmp_path / "data", CAMERA, PROVENANCE)
    assert (writer.episodes, writer.dropped) == (2, 0)
    writer.drop()
    last = random_demonstration(7)
    writer.append(encode(last), len(last))
    summary = describe(tmp_path / "data")
    assert (summary.episodes, summary.dropped, summary.provenance) == (3, 1, PROVENANCE)
    assert [demonstration.seed for demonstration in read_demonstrations(tmp_path / "data")] == [0, 1, 7]


def test_links_are_written_seldom_and_when_finished_there_is_one_per_episode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[int] = []
    index = demonstrations._index

    def noted(count: int) -> bytes:
        written.append(count)
        return index(count)

    monkeypatch.setattr(demonstrations, "_index", noted)
    monkeypatch.setattr(demonstrations, "FIRST_LINKS", 2)
    episodes = write(tmp_path / "data", 5)
    assert written == [0, 2, 4, 8]
    assert minari.MinariDataset(tmp_path / "data").total_episodes == 5
    DemonstrationWriter(tmp_path / "data", CAMERA, PROVENANCE).finish()
    with h5py.File(tmp_path / "data" / "main_data.hdf5") as file:
        assert [len(episode["actions"]) for episode in file.values()] == list(map(len, episodes))


def test_a_folder_of_other_provenance_is_not_continued(tmp_path: Path) -> None:
    write(tmp_path / "data", 1)
    with pytest.raises(DatasetError, match="other scenes or settings"):
        DemonstrationWriter(tmp_path / "data", CAMERA, PROVENANCE | {"seed": 1})


def killed_while_writing(folder: Path, after_s: float, creating: bool) -> int:
    """Forks a writer that appends without end, kills it, and returns how many episodes it told of.

    Args:
        after_s: from its first append, or from its start if `creating`.
    """
    told, tell = os.pipe()
    writer = os.fork()
    if not writer:
        episode = encode(random_demonstration(0))
        if creating:
            os.write(tell, b"0\n")
        data = DemonstrationWriter(folder, CAMERA, PROVENANCE)
        while True:
            data.append(episode, 4)
            os.write(tell, b"%d\n" % data.episodes)
            data.drop()
    os.close(tell)
    with os.fdopen(told, "rb") as pipe:
        first = int(pipe.readline())
        time.sleep(after_s)
        os.kill(writer, signal.SIGKILL)
        os.waitpid(writer, 0)
        return max([first, *map(int, pipe.read().split())])


def survived(folder: Path, kills: int, seed: int) -> int:
    """Kills writers, ten in turn to each dataset, checks what each leaves, and returns how many had appended."""
    rng = np.random.default_rng(seed)
    before, appended = 0, 0
    for kill in range(kills):
        creating = kill % 10 == 0
        data = folder / str(kill // 10)
        before = 0 if creating else before
        told = killed_while_writing(data, rng.uniform(0, 0.03), creating)
        appended += told > before
        if not data.exists():
            assert told == 0
            continue
        whole = list(read_demonstrations(data))
        assert len(whole) >= max(told, before)
        assert minari.MinariDataset(data).total_episodes == len(whole)
        before = len(whole)
    return appended


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize("kills", [30, pytest.param(1000, marks=pytest.mark.nightly)])
def test_killed_at_any_moment_it_leaves_a_readable_data_set_of_all_that_was_told(
    tmp_path: Path, kills: int
) -> None:
    assert survived(tmp_path, kills, seed=0) >= 0.8 * kills


def test_faults_are_told_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="holds no demonstrations"):
        describe(tmp_path / "nothing")
    write(tmp_path / "cut", 2)
    episode = tmp_path / "cut" / "episodes" / "000001.hdf5"
    episode.write_bytes(episode.read_bytes()[:2000])
    with pytest.raises(DatasetError, match="episode 1 cannot be read"):
        list(read_demonstrations(tmp_path / "cut"))
    write(tmp_path / "schema", 1)
    metadata = json.loads((tmp_path / "schema" / "metadata.json").read_text())
    metadata["h2rh"]["schema"] = "h2rh-demonstrations-99"
    (tmp_path / "schema" / "metadata.json").write_text(json.dumps(metadata))
    with pytest.raises(DatasetError, match="demonstrations-99"):
        describe(tmp_path / "schema")


def test_links_that_leave_the_data_set_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "other", 1)
    write(tmp_path / "data", 1)
    with h5py.File(tmp_path / "data" / "main_data.hdf5", "a") as file:
        del file["episode_0"]
        file["episode_0"] = h5py.ExternalLink(
            str(tmp_path / "other" / "episodes" / "000000.hdf5"), "/episode"
        )
    with pytest.raises(DatasetError, match="outside of the dataset"):
        list(read_demonstrations(tmp_path / "data"))


def test_oversized_episodes_are_refused_before_memory_is_taken(tmp_path: Path) -> None:
    write(tmp_path / "data", 1)
    with h5py.File(tmp_path / "data" / "episodes" / "000000.hdf5", "a") as file:
        del file["episode/actions"]
        file["episode"].create_dataset("actions", (10**9, 7), np.float32, chunks=(1000, 7))
    with pytest.raises(DatasetError, match="1000000000 steps"):
        list(read_demonstrations(tmp_path / "data"))

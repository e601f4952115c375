import json
import os
import shutil
import signal
import time
from pathlib import Path

import h5py
import minari
import numpy as np
import pytest

from h2rh_env.core.camera import HAND_EYE_CAMERA
from h2rh_env.core.errors import DatasetError
from h2rh_env.datasets import minari as demonstrations
from h2rh_env.datasets.minari import (
    Demonstration,
    DemonstrationWriter,
    describe,
    encode,
    read_demonstrations,
)

CAMERA = HAND_EYE_CAMERA.resized(40, 32)
PROVENANCE = {"scenes": {"a": "0" * 64}, "seed": 0}


def random_demonstration(seed: int, steps: int = 4) -> Demonstration:
    rng = np.random.default_rng(seed)
    actions = rng.normal(0, 0.02, (steps, 7)).astype(np.float32)
    actions[:, 6] = np.arange(steps) == steps - 1
    return Demonstration(
        rgb=rng.integers(0, 256, (steps, CAMERA.height, CAMERA.width, 3), dtype=np.uint8),
        masks=rng.integers(0, 2, (steps, CAMERA.height, CAMERA.width, 2), dtype=np.uint8) * np.uint8(255),
        actions=actions,
        scene_from_camera=rng.normal(size=(steps, 4, 4)),
        camera_from_goal=rng.normal(size=(steps, 4, 4)),
        clearance_m=rng.uniform(0.1, 0.5, steps),
        scene=f"scene-{seed}",
        scene_hash="0" * 64,
        seed=seed,
    )


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

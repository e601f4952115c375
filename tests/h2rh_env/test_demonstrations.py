import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import minari
import numpy as np
import pytest

from h2rh_env.camera import HAND_EYE_CAMERA
from h2rh_env.demonstrations import (
    Demonstration,
    DemonstrationWriter,
    describe,
    encode,
    read_demonstrations,
)
from h2rh_env.errors import DatasetError

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
        world_from_camera=rng.normal(size=(steps, 4, 4)),
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
        for name in ("rgb", "masks", "actions", "world_from_camera", "camera_from_goal", "clearance_m"):
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


def test_a_folder_of_other_provenance_is_not_continued(tmp_path: Path) -> None:
    write(tmp_path / "data", 1)
    with pytest.raises(DatasetError, match="other scenes or settings"):
        DemonstrationWriter(tmp_path / "data", CAMERA, PROVENANCE | {"seed": 1})


def test_a_killed_writer_leaves_a_readable_data_set(tmp_path: Path) -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from test_demonstrations import *\n"
        "writer = DemonstrationWriter(sys.argv[1], CAMERA, PROVENANCE)\n"
        "episode = encode(random_demonstration(0))\n"
        "print('ready', flush=True)\n"
        "while True:\n"
        "    writer.append(episode, 4)\n"
        "    print(writer.episodes, flush=True)\n"
    )
    rng = np.random.default_rng(0)
    process_count = 3
    for attempt in range(process_count):
        folder = tmp_path / str(attempt)
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(rng.uniform(0.02, 0.1))
        process.send_signal(signal.SIGKILL)
        told = process.stdout.read().split()
        process.wait()
        whole = list(read_demonstrations(folder))
        assert len(whole) >= (int(told[-1]) if told else 0)


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
    with pytest.raises(DatasetError, match="outside of the data set"):
        list(read_demonstrations(tmp_path / "data"))


def test_oversized_episodes_are_refused_before_memory_is_taken(tmp_path: Path) -> None:
    write(tmp_path / "data", 1)
    with h5py.File(tmp_path / "data" / "episodes" / "000000.hdf5", "a") as file:
        del file["episode/actions"]
        file["episode"].create_dataset("actions", (10**9, 7), np.float32, chunks=(1000, 7))
    with pytest.raises(DatasetError, match="1000000000 steps"):
        list(read_demonstrations(tmp_path / "data"))

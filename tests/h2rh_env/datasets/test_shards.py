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

from h2rh_env.core.errors import DatasetError
from h2rh_env.datasets.manifest import MANIFEST, Manifest, read_manifest, shard_folder
from h2rh_env.datasets.minari import DemonstrationWriter, Views, encode, encode_views
from h2rh_env.datasets.read import datasets_of, describe, read_demonstrations, read_views
from h2rh_env.datasets.shards import PARTS, ShardWriter, open_shards, summarise, tidy

from .demonstrations import CAMERA, PROVENANCE, random_demonstration

DROPPED = 3  # of ten trajectories this one is always rejected
SIZE = 4


def writer(folder: Path, number: int) -> ShardWriter:
    return ShardWriter(folder, number, CAMERA, PROVENANCE, "reach")


def make(folder: Path, number: int, steps: int = 4) -> None:
    """What a task does: makes what is missing, and puts the shard in place."""
    shard = writer(folder, number)
    if not shard.done:
        for item in range(SIZE):
            seed = SIZE * number + item
            if not shard.has(item):
                shard.keep(item, None if seed % 10 == DROPPED else encode(random_demonstration(seed, steps)))
        if not shard.has_views(0):
            shard.keep_views(0, encode_views(some_views(number)))
    shard.finish(SIZE, 1)


def some_views(seed: int) -> Views:
    one = random_demonstration(seed, 3)
    return Views(**{item.name: getattr(one, item.name) for item in fields(Views)})


def collect(folder: Path, planned: int, steps: int = 4) -> Manifest:
    """What the command does."""
    manifest = open_shards(folder, planned, PROVENANCE, "reach")
    for number in manifest.missing:
        make(folder, number, steps)
        manifest = manifest.with_shard(summarise(folder, number))
        manifest.write(folder)
    tidy(folder)
    return manifest


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shards") / "h2rh" / "many"
    collect(folder, 3)
    return folder


def test_shards_hold_what_one_dataset_holds(whole: Path, tmp_path: Path) -> None:
    one = DemonstrationWriter(tmp_path / "one", CAMERA, PROVENANCE)
    seeds = [seed for seed in range(3 * SIZE) if seed % 10 != DROPPED]
    for seed in seeds:
        one.append(encode(random_demonstration(seed)), 4)
    for ours, theirs in zip(read_demonstrations(whole), read_demonstrations(one.folder), strict=True):
        for item in fields(ours):
            np.testing.assert_array_equal(getattr(ours, item.name), getattr(theirs, item.name))
    assert [each.seed for each in read_views(whole)] == [0, 1, 2]
    summary, alone = describe(whole), describe(one.folder)
    assert summary == replace(alone, dropped=1, view_files=3)
    assert datasets_of(one.folder) == [one.folder]


def test_each_shard_is_a_dataset_that_minari_lists_and_loads(
    whole: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    collect(tmp_path / "h2rh" / "many", 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert sorted(minari.list_local_datasets()) == [f"h2rh/many/shard-0000{n}-v0" for n in range(2)]
    dataset = minari.load_dataset("h2rh/many/shard-00001-v0")
    assert [episode.rewards.sum() for episode in dataset] == [0, 1, 0, 1]
    assert minari.MinariDataset(shard_folder(whole, 0)).total_episodes == 3
    with pytest.raises(DatasetError, match="NAMESPACE/NAME-v0/data"):
        open_shards(tmp_path / "not a name" / "many", 2, PROVENANCE, "reach")


def test_a_shard_is_few_files_whose_hash_the_manifest_knows(whole: Path) -> None:
    there = sorted(path.relative_to(whole).as_posix() for path in whole.rglob("*") if path.is_file())
    own = ("data/main_data.hdf5", "data/metadata.json", "data/views/000000.hdf5")
    assert there == [MANIFEST] + [f"shard-0000{n}-v0/{name}" for n in range(3) for name in own]
    manifest = read_manifest(whole)
    assert manifest.shards == tuple(summarise(whole, number) for number in range(3))
    assert sum(shard.size_bytes for shard in manifest.shards) == sum(
        path.stat().st_size for path in whole.glob("shard*/**/*.*5")
    ) + sum(path.stat().st_size for path in whole.glob("shard*/**/*.json"))


def test_what_is_there_can_be_read_before_all_is(whole: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(whole, data)
    shutil.rmtree(data / "shard-00001-v0")
    (data / MANIFEST).unlink()
    open_shards(data, 3, PROVENANCE, "reach")
    summary = describe(data)
    assert (summary.missing_shards, summary.episodes) == (1, 7)
    assert len(list(read_demonstrations(data))) == 7
    collect(data, 3)
    assert (data / MANIFEST).read_bytes() == (whole / MANIFEST).read_bytes()


def test_a_task_goes_on_where_it_was_killed_and_leaves_nothing(tmp_path: Path) -> None:
    first = encode(random_demonstration(0))
    writer(tmp_path, 0).keep(0, first)
    writer(tmp_path, 0).keep(1, None)
    assert [writer(tmp_path, 0).has(item) for item in range(3)] == [True, True, False]
    other = replace(writer(tmp_path, 0), provenance=PROVENANCE | {"seed": 1})
    assert not other.has(0)
    with pytest.raises(DatasetError, match=r"lacks trajectories or views \[2\]"):
        writer(tmp_path, 0).finish(3, 0)
    assert not writer(tmp_path, 0).done
    assert writer(tmp_path, 0).finish(2, 0).episodes == 1
    assert not any((tmp_path / PARTS).glob("*/*"))


def test_of_two_tasks_that_write_one_shard_the_first_wins(tmp_path: Path) -> None:
    for item in range(2):
        writer(tmp_path, 0).keep(item, encode(random_demonstration(item)))
    first = writer(tmp_path, 0).finish(2, 0)
    writer(tmp_path, 0).keep(1, encode(random_demonstration(1)))  # the second is late
    assert writer(tmp_path, 0).finish(2, 0) == first
    assert not any((tmp_path / PARTS).glob("*/*"))


def test_what_was_collected_otherwise_is_not_continued(whole: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="other scenes or settings"):
        open_shards(whole, 3, PROVENANCE | {"seed": 1}, "reach")
    with pytest.raises(DatasetError, match="other scenes or settings"):
        open_shards(whole, 4, PROVENANCE, "reach")
    with pytest.raises(DatasetError, match="--trajectories-per-shard"):
        DemonstrationWriter(whole, CAMERA, PROVENANCE)
    DemonstrationWriter(tmp_path / "one", CAMERA, PROVENANCE)
    with pytest.raises(DatasetError, match="one dataset without shards"):
        open_shards(tmp_path / "one", 3, PROVENANCE, "reach")
    shutil.copytree(whole, tmp_path / "mixed")
    (tmp_path / "mixed" / MANIFEST).unlink()
    with pytest.raises(DatasetError, match="than the manifest"):
        open_shards(tmp_path / "mixed", 3, PROVENANCE | {"seed": 1}, "reach")


@pytest.mark.parametrize(
    ("before", "after"),
    [("h2rh-shards-1", "h2rh-shards-9"), ('"number": 1', '"number": 0'), ('"planned"', '"plan"'), ("{", "")],
)
def test_a_malformed_manifest_is_told(whole: Path, tmp_path: Path, before: str, after: str) -> None:
    (tmp_path / MANIFEST).write_text((whole / MANIFEST).read_text().replace(before, after, 1))
    with pytest.raises(DatasetError, match=r"manifest.json (has schema 'h2rh-shards-9'|cannot be read)"):
        describe(tmp_path)


def killed_while_collecting(folder: Path, after_s: float) -> bool:
    """Forks a collection of four shards, kills it, and returns whether it had ended before."""
    child = os.fork()
    if not child:
        collect(folder, 4)
        os._exit(0)
    time.sleep(after_s)
    os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize("kills", [15, pytest.param(100, marks=pytest.mark.nightly)])
def test_killed_at_any_moment_it_ends_as_undisturbed(tmp_path: Path, kills: int) -> None:
    rng = np.random.default_rng(0)
    began = time.perf_counter()
    collect(tmp_path / "undisturbed", 4)
    took_s = time.perf_counter() - began
    expected = (tmp_path / "undisturbed" / MANIFEST).read_bytes()
    killed, ends = 0, 0
    while killed < kills:
        data = tmp_path / f"{ends}"
        if killed_while_collecting(data, rng.uniform(0, min(took_s / 2, 1))):
            assert (data / MANIFEST).read_bytes() == expected
            ends += 1
            continue
        killed += 1
        if (data / MANIFEST).exists():
            list(read_demonstrations(data))
    collect(tmp_path / f"{ends}", 4)
    for number in range(ends + 1):
        assert (tmp_path / f"{number}" / MANIFEST).read_bytes() == expected
        assert not (tmp_path / f"{number}" / PARTS).exists()
    with h5py.File(shard_folder(tmp_path / "0", 2) / "main_data.hdf5") as file:
        assert list(file) == ["episode_0", "episode_1", "episode_2", "episode_3"]

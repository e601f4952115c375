"""Shards: each task writes a dataset of its own, and what it returns is only what the manifest says of it.

    DATASET/manifest.json                 counts, hashes and schema of all shards
    DATASET/shard-00003-v0/data/          one dataset that plain Minari reads, its episodes in one HDF5 file
    DATASET/.parts/6f1ce2b8a0d4/00003/    what a task has made so far of a shard; the name is of the settings

Every episode is kept the moment it is made, so that a task that was killed goes on there. A complete shard is moved
into place as a whole. Two tasks may write the same shard at once, as a cluster does that takes a slow task for dead:
what they write is equal, and the first one's shard stays.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py

from ..core.camera import PinholeCamera
from ..core.errors import DatasetError
from ..core.task import Task
from ..utils import files
from . import minari
from .manifest import MANIFEST, Manifest, Shard, read_manifest, shard_folder
from .minari_id import dataset_id

PARTS = ".parts"


def open_shards(folder: Path, planned: int, provenance: dict[str, Any], task: Task) -> Manifest:
    """Begins a dataset of shards, or goes on with one of the same provenance.

    Shards that are in place but not in the manifest, since who writes it was killed, are added.

    Args:
        planned: how many shards there will be.

    Raises:
        DatasetError: The folder holds something else, or lies where Minari would not list its shards.
    """
    wanted = Manifest(task, files.as_json(provenance), planned)
    dataset_id(shard_folder(folder, 0))
    if (folder / minari.METADATA).exists():
        raise DatasetError(f"{folder} holds one dataset without shards; give another --out")
    if not (folder / MANIFEST).exists():
        wanted.write(folder)
    found = read_manifest(folder)
    if (found.task, found.provenance, found.planned) != (wanted.task, wanted.provenance, wanted.planned):
        raise DatasetError(
            f"{folder} holds demonstrations of other scenes or settings; give another --out or delete it"
        )
    late = [number for number in found.missing if shard_folder(folder, number).exists()]
    for number in late:
        if minari.describe(shard_folder(folder, number)).provenance != wanted.provenance:
            raise DatasetError(
                f"{shard_folder(folder, number)} is of other scenes or settings than the manifest; give another --out"
            )
        found = found.with_shard(summarise(folder, number))
    if late:
        found.write(folder)
    return found


def summarise(folder: Path, number: int) -> Shard:
    """Reads what the manifest says of a shard that is in place.

    Raises:
        DatasetError: The shard cannot be read.
    """
    place = shard_folder(folder, number)
    summary = minari.describe(place)
    paths = [path for path in place.rglob("*") if path.is_file()]
    return Shard(
        number,
        summary.episodes,
        summary.steps,
        summary.dropped,
        summary.view_files,
        sum(path.stat().st_size for path in paths),
        files.sha256_of(*paths),
    )


def tidy(folder: Path) -> None:
    """Deletes what tasks left of a dataset whose shards are all in place."""
    shutil.rmtree(folder / PARTS, ignore_errors=True)


@dataclass(frozen=True)
class ShardWriter:
    """Keeps what is made for one shard, and puts the shard in place once all of it is there.

    Attributes:
        folder: the dataset's.
        number: the shard's.
    """

    folder: Path
    number: int
    camera: PinholeCamera
    provenance: dict[str, Any]
    task: Task

    @property
    def done(self) -> bool:
        """Whether the shard is in place."""
        return shard_folder(self.folder, self.number).exists()

    def has(self, item: int) -> bool:
        """Whether a trajectory was kept or dropped before."""
        return self._episode(item).exists() or self._dropped(item).exists()

    def has_views(self, item: int) -> bool:
        """Whether these views were kept before."""
        return self._views(item).exists()

    def keep(self, item: int, episode: bytes | None) -> None:
        """Keeps a trajectory that `encode` made; None counts it as dropped."""
        files.write_bytes(self._dropped(item) if episode is None else self._episode(item), episode or b"")

    def keep_views(self, item: int, views: bytes) -> None:
        """Keeps views of one scene that `encode_views` made."""
        files.write_bytes(self._views(item), views)

    def finish(self, trajectories: int, view_files: int) -> Shard:
        """Puts the shard in place, if no other task has, and returns what the manifest says of it.

        Args:
            trajectories, view_files: how many there are, kept and dropped.

        Raises:
            DatasetError: Some are missing.
        """
        place = shard_folder(self.folder, self.number)
        if not self.done:
            try:
                self._pack(place, trajectories, view_files)
            except (OSError, DatasetError):
                if not self.done:  # else another task was first, and has tidied up
                    raise
        shutil.rmtree(self._parts, ignore_errors=True)
        return summarise(self.folder, self.number)

    def _pack(self, place: Path, trajectories: int, view_files: int) -> None:
        missing = [item for item in range(trajectories) if not self.has(item)]
        missing += [item for item in range(view_files) if not self.has_views(item)]
        if missing:
            raise DatasetError(
                f"{self._parts} lacks trajectories or views {missing[:10]}; run the task again"
            )
        self._parts.mkdir(parents=True, exist_ok=True)
        making = Path(tempfile.mkdtemp(dir=self._parts, prefix="packed."))
        making.chmod(0o755)
        minari.fill(making, dataset_id(place), self.camera, self.provenance, self.task)
        episodes = [self._episode(item) for item in range(trajectories) if self._episode(item).exists()]
        views = [self._views(item) for item in range(view_files)]
        (making / minari.INDEX).unlink()
        steps = _join(episodes, making / minari.INDEX)
        for number, path in enumerate(views):
            files.write_bytes(making / minari.VIEWS / f"{number:06d}.hdf5", path.read_bytes())
        dropped = trajectories - len(episodes)
        size_bytes = sum(path.stat().st_size for path in (*episodes, *views))
        minari.count(making, len(episodes), steps, dropped, len(views), size_bytes)
        place.parent.mkdir(parents=True, exist_ok=True)
        os.rename(making, place)

    @cached_property
    def _parts(self) -> Path:
        settings = json.dumps([self.task, self.provenance], sort_keys=True).encode()
        return self.folder / PARTS / hashlib.sha256(settings).hexdigest()[:12] / f"{self.number:05d}"

    def _episode(self, item: int) -> Path:
        return self._parts / "episodes" / f"{item:06d}.hdf5"

    def _dropped(self, item: int) -> Path:
        return self._parts / "dropped" / f"{item:06d}"

    def _views(self, item: int) -> Path:
        return self._parts / minari.VIEWS / f"{item:06d}.hdf5"


def _join(episodes: list[Path], path: Path) -> int:
    """Writes one file of many episodes, without unpacking their frames; returns the number of steps."""
    steps = 0
    with h5py.File(path, "w", track_order=True) as file:
        for number, episode in enumerate(episodes):
            with h5py.File(episode, "r") as source:
                source.copy("episode", file, f"episode_{number}")
                steps += int(source["episode"].attrs["total_steps"])
    with path.open("rb") as written:
        os.fsync(written.fileno())
    return steps

"""Manifest: which shards a dataset consists of, with counts and hashes; one small file beside them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from ..core.errors import DatasetError
from ..core.task import Task
from ..utils import files

MANIFEST = "manifest.json"
SCHEMA = "h2rh-shards-1"
MAX_MANIFEST_BYTES = 64_000_000


@dataclass(frozen=True)
class Shard:
    """What a manifest says of one shard.

    Attributes:
        number: its place in the dataset, from 0.
        episodes, steps, dropped, view_files: as in `DatasetSummary`.
        size_bytes: of all its files.
        sha256: of names and contents of all its files, `files.sha256_of`.
    """

    number: int
    episodes: int
    steps: int
    dropped: int
    view_files: int
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """A dataset of shards.

    Attributes:
        planned: how many shards there are when all are written.
        shards: those that are there, in order of number.
    """

    task: Task
    provenance: dict[str, Any]
    planned: int
    shards: tuple[Shard, ...] = ()

    @property
    def missing(self) -> tuple[int, ...]:
        """Numbers of the shards that are not written yet."""
        there = {shard.number for shard in self.shards}
        return tuple(number for number in range(self.planned) if number not in there)

    def with_shard(self, shard: Shard) -> Manifest:
        """The manifest with one shard more."""
        others = (each for each in self.shards if each.number != shard.number)
        ordered = tuple(sorted((*others, shard), key=lambda each: each.number))
        return Manifest(self.task, self.provenance, self.planned, ordered)

    def write(self, folder: Path) -> None:
        """Replaces the dataset's manifest, whole or not at all."""
        files.write_json(folder / MANIFEST, {"schema": SCHEMA, **asdict(self)})


def is_sharded(folder: Path | str) -> bool:
    """Whether a dataset is a folder of shards."""
    return (Path(folder) / MANIFEST).is_file()


def shard_folder(folder: Path | str, number: int) -> Path:
    """Where a shard lies: a place at which Minari lists it, `shard-00003-v0/data`."""
    return Path(folder) / f"shard-{number:05d}-v0" / "data"


def read_manifest(folder: Path | str) -> Manifest:
    """Reads the manifest of a dataset of shards.

    Raises:
        DatasetError: It is missing, malformed or of another schema.
    """
    path = Path(folder) / MANIFEST
    try:
        value = json.loads(files.read_text(path, MAX_MANIFEST_BYTES))
        if value["schema"] != SCHEMA:
            raise DatasetError(f"{path} has schema {value['schema']!r}; expected {SCHEMA!r}")
        shards = tuple(_shard(each) for each in value["shards"])
        planned = int(value["planned"])
        numbers = [shard.number for shard in shards]
        if numbers != sorted(set(numbers)) or not all(0 <= number < planned for number in numbers):
            raise ValueError(f"its shards are {numbers[:10]}...; expected ascending numbers below {planned}")
        return Manifest(value["task"], dict(value["provenance"]), planned, shards)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(
            f"{path} cannot be read ({error!r}); delete it and collect again, which keeps the shards"
        ) from None


def _shard(value: dict[str, Any]) -> Shard:
    names = [item.name for item in fields(Shard) if item.name != "sha256"]
    return Shard(**{name: int(value[name]) for name in names}, sha256=str(value["sha256"]))

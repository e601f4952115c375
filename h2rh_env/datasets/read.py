"""Read: a dataset, be it one folder that Minari reads or many as shards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from . import minari
from .frames import Demonstration, Views
from .manifest import is_sharded, read_manifest, shard_folder
from .minari import DatasetSummary

__all__ = [
    "DatasetSummary", "Demonstration", "Views", "datasets_of", "describe", "read_demonstrations", "read_views",
]  # fmt: skip


def datasets_of(folder: Path | str) -> list[Path]:
    """The folders that Minari reads, in order: the dataset itself, or those of its shards that are written.

    Raises:
        DatasetError: The manifest is malformed.
    """
    if not is_sharded(folder):
        return [Path(folder)]
    return [shard_folder(folder, shard.number) for shard in read_manifest(folder).shards]


def describe(folder: Path | str) -> DatasetSummary:
    """What a dataset says of itself, without reading its frames.

    Raises:
        DatasetError: It is missing, malformed or of another schema.
    """
    if not is_sharded(folder):
        return minari.describe(folder)
    manifest = read_manifest(folder)
    first = minari.describe(shard_folder(folder, manifest.shards[0].number)) if manifest.shards else None
    return DatasetSummary(
        sum(shard.episodes for shard in manifest.shards),
        sum(shard.steps for shard in manifest.shards),
        sum(shard.dropped for shard in manifest.shards),
        first.height if first else 0,
        first.width if first else 0,
        manifest.provenance,
        manifest.task,
        sum(shard.view_files for shard in manifest.shards),
        len(manifest.missing),
    )


def read_demonstrations(folder: Path | str) -> Iterator[Demonstration]:
    """The episodes in order, one in memory at a time.

    Raises:
        DatasetError: The dataset, or one of its shards, is missing, malformed or of another schema.
    """
    for dataset in datasets_of(folder):
        yield from minari.read_demonstrations(dataset)


def read_views(folder: Path | str) -> Iterator[Views]:
    """The views beside the episodes, those of one file in memory at a time; none in a dataset of schema 1.

    Raises:
        DatasetError: The dataset, or one of its shards, is missing, malformed or of another schema.
    """
    for dataset in datasets_of(folder):
        yield from minari.read_views(dataset)

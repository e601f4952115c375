"""Prepares demonstrations for a network once, as shards that train.py streams from a folder or from object storage.

    python -m policies.training.streaming.prepare data/many --out frames/many
    python -m policies.training.streaming.prepare data/many --out s3://bucket/many --workers 64 --cluster ray

What a network sees of an episode, the crops that follow object and hand and the measured distances, takes longer to
work out than a step of training. So it is done once. If it is interrupted, the same command continues it.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import Annotated, Any

import tyro

from h2rh_env.core.errors import DatasetError
from h2rh_env.datasets.manifest import is_sharded, read_manifest
from h2rh_env.datasets.minari import METADATA
from h2rh_env.datasets.read import datasets_of, describe
from h2rh_env.utils import cli, files
from h2rh_env.utils.parallel import Cluster, map_tasks
from policies.networks.base import HandoverNetwork
from policies.networks.factory import make_network
from policies.training.dataset import TENSORS, episodes
from policies.training.streaming.blocks import blocks_of
from policies.training.streaming.shards import FramesIndex, Store


@dataclass(frozen=True)
class PrepareConfig:
    """Options of the command."""

    dataset: Annotated[Path, tyro.conf.Positional]
    """Folder of the demonstrations, as experts.collect writes it; its shards are prepared one by one."""
    out: str
    """Folder to write the frames to, or an address that fsspec knows, such as s3://bucket/frames."""
    policy: str = "compact"
    """The network that they are for: compact, or resnet18 (the paper's)."""
    corruption: float = 0.0
    """Strength, 0 to 1, of the errors of cameras and segmenters that are added to the frames: exposure, noise, blur,
    holes in masks and others of h2rh_env/perturbations/images.py."""
    seed: int = 0
    """Seed of these errors."""
    workers: int = os.cpu_count() or 1
    """Number of processes; it does not change the result."""
    cluster: Cluster | None = None
    """Where the work is done: by processes of this machine, or by a Ray cluster (RAY_ADDRESS), to which
    --workers tasks are given at a time."""


@dataclass(frozen=True)
class PrepareJob:
    """One shard to prepare; the number of its first episode decides which errors are added to it."""

    config: PrepareConfig
    dataset: Path
    name: str
    first_episode: int


def inputs_of(network: HandoverNetwork) -> dict[str, Any]:
    """Everything that decides what frames are prepared as; frames of other inputs are refused."""
    inputs = network.inputs
    kind = {"kind": type(inputs).__name__, "channels": inputs.channels, "size": list(inputs.size)}
    described: dict[str, Any] = files.as_json(kind | {"config": asdict(network.config)})
    return described


def prepare_shard(job: PrepareJob) -> tuple[str, dict[str, Any]]:
    """Prepares a shard, and returns its name and what frames.json says of it."""
    network = make_network(job.config.policy)
    parts = episodes(job.dataset, network, job.config.corruption, job.config.seed, job.first_episode)
    return job.name, Store(job.config.out).write_shard(job.name, blocks_of(parts))


def prepare(config: PrepareConfig) -> FramesIndex:
    """Prepares the shards that are still missing, with a progress bar."""
    store, (index, jobs) = Store(config.out), _plan(config)
    if store.is_prepared:
        there = store.read_index()
        if replace(there, shards={}) != index:
            raise DatasetError(
                f"{config.out} holds frames of other demonstrations, or for another network; give another --out"
            )
        index = there
    with cli.progress_bar() as bar:
        task = bar.add_task("shards", total=len(jobs), completed=len(index.shards), note="")
        missing = [job for job in jobs if job.name not in index.shards]
        for name, said in map_tasks(prepare_shard, missing, config.workers, config.cluster):
            index = replace(index, shards=dict(sorted({**index.shards, name: said}.items())))
            store.write_index(index)
            bar.update(task, advance=1)
    store.tidy()
    return index


def _plan(config: PrepareConfig) -> tuple[FramesIndex, list[PrepareJob]]:
    """What there will be, and what is to be done."""
    network, summary = make_network(config.policy), describe(config.dataset)
    camera = network.config.camera
    if not summary.steps:
        raise DatasetError(f"{config.dataset} holds no episode; collect some first")
    if summary.missing_shards:
        raise DatasetError(
            f"{config.dataset} lacks {summary.missing_shards} shards; run the command that collects them again"
        )
    if (summary.width, summary.height) != (camera.width, camera.height):
        raise DatasetError(
            f"{config.dataset} holds images of {summary.width}x{summary.height} px; the policy's camera takes "
            f"{camera.width}x{camera.height}"
        )
    datasets = datasets_of(config.dataset)
    shards = read_manifest(config.dataset).shards if is_sharded(config.dataset) else ()
    firsts = accumulate((shard.episodes for shard in shards[:-1]), initial=0)
    jobs = [
        PrepareJob(config, dataset, f"{number:05d}", first)
        for number, (dataset, first) in enumerate(zip(datasets, firsts, strict=True))
    ]
    origin = {
        "provenance": summary.provenance,
        "sha256": [shard.sha256 for shard in shards] or [files.sha256_of(config.dataset / METADATA)],
        "corruption": config.corruption,
        "seed": config.seed,
    }
    size, numbers = network.inputs.size, len(network.inputs.signs)
    shapes = dict(zip(TENSORS, ([network.inputs.channels, *size], [numbers], [7], [3, 4]), strict=True))
    return FramesIndex(shapes, inputs_of(network), files.as_json(origin), len(jobs), {}), jobs


def main(config: PrepareConfig) -> None:
    """Prepares, and says what there is."""
    shards = prepare(config).shards.values()
    frames, size_bytes = (sum(said[name] for said in shards) for name in ("frames", "size_bytes"))
    print(f"{config.out}: {frames} frames in {len(shards)} shards, {size_bytes / 1e6:.0f} MB")


if __name__ == "__main__":
    cli.run(main, PrepareConfig, __doc__)

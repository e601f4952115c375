"""Collects demonstrations: the expert acts in scenes, and what it saw and did is written as a dataset.

    python -m experts.collect scenes/train --out data/train
    python -m experts.collect scenes/train --out data/grasp --task grasp --views 60
    python -m experts.collect scenes/train --out data/train --initial-poses 30 --noise 0.5 --workers 8
    python -m experts.collect scenes/many --out data/many --initial-poses 500 --trajectories-per-shard 1000

If a collection is interrupted, the same command continues it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

import tyro

from h2rh_env import __version__
from h2rh_env.benchmark.rollout import episode_seed
from h2rh_env.core.camera import HAND_EYE_CAMERA
from h2rh_env.core.errors import DatasetError
from h2rh_env.core.task import Task
from h2rh_env.datasets.manifest import Manifest
from h2rh_env.datasets.minari import DemonstrationWriter
from h2rh_env.datasets.shards import ShardWriter, open_shards, tidy
from h2rh_env.envs.initial_poses import INITIAL_POSES
from h2rh_env.scenes.handover_scene import HandoverScene, scene_folders
from h2rh_env.utils import cli
from h2rh_env.utils.parallel import Cluster, map_tasks

from .jobs import Job, ShardJob, by_scene, collect_few, collect_shard, labeller_of

HOLD: dict[Task, int] = {"reach": 3, "grasp": 0}
VIEWS_STREAM = 2**32 - 1  # in the place of an initial pose's number


@dataclass(frozen=True)
class CollectConfig:
    """Options of the command: what to collect, and where to write it."""

    scenes: Annotated[Path, tyro.conf.Positional]
    """A scene folder, or a folder of scene folders."""
    out: Path
    """Folder to write the dataset to."""
    initial_poses: int = INITIAL_POSES
    """Number of initial poses in each scene (k of Sec. III-B)."""
    task: Task = "reach"
    """What an episode ends with: reach declares the pre-grasp pose, grasp goes on and closes the fingers. Of the
    latter, those whose object is not handed over by contact are dropped."""
    views: int = 30
    """Number of views from all around each scene, 0.12 to 0.8 m from the contact point and up to 90 degrees off the
    approach, with the expert's answers; they lie beside the episodes."""
    hold: int | None = None
    """Number of frames that are added once the pre-grasp pose is reached, each jittered about it by 12 mm and 2.3
    degrees; 3 by default. With --task grasp there are none, and the option is refused."""
    noise: float = 0.0
    """Upper bound of the noise on the executed steps: each trajectory draws its standard deviation between 0 and
    this, as a fraction of the step. The labels stay the expert's."""
    seed: int = 0
    """Seed of the initial poses, the noise and the jitter."""
    workers: int = os.cpu_count() or 1
    """Number of processes; it does not change the result."""
    trajectories_per_shard: int | None = None
    """Writes a dataset of shards with this number of trajectories each: every task writes a shard of its own. By
    default there is one dataset, which one process writes; it is meant for up to some ten thousand trajectories."""
    cluster: Cluster | None = None
    """Where the work is done: by processes of this machine, or by a Ray cluster (RAY_ADDRESS), to which
    --workers tasks are given at a time."""

    def __post_init__(self) -> None:
        least_of = {
            "initial_poses": 1,
            "views": 0,
            "hold": 0,
            "noise": 0,
            "workers": 1,
            "trajectories_per_shard": 1,
        }
        for name, least in least_of.items():
            if getattr(self, name) is not None and not getattr(self, name) >= least:
                raise DatasetError(
                    f"--{name.replace('_', '-')} is {getattr(self, name)}; it must be at least {least}"
                )
        if self.task == "grasp" and self.hold is not None:
            raise DatasetError("--hold is of --task reach; about a grasp nothing hovers")


def jobs_of(config: CollectConfig, folders: Sequence[Path]) -> tuple[list[Job], list[Job]]:
    """Trajectories, in order of scene and initial pose, and the views of each scene."""
    hold = config.hold if config.hold is not None else HOLD[config.task]
    trajectories = [
        Job(folder, episode_seed(config.seed, index, number), hold, config.noise, config.task)
        for index, folder in enumerate(folders)
        for number in range(config.initial_poses)
    ]
    views = [
        Job(folder, episode_seed(config.seed, index, VIEWS_STREAM), 0, 0.0, config.task, config.views)
        for index, folder in enumerate(folders)
        if config.views
    ]
    return trajectories, views


def collect(config: CollectConfig) -> DemonstrationWriter:
    """Collects what is still missing in `config.out`, with a progress bar."""
    folders = scene_folders(config.scenes)
    trajectories, views = jobs_of(config, folders)
    writer = DemonstrationWriter(config.out, HAND_EYE_CAMERA, _provenance(config, folders), config.task)
    done = writer.episodes + writer.dropped
    with cli.progress_bar() as bar:
        task = bar.add_task("trajectories", total=len(trajectories), completed=done, note="")
        parts = map_tasks(collect_few, by_scene(trajectories[done:]), config.workers, config.cluster)
        for result in chain.from_iterable(parts):
            if result is None:
                writer.drop()
            else:
                writer.append(*result)
            bar.update(task, advance=1, note=f"{writer.dropped} dropped")
        missing = views[writer.view_files :]
        task = bar.add_task(
            "views", total=len(views), completed=writer.view_files, note="", visible=bool(views)
        )
        for (result,) in map_tasks(collect_few, [[job] for job in missing], config.workers, config.cluster):
            assert result is not None
            writer.append_views(result[0])
            bar.update(task, advance=1)
    writer.finish()
    return writer


def collect_shards(config: CollectConfig) -> Manifest:
    """Collects the shards that are still missing in `config.out`, with a progress bar.

    Tasks write; what comes back is a line of the manifest for each shard.
    """
    folders = scene_folders(config.scenes)
    provenance = _provenance(config, folders) | {"trajectories_per_shard": config.trajectories_per_shard}
    jobs = _shard_jobs(config, folders, provenance)
    manifest = open_shards(config.out, len(jobs), provenance, config.task)
    with cli.progress_bar() as bar:
        there = len(manifest.shards)
        task = bar.add_task("shards", total=len(jobs), completed=there, note="")
        missing = [jobs[number] for number in manifest.missing]
        for shard in map_tasks(collect_shard, missing, config.workers, config.cluster):
            manifest = manifest.with_shard(shard)
            manifest.write(config.out)
            frames = sum(each.steps for each in manifest.shards)
            bar.update(task, advance=1, note=f"{frames} frames")
    tidy(config.out)
    return manifest


def _shard_jobs(config: CollectConfig, folders: Sequence[Path], provenance: dict[str, Any]) -> list[ShardJob]:
    """What each shard consists of; the views of a scene go with its first trajectory."""
    assert config.trajectories_per_shard is not None
    trajectories, views = jobs_of(config, folders)
    size = config.trajectories_per_shard
    shards: list[ShardJob] = []
    for number, first in enumerate(range(0, len(trajectories), size)):
        own = trajectories[first : first + size]
        begun = range(-(-first // config.initial_poses), -(-(first + len(own)) // config.initial_poses))
        own_views = tuple(views[scene] for scene in begun) if views else ()
        writer = ShardWriter(config.out, number, HAND_EYE_CAMERA, provenance, config.task)
        shards.append(ShardJob(writer, tuple(own), own_views))
    return shards


def _provenance(config: CollectConfig, folders: Sequence[Path]) -> dict[str, Any]:
    return {
        "version": __version__,
        "scenes": {folder.name: HandoverScene.load(folder).scene_hash for folder in folders},
        "labels": repr(labeller_of(config.task)),
        **{name: getattr(config, name) for name in ("initial_poses", "hold", "noise", "seed", "views")},
    }


def main(config: CollectConfig) -> None:
    if config.trajectories_per_shard is None:
        writer = collect(config)
        print(
            f"{config.out}: {writer.episodes} demonstrations, {writer.steps} frames, {writer.dropped} dropped, "
            f"{config.views} views of each of {writer.view_files} scenes"
        )
        return
    shards = collect_shards(config).shards
    print(
        f"{config.out}: {sum(shard.episodes for shard in shards)} demonstrations, "
        f"{sum(shard.steps for shard in shards)} frames, {sum(shard.dropped for shard in shards)} dropped, "
        f"{config.views} views of each of {sum(shard.view_files for shard in shards)} scenes, "
        f"in {len(shards)} shards"
    )


if __name__ == "__main__":
    cli.run(main, CollectConfig, __doc__)

"""Collects demonstrations: the expert acts in scenes, and what it saw and did is written as a dataset.

    python -m experts.collect scenes/train --out data/train
    python -m experts.collect scenes/train --out data/grasp --task grasp --views 60
    python -m experts.collect scenes/train --out data/train --initial-poses 30 --noise 0.5 --workers 8

If a collection is interrupted, the same command continues it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import chain
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from h2rh_env import __version__
from h2rh_env.benchmark.rollout import episode_seed
from h2rh_env.core.camera import HAND_EYE_CAMERA
from h2rh_env.core.episode import EpisodeRecord
from h2rh_env.core.errors import DatasetError
from h2rh_env.core.geometry import SE3
from h2rh_env.core.task import Task
from h2rh_env.datasets.minari import Demonstration, DemonstrationWriter, Views, encode, encode_views
from h2rh_env.envs.handover_metrics import score_handover
from h2rh_env.envs.initial_poses import INITIAL_POSES, sample_initial_poses
from h2rh_env.envs.metrics import score
from h2rh_env.rendering.masks import observe
from h2rh_env.rendering.select import make_rasteriser
from h2rh_env.scenes.handover_scene import HandoverScene, scene_folders
from h2rh_env.utils import cli
from h2rh_env.utils.parallel import Cluster, map_tasks

from .demonstrate import demonstrate, positions
from .labels import Labeller
from .three_phase import ThreePhaseExpert
from .views import sample_views

TOGETHER = 4  # trajectories of one scene that a worker makes in one go
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
    cluster: Cluster | None = None
    """Where the work is done: by processes of this machine, or by a Ray cluster (RAY_ADDRESS), to which
    --workers tasks are given at a time."""

    def __post_init__(self) -> None:
        least_of = {"initial_poses": 1, "views": 0, "hold": 0, "noise": 0, "workers": 1}
        for name, least in least_of.items():
            if getattr(self, name) is not None and not getattr(self, name) >= least:
                raise DatasetError(
                    f"--{name.replace('_', '-')} is {getattr(self, name)}; it must be at least {least}"
                )
        if self.task == "grasp" and self.hold is not None:
            raise DatasetError("--hold is of --task reach; about a grasp nothing hovers")


@dataclass(frozen=True)
class Job:
    """One trajectory, or the views of one scene; all that a worker needs to make it."""

    scene: Path
    seed: int
    hold: int
    noise: float
    task: Task = "reach"
    views: int = 0


_load = lru_cache(maxsize=2)(HandoverScene.load)
_rasteriser = cache(make_rasteriser)


def by_scene(jobs: Sequence[Job]) -> list[list[Job]]:
    """In order, a few of one scene together, so that not every worker loads every scene."""
    parts: list[list[Job]] = []
    for job in jobs:
        if parts and parts[-1][0].scene == job.scene and len(parts[-1]) < TOGETHER:
            parts[-1].append(job)
        else:
            parts.append([job])
    return parts


def collect_few(jobs: Sequence[Job]) -> list[tuple[bytes, int] | None]:
    """For each an encoded episode, or views, and their number of frames, or None if the trajectory is rejected."""
    return [_collect_views(job) if job.views else _collect_one(job) for job in jobs]


def _collect_one(job: Job) -> tuple[bytes, int] | None:
    scene = _load(job.scene)
    rng = np.random.default_rng(job.seed)
    (scene_from_initial_camera,) = sample_initial_poses(scene, rng, 1)
    labeller = _labeller(job.task)
    poses = demonstrate(scene, labeller, scene_from_initial_camera, rng, job.hold, job.noise)
    if poses is None:
        return None
    seen = _seen(scene, labeller, poses, job.seed)
    success = _ends_well(seen, scene, job.task)
    if job.task == "grasp" and not success:
        return None
    return encode(Demonstration(**vars(seen), reward=float(success))), len(seen)


def _collect_views(job: Job) -> tuple[bytes, int]:
    scene = _load(job.scene)
    poses = sample_views(scene, np.random.default_rng(job.seed), job.views)
    return encode_views(_seen(scene, _labeller(job.task), poses, job.seed)), job.views


def _labeller(task: Task) -> Labeller:
    return Labeller(expert=ThreePhaseExpert(task=task))


def _seen(scene: HandoverScene, labeller: Labeller, poses: list[SE3], seed: int) -> Views:
    """What the camera sees at poses, and what the expert answers there."""
    actions, goals = zip(*(labeller(scene, pose) for pose in poses), strict=True)
    rgb, masks = observe(_rasteriser(threads=1), [scene.gaussians] * len(poses), HAND_EYE_CAMERA, poses)
    return Views(
        rgb=rgb,
        masks=masks,
        actions=np.stack(actions),
        scene_from_camera=np.stack([pose.matrix for pose in poses]),
        camera_from_goal=np.stack([goal.matrix for goal in goals]),
        clearance_m=scene.clearance.distance(positions(poses)),
        scene=scene.name,
        scene_hash=scene.scene_hash,
        seed=seed,
    )


def _ends_well(seen: Views, scene: HandoverScene, task: Task) -> bool:
    """Whether the environment would reward the episode; contact draws its conditions from the trajectory's seed."""
    if task == "grasp":
        return score_handover(seen.scene_from_camera, True, scene, seen.seed).handed_over
    record = EpisodeRecord(
        scene.name,
        scene.scene_hash,
        "expert",
        seen.seed,
        seen.scene_from_camera,
        seen.actions,
        True,
        seen.masks[-1, ..., 0] > 0,
    )
    return score(record, scene, with_graspable=False).success


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
    provenance = {
        "version": __version__,
        "scenes": {folder.name: HandoverScene.load(folder).scene_hash for folder in folders},
        "labels": repr(_labeller(config.task)),
        **{name: getattr(config, name) for name in ("initial_poses", "hold", "noise", "seed", "views")},
    }
    writer = DemonstrationWriter(config.out, HAND_EYE_CAMERA, provenance, config.task)
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


def main(config: CollectConfig) -> None:
    writer = collect(config)
    print(
        f"{config.out}: {writer.episodes} demonstrations, {writer.steps} frames, {writer.dropped} dropped, "
        f"{config.views} views of each of {writer.view_files} scenes"
    )


if __name__ == "__main__":
    cli.run(main, CollectConfig, __doc__)

"""Jobs: what a worker makes, trajectories and views of one scene, singly or a whole shard of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

import numpy as np

from h2rh_env.core.camera import HAND_EYE_CAMERA
from h2rh_env.core.episode import EpisodeRecord
from h2rh_env.core.geometry import SE3
from h2rh_env.core.task import Task
from h2rh_env.datasets.manifest import Shard
from h2rh_env.datasets.minari import Demonstration, Views, encode, encode_views
from h2rh_env.datasets.shards import ShardWriter
from h2rh_env.envs.handover_metrics import score_handover
from h2rh_env.envs.initial_poses import sample_initial_poses
from h2rh_env.envs.metrics import score
from h2rh_env.rendering.masks import observe
from h2rh_env.rendering.select import make_rasteriser
from h2rh_env.scenes.handover_scene import HandoverScene

from .demonstrate import demonstrate, positions
from .labels import Labeller
from .three_phase import ThreePhaseExpert
from .views import sample_views

TOGETHER = 4  # trajectories of one scene that a worker makes in one go


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


@dataclass(frozen=True)
class ShardJob:
    """A shard of a dataset, and all that a worker needs to make it."""

    writer: ShardWriter
    trajectories: tuple[Job, ...]
    views: tuple[Job, ...]


def collect_shard(job: ShardJob) -> Shard:
    """Makes what is still missing of a shard, puts it in place, and returns what the manifest says of it."""
    writer = job.writer
    if not writer.done:
        for item, trajectory in enumerate(job.trajectories):
            if not writer.has(item):
                made = _collect_one(trajectory)
                writer.keep(item, None if made is None else made[0])
        for item, views in enumerate(job.views):
            if not writer.has_views(item):
                writer.keep_views(item, _collect_views(views)[0])
    return writer.finish(len(job.trajectories), len(job.views))


def _collect_one(job: Job) -> tuple[bytes, int] | None:
    scene = _load(job.scene)
    rng = np.random.default_rng(job.seed)
    (scene_from_initial_camera,) = sample_initial_poses(scene, rng, 1)
    labeller = labeller_of(job.task)
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
    return encode_views(_seen(scene, labeller_of(job.task), poses, job.seed)), job.views


def labeller_of(task: Task) -> Labeller:
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

"""Collects demonstrations: the expert acts in scenes, and what it saw and did is written as a dataset.

    python -m experts.collect scenes/train --out data/train
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
import numpy.typing as npt
import tyro

from h2rh_env import __version__
from h2rh_env.benchmark.rollout import episode_seed
from h2rh_env.core.action import decode_action
from h2rh_env.core.camera import HAND_EYE_CAMERA
from h2rh_env.core.errors import DatasetError
from h2rh_env.core.geometry import SE3, rotation_angle, rotation_from_euler_xyz
from h2rh_env.core.task import CLEARANCE_M, MAX_EPISODE_STEPS
from h2rh_env.datasets.minari import Demonstration, DemonstrationWriter, encode
from h2rh_env.envs.initial_poses import STARTS, sample_initial_poses
from h2rh_env.rendering.masks import observe
from h2rh_env.rendering.select import make_rasteriser
from h2rh_env.scenes.handover_scene import HandoverScene, scene_folders
from h2rh_env.utils import cli
from h2rh_env.utils.parallel import Cluster, map_tasks

from .labels import Labeller

TOGETHER = 4  # trajectories of one scene that a worker makes in one go
HOLD_JITTER_M = 0.012
HOLD_JITTER_RAD = 0.04


@dataclass(frozen=True)
class CollectConfig:
    """Options of the command: what to collect, and where to write it."""

    scenes: Annotated[Path, tyro.conf.Positional]
    """A scene folder, or a folder of scene folders."""
    out: Path
    """Folder to write the dataset to."""
    initial_poses: int = STARTS
    """Number of initial poses in each scene (k of Sec. III-B)."""
    hold: int = 3
    """Number of frames that are added once the pre-grasp pose is reached, each jittered about it by 12 mm and 2.3
    degrees."""
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
        for name, least in (("initial_poses", 1), ("hold", 0), ("noise", 0), ("workers", 1)):
            if not getattr(self, name) >= least:
                raise DatasetError(
                    f"--{name.replace('_', '-')} is {getattr(self, name)}; it must be at least {least}"
                )


def demonstrate(
    scene: HandoverScene, labeller: Labeller, scene_from_initial_camera: SE3, rng: np.random.Generator,
    hold: int = 3, noise: float = 0.0,
) -> list[SE3] | None:  # fmt: skip
    """Rolls the expert out from an initial pose to the pre-grasp pose, with noise, and jitters about it in the end.

    Returns:
        The poses (T), or None if the pre-grasp pose is not reached in time or a pose breaks Eq. 14: such a
        trajectory is rejected whole.
    """
    spread = rng.uniform(0, noise)
    poses = [scene_from_initial_camera]
    while True:
        camera_from_next_camera, at_pregrasp = decode_action(labeller.expert.action_at(scene, poses[-1]))
        if at_pregrasp:
            break
        if len(poses) > MAX_EPISODE_STEPS:
            return None
        noise_here = 0.0 if labeller.arrived(scene, poses[-1]) else spread
        poses.append(poses[-1] @ _corrupted(camera_from_next_camera, noise_here, rng))
    poses += [poses[-1] @ _random_motion(HOLD_JITTER_M, HOLD_JITTER_RAD, rng) for _ in range(hold)]
    if not (scene.clearance.distance(_positions(poses)) > CLEARANCE_M).all():
        return None
    return poses


def _positions(poses: list[SE3]) -> npt.NDArray[np.float64]:
    return np.array([pose.translation for pose in poses])


def _corrupted(camera_from_next_camera: SE3, spread: float, rng: np.random.Generator) -> SE3:
    """The motion with noise in proportion to it, so that it fades where the expert's steps do."""
    length_m = float(np.linalg.norm(camera_from_next_camera.translation))
    angle_rad = rotation_angle(camera_from_next_camera.rotation)
    return camera_from_next_camera @ _random_motion(spread * length_m, spread * angle_rad, rng)


def _random_motion(sigma_m: float, sigma_rad: float, rng: np.random.Generator) -> SE3:
    rotation = rotation_from_euler_xyz(rng.normal(0, sigma_rad, 3))
    return SE3(rotation, rng.normal(0, sigma_m, 3))


@dataclass(frozen=True)
class Task:
    """One trajectory; all that a worker needs to make it."""

    scene: Path
    seed: int
    hold: int
    noise: float


_load = lru_cache(maxsize=2)(HandoverScene.load)
_rasteriser = cache(make_rasteriser)


def by_scene(tasks: Sequence[Task]) -> list[list[Task]]:
    """In order, a few of one scene together, so that not every worker loads every scene."""
    parts: list[list[Task]] = []
    for task in tasks:
        if parts and parts[-1][0].scene == task.scene and len(parts[-1]) < TOGETHER:
            parts[-1].append(task)
        else:
            parts.append([task])
    return parts


def collect_few(tasks: Sequence[Task]) -> list[tuple[bytes, int] | None]:
    """For each an encoded episode and its number of steps, or None if the trajectory is rejected."""
    return [_collect_one(task) for task in tasks]


def _collect_one(task: Task) -> tuple[bytes, int] | None:
    scene = _load(task.scene)
    rng = np.random.default_rng(task.seed)
    (scene_from_initial_camera,) = sample_initial_poses(scene, rng, 1)
    labeller = Labeller()
    poses = demonstrate(scene, labeller, scene_from_initial_camera, rng, task.hold, task.noise)
    if poses is None:
        return None
    actions, goals = zip(*(labeller(scene, pose) for pose in poses), strict=True)
    rgb, masks = observe(_rasteriser(threads=1), [scene.gaussians] * len(poses), HAND_EYE_CAMERA, poses)
    episode = Demonstration(
        rgb=rgb,
        masks=masks,
        actions=np.stack(actions),
        scene_from_camera=np.stack([pose.matrix for pose in poses]),
        camera_from_goal=np.stack([goal.matrix for goal in goals]),
        clearance_m=scene.clearance.distance(_positions(poses)),
        scene=scene.name,
        scene_hash=scene.scene_hash,
        seed=task.seed,
    )
    return encode(episode), len(episode)


def collect(settings: CollectConfig) -> DemonstrationWriter:
    """Collects what is still missing in `settings.out`, with a progress bar."""
    folders = scene_folders(settings.scenes)
    tasks = [
        Task(folder, episode_seed(settings.seed, scene_index, number), settings.hold, settings.noise)
        for scene_index, folder in enumerate(folders)
        for number in range(settings.initial_poses)
    ]
    provenance = {
        "version": __version__,
        "scenes": {folder.name: HandoverScene.load(folder).scene_hash for folder in folders},
        "labels": repr(Labeller()),
        **{name: getattr(settings, name) for name in ("initial_poses", "hold", "noise", "seed")},
    }
    writer = DemonstrationWriter(settings.out, HAND_EYE_CAMERA, provenance)
    done = writer.episodes + writer.dropped
    with cli.progress_bar() as bar:
        task = bar.add_task("trajectories", total=len(tasks), completed=done, note="")
        parts = map_tasks(collect_few, by_scene(tasks[done:]), settings.workers, settings.cluster)
        for result in chain.from_iterable(parts):
            if result is None:
                writer.drop()
            else:
                writer.append(*result)
            bar.update(task, advance=1, note=f"{writer.dropped} dropped")
    writer.finish()
    return writer


def main(settings: CollectConfig) -> None:
    writer = collect(settings)
    print(
        f"{settings.out}: {writer.episodes} demonstrations, {writer.steps} frames, {writer.dropped} dropped"
    )


if __name__ == "__main__":
    cli.run(main, CollectConfig, __doc__)

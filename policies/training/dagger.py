"""DAgger: the policy acts, the expert says what it would have done there, and training goes on with both.

Ross, Gordon and Bagnell 2011. The expert comes in as a function, since policies know no expert.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.progress import Progress

from h2rh_env.benchmark.rollout import episode_seed
from h2rh_env.core.geometry import SE3
from h2rh_env.envs.initial_poses import sample_initial_poses
from h2rh_env.envs.metrics import summarise
from h2rh_env.rendering.masks import observe
from h2rh_env.rendering.select import make_rasteriser
from h2rh_env.scenes.handover_scene import HandoverScene

from ..networks.base import HandoverNetwork
from . import distributed as processes
from .behaviour_cloning import FitConfig, History, fit
from .dataset import Frames, concatenate, read_frames, save_frames
from .rollouts import Images, Label, Observe, roll_out
from .streaming.blocks import one_scene_each
from .streaming.shards import Store
from .streaming.stream import StreamedFrames, open_frames
from .validation import Validation

VALIDATION_SEED = 1_000_003  # apart from the seeds of rounds


class SceneRollouts:
    """Rolls networks out in scenes from seeded initial poses."""

    def __init__(self, scenes: Sequence[HandoverScene]) -> None:
        self._scenes = list(scenes)
        self._rasteriser = make_rasteriser()

    def __len__(self) -> int:
        """The number of scenes."""
        return len(self._scenes)

    def validate(
        self, network: HandoverNetwork, epochs: int, poses_per_scene: int, bar: Progress
    ) -> Validation | None:
        """Lets the network act, and judges it; None without scenes.

        Args:
            epochs: how many passes over the frames there were.
        """
        if not self._scenes:
            return None
        task = bar.add_task("validation rollouts", total=len(self) * poses_per_scene, note="")
        outcomes, _ = roll_out(
            network,
            self._initial_poses(poses_per_scene, VALIDATION_SEED),
            self._observer(network),
            progress=lambda n: bar.advance(task, n),
        )
        validation = Validation.of(epochs, outcomes)
        bar.update(task, note=str(validation))
        return validation

    def label(
        self, network: HandoverNetwork, label: Label, poses_per_scene: int, seed: int, bar: Progress
    ) -> Frames:
        """Lets the network act, and returns the frames it visits with the expert's labels."""
        task = bar.add_task("acting and labelling", total=len(self) * poses_per_scene, note="")
        outcomes, frames = roll_out(
            network,
            self._initial_poses(poses_per_scene, seed),
            self._observer(network),
            label,
            lambda n: bar.advance(task, n),
        )
        assert frames is not None
        success = summarise([each.score for each in outcomes]).success
        bar.update(task, note=f"success {success}, {len(frames)} frames")
        return frames

    def _initial_poses(self, count: int, seed: int) -> list[tuple[HandoverScene, SE3, int]]:
        poses = []
        for index, scene in enumerate(self._scenes):
            for number in range(count):
                pose_seed = episode_seed(seed, index, number)
                (pose,) = sample_initial_poses(scene, np.random.default_rng(pose_seed), 1)
                poses.append((scene, pose, pose_seed))
        return poses

    def _observer(self, network: HandoverNetwork) -> Observe:
        """Renders what the network's camera sees."""
        camera = network.config.camera

        def look(scenes: Sequence[HandoverScene], poses: Sequence[SE3]) -> tuple[Images, Images]:
            return observe(self._rasteriser, [scene.gaussians for scene in scenes], camera, poses)

        return look


def one_round(
    network: HandoverNetwork,
    frames: Frames | StreamedFrames,
    validation: Frames | StreamedFrames,
    rollouts: SceneRollouts,
    label: Label,
    poses_per_scene: int,
    settings: FitConfig,
    folder: Path,
    bar: Progress,
    progress: Callable[[History], None],
) -> tuple[Frames | StreamedFrames, History]:
    """Lets the network act, adds what it saw to `frames`, and fits it further, in place.

    Args:
        poses_per_scene: how many episodes begin in each scene.
        frames: where they are streamed, what the network saw becomes a shard beside them.
        settings: of the further fit; its seed must differ between rounds.
        folder: keeps the round's frames and state, so that it can be continued.
    """
    kept = folder / "frames.safetensors"
    if processes.number() == 0 and not kept.is_file():
        save_frames(kept, rollouts.label(network, label, poses_per_scene, settings.seed, bar))
    processes.wait_for_all()
    more = _with_round(frames, kept, folder / "frames")
    return more, fit_with_bar(network, more, validation, settings, folder, bar, progress)


def _with_round(frames: Frames | StreamedFrames, kept: Path, shard_folder: Path) -> Frames | StreamedFrames:
    if isinstance(frames, Frames):
        return concatenate([frames, read_frames(kept)])
    store = Store(shard_folder)
    if processes.number() == 0 and not store.is_prepared:
        said = store.write_shard("00000", one_scene_each(read_frames(kept)))
        store.write_index(replace(frames.index, planned=1, shards={"00000": said}))
    processes.wait_for_all()
    return frames.with_shards(open_frames(shard_folder, frames.settings))


def fit_with_bar(
    network: HandoverNetwork,
    frames: Frames | StreamedFrames,
    validation: Frames | StreamedFrames,
    settings: FitConfig,
    folder: Path,
    bar: Progress,
    progress: Callable[[History], None],
) -> History:
    """`fit` with a progress bar that shows the losses."""
    task = bar.add_task(f"epochs over {len(frames)} frames", total=settings.epochs, note="")

    def show(history: History) -> None:
        losses = [
            f"{name.split('_')[0]} {value:.4f}" for name, value in history[-1].items() if "total" in name
        ]
        bar.update(task, completed=len(history), note=", ".join(losses))
        progress(history)

    return fit(network, frames, validation, settings, folder, show)

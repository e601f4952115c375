"""Measures the expert from many initial poses in each scene, with the figures of the benchmark and their bars.

    python benchmarks/expert.py
    python benchmarks/expert.py scenes/train --initial-poses 20 --seed 3

The world is the scene alone: no environment steps, and only the last pose of each episode is rendered, to see
whether the object is in the middle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from experts.three_phase import ThreePhaseExpert
from h2rh_env.core.camera import HAND_EYE_CAMERA
from h2rh_env.core.episode import EpisodeRecord
from h2rh_env.core.errors import HandoverError
from h2rh_env.core.task import CLEARANCE_M, MAX_EPISODE_STEPS
from h2rh_env.envs.initial_poses import sample_initial_poses
from h2rh_env.envs.metrics import EpisodeScore, score, summarise
from h2rh_env.rendering.base import Rasteriser
from h2rh_env.rendering.masks import observe
from h2rh_env.rendering.select import make_rasteriser
from h2rh_env.scenes.handover_scene import HandoverScene, load_scenes
from h2rh_env.utils import cli

EXPERT = ThreePhaseExpert()
RATES = ("declared", "centred", "in_band", "safe")
GRASPABLE_BAR = 0.98


@dataclass(frozen=True)
class ExpertBenchmark:
    """Settings of the benchmark."""

    scenes: Annotated[Path | None, tyro.conf.Positional] = None
    """A scene folder, or a folder of scene folders; the shipped ones by default."""
    initial_poses: int = 100
    """Number of initial poses in each scene."""
    seed: int = 5
    """Seed of the initial poses."""

    def __post_init__(self) -> None:
        if self.initial_poses < 1:
            raise HandoverError(f"--initial-poses is {self.initial_poses}; it must be at least 1")


def episodes(
    scene: HandoverScene, initial_poses: int, seed: int, rasteriser: Rasteriser
) -> list[EpisodeScore]:
    """Returns the expert's episodes in a scene, judged as a policy's would be."""
    rollouts = [
        EXPERT.rollout(scene, start)
        for start in sample_initial_poses(scene, np.random.default_rng(seed), initial_poses)
    ]
    ends = [rollout.poses[-1] for rollout in rollouts]
    _, masks = observe(rasteriser, [scene.gaussians] * len(ends), HAND_EYE_CAMERA, ends)
    records = [
        EpisodeRecord(
            scene=scene.name,
            scene_hash=scene.scene_hash,
            policy="expert",
            seed=seed,
            scene_from_gripper=np.stack([pose.matrix for pose in rollout.poses]),
            actions=rollout.actions,
            declared=rollout.declared,
            end_object_mask=mask[..., 0] > 0,
        )
        for rollout, mask in zip(rollouts, masks, strict=True)
    ]
    return [score(record, scene) for record in records]


def row(name: str, scores: Sequence[EpisodeScore]) -> list[str]:
    """A line of the table: counts, and "-" where no grasp fits."""
    found = summarise(scores)
    steps = [steps_of(one) for one in scores]
    counts = [str(getattr(found, rate).count) for rate in RATES]
    graspable = str(found.graspable.count) if found.graspable.total else "-"
    clearance_m = min(one.clearance_m for one in scores)
    return [name, *counts, graspable, f"{np.median(steps):.0f}", f"{max(steps)}", f"{clearance_m:.3f}"]


def steps_of(one: EpisodeScore) -> int:
    """Returns the number of actions, the one that declares included."""
    return one.steps + one.declared


def missed(scores: Sequence[EpisodeScore]) -> list[str]:
    """Returns which of the expert's bars do not hold."""
    found = summarise(scores)
    bars = {f"{rate} in all": getattr(found, rate).count == len(scores) for rate in RATES}
    bars |= {
        f"at most {MAX_EPISODE_STEPS} steps": max(map(steps_of, scores)) <= MAX_EPISODE_STEPS,
        f"graspable in {GRASPABLE_BAR:.0%}": found.graspable.count >= GRASPABLE_BAR * found.graspable.total,
        f"no pose within {CLEARANCE_M} m": min(s.clearance_m for s in scores) > CLEARANCE_M,
    }
    return [bar for bar, holds in bars.items() if not holds]


def main(config: ExpertBenchmark) -> None:
    """Measures and prints."""
    rasteriser, scenes = make_rasteriser(), load_scenes(config.scenes)
    view = Table(box=SIMPLE, title=f"the expert from {config.initial_poses} initial poses in each scene")
    view.add_column("scene", no_wrap=True)
    for heading in ("declared", "centred", "band", "safe", "grasp", "steps", "most", "near, m"):
        view.add_column(heading, justify="right", no_wrap=True)
    everything: list[EpisodeScore] = []
    with cli.progress_bar() as bar:
        task = bar.add_task("scenes", total=len(scenes), note="")
        for scene in scenes:
            scores = episodes(scene, config.initial_poses, config.seed, rasteriser)
            view.add_row(*row(scene.name, scores))
            everything += scores
            bar.update(task, advance=1, note=scene.name)
    view.add_section()
    view.add_row(*row("all", everything))
    console = Console(width=100)
    console.print(view)
    found = summarise(everything)
    console.print(
        f"graspable in {found.graspable}; in {found.without_grasp} episodes no grasp fits the gripper"
    )
    failed = missed(everything)
    console.print(f"bars missed: {', '.join(failed)}" if failed else "all bars hold")


if __name__ == "__main__":
    cli.run(main, ExpertBenchmark, __doc__)

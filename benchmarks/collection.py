"""Measures how fast demonstrations are collected on one core, renderer and writing included.

python benchmarks/collection.py
python benchmarks/collection.py --scenes scenes/train --initial-poses 15 --gaussians 50000
"""

from __future__ import annotations

import cProfile
import pstats
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from rich.console import Console

from experts.collect import CollectConfig, collect
from h2rh_env.core.errors import SceneError
from h2rh_env.scenes.handover_scene import HandoverScene, load_scenes
from h2rh_env.utils import cli

PARTS = {
    "rendering": "render_observations",
    "encoding": "encode",
    "labels": "__call__ experts/labels",
    "trajectories": "demonstrate",
    "initial poses": "sample_initial_poses",
    "loading": "load handover_scene",
    "writing": "append",
}


@dataclass(frozen=True)
class CollectionBenchmark:
    """Settings of the benchmark."""

    scenes: Path | None = None
    """Folder of the scenes; the shipped ones by default."""
    initial_poses: int = 5
    """Trajectories in each scene."""
    gaussians: int = 30_000
    """How many Gaussians each scene is brought to."""
    noise: float = 0.5
    """Noise of the executed steps, as in experts.collect."""

    def __post_init__(self) -> None:
        for name in ("initial_poses", "gaussians"):
            if getattr(self, name) < 1:
                raise SceneError(f"--{name} is {getattr(self, name)}; it must be at least 1")


def of_size(scene: HandoverScene, count: int) -> HandoverScene:
    """Returns the scene with so many Gaussians: some are left out, or there twice."""
    have = len(scene.gaussians)
    picked = np.random.default_rng(0).permutation(have)[:count]
    if count > have:
        picked = np.concatenate([np.arange(have), np.random.default_rng(0).integers(have, size=count - have)])
    return replace(scene, gaussians=scene.gaussians.select(np.sort(picked)), scene_hash="")


def main(config: CollectionBenchmark) -> None:
    """Collects twice, to leave compiling out, and prints frames a second."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        for scene in load_scenes(config.scenes):
            of_size(scene, config.gaussians).save(place / "scenes" / scene.name)
        warm = CollectConfig(place / "scenes", place / "warm", initial_poses=1, noise=config.noise, workers=1)
        collect(warm)
        settings = replace(warm, out=place / "data", initial_poses=config.initial_poses, seed=1)
        profile = cProfile.Profile()
        begin_s, begin_cpu_s = time.perf_counter(), time.process_time()
        writer = collect(settings)
        wall_s, cpu_s = time.perf_counter() - begin_s, time.process_time() - begin_cpu_s
        profile.enable()
        collect(replace(settings, out=place / "profiled", initial_poses=1, seed=2))
        profile.disable()
    console = Console()
    console.print(
        f"{writer.episodes} trajectories, {writer.steps} frames of 224x168, {config.gaussians} Gaussians: "
        f"{writer.steps / wall_s:.0f} frames/s by the wall, {writer.steps / cpu_s:.0f} per second of CPU"
    )
    shares = {name: _seconds(profile, function) for name, function in PARTS.items()}
    whole = pstats.Stats(profile).total_tt  # type: ignore[attr-defined]
    console.print(", ".join(f"{name} {100 * seconds / whole:.0f} %" for name, seconds in shares.items()))


def _seconds(profile: cProfile.Profile, function: str) -> float:
    """Returns the cumulated seconds of the functions of a name; after a space, a part of their file's name."""
    name, _, place = function.partition(" ")
    found = pstats.Stats(profile).stats.items()  # type: ignore[attr-defined]
    seconds: float = sum(values[3] for (file, _, called), values in found if called == name and place in file)
    return seconds


if __name__ == "__main__":
    cli.run(main, CollectionBenchmark, __doc__)

"""Builds handover scenes from RGB-D captures, or from captures that the package invents.

    python -m h2rh_env.build CAPTURE --out scenes/mine
    python -m h2rh_env.build --synthetic 20 --out scenes/synthetic

CAPTURE is a session folder of a DexYCB root, or a plain RGB-D folder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

from . import __version__, cli
from .captures.base import HandoverCapture
from .captures.load import load_capture
from .captures.synthetic.generate import generate_capture
from .errors import GraspError, HandoverError
from .grasps.antipodal import AntipodalProposer
from .grasps.selection import select_grasp
from .handover_scene import HandoverScene
from .reconstruction.initialise import initialise


@dataclass(frozen=True)
class BuildConfig:
    """What to build from, where to, and how finely."""

    capture: Annotated[Path | None, tyro.conf.Positional] = None
    """Capture to build from: a session folder of a DexYCB root, or a plain RGB-D folder."""
    out: Path = Path("scenes/mine")
    """Folder of the scene; with --synthetic, folder of the scenes' folders."""
    synthetic: int = 0
    """Build this many scenes from invented captures instead."""
    objects: tuple[str, ...] = ()
    """With --synthetic: objects to cycle through: names (mustard_bottle, ...), meshes of your own (OBJ, PLY or GLB
    files, in m), or "random", which invents shapes. Default: random."""
    seed: int = 0
    """Seed of grasp sampling, and of the first invented capture; the next have the next seeds."""
    frame: int | None = None
    """Frame of a DexYCB session; its last by default."""
    voxel_m: float = 0.002
    """Spacing of the Gaussians, m."""
    max_gaussians: int = 30_000
    """Upper bound on the number of Gaussians."""
    workers: int = 1
    """Processes that build synthetic scenes side by side."""


def build_scene(
    capture: HandoverCapture,
    seed: int = 0,
    voxel_m: float = 0.002,
    max_gaussians: int = 30_000,
    step: Callable[[str], None] = lambda _: None,
) -> HandoverScene:
    """A capture to a scene with its grasp.

    Args:
        seed: of grasp sampling.
        voxel_m: spacing of the Gaussians, m.
        step: told the name of each step as it begins.

    Raises:
        CaptureError: nothing of the object is seen.
        GraspError: no safe approach to the object exists.
    """
    step("fusing depth")
    gaussians, object_points, hand_points = initialise(capture, voxel_m=voxel_m, max_gaussians=max_gaussians)
    step("proposing grasps")
    candidates = AntipodalProposer().propose(object_points, np.random.default_rng(seed))
    step("choosing the grasp")
    grasp = select_grasp(candidates, object_points, hand_points)
    provenance = {
        "capture": capture.provenance,
        "settings": {"seed": seed, "voxel_m": voxel_m, "max_gaussians": max_gaussians},
        "version": __version__,
    }
    return HandoverScene(
        capture.name, capture.object_name, gaussians, object_points, hand_points, grasp, provenance
    )


def main(config: BuildConfig) -> None:
    if config.synthetic:
        _build_synthetic(config)
    elif config.capture is None:
        raise HandoverError("nothing to build from: give a capture's folder, or --synthetic N")
    else:
        _build_one(config, config.capture)


def _build_one(config: BuildConfig, path: Path) -> None:
    with cli.progress_bar() as progress:
        task = progress.add_task(f"building {path.name}", total=5, note="")

        def step(name: str) -> None:
            progress.update(task, advance=1, note=name)

        progress.update(task, note="reading the capture")
        capture = load_capture(path, config.frame)
        scene = build_scene(capture, config.seed, config.voxel_m, config.max_gaussians, step)
        step("saving")
        scene.save(config.out)
        progress.update(task, completed=5, note="done")
    print(_line(scene, config.out))


def _build_synthetic(config: BuildConfig) -> None:
    objects = config.objects or ("random",)
    jobs = [(config.seed + i, objects[i % len(objects)], config) for i in range(config.synthetic)]
    failures: list[str] = []
    with cli.progress_bar() as progress:
        task = progress.add_task("building scenes", total=len(jobs), note="")
        for line, failed in _each(jobs, config.workers):
            progress.update(task, advance=1, note=line)
            if failed:
                failures.append(line)
    for line in failures:
        print(f"left out: {line}")
    print(f"{len(jobs) - len(failures)} scenes in {config.out}")


def _each(jobs: list[Any], workers: int) -> Iterator[tuple[str, bool]]:
    if workers <= 1:
        yield from map(_build_job, jobs)
        return
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        for future in as_completed([pool.submit(_build_job, job) for job in jobs]):
            yield future.result()


def _build_job(job: tuple[int, str, BuildConfig]) -> tuple[str, bool]:
    """Builds and saves one invented scene; returns a line that tells of it, and whether it was left out."""
    seed, object_name, config = job
    name = f"{Path(object_name).stem}-{seed:05d}"
    try:
        capture = generate_capture(seed, object_name)
        scene = build_scene(capture, seed, config.voxel_m, config.max_gaussians)
    except GraspError as error:
        return f"{name}: {error}", True
    folder = config.out / name
    scene = replace(scene, name=name)
    scene.save(folder)
    return _line(scene, folder), False


def _line(scene: HandoverScene, folder: Path) -> str:
    grasp = scene.grasp
    return (
        f"{folder}: {len(scene.gaussians)} Gaussians, grasp of width {1e3 * grasp.width_m:.0f} mm, "
        f"score {grasp.score:.2f}{'' if grasp.graspable else ', no grasp fits'}"
    )


if __name__ == "__main__":
    cli.run(main, BuildConfig, __doc__)

"""Builds handover scenes from RGB-D captures, or from captures that the package invents.

    python -m h2rh_env.build CAPTURE --out scenes/mine
    python -m h2rh_env.build CAPTURE --out scenes/mine --holdout
    python -m h2rh_env.build CAPTURE --out scenes/mine --grasps predictions.npz --grasp-format contact_graspnet
    python -m h2rh_env.build --synthetic 20 --out scenes/synthetic

CAPTURE is a session folder of a DexYCB root, or a plain RGB-D folder. A build that was interrupted continues where
it was when the same command is given again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
import tyro

from . import __version__
from .captures.base import HandoverCapture
from .captures.load import load_capture
from .captures.synthetic.generate import generate_capture
from .core.errors import CaptureError, GraspError, HandoverError
from .core.labels import Label
from .grasps.antipodal import AntipodalProposer
from .grasps.base import GraspProposer
from .grasps.proposers import GraspSource, propose
from .grasps.selection import count_faults, reasons, select_grasp
from .reconstruction.config import METHODS, OptimiseConfig
from .reconstruction.initialise import initialise
from .rendering.select import make_rasteriser
from .scenes.gaussians import GaussianScene
from .scenes.handover_scene import HandoverScene
from .utils import cli
from .utils.parallel import Cluster, map_tasks

CHECKPOINT = ".optimise.safetensors"
SOLID = 0.5  # opacity of a Gaussian that stands for a point of the surface


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
    method: Literal["metric", "3dgs", "fsgs"] = "metric"
    """How Gaussians are optimised: by all that the cameras measured, as 3DGS, or as FSGS."""
    steps: int | None = None
    """Steps of optimisation, about 13 ms each. Default: 800, and none with --synthetic, where depth is plenty."""
    pose: bool = False
    """Learn small motions of the cameras; for extrinsics that are off by millimetres."""
    renderer: Literal["auto", "numba", "gsplat"] = "auto"
    """What draws while optimising: gsplat on a GPU, or numba on the CPU; auto is gsplat where it can be used."""
    holdout: bool = False
    """First measure how well cameras that are left out are predicted, beside plain 3DGS; writes quality.md, its
    table as JSON, and a contact sheet."""
    voxel_m: float | None = None
    """Spacing of the Gaussians, m. Default: 0.0012, and 0.002 without optimisation."""
    max_gaussians: int = 30_000
    """Upper bound on the number of Gaussians."""
    compressed: bool = False
    """Save scenes in a quarter of the space: the splat in the compressed PLY layout of web viewers."""
    grasp_source: tyro.conf.OmitArgPrefixes[GraspSource] = field(default_factory=GraspSource)
    """Whose grasps to choose among."""
    workers: int = 1
    """Processes that build synthetic scenes side by side."""
    cluster: Cluster | None = None
    """With --synthetic: processes of this machine, or a Ray cluster (RAY_ADDRESS) with so many tasks at a time."""


def build_scene(
    capture: HandoverCapture,
    seed: int = 0,
    voxel_m: float = 0.002,
    max_gaussians: int = 30_000,
    step: Callable[[str], None] = lambda _: None,
    settings: OptimiseConfig | None = None,
    progress: Callable[[int, float, float], None] = lambda *_: None,
    checkpoint_file: Path | None = None,
    proposer: GraspProposer | None = None,
) -> HandoverScene:
    """A capture to a scene with its grasp.

    Args:
        seed: of grasp sampling.
        voxel_m: spacing of the Gaussians, m.
        step: told the name of each step as it begins.
        settings: of the optimisation; None for none.
        progress, checkpoint_file: see `optimise`.
        proposer: of the grasps to choose among; the built-in sampler by default.

    Raises:
        CaptureError: nothing of the object is seen.
        GraspError: no safe approach to the object exists, or the proposer can propose nothing.
    """
    step("fusing depth")
    gaussians, object_points, hand_points = initialise(capture, voxel_m=voxel_m, max_gaussians=max_gaussians)
    if settings and settings.steps:
        from .reconstruction.optimise import optimise

        step("optimising")
        gaussians = optimise(gaussians, capture, settings, progress, checkpoint_file)
        object_points, hand_points = _solid(gaussians, Label.OBJECT), _solid(gaussians, Label.HAND)
    step("proposing grasps")
    candidates = propose(proposer or AntipodalProposer(), object_points, seed)
    step("choosing the grasp")
    grasp = select_grasp(candidates, object_points, hand_points)
    made_with: dict[str, Any] = {"seed": seed, "voxel_m": voxel_m, "max_gaussians": max_gaussians}
    if settings:
        made_with["optimise"] = asdict(settings)
    provenance = {"capture": capture.provenance, "settings": made_with, "version": __version__}
    if not grasp.graspable:
        provenance["grasp_faults"] = count_faults(candidates, object_points, hand_points)
    return HandoverScene(
        capture.name, capture.object_name, gaussians, object_points, hand_points, grasp, provenance
    )


def _solid(gaussians: GaussianScene, label: Label) -> npt.NDArray[np.float32]:
    """Points (P, 3), m, of a label's opaque Gaussians; of all its Gaussians if none is opaque."""
    mine = gaussians.labels == label
    opaque = mine & (gaussians.opacities >= SOLID)
    return gaussians.means[opaque if opaque.any() else mine]


def main(config: BuildConfig) -> None:
    if config.synthetic:
        _build_synthetic(config)
    elif config.capture is None:
        raise HandoverError("nothing to build from: give a capture's folder, or --synthetic N")
    else:
        _build_one(config, config.capture)


def _build_one(config: BuildConfig, path: Path) -> None:
    settings = _settings(config, default_steps=OptimiseConfig().steps)
    capture = load_capture(path, config.frame)
    proposer = config.grasp_source.proposer(capture)
    quality = _hold_out(config, capture, settings) if config.holdout else None
    with cli.progress_bar() as progress:
        task = progress.add_task(f"building {path.name}", total=settings.steps + 4, note="")

        def step(name: str) -> None:
            progress.update(task, advance=1, note=name)

        def optimised(done: int, loss: float, psnr_db: float) -> None:
            progress.update(task, completed=2 + done, note=f"loss {loss:.4f}, PSNR {psnr_db:.1f} dB")

        scene = build_scene(
            capture, config.seed, _voxel_m(config, settings), config.max_gaussians, step, settings, optimised,
            config.out / CHECKPOINT, proposer,
        )  # fmt: skip
        scene = replace(scene, provenance=scene.provenance | config.grasp_source.provenance())
        if quality:
            scene = replace(scene, provenance=scene.provenance | {"held_out_quality": quality})
        scene.save(config.out, compressed=config.compressed)
        progress.update(task, completed=settings.steps + 4, note="done")
    print(_line(scene, config.out))


def _settings(config: BuildConfig, default_steps: int) -> OptimiseConfig:
    steps = default_steps if config.steps is None else config.steps
    return replace(
        METHODS[config.method],
        steps=steps, seed=config.seed, pose=config.pose, max_gaussians=config.max_gaussians,
        renderer=config.renderer,
    )  # fmt: skip


def _voxel_m(config: BuildConfig, settings: OptimiseConfig) -> float:
    """Images show more detail than depth, so Gaussians that will learn from them lie closer."""
    if config.voxel_m is not None:
        return config.voxel_m
    return 0.0012 if settings.steps else 0.002


def _hold_out(
    config: BuildConfig, capture: HandoverCapture, settings: OptimiseConfig
) -> list[dict[str, Any]]:
    """Measures on left-out cameras, prints the table and writes the report."""
    from .reconstruction import holdout
    from .reconstruction.optimise import optimise

    methods = list(dict.fromkeys((config.method, "3dgs")))

    def reconstruct(part: HandoverCapture, method: str) -> GaussianScene:
        gaussians, _, _ = initialise(part, _voxel_m(config, settings), config.max_gaussians)
        mine = replace(METHODS[method], steps=settings.steps, seed=config.seed, renderer=config.renderer)
        return optimise(gaussians, part, settings if method == config.method else mine)

    with cli.progress_bar() as progress:
        counts = sum(count < len(capture.views) for count in holdout.COUNTS)
        task = progress.add_task("leaving cameras out", total=counts * len(methods), note="")
        rows, sheet = holdout.study(
            capture, methods, reconstruct, make_rasteriser("numba"), holdout.COUNTS,
            progress=lambda note: progress.update(task, advance=1, note=note),
        )  # fmt: skip
    print(holdout.table(rows))
    holdout.write_report(config.out, capture.name, rows, sheet)
    return [row.to_json() for row in rows]


def _build_synthetic(config: BuildConfig) -> None:
    if config.grasp_source.is_file:
        raise GraspError(
            "a file of grasps belongs to one capture; with --synthetic, give --grasps module:Class"
        )
    objects = config.objects or ("random",)
    jobs = [(config.seed + i, objects[i % len(objects)], config) for i in range(config.synthetic)]
    failures: list[str] = []
    with cli.progress_bar() as progress:
        task = progress.add_task("building scenes", total=len(jobs), note="")
        for line, failed in map_tasks(_build_job, jobs, config.workers, config.cluster):
            progress.update(task, advance=1, note=line)
            if failed:
                failures.append(line)
    for line in failures:
        print(f"left out: {line}")
    if len(failures) == len(jobs):
        raise HandoverError(f"no scene could be built; the last: {failures[-1]}")
    print(f"{len(jobs) - len(failures)} scenes in {config.out}")


def _build_job(job: tuple[int, str, BuildConfig]) -> tuple[str, bool]:
    """Builds and saves one invented scene; returns a line that tells of it, and whether it was left out."""
    seed, object_name, config = job
    name = f"{Path(object_name).stem}-{seed:05d}"
    try:
        capture = generate_capture(seed, object_name)
        settings = replace(_settings(config, default_steps=0), seed=seed)
        scene = build_scene(
            capture, seed, _voxel_m(config, settings), config.max_gaussians,
            settings=settings if settings.steps else None, proposer=config.grasp_source.proposer(capture),
        )  # fmt: skip
    except (CaptureError, GraspError) as error:
        return f"{name}: {error}", True
    folder = config.out / name
    scene = replace(scene, name=name, provenance=scene.provenance | config.grasp_source.provenance())
    scene.save(folder, compressed=config.compressed)
    return _line(scene, folder), False


def _line(scene: HandoverScene, folder: Path) -> str:
    made = f"{folder}: {len(scene.gaussians)} Gaussians"
    if not scene.grasp.graspable:
        faults = scene.provenance["grasp_faults"]
        return f"{made}, an approach only: of {sum(faults.values())} grasps, {reasons(faults)}"
    return f"{made}, grasp of width {1e3 * scene.grasp.width_m:.0f} mm, score {scene.grasp.score:.2f}"


if __name__ == "__main__":
    cli.run(main, BuildConfig, __doc__)

"""Builds handover scenes from RGB-D captures, or from synthetic captures that the package generates.

    python -m h2rh_env.build CAPTURE --out scenes/mine
    python -m h2rh_env.build CAPTURE --out scenes/mine --holdout
    python -m h2rh_env.build CAPTURE --out scenes/mine --grasps predictions.npz --grasp-format contact_graspnet
    python -m h2rh_env.build --synthetic 20 --out scenes/synthetic

CAPTURE is a session folder of a DexYCB root, or a plain RGB-D folder. If a build is interrupted, the same command
continues it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
import tyro

from . import __version__
from .captures.base import HandoverCapture
from .captures.check import examine
from .captures.load import load_capture
from .captures.synthetic.generate import generate_capture
from .captures.synthetic.objects.held_out import is_held_out
from .contact.shapes import shape_of_clouds, true_shape
from .contact.verified_grasps import DEFAULT, Verification, choose_grasps
from .core.errors import CaptureError, GraspError, HandoverError
from .core.labels import Label
from .grasps.antipodal import AntipodalProposer
from .grasps.base import GraspProposer
from .grasps.proposers import GraspSource, propose
from .grasps.selection import reasons
from .reconstruction.free_space import seen_free
from .reconstruction.initialisation.initialise import VOXEL_M, initialise
from .reconstruction.optimisation.config import METHODS, OPTIMISED_VOXEL_M, OptimiseConfig
from .rendering.select import make_rasteriser
from .scenes.gaussians import GaussianScene
from .scenes.handover_scene import HandoverScene
from .utils import cli
from .utils.parallel import Cluster, map_tasks

CHECKPOINT = ".optimise.safetensors"
STAGES = 4  # of a build, besides the steps of optimisation
SOLID = 0.5  # opacity of a Gaussian that stands for a point of the surface


@dataclass(frozen=True)
class BuildConfig:
    """Options of the command: what to build from, where to write it, and how fine it is."""

    capture: Annotated[Path | None, tyro.conf.Positional] = None
    """The capture to build from: a session folder of a DexYCB root, or a plain RGB-D folder."""
    out: Path = Path("scenes/mine")
    """Folder to write the scene to. With --synthetic, each scene gets a folder inside this one."""
    synthetic: int = 0
    """Build this number of scenes from synthetic captures instead of a capture of yours."""
    objects: tuple[str, ...] = ()
    """Objects of the synthetic captures, taken in turn: names (mustard_bottle, ...), your own meshes (OBJ, PLY or GLB
    files, in m), or "random", which makes up shapes. The default is random."""
    sensor: Literal["d435i", "d455", "l515"] | None = None
    """Type of depth camera of the synthetic captures. The default is depth with less noise than any of these has."""
    exclude_unseen: bool = False
    """Leave out the paper's unseen objects, the master chef can and the cracker box, and synthetic objects of their
    size, as a training set for Table I needs."""
    seed: int = 0
    """Seed of the grasp sampler. With --synthetic, it is also the seed of the first capture, and the next captures
    have the seeds after it."""
    force: bool = False
    """Build a capture even if the check says that its scene would be wrong."""
    frame: int | None = None
    """Number of the frame to take from a DexYCB session. The default is its last frame."""
    method: Literal["metric", "3dgs", "fsgs"] = "metric"
    """How the Gaussians are optimised: metric uses everything that the cameras measured; 3dgs and fsgs do as these
    papers do."""
    steps: int | None = None
    """Number of optimisation steps, each of about 13 ms. The default is 800, or 0 with --synthetic, where the
    measured depth is good enough."""
    pose: bool = False
    """Also learn small corrections of the camera poses, for extrinsics that are wrong by a few millimetres."""
    renderer: Literal["auto", "numba", "gsplat"] = "auto"
    """What renders during optimisation: gsplat on a GPU, or numba on the CPU. auto takes gsplat if it can be used."""
    holdout: bool = False
    """Before the build, measure how well left-out cameras are predicted, in comparison with plain 3DGS, and write
    quality.md, the same table as JSON, and a contact sheet."""
    voxel_m: float | None = None
    """Spacing of the Gaussians, m. The default is 0.0012, or 0.002 without optimisation."""
    max_gaussians: int = 30_000
    """Upper bound on the number of Gaussians."""
    compressed: bool = False
    """Save the splat in the compressed PLY layout of web viewers, which takes a quarter of the space."""
    grasp_source: tyro.conf.OmitArgPrefixes[GraspSource] = field(default_factory=GraspSource)
    """Where the grasps to choose among come from."""
    verify_grasps: bool = True
    """Choose the first grasp that is handed over in contact, and store all that are; without, geometry chooses."""
    grasp_trials: int = DEFAULT.spread
    """Number of other grasps, spread over all that are safe for the hand, that are tried by contact, so that those
    that hold are stored too. Each takes about 0.15 s; a training set is better with twice as many."""
    workers: int = 1
    """Number of processes that build synthetic scenes side by side."""
    cluster: Cluster | None = None
    """Where synthetic scenes are built: by processes of this machine, or by a Ray cluster (RAY_ADDRESS), to which
    --workers tasks are given at a time."""

    def __post_init__(self) -> None:
        if self.synthetic < 0:
            raise HandoverError(f"--synthetic is {self.synthetic}; it must be at least 0")
        if self.grasp_trials < 0:
            raise HandoverError(f"--grasp-trials is {self.grasp_trials}; it must be at least 0")
        if not self.verify_grasps:
            cli.refuse_ignored(self, ("grasp_trials",), "with --no-verify-grasps")
        if self.synthetic and self.capture is not None:
            raise HandoverError(f"there is a capture, {self.capture}, and --synthetic too; give one of them")
        if self.synthetic:
            cli.refuse_ignored(self, ("frame", "holdout", "force"), "with --synthetic")
        else:
            cli.refuse_ignored(
                self, ("objects", "sensor", "exclude_unseen", "workers", "cluster"), "without --synthetic"
            )
        if not self.optimise_config().steps:
            cli.refuse_ignored(self, ("method", "pose", "renderer"), "without --steps")

    def verification(self) -> Verification | None:
        """Returns how grasps are verified; None if geometry chooses."""
        return replace(DEFAULT, spread=self.grasp_trials) if self.verify_grasps else None

    def optimise_config(self) -> OptimiseConfig:
        """Returns the settings of the optimisation, which has no steps if none was asked for."""
        default_steps = 0 if self.synthetic else OptimiseConfig().steps
        return replace(
            METHODS[self.method], steps=default_steps if self.steps is None else self.steps, seed=self.seed,
            pose=self.pose, max_gaussians=self.max_gaussians, renderer=self.renderer,
        )  # fmt: skip


def default_voxel_m(settings: OptimiseConfig | None) -> float:
    """Returns the spacing of Gaussians, m: finer if they will learn from images, which show more than depth does."""
    return OPTIMISED_VOXEL_M if settings and settings.steps else VOXEL_M


def build_scene(
    capture: HandoverCapture,
    seed: int = 0,
    voxel_m: float | None = None,
    max_gaussians: int = 30_000,
    settings: OptimiseConfig | None = None,
    progress: Callable[[str, int], None] = lambda note, done: None,
    checkpoint_file: Path | None = None,
    proposer: GraspProposer | None = None,
    verification: Verification | None = DEFAULT,
) -> HandoverScene:
    """Builds the scene of a capture, with its grasp.

    Args:
        seed: The seed of the grasp sampler.
        voxel_m: The spacing of the Gaussians, m; see `default_voxel_m`.
        max_gaussians: An upper bound on the number of Gaussians.
        settings: The settings of the optimisation; None leaves the Gaussians as depth put them.
        progress: Called with what is being done, and with how many of the `STAGES` and optimisation steps are done.
        checkpoint_file: Where an interrupted optimisation keeps its state; see `optimise`.
        proposer: Proposes the grasps to choose among; the default is the built-in sampler.
        verification: How grasps are verified by contact; None leaves the choice to geometry.

    Raises:
        CaptureError: No camera sees the object.
        GraspError: No safe approach to the object exists, or the proposer has nothing to propose.
    """
    steps = settings.steps if settings else 0
    voxel_m = default_voxel_m(settings) if voxel_m is None else voxel_m
    corrections: dict[str, Any] = {}
    progress("fusing depth", 0)
    gaussians, object_points, hand_points = initialise(
        capture, voxel_m=voxel_m, max_gaussians=max_gaussians, corrected=steps > 0
    )
    if settings and steps:
        from .reconstruction.optimisation.optimise import optimise

        def optimised(done: int, loss: float, psnr_db: float) -> None:
            progress(f"loss {loss:.4f}, PSNR {psnr_db:.1f} dB", 1 + done)

        progress("optimising", 1)
        gaussians = optimise(gaussians, capture, settings, optimised, checkpoint_file, corrections.update)
        object_points, hand_points = _solid(gaussians, Label.OBJECT), _solid(gaussians, Label.HAND)
    progress("proposing grasps", steps + 1)
    candidates = propose(proposer or AntipodalProposer(), object_points, seed)
    progress("shaping what can be touched", steps + 2)
    if capture.truth:
        shape = true_shape(capture.truth)
    else:
        shape = shape_of_clouds(object_points, hand_points, partial(seen_free, capture.views))
    progress("verifying grasps" if verification else "choosing the grasp", steps + 3)
    grasps = choose_grasps(candidates, object_points, hand_points, shape, verification)
    made_with: dict[str, Any] = {"seed": seed, "voxel_m": voxel_m, "max_gaussians": max_gaussians}
    if settings:
        made_with["optimise"] = asdict(settings)
    provenance = {"capture": capture.provenance, "settings": made_with, "version": __version__}
    if corrections:
        provenance["corrections"] = corrections
    return HandoverScene(
        capture.name, capture.object_name, gaussians, object_points, hand_points, grasps.grasp,
        provenance | grasps.provenance(), contact_shape=shape, acceptable_grasps=grasps.acceptable,
    )  # fmt: skip


def _solid(gaussians: GaussianScene, label: Label) -> npt.NDArray[np.float32]:
    """Returns the means (P, 3), m, of a label's opaque Gaussians, or of all its Gaussians if none is opaque."""
    mine = gaussians.labels == label
    opaque = mine & (gaussians.opacities >= SOLID)
    points: npt.NDArray[np.float32] = gaussians.means[opaque if opaque.any() else mine]
    return points


def main(config: BuildConfig) -> None:
    if config.synthetic:
        _build_synthetic(config)
    elif config.capture is None:
        raise HandoverError("nothing to build from: give a capture's folder, or --synthetic N")
    else:
        _build_one(config, config.capture)


def _build_one(config: BuildConfig, path: Path) -> None:
    settings = config.optimise_config()
    capture = load_capture(path, config.frame)
    _refuse_or_say(capture, config.force)
    proposer = config.grasp_source.proposer(capture)
    quality = _hold_out(config, capture, settings) if config.holdout else None
    with cli.progress_bar() as bar:
        task = bar.add_task(f"building {path.name}", total=settings.steps + STAGES, note="")
        scene = build_scene(
            capture, config.seed, config.voxel_m, config.max_gaussians, settings,
            lambda note, done: bar.update(task, completed=done, note=note), config.out / CHECKPOINT,
            proposer, config.verification(),
        )  # fmt: skip
        scene = replace(scene, provenance=scene.provenance | config.grasp_source.provenance())
        if quality:
            scene = replace(scene, provenance=scene.provenance | {"held_out_quality": quality})
        scene.save(config.out, compressed=config.compressed)
        bar.update(task, completed=settings.steps + STAGES, note="done")
    for line in _corrections(scene.provenance.get("corrections")):
        print(line)
    print(_line(scene, config.out))


def _corrections(found: dict[str, Any] | None) -> list[str]:
    """Returns sentences about what was taken out of the cameras' depth and colours; none without optimisation."""
    if not found:
        return []
    cameras = found["cameras"].items()
    biases = ", ".join(f"{name} {one['depth_bias_mm']:+.1f}" for name, one in cameras if one["depth_bias_mm"])
    gains = ", ".join(
        f"{name} {'/'.join(f'{gain:.2f}' for gain in one['gains'])}"
        for name, one in cameras
        if any(gain != 1 for gain in one["gains"])
    )
    return [
        f"depth biases taken out, mm: {biases or 'none; the views agree within a millimetre'}",
        f"gains of red/green/blue taken out: {gains or 'none; none is large'}",
        f"colours depend on the view by harmonics of degree {found['colour_degree']}",
    ]


def _refuse_or_say(capture: HandoverCapture, force: bool) -> None:
    """Prints what is doubtful about a capture.

    Raises:
        CaptureError: A scene of it would be wrong as a whole, and nobody asked for it all the same.
    """
    found = examine(capture)
    for doubt in found:
        print(f"doubtful: {doubt.sentence}")
    refused = sum(doubt.refused for doubt in found)
    if refused and not force:
        raise CaptureError(
            f"{refused} of these {len(found)} doubts would make the scene wrong as a whole; h2rh check --fix "
            "corrects what is certain, --force builds it all the same"
        )


def _hold_out(
    config: BuildConfig, capture: HandoverCapture, settings: OptimiseConfig
) -> list[dict[str, Any]]:
    """Measures how well left-out cameras are predicted, prints the table and writes the report."""
    from .reconstruction import holdout
    from .reconstruction.optimisation.optimise import optimise

    methods = list(dict.fromkeys((config.method, "3dgs")))
    voxel_m = default_voxel_m(settings) if config.voxel_m is None else config.voxel_m

    def reconstruct(part: HandoverCapture, method: str) -> GaussianScene:
        gaussians, _, _ = initialise(part, voxel_m, config.max_gaussians)
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
    """Builds and saves one synthetic scene; returns a line that tells of it, and whether it was left out."""
    seed, object_name, config = job
    name = f"{Path(object_name).stem}-{seed:05d}"
    try:
        capture = generate_capture(seed, object_name, config.sensor)
        if config.exclude_unseen:
            refuse_held_out(capture)
        settings = replace(config.optimise_config(), seed=seed)
        scene = build_scene(
            capture, seed, config.voxel_m, config.max_gaussians, settings if settings.steps else None,
            proposer=config.grasp_source.proposer(capture), verification=config.verification(),
        )  # fmt: skip
    except (CaptureError, GraspError) as error:
        return f"{name}: {error}", True
    folder = config.out / name
    scene = replace(scene, name=name, provenance=scene.provenance | config.grasp_source.provenance())
    scene.save(folder, compressed=config.compressed)
    return _line(scene, folder), False


def refuse_held_out(capture: HandoverCapture) -> None:
    """Refuses a synthetic capture of an object that belongs to no training set (`objects.held_out`).

    Raises:
        CaptureError: It is one of the paper's unseen objects, or has the size of one.
    """
    assert capture.truth is not None
    low, high = capture.truth.object_bounds
    if is_held_out(capture.object_name, high - low):
        size = " x ".join(f"{1e3 * side:.0f}" for side in high - low)
        raise CaptureError(
            f"{capture.object_name} of {size} mm is unseen in the paper's split, or of such a size"
        )


def _line(scene: HandoverScene, folder: Path) -> str:
    made = f"{folder}: {len(scene.gaussians)} Gaussians"
    if not scene.grasp.graspable:
        faults, failures = scene.provenance["grasp_faults"], scene.provenance["grasp_failures"]
        contact = f"; in contact, {reasons(failures)}" if failures else ""
        return f"{made}, an approach only: of {sum(faults.values())} grasps, {reasons(faults)}{contact}"
    grasp = f"grasp of width {1e3 * scene.grasp.width_m:.0f} mm, score {scene.grasp.score:.2f}"
    return f"{made}, {grasp}, one of {len(scene.acceptable_grasps)} acceptable ones"


if __name__ == "__main__":
    cli.run(main, BuildConfig, __doc__)

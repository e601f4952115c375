"""Measures how close reconstructed scenes come to exact novel views, what it costs, and what each method adds.

    python benchmarks/reconstruction.py CAPTURES
    python benchmarks/reconstruction.py CAPTURES --ablation
    python benchmarks/reconstruction.py CAPTURES --methods metric 3dgs --sheet novel.png

The folder holds `dexycb_like/`, a DexYCB root, and `novel/<session>/`: cameras.json, rgb, depth and class images of
exact views at 224 and 640 px. One brightness is fitted for each scene.
"""

from __future__ import annotations

import json
import resource
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import tyro
from PIL import Image

from h2rh_env.captures.base import HandoverCapture, RgbdView
from h2rh_env.captures.images import read_depth_counts, read_mask, read_rgb
from h2rh_env.captures.load import load_capture
from h2rh_env.core.camera import PinholeCamera
from h2rh_env.core.errors import CaptureError
from h2rh_env.core.geometry import SE3
from h2rh_env.core.labels import Label
from h2rh_env.reconstruction.holdout import contact_sheet
from h2rh_env.reconstruction.initialisation.initialise import initialise
from h2rh_env.reconstruction.optimisation.config import METHODS, OptimiseConfig
from h2rh_env.reconstruction.optimisation.optimise import optimise
from h2rh_env.reconstruction.quality import measure
from h2rh_env.rendering.cpu.rasteriser import NumbaRasteriser
from h2rh_env.scenes.gaussians import GaussianScene
from h2rh_env.utils import cli

Seconds = npt.NDArray[np.float64]
Row = npt.NDArray[np.float64]
SIDES = {224: (224, 224), 640: (640, 480)}
UNCORRECTED = "without thin walls and biases"
ABLATION: dict[str, OptimiseConfig] = {
    UNCORRECTED: OptimiseConfig(),
    "without shared colour": OptimiseConfig(shared_degree=0),
    "shared colour up to degree 3": OptimiseConfig(shared_degree=3),
    "without mask term": OptimiseConfig(mask_weight=0),
    "without depth term": OptimiseConfig(depth_weight=0),
    "without free rim": OptimiseConfig(rim_px=0),
    "without coarse steps": OptimiseConfig(coarse_every=0),
    "with colours of degree 1 of each Gaussian's own": OptimiseConfig(sh_degree=1),
}
FIGURES = {"psnr_db": ".2f", "ssim": ".3f", "gmsd": ".3f", "depth_mae_mm": ".2f", "iou": ".4f"}
SHEET_VIEWS = (3, 15)
SHEET_COLOURS = 192


@dataclass(frozen=True)
class ReconstructionBenchmark:
    """What to measure."""

    captures: Annotated[Path, tyro.conf.Positional]
    """Folder of captures and novel views."""
    sessions: tuple[str, ...] = ()
    """Names of sessions; all by default."""
    methods: tuple[str, ...] = ("metric", "3dgs", "fsgs")
    """Methods to compare, after the unoptimised scene."""
    ablation: bool = False
    """Also take each trick from the default or add one to it, and give plain 3DGS no more time than the default."""
    steps: int = OptimiseConfig().steps
    """Steps of each optimisation."""
    voxel_m: float = 0.0012
    """Spacing of the first Gaussians, m."""
    sheet: Path | None = None
    """PNG to write: for each capture a true novel view and what each method makes of it."""


def main(config: ReconstructionBenchmark) -> None:
    runs = {"no optimisation": OptimiseConfig(steps=0)}
    runs |= {name: replace(METHODS[name], steps=config.steps) for name in config.methods}
    if config.ablation:
        runs |= {name: replace(settings, steps=config.steps) for name, settings in ABLATION.items()}
    headings = [
        f"{figure} {side}" for figure in ("PSNR dB", "SSIM", "GMSD", "depth mm", "IoU") for side in SIDES
    ]
    print(f"| capture | run | {' | '.join(headings)} | Gaussians | CPU s | wall s |", flush=True)
    print("|" + "---|" * (len(headings) + 5), flush=True)
    rows: dict[str, list[Row]] = {}
    sheets = []
    for session in _sessions(config):
        capture = load_capture(session)
        novel = {side: novel_views(config.captures / "novel" / session.name, side) for side in SIDES}
        scenes = {}
        for name, scene, row in _reconstructed(capture, novel, runs, config):
            rows.setdefault(name, []).append(row)
            scenes[name] = scene
            print(_line(capture.object_name, name, row), flush=True)
        if config.sheet:
            shown = [novel[640][k] for k in SHEET_VIEWS]
            sheets.append(contact_sheet([scenes[m] for m in config.methods], shown, NumbaRasteriser()))
    for name, parts in rows.items():
        print(_line("mean", name, np.mean(parts, axis=0)))
    if config.sheet:
        picture = Image.fromarray(np.concatenate(sheets, axis=1))
        picture.quantize(SHEET_COLOURS).save(config.sheet, optimize=True)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"\nPeak memory {peak_mb:.0f} MB, novel views included.")


def _reconstructed(
    capture: HandoverCapture,
    novel: dict[int, list[RgbdView]],
    runs: dict[str, OptimiseConfig],
    config: ReconstructionBenchmark,
) -> Iterator[tuple[str, GaussianScene, Row]]:
    """Each run's name, scene and figures: quality at each side, the number of Gaussians, CPU and wall seconds."""
    (first, *_), fusing_s = timed(initialise, capture, config.voxel_m)
    cpu_s: dict[str, float] = {}

    def one(name: str, settings: OptimiseConfig) -> tuple[str, GaussianScene, Row]:
        start = initialise(capture, config.voxel_m, corrected=False)[0] if name == UNCORRECTED else first
        scene, seconds = timed(optimise, start, capture, settings)
        cpu_s[name] = seconds[0]
        qualities = [measure(scene, views, NumbaRasteriser(), "scene") for views in novel.values()]
        figures = [getattr(quality, key) for key in FIGURES for quality in qualities]
        return name, scene, np.array([*figures, len(scene), *(fusing_s + seconds)])

    for name, settings in runs.items():
        yield one(name, settings)
    if config.ablation:
        steps = round(config.steps * cpu_s["metric"] / cpu_s["3dgs"])
        yield one("3dgs in the same time", replace(METHODS["3dgs"], steps=steps))


def _sessions(config: ReconstructionBenchmark) -> list[Path]:
    found = sorted(meta.parent for meta in config.captures.glob("dexycb_like/*/*/meta.yml"))
    chosen = [path for path in found if not config.sessions or path.name in config.sessions]
    if not chosen:
        raise CaptureError(
            f"{config.captures}/dexycb_like has no such session; it has "
            f"{', '.join(path.name for path in found) or 'none'}"
        )
    return chosen


def novel_views(folder: Path, side: int) -> list[RgbdView]:
    """The exact views of a session; forearm and sleeve are background, as in its capture's labels."""
    width, height = SIDES[side]
    views = []
    for entry in json.loads((folder / "cameras.json").read_text()):
        stem = f"{side}_{entry['index']:02d}"
        colour = next(iter(sorted(folder.glob(f"rgb{stem}.*"))), folder / f"rgb{stem}.png")
        k = np.array(entry[f"K{side}"], np.float64)
        classes = read_mask(folder / f"class{stem}.png", (width, height))
        views.append(
            RgbdView(
                stem,
                PinholeCamera(width, height, k[0, 0], k[1, 1], k[0, 2] + 0.5, k[1, 2] + 0.5),
                SE3.from_matrix(entry["T_world_cam"]),
                read_rgb(colour, (width, height)),
                read_depth_counts(folder / f"depth{stem}.png", (width, height)).astype(np.float32)
                / np.float32(1000),
                np.where(classes <= Label.HAND, classes, Label.BACKGROUND).astype(np.uint8),
            )
        )
    return views


def timed(run: Callable[..., Any], *arguments: Any) -> tuple[Any, Seconds]:
    """Returns the result, and the process's CPU and wall seconds (2,)."""
    begin = np.array([time.process_time(), time.perf_counter()])
    result = run(*arguments)
    return result, np.array([time.process_time(), time.perf_counter()]) - begin


def _line(capture: str, name: str, row: Row) -> str:
    formats = [form for form in FIGURES.values() for _ in SIDES] + [".0f", ".1f", ".1f"]
    cells = [f"{value:{form}}" for value, form in zip(row, formats, strict=True)]
    return f"| {capture} | {name} | {' | '.join(cells)} |"


if __name__ == "__main__":
    cli.run(main, ReconstructionBenchmark, __doc__)

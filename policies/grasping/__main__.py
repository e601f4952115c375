"""Trains the grasping policy: samples of scenes, a fit, and rounds of its own rollouts with the right answers.

    python -m policies.grasping scenes/train --out runs/grasping
    python evaluate.py --policy runs/grasping

Every stage is kept in the folder: if a run is interrupted, the same command continues it.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated

import torch
import tyro
from rich.console import Console

from h2rh_env import __version__
from h2rh_env.core.camera import HAND_EYE_CAMERA
from h2rh_env.core.errors import DatasetError
from h2rh_env.rendering.cpu.threads import cores
from h2rh_env.scenes.handover_scene import scene_folders
from h2rh_env.utils import cli, files
from h2rh_env.utils.parallel import map_tasks

from .checkpoint import WEIGHTS, Checkpoint, load_checkpoint, save_checkpoint
from .controller import ControlConfig
from .fusion import FusionConfig
from .inputs import GraspInputs
from .training.dataset import Samples, sample_scenes
from .training.fit import STATE, Fit, FitConfig, validation_losses
from .training.losses import Losses
from .training.rollouts import RolloutJob, write_rollouts
from .training.samples import Sampling

SAMPLE_S, STEP_S, EPISODE_S = 0.03, 0.33, 5.0  # of one core beside another that is busy, for the estimate


@dataclass(frozen=True)
class GraspingConfig:
    """Options of the training."""

    scenes: Annotated[Path, tyro.conf.Positional]
    """Folder of scenes with acceptable grasps, as h2rh_env.build writes them."""
    out: Path = Path("runs/grasping")
    """Folder to write the checkpoint, the samples and the state of the fit to."""
    initial: Path | None = None
    """Checkpoint folder with the weights to begin with; by default they are drawn."""
    views: int = 400
    """Number of pairs of views of each scene."""
    rounds: int = 1
    """Number of rounds in which the policy's own episodes in the scenes are labelled and learnt from."""
    episodes: int = 2
    """Number of episodes in each scene and round."""
    round_steps: int = 4500
    """Number of steps after each round."""
    validation: float = 0.08
    """Share of the scenes that is kept aside for validation."""
    workers: int = cores()
    """Number of processes that draw samples; it does not change the result."""
    fit: tyro.conf.OmitArgPrefixes[FitConfig] = field(default_factory=FitConfig)

    def __post_init__(self) -> None:
        if self.views < 1 or self.episodes < 1 or self.rounds < 0 or not 0 <= self.validation <= 0.5:
            raise DatasetError(
                f"--views {self.views}, --episodes {self.episodes}, --rounds {self.rounds} and --validation "
                f"{self.validation}: the first two are at least 1, rounds at least 0, and validation in [0, 0.5]"
            )


def main(config: GraspingConfig) -> None:
    """Samples, fits, rolls out, fits again, and writes the checkpoint after each stage."""
    console = Console(stderr=True)
    folders = scene_folders(config.scenes)
    held = (
        folders[:: round(1 / config.validation)] if config.validation else []
    )  # of each kind, in order of names
    console.print(estimate(config, len(folders)))
    inputs, sampling, samples = GraspInputs(), Sampling(), config.out / "samples"
    sample_scenes(folders, samples / "views", config.views, config.fit.seed, inputs, sampling, config.workers)
    fit = Fit(config.fit, load_checkpoint(config.initial).network if config.initial else None)
    if (config.out / STATE).exists():
        fit.load(config.out)
    curve = config.out / "curve.csv"
    for number in range(config.rounds + 1):
        if number:
            _roll_out(config, folders, samples / f"round-{number}", number, sampling)
        end = config.fit.steps + number * config.round_steps
        if fit.step < end:
            train, validation = _split(samples, {folder.name for folder in held})
            fit.run(train, config.out, end, _reporter(console, curve))
            _write(config, fit, len(folders), len(train), validation, console)
    console.print(f"{config.out}: python evaluate.py --policy {config.out}")


def estimate(config: GraspingConfig, scenes: int) -> str:
    """What the training will take, in words."""
    steps = config.fit.steps + config.rounds * config.round_steps
    episodes = scenes * config.episodes * config.rounds
    seconds = (scenes * config.views * SAMPLE_S + episodes * EPISODE_S) / config.workers + steps * STEP_S
    return (
        f"{scenes} scenes, {scenes * config.views} samples, {steps} steps, {episodes} episodes of its own: about "
        f"{seconds / 60:.0f} minutes"
    )


def _roll_out(
    config: GraspingConfig, folders: list[Path], out: Path, number: int, sampling: Sampling
) -> None:
    jobs = [
        RolloutJob(folder, config.out, out / f"{folder.name}.npz", config.episodes, 1000 * number, sampling)
        for folder in folders
    ]
    for _ in map_tasks(write_rollouts, [job for job in jobs if not job.out.exists()], config.workers):
        pass


def _split(samples: Path, held: set[str]) -> tuple[Samples, Samples | None]:
    """Samples to learn from, and of the scenes that are kept aside."""
    paths = sorted(samples.glob("*/*.npz"))
    kept = [path for path in paths if path.stem in held]
    return Samples([path for path in paths if path.stem not in held]), Samples(kept) if kept else None


def _reporter(console: Console, curve: Path):  # type: ignore[no-untyped-def]
    began = time.monotonic()

    def report(step: int, found: Losses) -> None:
        lateral, depth, turn = found.error
        row = [
            step,
            float(found.total.detach()),
            float(found.pose),
            float(found.quality),
            float(found.danger),
            float(found.depth),
        ]
        with curve.open("a") as file:
            file.write(",".join(f"{value:.5g}" for value in (*row, lateral, depth, turn)) + "\n")
        console.print(
            f"step {step}: loss {row[1]:.2f}, medians {1000 * lateral:.1f} mm beside, {1000 * depth:.1f} mm deep, "
            f"{57.3 * turn:.0f} degrees; {time.monotonic() - began:.0f} s"
        )

    return report


def _write(
    config: GraspingConfig, fit: Fit, scenes: int, samples: int, validation: Samples | None, console: Console
) -> None:
    network = fit.averaged()
    provenance = {
        "version": __version__,
        "scenes": scenes,
        "samples": samples,
        "steps": fit.step,
        "fit": asdict(config.fit),
        "views": config.views,
        "rounds": config.rounds,
        "initial": files.sha256_of(config.initial / WEIGHTS) if config.initial else None,
    }
    if validation is not None:
        loss, lateral, depth, turn = validation_losses(network, validation)
        provenance["validation"] = {"loss": loss, "lateral_m": lateral, "depth_m": depth, "turn_rad": turn}
        console.print(
            f"on scenes kept aside: {1000 * lateral:.1f} mm beside, {1000 * depth:.1f} mm deep, "
            f"{57.3 * turn:.0f} degrees"
        )
    save_checkpoint(
        config.out, Checkpoint(network, FusionConfig(), ControlConfig(), HAND_EYE_CAMERA, provenance)
    )
    files.write_json(config.out / "training.json", json.loads(json.dumps(provenance)))


if __name__ == "__main__":
    torch.set_num_threads(1)
    cli.run(main, GraspingConfig, __doc__)

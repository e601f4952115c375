"""Trains a policy on demonstrations and then on its own mistakes, or by reinforcement.

    python train.py data/train --out runs/mine
    python train.py data/train --out runs/mine --scenes scenes/train --dagger-rounds 3
    python train.py s3://bucket/frames --out runs/mine
    torchrun --nproc_per_node 4 train.py data/train --out runs/mine --device cuda --bf16
    python train.py --algo ppo --initial runs/mine --scenes scenes/train --giver moving --out runs/reinforced

The result is a checkpoint folder: python evaluate.py --policy runs/mine. If a run is interrupted, the same command
continues it. Reinforcement has options of its own: python train.py --algo ppo --help.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

import tyro
from rich.progress import Progress

from experts.labels import Labeller
from h2rh_env import __version__
from h2rh_env.core.errors import DatasetError
from h2rh_env.datasets.read import describe
from h2rh_env.scenes.handover_scene import load_scenes
from h2rh_env.utils import cli, files
from policies.networks.base import HandoverNetwork
from policies.networks.checkpoints import save_checkpoint
from policies.training.behaviour_cloning import FitConfig, seeded_network
from policies.training.curves import draw_curves, log_epoch
from policies.training.dagger import SceneRollouts, fit_with_bar, one_round
from policies.training.dataset import Frames, held_out_scenes, load_frames, split_by_scene
from policies.training.distributed import joined
from policies.training.streaming.prepare import inputs_of
from policies.training.streaming.shards import Store
from policies.training.streaming.stream import StreamConfig, StreamedFrames, open_frames
from policies.training.validation import Validation

VALIDATION_STARTS = 5
RECORD = "training.json"


@dataclass(frozen=True)
class TrainConfig:
    """Options of behaviour cloning and DAgger."""

    dataset: Annotated[str, tyro.conf.Positional]
    """Folder of the demonstrations, as experts.collect writes it, of which all frames are read into memory; or
    folder or address of frames that policies.training.streaming.prepare wrote, which are streamed."""
    out: Path = Path("runs/mine")
    """Folder to write the checkpoint, its curves and its settings to."""
    algo: Literal["clone", "ppo", "sac"] = "clone"
    """How to learn: clone learns from demonstrations, with the options shown here; ppo and sac learn from reward,
    with the options that python train.py --algo ppo --help shows."""
    policy: str = "compact"
    """The network: compact, or resnet18 (the paper's)."""
    validation: float = 0.1
    """Share of the scenes that is kept aside. The loss on them is reported, and with --scenes also what is
    handed over in rollouts in them."""
    corruption: float = 0.0
    """Strength, 0 to 1, of the errors of cameras and segmenters that are added to the frames: exposure, noise, blur,
    holes in masks and others of h2rh_env/perturbations/images.py. The shipped checkpoint saw none."""
    scenes: Path | None = None
    """Folder of the dataset's scenes, for rollouts in them; DAgger needs it."""
    dagger_rounds: int = 0
    """Number of rounds of DAgger. In each, the policy acts in the scenes, the expert labels what the policy saw, and
    training continues with these frames too."""
    dagger_initial_poses: int = 6
    """Number of initial poses in each scene in each round of DAgger."""
    dagger_epochs: int = 8
    """Number of passes over all frames after each round of DAgger."""
    fit: Annotated[FitConfig, tyro.conf.arg(name="")] = field(default_factory=FitConfig)
    stream: Annotated[StreamConfig, tyro.conf.arg(name="")] = field(default_factory=StreamConfig)

    def __post_init__(self) -> None:
        if self.algo != "clone":
            raise DatasetError(f"--algo is {self.algo}; its options are those of ReinforceConfig")
        if self.dagger_rounds < 0:
            raise DatasetError(f"--dagger-rounds is {self.dagger_rounds}; it must be at least 0")
        if not self.dagger_rounds:
            cli.refuse_ignored(self, ("dagger_initial_poses", "dagger_epochs"), "without --dagger-rounds")
        elif self.scenes is None:
            raise DatasetError("--dagger-rounds needs --scenes: the scenes to act in")


def run(arguments: Sequence[str]) -> None:
    """Parses the command line; `--algo` says which options there are."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--algo", default="clone")
    algo = parser.parse_known_args(arguments)[0].algo
    if algo in {"ppo", "sac"}:
        from policies.rl import reinforcement

        cli.run(reinforcement.main, reinforcement.ReinforceConfig, reinforcement.__doc__, f"--algo {algo}")
    else:
        cli.run(main, TrainConfig, __doc__)


def main(settings: TrainConfig) -> None:
    """Clones the demonstrations, then continues by DAgger if rounds of it were asked for."""
    with joined(settings.fit.device) as device, cli.progress_bar() as bar:
        settings = replace(settings, fit=replace(settings.fit, device=device))
        network = seeded_network(settings.policy, settings.fit.seed)
        frames = (_streamed if Store(settings.dataset).is_prepared else _read)(settings, network, bar)
        held_out = held_out_scenes(list(frames.scenes), settings.validation, settings.fit.seed)
        Run(settings, network, held_out, bar).train(*_split(frames, held_out))
    print(f"{settings.out}: checkpoint, curves.png and training.json written")


def _split(
    frames: Frames | StreamedFrames, held_out: set[str]
) -> tuple[Frames, Frames] | tuple[StreamedFrames, StreamedFrames]:
    if isinstance(frames, Frames):
        return split_by_scene(frames, held_out)
    return frames.of_scenes(frames.scenes - held_out), frames.of_scenes(held_out)


def _read(settings: TrainConfig, network: HandoverNetwork, bar: Progress) -> Frames:
    """All frames of demonstrations, in memory."""
    cli.refuse_ignored(settings.stream, tuple(asdict(settings.stream)), "with demonstrations, all in memory")
    summary = describe(settings.dataset)
    if summary.missing_shards:
        bar.console.print(
            f"{settings.dataset} lacks {summary.missing_shards} shards; it is read without them"
        )
    task = bar.add_task("reading frames", total=summary.steps, note="")
    return load_frames(
        settings.dataset,
        network,
        lambda frames: bar.advance(task, frames),
        settings.corruption,
        settings.fit.seed,
    )


def _streamed(settings: TrainConfig, network: HandoverNetwork, bar: Progress) -> StreamedFrames:
    """Prepared frames, which are read while they are learnt from."""
    cli.refuse_ignored(
        settings, ("corruption",), "with prepared frames, whose errors are added where they are prepared"
    )
    frames = open_frames(settings.dataset, settings.stream)
    if frames.index.inputs != inputs_of(network):
        raise DatasetError(
            f"{settings.dataset} holds frames for {frames.index.inputs['kind']} of {frames.index.inputs['size']} px; "
            f"--policy {settings.policy} needs others: prepare them with the same --policy and version"
        )
    bar.console.print(f"{settings.dataset}: {len(frames)} frames of {len(frames.scenes)} scenes are streamed")
    return frames


class Run:
    """Behaviour cloning, then rounds of DAgger; keeps the weights that do best in validation rollouts."""

    def __init__(
        self, settings: TrainConfig, network: HandoverNetwork, held_out: set[str], bar: Progress
    ) -> None:
        self.settings, self.network, self.bar = settings, network, bar
        scenes = load_scenes(settings.scenes) if settings.scenes else []
        self.training = SceneRollouts([scene for scene in scenes if scene.name not in held_out])
        self.validation = SceneRollouts([scene for scene in scenes if scene.name in held_out])
        store = Store(settings.dataset)
        self._origin = (
            store.read_index().origin if store.is_prepared else describe(settings.dataset).provenance
        )
        self.before: list[dict[str, float]] = []
        self.validations = self._earlier_validations()
        if not len(self.validation):
            reason = "no scene is held out" if scenes else "there are no --scenes"
            bar.console.print(f"{reason}: nothing is validated by acting, and the last weights are kept")

    def train(self, frames: Frames | StreamedFrames, validation: Frames | StreamedFrames) -> None:
        out, fit = self.settings.out, self.settings.fit
        self.before = fit_with_bar(
            self.network, frames, validation, fit, out / "rounds" / "0", self.bar, self._after_epoch
        )
        for number in range(1, self.settings.dagger_rounds + 1):
            further = replace(fit, epochs=self.settings.dagger_epochs, seed=fit.seed + 1000 * number)
            frames, history = one_round(
                self.network,
                frames,
                validation,
                self.training,
                Labeller(),
                self.settings.dagger_initial_poses,
                further,
                out / "rounds" / str(number),
                self.bar,
                self._after_epoch,
            )
            self.before += history

    def _after_epoch(self, history: list[dict[str, float]]) -> None:
        """Judges the averaged weights by acting with them in held-out scenes, and keeps them if none were better.

        Where no scene is held out, the last weights are kept.
        """
        epochs = len(self.before) + len(history)
        self.validations = [earlier for earlier in self.validations if earlier.epochs < epochs]
        validation = self.validation.validate(self.network, epochs, VALIDATION_STARTS, self.bar)
        if validation is None or not any(earlier.better_than(validation) for earlier in self.validations):
            save_checkpoint(self.settings.out, self.settings.policy, self.network, self._provenance(epochs))
        logged = dict(history[-1])
        if validation is not None:
            self.validations.append(validation)
            logged |= {
                f"validation_{name}": value for name, value in asdict(validation).items() if name != "epochs"
            }
        whole = self.before + history
        judged = [asdict(each) for each in self.validations]
        files.write_json(
            self.settings.out / RECORD,
            {"history": whole, "validations": judged or None, **self._provenance(epochs)},
        )
        log_epoch(self.settings.out / "tensorboard", epochs, logged)
        draw_curves(
            self.settings.out / "curves.png",
            whole,
            [(each.epochs, each.handed_over) for each in self.validations],
        )

    def _earlier_validations(self) -> list[Validation]:
        """Returns what an interrupted run of the same settings found, if there was one."""
        try:
            record = json.loads((self.settings.out / RECORD).read_text())
            same = record["settings"] == self._settings()
            return [Validation.from_json(values) for values in record["validations"] or ()] if same else []
        except (OSError, ValueError, KeyError, TypeError):
            return []

    def _settings(self) -> dict[str, object]:
        settings: dict[str, object] = json.loads(json.dumps(asdict(self.settings), default=str))
        return settings

    def _provenance(self, epochs: int) -> dict[str, object]:
        return {
            "version": __version__,
            "settings": self._settings(),
            "epochs": epochs,
            "dataset": self._origin,
        }


if __name__ == "__main__":
    run(sys.argv[1:])

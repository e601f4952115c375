"""Trains a policy on demonstrations, then on its own mistakes.

    python train.py data/train --out runs/mine
    python train.py data/train --out runs/mine --scenes scenes/train --dagger-rounds 3
    torchrun --nproc_per_node 4 train.py data/train --out runs/mine --device cuda --bf16
    python train.py --algo ppo --initial runs/mine --scenes scenes/train --giver moving --out runs/reinforced

The result is a checkpoint folder: python evaluate.py --policy runs/mine. The same command continues a run that was
interrupted.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

import tyro
from rich.progress import Progress

from experts.labels import Labeller
from h2rh_env import __version__
from h2rh_env.core.errors import DatasetError
from h2rh_env.datasets.minari import describe
from h2rh_env.scenes.handover_scene import load_scenes
from h2rh_env.utils import cli, files
from policies.networks.base import HandoverNetwork
from policies.networks.checkpoints import save_checkpoint
from policies.training.behaviour_cloning import FitConfig, seeded_network
from policies.training.curves import draw_curves, log_epoch
from policies.training.dagger import SceneRollouts, fit_with_bar, one_round
from policies.training.dataset import Frames, held_out_scenes, load_frames, split_by_scene
from policies.training.distributed import joined

VALIDATION_STARTS = 5
RECORD = "training.json"


@dataclass(frozen=True)
class TrainConfig:
    """What to train, on what."""

    dataset: Annotated[Path | None, tyro.conf.Positional] = None
    """Folder of demonstrations, made by: python -m experts.collect. Not for --algo ppo or sac."""
    out: Path = Path("runs/mine")
    """Folder of the checkpoint, its curves and its settings."""
    policy: str = "compact"
    """Network: compact, or resnet18 (the paper's)."""
    validation: float = 0.1
    """Part of the scenes that is kept aside: its loss is reported, and with --scenes its success in rollouts."""
    corruption: float = 0.0
    """Strength, 0 to 1, of what cameras and segmenters do to frames: exposure, noise, blur, holes in masks and so on;
    see h2rh_env/perturbations/images.py. The shipped checkpoint saw none."""
    scenes: Path | None = None
    """The dataset's scenes, to act in; needed for DAgger."""
    dagger_rounds: int = 0
    """Rounds of DAgger: the policy acts in the scenes, the expert labels what it sees, training goes on with that."""
    dagger_initial_poses: int = 6
    """Initial poses in each scene in each round."""
    dagger_epochs: int = 8
    """Passes over all frames after each round."""
    algo: Literal["clone", "ppo", "sac"] = "clone"
    """clone learns from demonstrations; the others from reward
    (python -m policies.rl.reinforcement has more to set)."""
    initial: Path | None = None
    """With --algo ppo or sac: checkpoint folder to start from."""
    giver: Literal["still", "moving"] = "still"
    """With --algo ppo or sac: whether hand and object move."""
    steps: int = 100_000
    """With --algo ppo or sac: of all environments together."""
    fit: Annotated[FitConfig, tyro.conf.arg(name="")] = field(default_factory=FitConfig)

    def __post_init__(self) -> None:
        if self.dagger_rounds > 0 and self.scenes is None:
            raise DatasetError("--dagger-rounds needs --scenes: the scenes to act in")
        if self.algo == "clone" and self.dataset is None:
            raise DatasetError(
                "no dataset was given; collect one: python -m experts.collect SCENES --out DATASET"
            )


def main(settings: TrainConfig) -> None:
    if settings.algo == "clone":
        _clone(settings)
    else:
        from policies.rl.reinforcement import ReinforceConfig
        from policies.rl.reinforcement import main as reinforce

        learnt = {
            name: getattr(settings, name) for name in ("out", "algo", "initial", "scenes", "giver", "steps")
        }
        reinforce(ReinforceConfig(**learnt, seed=settings.fit.seed))


def _clone(settings: TrainConfig) -> None:
    with joined(settings.fit.device) as device, cli.progress_bar() as bar:
        settings = replace(settings, fit=replace(settings.fit, device=device))
        network = seeded_network(settings.policy, settings.fit.seed)
        frames = _read(settings, network, bar)
        held_out = held_out_scenes(frames.scenes, settings.validation, settings.fit.seed)
        frames, validation = split_by_scene(frames, held_out)
        Run(settings, network, held_out, bar).train(frames, validation)
    print(f"{settings.out}: checkpoint, curves.png and training.json written")


def _read(settings: TrainConfig, network: HandoverNetwork, bar: Progress) -> Frames:
    dataset = settings.dataset or ""
    task = bar.add_task("reading frames", total=describe(dataset).steps, note="")
    return load_frames(
        dataset, network, lambda frames: bar.advance(task, frames), settings.corruption,
        settings.fit.seed,
    )  # fmt: skip


class Run:
    """Behaviour cloning, then rounds of DAgger; keeps the weights that do best in validation rollouts."""

    def __init__(
        self, settings: TrainConfig, network: HandoverNetwork, held_out: set[str], bar: Progress
    ) -> None:
        self.settings, self.network, self.bar = settings, network, bar
        scenes = load_scenes(settings.scenes) if settings.scenes else []
        self.training = SceneRollouts([scene for scene in scenes if scene.name not in held_out])
        self.validation = SceneRollouts([scene for scene in scenes if scene.name in held_out])
        self.before: list[dict[str, float]] = []
        self.success = self._earlier_success()

    def train(self, frames: Frames, validation: Frames) -> None:
        out, fit = self.settings.out, self.settings.fit
        self.before = fit_with_bar(
            self.network, frames, validation, fit, out / "rounds" / "0", self.bar, self._after_epoch
        )
        for number in range(1, self.settings.dagger_rounds + 1):
            further = replace(fit, epochs=self.settings.dagger_epochs, seed=fit.seed + 1000 * number)
            frames, history = one_round(
                self.network, frames, validation, self.training, Labeller(),
                self.settings.dagger_initial_poses, further, out / "rounds" / str(number), self.bar,
                self._after_epoch,
            )  # fmt: skip
            self.before += history

    def _after_epoch(self, history: list[dict[str, float]]) -> None:
        """Judges the averaged weights by acting with them, and keeps them if none were better."""
        epochs = len(self.before) + len(history)
        rate = (
            self.validation.success(self.network, VALIDATION_STARTS, self.bar)
            if len(self.validation)
            else 0.0
        )
        if rate >= max((earlier for _, earlier in self.success), default=0.0):
            save_checkpoint(self.settings.out, self.settings.policy, self.network, self._provenance(epochs))
        self.success = [entry for entry in self.success if entry[0] < epochs] + [(epochs, rate)]
        whole = self.before + history
        record = {"history": whole, "success": self.success, **self._provenance(epochs)}
        files.write_json(self.settings.out / RECORD, record)
        log_epoch(self.settings.out / "tensorboard", epochs, {**history[-1], "validation_success": rate})
        draw_curves(self.settings.out / "curves.png", whole, self.success if len(self.validation) else ())

    def _earlier_success(self) -> list[tuple[int, float]]:
        """Of an interrupted run of the same settings."""
        try:
            record = json.loads((self.settings.out / RECORD).read_text())
            same = record["settings"] == self._settings()
            return [(int(epochs), float(rate)) for epochs, rate in record["success"]] if same else []
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
            "dataset": describe(self.settings.dataset or "").provenance,
        }


if __name__ == "__main__":
    cli.run(main, TrainConfig, __doc__)

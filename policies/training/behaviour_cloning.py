"""Behaviour cloning: fits a network to frames; seeded, and resumed in the middle of an epoch to the same bits."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Generator, nn
from torch.nn.parallel import DistributedDataParallel

from h2rh_env.core.errors import CheckpointError

from ..networks.base import HandoverNetwork
from ..networks.factory import make_network
from . import distributed as processes
from .augmentation import augmented
from .dataset import Batch, Frames
from .losses import LAMBDA_ROTATION, LAMBDA_TRANSLATION, Terms, goal_loss, handover_loss
from .source import InMemory, Source
from .state import STATE, FitState, History

__all__ = ["STATE", "FitConfig", "History", "fit", "measure", "seeded_network"]

NO_RUN = ("device", "save_minutes")  # settings that do not change the result


@dataclass(frozen=True)
class FitConfig:
    """How a network is fitted. The defaults are those of the shipped checkpoint."""

    epochs: int = 30
    """Number of passes over the frames."""
    batch_size: int = 128
    """Number of frames in a step."""
    learning_rate: float = 1e-3
    """Highest learning rate of AdamW: the rate rises over the first 3 % of the steps and then falls as a cosine."""
    weight_decay: float = 1e-2
    """Weight decay of AdamW."""
    average_decay: float = 0.998
    """Decay per step of the moving average of the weights, which is what the checkpoint holds."""
    lambda_translation: float = LAMBDA_TRANSLATION
    """Weight of the squared error of the translation (Eq. 17), per m^2; for networks that answer with actions."""
    lambda_rotation: float = LAMBDA_ROTATION
    """Weight of the squared error of the rotation (Eq. 17), per rad^2; for networks that answer with actions."""
    positive_weight: float = 3.0
    """Weight of a frame at the pre-grasp pose, relative to other frames, in the loss of the grasp score; for networks
    that answer with actions."""
    augmentation: float = 1.0
    """Strength of the augmentation: 0 only mirrors frames; 1 is described in policies/training/augmentation.py."""
    seed: int = 0
    """Seed of the first weights, the order of frames and the augmentation."""
    device: str = "cpu"
    """Device to fit on: cpu, or cuda."""
    bf16: bool = False
    """Compute forward passes in bfloat16, which is faster on a GPU."""
    save_minutes: float = 10.0
    """Minutes between savings of the state within an epoch, from which an interrupted run goes on."""

    def __post_init__(self) -> None:
        for name, least in (
            ("epochs", 1),
            ("batch_size", 1),
            ("positive_weight", 1),
            ("augmentation", 0),
            ("save_minutes", 0),
        ):
            if not getattr(self, name) >= least:
                raise CheckpointError(f"{name} is {getattr(self, name)}; it must be at least {least}")


def seeded_network(name: str, seed: int) -> HandoverNetwork:
    """A new network whose random weights depend on the seed alone."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return make_network(name)


def fit(
    network: HandoverNetwork,
    frames: Frames | Source,
    validation: Frames | Source,
    settings: FitConfig,
    folder: Path | str,
    progress: Callable[[History], None] = lambda history: None,
) -> History:
    """Fits `network` in place; at the end it holds the averaged weights.

    Args:
        validation: frames to report a loss on after every epoch; may be empty.
        folder: keeps the state of the last whole epoch, and of some steps in between. A call with the same arguments
            continues from there.
        progress: called after every epoch with the history, learning and validation loss terms of each epoch;
            `network` holds the averaged weights meanwhile, on the CPU. Of several processes the first alone calls it.

    Raises:
        CheckpointError: The folder keeps the state of another run, or the loss is not finite.
    """
    run = _Run(network, _source(frames), settings, Path(folder) / STATE)
    while len(run.history) < settings.epochs:
        learning = run.epoch()
        terms = {f"learning_{name}": value for name, value in learning.items()}
        if len(validation):
            with run.state.averaged_weights(settings.device):
                terms |= {
                    f"validation_{name}": value
                    for name, value in measure(network, validation, settings).items()
                }
        run.history.append(terms)
        if processes.number() == 0:
            with run.state.averaged_weights(settings.device):
                progress(run.history)
            run.store()
        processes.wait_for_all()
    network.load_state_dict(run.state.average)
    network.cpu().eval()
    return run.history


@torch.inference_mode()
def measure(network: HandoverNetwork, frames: Frames | Source, settings: FitConfig) -> dict[str, float]:
    """Mean loss terms over all frames, without augmentation."""
    network.eval()
    losses = []
    for images, geometry, actions, goals in _source(frames).in_order():
        losses.append(_loss(network, (images.float() / 255, geometry, actions, goals), settings))
    return _means(losses)


def _source(frames: Frames | Source) -> Source:
    return InMemory(frames) if isinstance(frames, Frames) else frames


def _loss(
    network: HandoverNetwork, batch: Batch, settings: FitConfig, model: nn.Module | None = None
) -> Terms:
    """The loss terms of a batch.

    Args:
        model: what answers for the network, itself by default.
    """
    images, geometry, actions, goals = batch
    with torch.autocast(images.device.type, torch.bfloat16, enabled=settings.bf16):
        predicted = (model or network)(images, geometry)
    predicted = predicted.float()
    if network.predicts_goal:
        return goal_loss(predicted, goals)
    return handover_loss(
        predicted, actions, settings.lambda_translation, settings.lambda_rotation, settings.positive_weight
    )


def _means(losses: list[Terms]) -> dict[str, float]:
    return {name: float(torch.stack([terms[name] for terms in losses]).mean()) for name in losses[0]}


class _Run:
    """A fit that may have been interrupted: its state, and how it goes on."""

    def __init__(self, network: HandoverNetwork, source: Source, settings: FitConfig, path: Path) -> None:
        network.to(settings.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.network, self.source, self.settings, self.path = network, source, settings, path
        several = processes.count() > 1
        self.model: nn.Module = DistributedDataParallel(network) if several else network
        self.optimiser = torch.optim.AdamW(
            network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        self.state = FitState(network, self.optimiser, self._fingerprint())
        self.steps_per_epoch = source.steps(settings.batch_size)
        self.progress = self.state.restore(path)
        self._saved_s = time.monotonic()

    @property
    def history(self) -> History:
        return self.progress.history

    def store(self) -> None:
        self.state.store(self.path, self.progress)
        self._saved_s = time.monotonic()

    def epoch(self) -> dict[str, float]:
        """One pass, or what is left of it; its order and augmentation depend on seed, epoch and step alone."""
        number, losses = len(self.history), self.progress.losses
        batches = self.source.batches(self.settings.batch_size, self.settings.seed, number, len(losses))
        self.network.train()
        for step, batch in enumerate(batches, len(losses)):
            mine = self._augmented(batch, number, step)
            if len(mine[0]):
                losses.append(self._step(number * self.steps_per_epoch + step, mine))
            due = time.monotonic() - self._saved_s >= 60 * self.settings.save_minutes
            if due and processes.number() == 0:
                self.store()
        means = _means(losses)
        if not math.isfinite(means["total"]):
            raise CheckpointError(
                f"the loss of epoch {number + 1} is {means['total']}; lower the learning rate"
            )
        self.progress.losses = []
        return means

    def _augmented(self, batch: Batch, epoch: int, step: int) -> Batch:
        """This process's part of a batch, augmented."""
        images, geometry, actions, goals = batch
        stream = 0 if self.source.shared else processes.number()
        words = [self.settings.seed % 2**63, epoch, step, stream]
        seed = int(np.random.SeedSequence(words).generate_state(1, np.uint64)[0] >> 1)
        whole = augmented(
            (images.float() / 255, geometry, actions, goals),
            self.network,
            Generator().manual_seed(seed),
            self.settings.augmentation,
        )
        return self._own_part(whole) if self.source.shared else self._moved(whole)

    def _own_part(self, batch: Batch) -> Batch:
        """This process's share, as large as the others', so that mean gradients are those of the whole."""
        mine, all_of_them = processes.number(), processes.count()
        whole = len(batch[0]) // all_of_them * all_of_them
        images, geometry, actions, goals = (tensor[mine:whole:all_of_them] for tensor in batch)
        return self._moved((images, geometry, actions, goals))

    def _moved(self, batch: Batch) -> Batch:
        images, geometry, actions, goals = (tensor.to(self.settings.device) for tensor in batch)
        return images, geometry, actions, goals

    def _fingerprint(self) -> str:
        settings = {name: value for name, value in asdict(self.settings).items() if name not in NO_RUN}
        return json.dumps({"settings": settings, "frames": self.source.name}, sort_keys=True)

    def _step(self, step: int, batch: Batch) -> Terms:
        for group in self.optimiser.param_groups:
            group["lr"] = self.settings.learning_rate * self._schedule(step)
        loss = _loss(self.network, batch, self.settings, self.model)
        self.optimiser.zero_grad()
        torch.autograd.backward(loss["total"])
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimiser.step()
        decay = min(self.settings.average_decay, (1 + step) / (10 + step))
        for key, value in self.network.state_dict().items():
            if value.is_floating_point():
                self.state.average[key].lerp_(value, 1 - decay)
            else:
                self.state.average[key].copy_(value)
        return {name: value.detach() for name, value in loss.items()}

    def _schedule(self, step: int) -> float:
        total = self.settings.epochs * self.steps_per_epoch
        rise = max(1, round(0.03 * total))
        if step < rise:
            return (step + 1) / rise
        return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, total - rise)))

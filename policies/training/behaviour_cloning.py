"""Behaviour cloning: fits a network to frames; seeded, and resumed from the last whole epoch."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from h2rh_env.core.errors import CheckpointError
from h2rh_env.utils import files

from ..networks.base import HandoverNetwork
from ..networks.factory import make_network
from . import distributed as processes
from .augmentation import augmented
from .dataset import Batch, Frames
from .losses import LAMBDA_ROTATION, LAMBDA_TRANSLATION, Terms, goal_loss, handover_loss

STATE = "state.safetensors"
History = list[dict[str, float]]


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

    def __post_init__(self) -> None:
        for name, least in (("epochs", 1), ("batch_size", 1), ("positive_weight", 1), ("augmentation", 0)):
            if not getattr(self, name) >= least:
                raise CheckpointError(f"{name} is {getattr(self, name)}; it must be at least {least}")


def seeded_network(name: str, seed: int) -> HandoverNetwork:
    """A new network whose random weights depend on the seed alone."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return make_network(name)


def fit(
    network: HandoverNetwork,
    frames: Frames,
    validation: Frames,
    settings: FitConfig,
    folder: Path | str,
    progress: Callable[[History], None] = lambda history: None,
) -> History:
    """Fits `network` in place; at the end it holds the averaged weights.

    Args:
        validation: frames to report a loss on after every epoch; may be empty.
        folder: keeps the state of the last whole epoch. A call with the same arguments continues from there.
        progress: called after every epoch with the history, learning and validation loss terms of each epoch;
            `network` holds the averaged weights meanwhile, on the CPU. Of several processes the first alone calls it.

    Raises:
        CheckpointError: The folder keeps the state of another run, or the loss is not finite.
    """
    run = _Run(network, frames, settings)
    history = run.restore(Path(folder) / STATE)
    while len(history) < settings.epochs:
        learning = run.epoch(len(history))
        terms = {f"learning_{name}": value for name, value in learning.items()}
        if len(validation):
            with run.averaged_weights():
                terms |= {
                    f"validation_{name}": value
                    for name, value in measure(network, validation, settings).items()
                }
        history.append(terms)
        if processes.number() == 0:
            with run.averaged_weights():
                progress(history)
            run.store(Path(folder) / STATE, history)
        processes.wait_for_all()
    network.load_state_dict(run.average)
    network.cpu().eval()
    return history


@torch.inference_mode()
def measure(network: HandoverNetwork, frames: Frames, settings: FitConfig) -> dict[str, float]:
    """Mean loss terms over all frames, without augmentation."""
    network.eval()
    losses = []
    for rows in torch.split(torch.arange(len(frames)), 512):
        images, geometry, actions, goals = frames.at(rows)
        losses.append(_loss(network, (images.float() / 255, geometry, actions, goals), settings))
    return _means(losses)


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
    return {name: float(torch.stack([terms[name].detach() for terms in losses]).mean()) for name in losses[0]}


class _Run:
    """A network, its optimiser and the moving average of its weights."""

    def __init__(self, network: HandoverNetwork, frames: Frames, settings: FitConfig) -> None:
        network.to(settings.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.network, self.frames, self.settings = network, frames, settings
        shared = processes.count() > 1
        self.model: nn.Module = DistributedDataParallel(network) if shared else network
        self.optimiser = torch.optim.AdamW(
            network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        self.average = {key: value.clone() for key, value in network.state_dict().items()}
        self.steps_per_epoch = math.ceil(len(frames) / settings.batch_size)

    def epoch(self, number: int) -> dict[str, float]:
        """One pass; its order and augmentation depend on seed and number alone."""
        generator = torch.Generator().manual_seed(self.settings.seed * 100_003 + number)
        order = torch.randperm(len(self.frames), generator=generator)
        self.network.train()
        losses = []
        for index, rows in enumerate(torch.split(order, self.settings.batch_size)):
            step = number * self.steps_per_epoch + index
            batch = self._own_part(self._batch(rows, generator))
            if len(batch[0]):
                losses.append(self._step(step, batch))
        means = _means(losses)
        if not math.isfinite(means["total"]):
            raise CheckpointError(
                f"the loss of epoch {number + 1} is {means['total']}; lower the learning rate"
            )
        return means

    def _batch(self, rows: Tensor, generator: torch.Generator) -> Batch:
        images, geometry, actions, goals = self.frames.at(rows)
        batch = images.float() / 255, geometry, actions, goals
        return augmented(batch, self.network, generator, self.settings.augmentation)

    def _own_part(self, batch: Batch) -> Batch:
        """This process's share, as large as the others', so that mean gradients are those of the whole."""
        mine, all_of_them = processes.number(), processes.count()
        whole = len(batch[0]) // all_of_them * all_of_them
        images, geometry, actions, goals = (
            tensor[mine:whole:all_of_them].to(self.settings.device) for tensor in batch
        )
        return images, geometry, actions, goals

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
                self.average[key].lerp_(value, 1 - decay)
            else:
                self.average[key].copy_(value)
        return loss

    def _schedule(self, step: int) -> float:
        total = self.settings.epochs * self.steps_per_epoch
        rise = max(1, round(0.03 * total))
        if step < rise:
            return (step + 1) / rise
        return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, total - rise)))

    def averaged_weights(self) -> _Swapped:
        return _Swapped(self.network, self.average, self.settings.device)

    def _tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Everything that changes while fitting, by name; the optimiser's parts appear with its first step."""
        for key, value in self.network.state_dict().items():
            yield f"weights/{key}", value
        for key, value in self.average.items():
            yield f"average/{key}", value
        for key, parameter in self.network.named_parameters():
            state = self.optimiser.state.setdefault(parameter, _fresh_state(parameter))
            for part, value in state.items():
                yield f"{part}/{key}", value

    def _fingerprint(self) -> str:
        settings = {name: value for name, value in asdict(self.settings).items() if name != "device"}
        return json.dumps({"settings": settings, "frames": len(self.frames)}, sort_keys=True)

    def store(self, path: Path, history: History) -> None:
        metadata = {"run": self._fingerprint(), "history": json.dumps(history)}
        files.write_bytes(path, save({key: value.contiguous() for key, value in self._tensors()}, metadata))

    def restore(self, path: Path) -> History:
        """Takes up the state kept in a file and gives its history; an absent file means the beginning."""
        if not path.is_file():
            return []
        try:
            with safe_open(path, "pt") as file:
                metadata = file.metadata()
                if metadata["run"] != self._fingerprint():
                    raise CheckpointError(
                        f"{path} is of a run with other settings or frames; give another --out"
                    )
                for key, value in self._tensors():
                    value.copy_(file.get_tensor(key))
                return list(json.loads(metadata["history"]))
        except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise CheckpointError(f"{path} cannot be read ({error}); delete it to start anew") from None


def _fresh_state(parameter: Tensor) -> dict[str, Tensor]:
    """AdamW's state before its first step."""
    return {
        "step": torch.tensor(0.0),
        "exp_avg": torch.zeros_like(parameter),
        "exp_avg_sq": torch.zeros_like(parameter),
    }


class _Swapped:
    """A context in which a network has other weights, on the CPU."""

    def __init__(self, network: HandoverNetwork, weights: dict[str, Tensor], device: str) -> None:
        self._network, self._weights, self._device = network, weights, device

    def __enter__(self) -> None:
        self._own: dict[str, Any] = {key: value.clone() for key, value in self._network.state_dict().items()}
        self._network.load_state_dict(self._weights)
        self._network.cpu()

    def __exit__(self, *exception: object) -> None:
        self._network.to(self._device)
        self._network.load_state_dict(self._own)

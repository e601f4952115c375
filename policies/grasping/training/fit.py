"""Fit: the network to samples, in steps that can be interrupted and go on to the same bits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ..network import GraspNetwork
from .augmentation import augmented
from .dataset import Samples
from .losses import Losses, losses

STATE = "state.pt"


@dataclass(frozen=True)
class FitConfig:
    """How the network is fitted."""

    steps: int = 12_000
    """Number of steps; the learning rate falls to zero over the last part of them."""
    batch_size: int = 64
    """Samples in a step."""
    learning_rate: float = 1e-3
    """Learning rate of AdamW, after a warm-up of 200 steps."""
    cooldown: float = 0.3
    """Part of the steps, at the end, over which the learning rate falls to zero."""
    weight_decay: float = 0.05
    """Weight decay of AdamW."""
    ema: float = 0.998
    """Decay of the averaged weights, which are those that act."""
    bf16: bool = True
    """Whether convolutions compute in bfloat16."""
    seed: int = 0
    """Seed of the weights, the order of samples and their augmentation."""


class Fit:
    """A network on its way."""

    def __init__(self, config: FitConfig, network: GraspNetwork | None = None) -> None:
        torch.manual_seed(config.seed)
        self.config, self.step = config, 0
        self._begin, self._end = 0, config.steps
        self.network = (network or GraspNetwork()).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._averaged = {k: v.clone() for k, v in self.network.state_dict().items()}
        decayed = [p for p in self.network.parameters() if p.dim() > 1]
        plain = [p for p in self.network.parameters() if p.dim() <= 1]
        groups = [
            {"params": decayed, "weight_decay": config.weight_decay},
            {"params": plain, "weight_decay": 0.0},
        ]
        self._optimiser = torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, 0.98))

    def rate(self, step: int) -> float:
        """The learning rate of a step, as a part of its most."""
        left = (self._end - step) / max(self.config.cooldown * (self._end - self._begin), 1)
        return min(1.0, (step - self._begin + 1) / 200, max(left, 0.0))

    def run(
        self,
        samples: Samples,
        folder: Path,
        end: int,
        report: Callable[[int, Losses], None],
        every: int = 200,
    ) -> None:
        """Goes on to step `end`, where the learning rate is zero, and saves its state in a folder on the way."""
        if end != self._end:
            self._begin, self._end = self.step, end
        while self.step < end:
            found = self.take_step(samples)
            if self.step % every == 0 or self.step == end:
                report(self.step, found)
                self.save(folder)

    def take_step(self, samples: Samples) -> Losses:
        """One step, whose randomness depends on the seed and its number alone."""
        generator = torch.Generator().manual_seed(self.config.seed * 1_000_003 + self.step)
        index = torch.randint(len(samples), (self.config.batch_size,), generator=generator)
        batch = augmented(samples.batch(index), generator)
        self.network.train()
        for group in self._optimiser.param_groups:
            group["lr"] = self.config.learning_rate * self.rate(self.step)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.config.bf16):
            crop = batch.crop.to(memory_format=torch.channels_last)
            grid = self.network(crop, batch.planes, batch.geometry)
        found = losses(grid, batch.targets, batch.geometry[:, 0].exp(), self.network.inputs.depths_m)
        self._optimiser.zero_grad()
        found.total.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self._optimiser.step()
        self.step += 1
        self._average()
        return found

    def _average(self) -> None:
        decay = min(self.config.ema, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for key, value in self.network.state_dict().items():
                if value.is_floating_point():
                    self._averaged[key].lerp_(value, 1 - decay)
                else:
                    self._averaged[key].copy_(value)

    def averaged(self) -> GraspNetwork:
        """A network with the averaged weights, ready to act."""
        network = GraspNetwork.from_settings(self.network.settings)
        network.load_state_dict(self._averaged)
        return network.eval()

    def save(self, folder: Path) -> None:
        """Writes what is needed to go on."""
        folder.mkdir(parents=True, exist_ok=True)
        state = {
            "step": self.step,
            "stage": (self._begin, self._end),
            "network": self.network.state_dict(),
            "averaged": self._averaged,
            "optimiser": self._optimiser.state_dict(),
        }
        temporary = folder / f".{STATE}"
        torch.save(state, temporary)
        temporary.replace(folder / STATE)

    def load(self, folder: Path) -> None:
        """Takes up what was saved."""
        state = torch.load(folder / STATE, weights_only=True)
        self.step, (self._begin, self._end) = state["step"], state["stage"]
        self.network.load_state_dict(state["network"])
        self._averaged = state["averaged"]
        self._optimiser.load_state_dict(state["optimiser"])


@torch.inference_mode()
def validation_losses(
    network: GraspNetwork, samples: Samples, most: int = 1024
) -> tuple[float, float, float, float]:
    """Total loss and median errors (lateral m, depth m, turn rad) on samples, without augmentation."""
    network.eval()
    parts: list[tuple[float, float, float, float]] = []
    order = torch.randperm(len(samples), generator=torch.Generator().manual_seed(0))[:most]
    for index in order.split(128):
        batch = samples.batch(index)
        grid = network(batch.crop, batch.planes, batch.geometry)
        found = losses(grid, batch.targets, batch.geometry[:, 0].exp(), network.inputs.depths_m)
        parts.append((float(found.total), *found.error))
    means: Tensor = torch.tensor(parts).mean(dim=0)
    return tuple(means.tolist())

"""State: everything that changes while a network is fitted, kept in one file to go on from."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from h2rh_env.core.errors import CheckpointError
from h2rh_env.utils import files

from ..networks.base import HandoverNetwork
from .losses import Terms

STATE = "state.safetensors"
History = list[dict[str, float]]


@dataclass
class Progress:
    """How far a fit has come.

    Attributes:
        history: loss terms of each whole epoch.
        losses: loss terms of each step of the epoch that is not whole yet.
    """

    history: History = field(default_factory=list)
    losses: list[Terms] = field(default_factory=list)


class FitState:
    """A network, its optimiser and the moving average of its weights."""

    def __init__(self, network: HandoverNetwork, optimiser: torch.optim.Optimizer, run: str) -> None:
        """Takes the beginning of a run for its state.

        Args:
            run: what the run is; a state of another one is not continued.
        """
        self.network, self.optimiser, self.run = network, optimiser, run
        self.average = {key: value.clone() for key, value in network.state_dict().items()}

    def store(self, path: Path, progress: Progress) -> None:
        """Replaces the file at `path`, whole or not at all."""
        metadata = {
            "run": self.run,
            "history": json.dumps(progress.history),
            "steps": str(len(progress.losses)),
        }
        tensors = {key: value.contiguous() for key, value in self._tensors()}
        for name in progress.losses[0] if progress.losses else ():
            tensors[f"losses/{name}"] = torch.stack([terms[name] for terms in progress.losses])
        files.write_bytes(path, save(tensors, metadata))

    def restore(self, path: Path) -> Progress:
        """Takes up what a file keeps; an absent file means the beginning.

        Raises:
            CheckpointError: The file is damaged, or of another run.
        """
        if not path.is_file():
            return Progress()
        try:
            with safe_open(path, "pt") as file:
                metadata = file.metadata()
                if metadata["run"] != self.run:
                    raise CheckpointError(
                        f"{path} is of a run with other settings or frames; give another --out"
                    )
                for key, value in self._tensors():
                    value.copy_(file.get_tensor(key))
                names = [key for key in file.keys() if key.startswith("losses/")]  # noqa: SIM118 (no mapping)
                columns = {key.removeprefix("losses/"): file.get_tensor(key) for key in names}
                steps = int(metadata.get("steps", 0))
                losses = [{name: column[step] for name, column in columns.items()} for step in range(steps)]
                return Progress(list(json.loads(metadata["history"])), losses)
        except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError, IndexError) as error:
            raise CheckpointError(f"{path} cannot be read ({error}); delete it to start anew") from None

    def averaged_weights(self, device: str) -> AveragedWeights:
        """A context in which the network has the averaged weights, on the CPU; afterwards it is on `device`."""
        return AveragedWeights(self.network, self.average, device)

    def _tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Everything that changes, by name; the optimiser's parts appear with its first step."""
        for key, value in self.network.state_dict().items():
            yield f"weights/{key}", value
        for key, value in self.average.items():
            yield f"average/{key}", value
        for key, parameter in self.network.named_parameters():
            state = self.optimiser.state.setdefault(parameter, _fresh_state(parameter))
            for part, value in state.items():
                yield f"{part}/{key}", value


def _fresh_state(parameter: Tensor) -> dict[str, Tensor]:
    """AdamW's state before its first step."""
    return {
        "step": torch.tensor(0.0),
        "exp_avg": torch.zeros_like(parameter),
        "exp_avg_sq": torch.zeros_like(parameter),
    }


class AveragedWeights:
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

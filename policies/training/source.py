"""Source: where batches come from, memory or a stream.

Which frames a step sees depends on seed, epoch and step alone, so that a fit can go on at any step.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from .dataset import Batch, Frames

CHUNK = 512  # frames that are measured in one go


class Source(Protocol):
    """Frames to fit to. A batch is images uint8 (B, C, h, w), geometry, actions and goals, as `Frames` has them.

    Attributes:
        shared: whether every process is given whole batches, of which it takes its part; else each is given its own.
    """

    shared: bool

    def __len__(self) -> int:
        """The number of frames, for all processes together."""
        ...

    @property
    def name(self) -> str:
        """What the frames are; a run is continued with frames of the same name only."""
        ...

    def steps(self, batch_size: int) -> int:
        """The number of steps in an epoch."""
        ...

    def batches(self, batch_size: int, seed: int, epoch: int, first: int) -> Iterator[Batch]:
        """The batches of an epoch from step `first` on."""
        ...

    def in_order(self) -> Iterator[Batch]:
        """All frames once, in order."""
        ...


@dataclass(frozen=True)
class InMemory:
    """All frames in memory, in a new random order in each epoch."""

    frames: Frames
    shared = True

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def name(self) -> str:
        """Their number; frames in memory are told apart by the run's settings."""
        return str(len(self.frames))

    def steps(self, batch_size: int) -> int:
        """The number of steps in an epoch; the last one may be smaller."""
        return -(-len(self) // batch_size)

    def batches(self, batch_size: int, seed: int, epoch: int, first: int) -> Iterator[Batch]:
        """The batches of an epoch from step `first` on."""
        generator = torch.Generator().manual_seed(seed * 100_003 + epoch)
        return self._at(torch.randperm(len(self), generator=generator)[first * batch_size :], batch_size)

    def in_order(self) -> Iterator[Batch]:
        """All frames once, in order."""
        return self._at(torch.arange(len(self)), CHUNK)

    def _at(self, order: Tensor, size: int) -> Iterator[Batch]:
        for rows in torch.split(order, size):
            if len(rows):
                yield self.frames.at(rows)

"""Order: which frames a process reads, and which of those it has read make up each step; numbers only, no frames.

Shards are read in a new random order in each epoch, a few of them in turn. What was read lies in a buffer, from which
batches are drawn at random. All of it follows from seed, epoch, process and step, so that a run can go on anywhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, zip_longest

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Piece:
    """Frames `first` to `first + count` of a block of a shard."""

    shard: int
    block: int
    first: int
    count: int


def read_order(
    shards: Sequence[Sequence[int]], seed: int, epoch: int, process: int, processes: int, together: int
) -> list[Piece]:
    """What one process reads in an epoch, in order.

    The shards, in random order, are dealt out to the processes in runs of equally many frames; so a process shares at
    most its first and its last shard with another one. Frames that cannot be shared out equally, fewer than there
    are processes, are left out of this epoch.

    Args:
        shards: for each shard the number of frames of each block.
        together: how many shards are read in turn, block by block.
    """
    shuffled = np.random.default_rng([seed % 2**63, epoch]).permutation(len(shards)).tolist()
    frames = sum(map(sum, shards)) // processes
    own = [list(_within(shards, shard, begins, frames * process, frames * (process + 1))) for shard, begins in zip(
        shuffled, accumulate((sum(shards[shard]) for shard in shuffled), initial=0), strict=False)]  # fmt: skip
    own = [pieces for pieces in own if pieces]
    return [
        piece
        for first in range(0, len(own), together)
        for turn in zip_longest(*own[first : first + together])
        for piece in turn
        if piece is not None
    ]


def _within(shards: Sequence[Sequence[int]], shard: int, begins: int, low: int, high: int) -> Iterator[Piece]:
    """The pieces of a shard, whose first frame has the number `begins`, from frame `low` up to `high`."""
    for block, count in enumerate(shards[shard]):
        first, last = max(low, begins), min(high, begins + count)
        if first < last:
            yield Piece(shard, block, first - begins, last - first)
        begins += count


class ShuffleBuffer:
    """Slots with frames that were read, told by their places in the order of reading.

    Attributes:
        places: (capacity,) the place of the frame that lies in each slot.
        read: how many frames were read so far.
    """

    def __init__(self, count: int, capacity: int, seed: int, epoch: int, process: int) -> None:
        """Reads until the buffer is full.

        Args:
            count: how many frames there are to read.
        """
        self.count, self.read = count, min(capacity, count)
        self.places: Numbers = np.arange(self.read)
        self._filled: Numbers = np.arange(self.read)
        self._rng = np.random.default_rng([seed % 2**63, epoch, process, 1])

    def draw(self, size: int) -> tuple[Numbers, int]:
        """Draws a batch and reads as many frames into its slots, as far as there are any.

        Returns:
            The slots of the batch, fewer than `size` at the end, and how many of them, the first ones, were filled
            anew.
        """
        chosen = self._rng.choice(len(self._filled), min(size, len(self._filled)), replace=False)
        slots = self._filled[chosen]
        fresh = min(len(slots), self.count - self.read)
        self.places[slots[:fresh]] = np.arange(self.read, self.read + fresh)
        self.read += fresh
        self._filled = np.delete(self._filled, chosen[fresh:])
        return slots, fresh

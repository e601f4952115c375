"""Stream: frames to fit to that are read while fitting; memory holds a buffer of them, however many there are."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import torch
from torch import Tensor

from h2rh_env.core.errors import DatasetError

from .. import distributed as processes
from ..dataset import Batch
from .order import Piece, ShuffleBuffer, read_order
from .shards import DTYPES, Block, FramesIndex, Store

AHEAD = 2  # blocks for each worker that are read before their turn


@dataclass(frozen=True)
class StreamConfig:
    """How prepared frames are read."""

    buffer_frames: int = 16_384
    """Number of frames in memory, from which batches are drawn at random; a frame of the compact network is 38 kB."""
    shards_together: int = 8
    """Number of shards that are read in turn, so that a batch has frames of many scenes."""
    readers: int = 2
    """Number of threads that read and unpack frames; it does not change the result."""

    def __post_init__(self) -> None:
        for name in ("buffer_frames", "shards_together", "readers"):
            if getattr(self, name) < 1:
                raise DatasetError(
                    f"--{name.replace('_', '-')} is {getattr(self, name)}; it must be at least 1"
                )


@dataclass(frozen=True)
class StreamedShard:
    """The blocks of a shard that are read."""

    store: Store
    name: str
    blocks: tuple[Block, ...]


class StreamedFrames:
    """Frames of prepared shards; a `Source`.

    Threads read them, not processes: unpacking and copying leave Python's lock to the fit, nothing is copied between
    processes, and clients of object storage do not survive a fork.
    """

    shared = False

    def __init__(self, index: FramesIndex, shards: Sequence[StreamedShard], settings: StreamConfig) -> None:
        """See `open_frames`."""
        self.index, self.settings = index, settings
        self.shards = [shard for shard in shards if shard.blocks]
        self._counts = [[block.frames for block in shard.blocks] for shard in self.shards]
        self._buffer: list[Tensor] = []

    def __len__(self) -> int:
        return sum(map(sum, self._counts))

    @property
    def name(self) -> str:
        """Their hash, and what decides on their order."""
        order = f"{self.settings.buffer_frames} {self.settings.shards_together} {processes.count()}"
        return f"{self.index.sha256} {len(self)} {order}"

    @property
    def scenes(self) -> set[str]:
        """Names of the scenes that the frames are of."""
        return {block.scene for shard in self.shards for block in shard.blocks}

    def of_scenes(self, names: set[str]) -> StreamedFrames:
        """The frames of some scenes alone."""
        chosen = [
            StreamedShard(shard.store, shard.name, tuple(b for b in shard.blocks if b.scene in names))
            for shard in self.shards
        ]
        return StreamedFrames(self.index, chosen, self.settings)

    def with_shards(self, other: StreamedFrames) -> StreamedFrames:
        """These frames and others for the same inputs.

        Raises:
            DatasetError: They are for other inputs.
        """
        if (self.index.inputs, self.index.shapes) != (other.index.inputs, other.index.shapes):
            raise DatasetError("frames that were prepared for different inputs cannot be read together")
        both = {"frames": self.index.sha256, "others": other.index.sha256}
        index = FramesIndex(self.index.shapes, self.index.inputs, both, 0, {})
        return StreamedFrames(index, [*self.shards, *other.shards], self.settings)

    def steps(self, batch_size: int) -> int:
        """The number of steps in an epoch; the last one may be smaller.

        Raises:
            DatasetError: The processes cannot share a batch equally.
        """
        if batch_size % processes.count():
            raise DatasetError(
                f"--batch-size is {batch_size}; {processes.count()} processes each read an equal part of it, so it "
                "must be a multiple of their number"
            )
        return -(-(len(self) // processes.count()) * processes.count() // batch_size)

    def batches(self, batch_size: int, seed: int, epoch: int, first: int) -> Iterator[Batch]:
        """This process's part of the batches of an epoch from step `first` on."""
        process, count, settings = processes.number(), processes.count(), self.settings
        pieces = read_order(self._counts, seed, epoch, process, count, settings.shards_together)
        total = sum(piece.count for piece in pieces)
        slots = ShuffleBuffer(total, settings.buffer_frames, seed, epoch, process)
        own = batch_size // count
        for _ in range(first):
            slots.draw(own)
        buffer = self._fill(pieces, slots)
        coming = _Rows(self._read(_from(pieces, slots.read)))
        while True:
            drawn, fresh = slots.draw(own)
            if not len(drawn):
                return
            rows = torch.from_numpy(drawn)
            images, geometry, actions, goals = (tensor[rows] for tensor in buffer)
            yield images, geometry, actions, goals
            coming.into(buffer, rows[:fresh])

    def in_order(self) -> Iterator[Batch]:
        """All frames once, in order; every process reads all of them."""
        pieces = [
            Piece(shard, block, 0, count)
            for shard, counts in enumerate(self._counts)
            for block, count in enumerate(counts)
        ]
        return self._read(pieces)

    def _fill(self, pieces: Sequence[Piece], slots: ShuffleBuffer) -> list[Tensor]:
        """The buffer with the frames that lie in it; the memory is that of the last epoch."""
        capacity = len(slots.places)
        if not self._buffer or len(self._buffer[0]) < capacity:
            self._buffer = [
                torch.empty((capacity, *self.index.shapes[name]), dtype=dtype)
                for name, dtype in DTYPES.items()
            ]
        slot_of = {place: slot for slot, place in enumerate(slots.places.tolist())}
        begins = [0, *accumulate(piece.count for piece in pieces)]
        wanted = [
            (number, [place for place in range(begins[number], begins[number + 1]) if place in slot_of])
            for number in range(len(pieces))
            if begins[number] < slots.read
        ]
        wanted = [(number, places) for number, places in wanted if places]
        batches = self._read([pieces[number] for number, _ in wanted])
        for (number, places), batch in zip(wanted, batches, strict=True):
            rows = torch.tensor(places) - begins[number]
            target = torch.tensor([slot_of[place] for place in places])
            for held, read in zip(self._buffer, batch, strict=True):
                held[target] = read[rows]
        return self._buffer

    def _read(self, pieces: Sequence[Piece]) -> Iterator[Batch]:
        """The frames of pieces, in order, read a little ahead."""
        waiting: deque[Future[Batch]] = deque()
        coming = iter(pieces)
        with ThreadPoolExecutor(self.settings.readers) as pool:
            try:
                for piece in coming:
                    waiting.append(pool.submit(self._piece, piece))
                    if len(waiting) > AHEAD * self.settings.readers:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                pool.shutdown(cancel_futures=True)

    def _piece(self, piece: Piece) -> Batch:
        shard = self.shards[piece.shard]
        batch = shard.store.read_block(shard.name, shard.blocks[piece.block], self.index.shapes)
        rows = slice(piece.first, piece.first + piece.count)
        images, geometry, actions, goals = (tensor[rows] for tensor in batch)
        return images, geometry, actions, goals


class _Rows:
    """Hands out the rows of batches one after the other."""

    def __init__(self, batches: Iterator[Batch]) -> None:
        self._batches = batches
        self._batch: Batch | None = None
        self._used = 0

    def into(self, buffer: Sequence[Tensor], slots: Tensor) -> None:
        """Copies the next rows into slots (n,) of a buffer."""
        while len(slots):
            if self._batch is None or self._used == len(self._batch[0]):
                self._batch, self._used = next(self._batches), 0
            count = min(len(slots), len(self._batch[0]) - self._used)
            for held, read in zip(buffer, self._batch, strict=True):
                held[slots[:count]] = read[self._used : self._used + count]
            self._used += count
            slots = slots[count:]


def _from(pieces: Sequence[Piece], place: int) -> list[Piece]:
    """What is left to read from a place in the order of reading on."""
    left: list[Piece] = []
    for piece in pieces:
        skipped = min(place, piece.count)
        place -= skipped
        if skipped < piece.count:
            left.append(Piece(piece.shard, piece.block, piece.first + skipped, piece.count - skipped))
    return left


def open_frames(address: str | Path, settings: StreamConfig) -> StreamedFrames:
    """Opens prepared frames, of which no more is read yet than what they are.

    Raises:
        DatasetError: They are malformed, or not all prepared yet.
    """
    store = Store(address)
    index = store.read_index()
    if len(index.shards) < index.planned:
        raise DatasetError(
            f"{address} has {len(index.shards)} of {index.planned} shards; run the command that prepares them again"
        )
    shards = [StreamedShard(store, name, tuple(store.read_blocks(name))) for name in sorted(index.shards)]
    return StreamedFrames(index, shards, settings)

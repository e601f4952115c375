import os
import signal
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import multiprocessing

from h2rh_env.core.errors import DatasetError
from policies.training import behaviour_cloning
from policies.training.behaviour_cloning import FitConfig, fit
from policies.training.dataset import Batch
from policies.training.distributed import joined
from policies.training.losses import Terms
from policies.training.source import InMemory
from policies.training.streaming.order import ShuffleBuffer, read_order
from policies.training.streaming.stream import StreamConfig, StreamedFrames, open_frames

from ..discs import small_network, some_frames, weights
from .frames import frames_of_scenes, write

FRAMES = frames_of_scenes(40)
STREAM = StreamConfig(buffer_frames=12, shards_together=2, readers=2)
SETTINGS = FitConfig(epochs=3, batch_size=4, learning_rate=2e-3, augmentation=0.5, seed=1, save_minutes=0)
NOTHING = some_frames(0)


class Stop(Exception):
    pass


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> StreamedFrames:
    folder = tmp_path_factory.mktemp("stream") / "frames"
    write(folder, FRAMES, 4)
    return open_frames(folder, STREAM)


@dataclass(frozen=True)
class InMemoryInOrder(InMemory):
    """All frames in memory, in the order in which a stream would give them."""

    stream: StreamedFrames

    def batches(self, batch_size: int, seed: int, epoch: int, first: int) -> Iterator[Batch]:
        counts, settings = self.stream._counts, self.stream.settings
        begins = np.cumsum([0, *map(sum, counts)])
        numbers = np.array([
            begins[p.shard] + sum(counts[p.shard][: p.block]) + row
            for p in read_order(counts, seed, epoch, 0, 1, settings.shards_together)
            for row in range(p.first, p.first + p.count)
        ])  # fmt: skip
        slots = ShuffleBuffer(len(numbers), settings.buffer_frames, seed, epoch, 0)
        for step in range(self.steps(batch_size)):
            places = slots.places.copy()
            drawn, _ = slots.draw(batch_size)
            if step >= first:
                yield self.frames.at(torch.from_numpy(numbers[places[drawn]]))


def fitted(frames: object, folder: Path, settings: FitConfig = SETTINGS) -> torch.Tensor:
    network = small_network()
    fit(network, frames, NOTHING, settings, folder)  # type: ignore[arg-type]
    return weights(network)


def test_a_stream_gives_the_weights_that_memory_gives_in_the_same_order(
    frames: StreamedFrames, tmp_path: Path
) -> None:
    streamed = fitted(frames, tmp_path / "stream")
    assert torch.equal(streamed, fitted(InMemoryInOrder(FRAMES, frames), tmp_path / "memory"))
    with_more_readers = StreamedFrames(frames.index, frames.shards, replace(STREAM, readers=5))
    assert torch.equal(streamed, fitted(with_more_readers, tmp_path / "readers"))
    assert not torch.equal(streamed, fitted(FRAMES, tmp_path / "other order"))


@pytest.mark.parametrize(("streamed", "step"), [(True, 1), (True, 10), (True, 17), (False, 17)])
def test_a_run_goes_on_in_the_middle_of_an_epoch_to_the_same_bits(
    frames: StreamedFrames, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, streamed: bool, step: int
) -> None:
    source, validation = frames if streamed else FRAMES, some_frames(4, 1)
    whole, resumed = small_network(), small_network()
    history = fit(whole, source, validation, SETTINGS, tmp_path / "whole")
    take, steps = behaviour_cloning._Run._step, []

    def stopped(run: behaviour_cloning._Run, number: int, batch: Batch) -> Terms:
        if len(steps) == step:
            steps.append(-1)
            raise Stop
        steps.append(number)
        return take(run, number, batch)

    monkeypatch.setattr(behaviour_cloning._Run, "_step", stopped)
    with pytest.raises(Stop):
        fit(small_network(), source, validation, SETTINGS, tmp_path / "cut")
    assert fit(resumed, source, validation, SETTINGS, tmp_path / "cut") == history
    assert torch.equal(weights(whole), weights(resumed))
    assert steps == [*range(step), -1, *range(step, 30)]  # none was taken twice


def test_without_saving_within_an_epoch_its_steps_are_taken_again(
    frames: StreamedFrames, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: what the test above counts is the saving."""
    seldom = replace(SETTINGS, save_minutes=10)
    take, steps = behaviour_cloning._Run._step, []

    def counted(run: behaviour_cloning._Run, number: int, batch: Batch) -> Terms:
        steps.append(number)
        if len(steps) == 5:
            raise Stop
        return take(run, number, batch)

    monkeypatch.setattr(behaviour_cloning._Run, "_step", counted)
    with pytest.raises(Stop):
        fitted(frames, tmp_path / "cut", seldom)
    fitted(frames, tmp_path / "cut", seldom)
    assert steps == [*range(5), *range(30)]
    monkeypatch.undo()
    assert torch.equal(fitted(frames, tmp_path / "cut", seldom), fitted(frames, tmp_path / "whole", seldom))


def test_other_frames_or_another_order_is_another_run(frames: StreamedFrames, tmp_path: Path) -> None:
    others = StreamedFrames(frames.index, frames.shards, replace(STREAM, buffer_frames=13))
    assert len({frames.name, others.name, frames.of_scenes({"scene-1"}).name}) == 3
    assert frames.with_shards(frames).name != frames.name
    assert len(frames.with_shards(frames)) == 2 * len(frames)


def killed_while_fitting(frames: StreamedFrames, folder: Path, after_s: float) -> bool:
    """Forks a fit, kills it, and returns whether it had ended before."""
    child = os.fork()
    if not child:
        torch.save(fitted(frames, folder), folder / "weights.pt")
        os._exit(0)
    time.sleep(after_s)
    os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize("kills", [5, pytest.param(100, marks=pytest.mark.nightly)])
def test_killed_at_any_moment_it_ends_with_the_weights_of_an_undisturbed_run(
    frames: StreamedFrames, tmp_path: Path, kills: int
) -> None:
    rng = np.random.default_rng(0)
    began = time.perf_counter()
    expected = fitted(frames, tmp_path / "undisturbed")
    took_s = time.perf_counter() - began
    killed, ends = 0, 0
    while killed < kills:
        folder = tmp_path / f"{ends}"
        if killed_while_fitting(frames, folder, rng.uniform(0, min(took_s / 2, 1))):
            assert torch.equal(torch.load(folder / "weights.pt"), expected)
            ends += 1
        else:
            killed += 1
    assert torch.equal(fitted(frames, tmp_path / f"{ends}"), expected)


def fit_as_one_of_two(number: int, port: int, folder: str) -> None:
    os.environ.update(RANK=str(number), WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    read: list[tuple[str, int]] = []
    with joined("cpu"):
        frames = open_frames(f"{folder}/frames", STREAM)
        piece = frames._piece

        def noted(each: object) -> Batch:
            read.append((frames.shards[each.shard].name, each.block))  # type: ignore[attr-defined]
            return piece(each)  # type: ignore[arg-type]

        frames._piece = noted  # type: ignore[method-assign,assignment]
        network = small_network()
        fit(network, frames, NOTHING, replace(SETTINGS, epochs=1), folder)
        with pytest.raises(DatasetError, match="--batch-size is 5; 2 processes"):
            frames.steps(5)
    torch.save({"weights": network.state_dict(), "read": read}, f"{folder}/{number}.pt")


@pytest.mark.nightly
def test_two_processes_read_shards_of_their_own_and_learn_one_network(
    frames: StreamedFrames, tmp_path: Path
) -> None:
    write(tmp_path / "frames", FRAMES, 4)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    multiprocessing.spawn(fit_as_one_of_two, (port, str(tmp_path)), 2)
    first, second = (torch.load(tmp_path / f"{number}.pt") for number in (0, 1))
    for key, value in first["weights"].items():
        assert torch.equal(value, second["weights"][key])
    assert not set(first["read"]) & set(second["read"])
    assert len({*first["read"], *second["read"]}) == 8
    alone = fitted(frames, tmp_path / "alone", replace(SETTINGS, epochs=1))
    together = small_network()
    together.load_state_dict(first["weights"])
    assert not torch.equal(weights(together), weights(small_network()))
    assert not torch.equal(weights(together), alone)  # other batches

import os
import socket
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import multiprocessing

from h2rh_env.core.errors import CheckpointError
from policies.training.behaviour_cloning import STATE, FitConfig, History, fit, measure, seeded_network
from policies.training.curves import draw_curves, log_epoch
from policies.training.distributed import joined

from .discs import small_network, some_frames, weights

SETTINGS = FitConfig(epochs=3, batch_size=4, learning_rate=2e-3, augmentation=0.5, seed=1)


class Stop(Exception):
    pass


def test_the_same_seed_gives_the_same_network(tmp_path: Path) -> None:
    networks = [small_network(), small_network()]
    for i, network in enumerate(networks):
        fit(network, some_frames(10), some_frames(4, 1), SETTINGS, tmp_path / str(i))
    assert torch.equal(weights(networks[0]), weights(networks[1]))


def test_an_interrupted_run_ends_as_an_uninterrupted_one(tmp_path: Path) -> None:
    whole = small_network()
    history = fit(whole, some_frames(10), some_frames(4, 1), SETTINGS, tmp_path / "whole")

    def stop_after_two(history: History) -> None:
        if len(history) == 2:
            raise Stop

    with pytest.raises(Stop):
        fit(small_network(), some_frames(10), some_frames(4, 1), SETTINGS, tmp_path / "cut", stop_after_two)
    resumed = small_network()
    assert fit(resumed, some_frames(10), some_frames(4, 1), SETTINGS, tmp_path / "cut") == history
    assert torch.equal(weights(whole), weights(resumed))


def test_a_small_set_is_learnt_by_heart(tmp_path: Path) -> None:
    frames = some_frames(8)
    settings = FitConfig(epochs=200, batch_size=8, learning_rate=3e-3, augmentation=0, average_decay=0.9)
    network = small_network()
    before = measure(network, frames, settings)["total"]
    fit(network, frames, some_frames(0), settings, tmp_path)
    after = measure(network, frames, settings)
    assert after["total"] < 0.05 * before


def test_a_state_of_another_run_is_not_continued(tmp_path: Path) -> None:
    fit(small_network(), some_frames(6), some_frames(0), SETTINGS, tmp_path)
    with pytest.raises(CheckpointError, match="other settings or frames"):
        fit(small_network(), some_frames(7), some_frames(0), SETTINGS, tmp_path)
    (tmp_path / STATE).write_bytes(b"nonsense")
    with pytest.raises(CheckpointError, match="delete it"):
        fit(small_network(), some_frames(6), some_frames(0), SETTINGS, tmp_path)


def test_a_loss_that_is_not_finite_ends_the_run(tmp_path: Path) -> None:
    frames = some_frames(6)
    frames.goals[2, 0, 3] = float("nan")
    with pytest.raises(CheckpointError, match="the loss of epoch 1 is nan"):
        fit(small_network(), frames, some_frames(0), SETTINGS, tmp_path)


def test_random_weights_depend_on_the_seed_alone() -> None:
    torch.manual_seed(1)
    first = seeded_network("compact", 3)
    torch.manual_seed(2)
    assert torch.equal(weights(first), weights(seeded_network("compact", 3)))
    assert not torch.equal(weights(first), weights(seeded_network("compact", 4)))


def test_curves_are_drawn(tmp_path: Path) -> None:
    history = fit(small_network(), some_frames(6), some_frames(4, 1), SETTINGS, tmp_path)
    draw_curves(tmp_path / "curves.png", history, [(1, 0.2), (3, 0.9)])
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def fit_as_one_of_two(number: int, port: int, folder: str) -> None:
    os.environ.update(RANK=str(number), WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    network = small_network()
    with joined("cpu"):
        fit(network, some_frames(8), some_frames(0), SETTINGS, folder)
    torch.save(network.state_dict(), f"{folder}/{number}.pt")


def test_two_processes_learn_what_one_learns(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    multiprocessing.spawn(fit_as_one_of_two, (port, str(tmp_path)), 2)
    alone = small_network()
    fit(alone, some_frames(8), some_frames(0), SETTINGS, tmp_path / "alone")
    for number in (0, 1):
        together = small_network()
        together.load_state_dict(torch.load(tmp_path / f"{number}.pt"))
        torch.testing.assert_close(weights(together), weights(alone), atol=1e-5, rtol=1e-4)


def test_bfloat16_learns_nearly_the_same(tmp_path: Path) -> None:
    frames, losses = some_frames(8), {}
    for bf16 in (False, True):
        settings = replace(SETTINGS, bf16=bf16)
        history = fit(small_network(), frames, some_frames(0), settings, tmp_path / str(bf16))
        losses[bf16] = history[-1]["learning_total"]
    assert losses[True] != losses[False]
    assert losses[True] == pytest.approx(losses[False], rel=0.05)


def test_an_epoch_can_be_read_by_tensorboard(tmp_path: Path) -> None:
    accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    for epoch in (1, 2):
        log_epoch(tmp_path, epoch, {"learning_total": 3.0 - epoch, "validation_success": 0.4 * epoch})
    events = accumulators.EventAccumulator(str(tmp_path))
    events.Reload()
    assert [(e.step, e.value) for e in events.Scalars("learning/total")] == [(1, 2.0), (2, 1.0)]
    assert [e.value for e in events.Scalars("validation/success")] == pytest.approx([0.4, 0.8])

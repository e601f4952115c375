from pathlib import Path

import torch

from benchmarks.streaming import read_all, timed
from policies.training.behaviour_cloning import FitConfig
from policies.training.source import InMemory
from policies.training.streaming.stream import StreamConfig, open_frames

from ..policies.training.discs import small_network
from ..policies.training.streaming.frames import frames_of_scenes, write


def test_both_kinds_are_the_same_frames_and_are_timed(tmp_path: Path) -> None:
    frames = frames_of_scenes(12)
    write(tmp_path, frames, 2)
    streamed = open_frames(tmp_path, StreamConfig())
    held = read_all(streamed)
    for ours, theirs in zip(held.at(torch.arange(12)), frames.at(torch.arange(12)), strict=True):
        assert torch.equal(ours, theirs)
    for source in (InMemory(held), streamed):
        rate, cpu_s = timed(small_network(), source, FitConfig(epochs=1, batch_size=4))
        assert rate > 0
        assert cpu_s > 0

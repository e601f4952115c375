"""Compares an epoch of training on frames in memory with one on the same frames streamed, and watches memory.

    python -m policies.training.streaming.prepare data/train --out frames/train
    python benchmarks/streaming.py frames/train

The epochs take turns, so that other work on the machine meets both. The network is trained as train.py trains it.
"""

from __future__ import annotations

import resource
import tempfile
import time
from dataclasses import dataclass, field
from typing import Annotated

import numpy as np
import torch
import tyro

from h2rh_env.utils import cli
from policies.networks.base import HandoverNetwork
from policies.training.behaviour_cloning import FitConfig, fit, seeded_network
from policies.training.dataset import Frames
from policies.training.source import InMemory, Source
from policies.training.streaming.stream import StreamConfig, StreamedFrames, open_frames


@dataclass(frozen=True)
class StreamingConfig:
    """Options of the benchmark."""

    frames: Annotated[str, tyro.conf.Positional]
    """Folder or address of prepared frames, which must fit into memory too."""
    rounds: int = 5
    """Number of epochs of each kind."""
    scenes: int | None = None
    """Number of scenes whose frames are used; all by default."""
    policy: str = "compact"
    """The network: compact, or resnet18 (the paper's)."""
    fit: Annotated[FitConfig, tyro.conf.arg(name="")] = field(default_factory=lambda: FitConfig(epochs=1))
    stream: Annotated[StreamConfig, tyro.conf.arg(name="")] = field(default_factory=StreamConfig)


def read_all(frames: StreamedFrames) -> Frames:
    """Reads streamed frames into memory; their scenes are not told apart."""
    images, geometry, actions, goals = map(torch.cat, zip(*frames.in_order(), strict=True))
    return Frames(images, geometry, actions, goals, ("",) * len(images))


def timed(network: HandoverNetwork, source: Source, settings: FitConfig) -> tuple[float, float]:
    """Fits for an epoch; returns frames a second, and processor seconds for 1,000 frames."""
    nothing = InMemory(Frames(*(torch.empty(0, 1),) * 4, scenes=()))
    began_s, began_cpu_s = time.perf_counter(), time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        fit(network, source, nothing, settings, folder)
    took_s, took_cpu_s = time.perf_counter() - began_s, time.process_time() - began_cpu_s
    return len(source) / took_s, 1000 * took_cpu_s / len(source)


def main(config: StreamingConfig) -> None:
    """Measures, and prints a line for each kind."""
    streamed = open_frames(config.frames, config.stream)
    if config.scenes is not None:
        streamed = streamed.of_scenes(set(sorted(streamed.scenes)[: config.scenes]))
    sources: dict[str, Source] = {"memory": InMemory(read_all(streamed)), "stream": streamed}
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in sources}
    for _ in range(config.rounds):
        for name, source in sources.items():
            found[name].append(timed(seeded_network(config.policy, 0), source, config.fit))
    rates = {name: np.array(values) for name, values in found.items()}
    for name, values in rates.items():
        rate, cpu_s = np.median(values, axis=0)
        print(f"{name}: {rate:.0f} frames a second, {cpu_s:.2f} processor seconds for 1,000 frames")
    ratios = rates["stream"] / rates["memory"]
    low, middle, high = np.percentile(ratios[:, 0], (25, 50, 75))
    print(f"stream to memory: {middle:.3f} of the frames a second (quartiles {low:.3f} - {high:.3f}),")
    print(f"  {np.median(ratios[:, 1]):.3f} of the processor time")
    print(
        f"{len(streamed)} frames; most memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3:.0f} MB"
    )


if __name__ == "__main__":
    cli.run(main, StreamingConfig, __doc__)

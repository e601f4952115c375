"""Exports a checkpoint as one ONNX file, which needs no torch to act, and checks that it answers the same.

    python -m policies.onnx.export runs/mine --out mine.onnx
    python evaluate.py --policy mine.onnx

The file holds the network, from images uint8 (1, C, h, w) and geometry float32 (1, G), as
`policies/networks/inputs.py` makes them of a track, to `answer`, the pre-grasp pose `camera_from_goal` (1, 3, 4) or
the action (1, 7). It also holds the policy's configuration. Tracking (`policies/tracking`), network inputs and the
step towards a pose (`policies/goal_controller.py`) are not in it; they need no torch.
"""

from __future__ import annotations

import importlib.util
import io
import json
import logging
import warnings
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import tyro
from torch import Tensor, nn

from h2rh_env.core.errors import CheckpointError, MissingPackageError, install_line
from h2rh_env.utils import cli, files

from ..networks.base import HandoverNetwork
from ..networks.checkpoints import CONFIG, WEIGHTS, load_checkpoint, read_config
from ..networks.inputs import inputs_to_json
from ..tracking.tracker import OwnTracker
from .policy import ANSWER, FORMAT, INPUTS, KEY, OnnxPolicy

TOLERANCE = 1e-3  # m, or of a rotation's columns, or of an action; far below what matters to a step


@dataclass(frozen=True)
class ExportConfig:
    """Options of the command: which checkpoint to export, and where to."""

    checkpoint: Annotated[Path, tyro.conf.Positional]
    """The checkpoint folder, as train.py writes it."""
    out: Path = Path("policy.onnx")
    """The ONNX file to write."""


class _FromBytes(nn.Module):
    """The network with the conversion of bytes in front of it."""

    def __init__(self, network: HandoverNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor, geometry: Tensor) -> Tensor:
        answer: Tensor = self.network(images.float() / 255, geometry)
        return answer


def export_onnx(checkpoint: Path | str, out: Path | str) -> float:
    """Writes the ONNX file of a checkpoint folder.

    Returns:
        The largest difference between its answers and the network's, over a few frames.

    Raises:
        CheckpointError: The folder is not a checkpoint, or the answers differ.
        MissingPackageError: The extra `onnx` is not installed.
    """
    missing = [name for name in ("onnx", "onnxscript") if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingPackageError(f"exporting needs {' and '.join(missing)}: {install_line('onnx')}")
    network = load_checkpoint(checkpoint)
    whole = _FromBytes(network).eval()
    about = {
        "format": FORMAT,
        "network": read_config(checkpoint).network,
        "policy": network.config.to_json(),
        "predicts_goal": network.predicts_goal,
        "inputs": inputs_to_json(network.inputs),
        "checkpoint": files.sha256_of(*(Path(checkpoint) / name for name in (CONFIG, WEIGHTS))),
    }
    frames = [_inputs(network, seed) for seed in range(4)]
    files.write_bytes(out, _serialised(whole, frames[1], about))
    difference = _difference(whole, OnnxPolicy(out), frames)
    if difference > TOLERANCE:
        raise CheckpointError(
            f"{out} answers differently from {checkpoint}, by {difference:.3g}; do not use it"
        )
    return difference


def _serialised(whole: nn.Module, frame: tuple[Tensor, Tensor], about: dict[str, object]) -> bytes:
    noise = logging.getLogger("torch.onnx")
    level = noise.level
    noise.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), torch.inference_mode():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                whole,
                frame,
                input_names=INPUTS,
                output_names=[ANSWER],
                dynamo=True,
                verbose=False,
            )
    finally:
        noise.setLevel(level)
    assert program is not None
    model = program.model_proto
    entry = model.metadata_props.add()
    entry.key, entry.value = KEY, json.dumps(about)
    return bytes(model.SerializeToString())


def _difference(whole: nn.Module, policy: OnnxPolicy, frames: Sequence[tuple[Tensor, Tensor]]) -> float:
    worst = 0.0
    for images, geometry in frames:
        with torch.inference_mode():
            expected = whole(images, geometry).numpy()
        answer = policy.answer(images.numpy(), geometry.numpy())
        worst = max(worst, float(np.abs(answer - expected).max()))
    return worst


def _inputs(network: HandoverNetwork, seed: int) -> tuple[Tensor, Tensor]:
    """Inputs from noise in which a disc of object lies beside a disc of hand; for seed 0, from an empty frame."""
    rng = np.random.default_rng(seed)
    height, width = network.config.camera.height, network.config.camera.width
    rows, columns = np.mgrid[:height, :width]
    masks = np.zeros((height, width, 2), np.uint8)
    for label in range(2 * bool(seed)):
        row, column = rng.uniform(0.3, 0.7, 2) * (height, width)
        masks[..., label][np.hypot(rows - row, columns - column) < rng.uniform(12, 30)] = 255
    rgb = rng.integers(0, 256, (height, width, 3), np.uint8) * masks.any(axis=2, keepdims=True)
    return network.preprocess([OwnTracker(network.config).see(rgb, masks)])


def main(config: ExportConfig) -> None:
    """Exports, and prints how large the file is and how well it agrees."""
    difference = export_onnx(config.checkpoint, config.out)
    size = config.out.stat().st_size / 1e6
    print(f"{config.out}: {size:.1f} MB, answers within {difference:.1g} of the checkpoint's")


if __name__ == "__main__":
    cli.run(main, ExportConfig, __doc__)

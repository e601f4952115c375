"""Exports a checkpoint as one ONNX file, which acts without torch, and checks that it answers the same.

    python -m policies.onnx runs/mine --out mine.onnx
    python evaluate.py --policy mine.onnx

The file holds the network with what prepares its input: rgb uint8 (1, H, W, 3), masks uint8 (1, H, W, 2) and ranges
float32 (1, 2) to `answer`, the pre-grasp pose `camera_from_goal` (1, 3, 4) or the action (1, 7). How the range is
followed (`policies/ranging.py`) and the step towards a pose (`policies/servo.py`) are not in it; they are numpy.
"""

from __future__ import annotations

import importlib.util
import io
import json
import logging
import warnings
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import tyro
from torch import Tensor, nn

from h2rh_env import cli, files
from h2rh_env.camera import HAND_EYE_CAMERA
from h2rh_env.errors import CheckpointError, MissingPackageError

from .checkpoints import CONFIG, WEIGHTS, load_checkpoint, read_config
from .network import HandoverNetwork
from .onnx_policy import ANSWER, FORMAT, INPUTS, INSTALL, KEY, OnnxPolicy

TOLERANCE = 1e-3  # m, or of a rotation's columns, or of an action; far below what matters to a step


@dataclass(frozen=True)
class ExportConfig:
    """Which checkpoint, and where to."""

    checkpoint: Annotated[Path, tyro.conf.Positional]
    """Checkpoint folder, as train.py writes it."""
    out: Path = Path("policy.onnx")
    """File to write."""


class _WholeFrame(nn.Module):
    """Frames to the network's answer, `prepare` included."""

    def __init__(self, network: HandoverNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, rgb: Tensor, masks: Tensor, ranges: Tensor) -> Tensor:
        images, geometry = self.network.prepare(rgb, masks, ranges)
        answer: Tensor = self.network(images.float() / 255, geometry)
        return answer


def export_onnx(checkpoint: Path | str, out: Path | str) -> float:
    """Writes the ONNX file of a checkpoint folder.

    Returns:
        The largest difference between its answers and the network's, over a few frames.

    Raises:
        CheckpointError: not a checkpoint, or the answers differ.
        MissingPackageError: without the extra `onnx`.
    """
    missing = [name for name in ("onnx", "onnxscript") if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingPackageError(f"exporting needs {' and '.join(missing)}: {INSTALL}")
    network = load_checkpoint(checkpoint)
    whole = _WholeFrame(network).eval()
    about = {
        "format": FORMAT,
        "network": read_config(checkpoint)["network"],
        "predicts_goal": network.predicts_goal,
        "checkpoint": files.sha256_of(*(Path(checkpoint) / name for name in (CONFIG, WEIGHTS))),
    }
    files.write_bytes(out, _serialised(whole, about))
    difference = _difference(whole, OnnxPolicy(out))
    if difference > TOLERANCE:
        raise CheckpointError(
            f"{out} answers differently from {checkpoint}, by {difference:.3g}; do not use it"
        )
    return difference


def _serialised(whole: nn.Module, about: dict[str, object]) -> bytes:
    frames = _frames(1)
    noise = logging.getLogger("torch.onnx")
    level = noise.level
    noise.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), torch.inference_mode():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                whole,
                frames,
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


def _difference(whole: nn.Module, policy: OnnxPolicy) -> float:
    worst = 0.0
    for seed in range(4):
        frames = _frames(seed)
        with torch.inference_mode():
            expected = whole(*frames).numpy()
        worst = max(worst, float(np.abs(policy.answer(*(part.numpy() for part in frames)) - expected).max()))
    return worst


def _frames(seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """A frame of noise in which a disc of object lies beside a disc of hand; for seed 0, of nothing. Its range."""
    rng = np.random.default_rng(seed)
    height, width = HAND_EYE_CAMERA.height, HAND_EYE_CAMERA.width
    rows, columns = np.mgrid[:height, :width]
    masks = np.zeros((height, width, 2), bool)
    for label in range(2 * bool(seed)):
        row, column = rng.uniform(0.3, 0.7, 2) * (height, width)
        masks[..., label] = np.hypot(rows - row, columns - column) < rng.uniform(12, 30)
    masks[..., 1] &= ~masks[..., 0]
    rgb = rng.integers(0, 256, (height, width, 3), np.uint8) * masks.any(axis=2, keepdims=True)
    ranges = rng.uniform((0.3, 0.02), (0.9, 0.3)).astype(np.float32)
    frames = rgb.astype(np.uint8), masks.astype(np.uint8) * 255, ranges
    rgb_frames, mask_frames, range_frames = (torch.from_numpy(part[None]) for part in frames)
    return rgb_frames, mask_frames, range_frames


def main(config: ExportConfig) -> None:
    difference = export_onnx(config.checkpoint, config.out)
    size = config.out.stat().st_size / 1e6
    print(f"{config.out}: {size:.1f} MB, answers within {difference:.1g} of the checkpoint's")


if __name__ == "__main__":
    cli.run(main, ExportConfig, __doc__)

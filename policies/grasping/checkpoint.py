"""Checkpoints of the grasping policy: a folder of weights.safetensors and config.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from h2rh_env.core.camera import HAND_EYE_CAMERA, PinholeCamera
from h2rh_env.core.errors import CheckpointError
from h2rh_env.utils import files

from .controller import ControlConfig
from .fusion import FusionConfig
from .network import GraspNetwork

FORMAT = "h2rh-grasping-1"
CONFIG, WEIGHTS = "config.json", "weights.safetensors"
MAX_CONFIG_BYTES, MAX_WEIGHT_BYTES = 1_000_000, 100_000_000


class Checkpoint(NamedTuple):
    """All that decides what the policy does, and where it comes from."""

    network: GraspNetwork
    fusion: FusionConfig
    control: ControlConfig
    camera: PinholeCamera
    provenance: Mapping[str, Any]


def save_checkpoint(folder: Path | str, checkpoint: Checkpoint) -> None:
    """Writes a checkpoint; each file is replaced whole."""
    folder = Path(folder)
    weights = {k: v.detach().cpu().contiguous() for k, v in checkpoint.network.state_dict().items()}
    files.write_bytes(folder / WEIGHTS, save(weights))
    config = {
        "format": FORMAT,
        "network": checkpoint.network.settings,
        "fusion": vars(checkpoint.fusion),
        "control": vars(checkpoint.control),
        "camera": checkpoint.camera.to_json(),
        "provenance": dict(checkpoint.provenance),
    }
    files.write_json(folder / CONFIG, config)


def is_checkpoint(folder: Path | str) -> bool:
    """Whether a folder says that it holds a checkpoint of this kind."""
    path = Path(folder) / CONFIG
    try:
        return bool(json.loads(files.read_text(path, MAX_CONFIG_BYTES))["format"] == FORMAT)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def load_checkpoint(folder: Path | str) -> Checkpoint:
    """Reads a checkpoint.

    Raises:
        CheckpointError: A file is missing or malformed, or the weights do not fit the network.
    """
    path = Path(folder) / CONFIG
    try:
        config = json.loads(files.read_text(path, MAX_CONFIG_BYTES))
        if config["format"] != FORMAT:
            raise CheckpointError(f"{path} has format {config['format']!r}; expected {FORMAT!r}")
        network = GraspNetwork.from_settings(config["network"])
        fusion, control = FusionConfig(**config["fusion"]), ControlConfig(**config["control"])
        camera = PinholeCamera(**config["camera"]) if config["camera"] else HAND_EYE_CAMERA
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path} is malformed ({error!r}); train again or copy it again") from None
    network.load_state_dict(_weights(Path(folder) / WEIGHTS, network))
    return Checkpoint(network.eval(), fusion, control, camera, config["provenance"])


def _weights(path: Path, network: GraspNetwork) -> dict[str, torch.Tensor]:
    try:
        if path.stat().st_size > MAX_WEIGHT_BYTES:
            raise CheckpointError(
                f"{path} has {path.stat().st_size} bytes; at most {MAX_WEIGHT_BYTES} are read"
            )
        tensors = load(path.read_bytes())
    except (OSError, SafetensorError, ValueError, KeyError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}); train again or copy it again") from None
    for key, expected in network.state_dict().items():
        met = tuple(tensors[key].shape) if key in tensors else "nothing"
        if met != tuple(expected.shape):
            raise CheckpointError(f"{path}: {key} is {met}; the network has {tuple(expected.shape)}")
        if not torch.isfinite(tensors[key]).all():
            raise CheckpointError(f"{path}: {key} is not finite; train again")
    return tensors

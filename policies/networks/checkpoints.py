"""Checkpoints: a folder of weights.safetensors and config.json; a network goes in and the same comes out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from h2rh_env.core.errors import CheckpointError
from h2rh_env.utils import files

from .base import HandoverNetwork
from .factory import make_network

FORMAT = "h2rh-checkpoint-1"
CONFIG, WEIGHTS = "config.json", "weights.safetensors"
MAX_CONFIG_BYTES = 1_000_000


def save_checkpoint(
    folder: Path | str, name: str, network: HandoverNetwork, provenance: Mapping[str, Any] | None = None
) -> None:
    """Writes a network as a folder; each file is replaced whole.

    Args:
        name: of the network in `NETWORKS`.
        provenance: JSON values: datasets, settings, versions.
    """
    folder = Path(folder)
    tensors = {key: value.detach().cpu().contiguous() for key, value in network.state_dict().items()}
    config = {
        "format": FORMAT,
        "network": name,
        "settings": network.settings,
        "provenance": dict(provenance or {}),
    }
    files.write_bytes(folder / WEIGHTS, save(tensors))
    files.write_json(folder / CONFIG, config)


def load_checkpoint(folder: Path | str) -> HandoverNetwork:
    """The network of a checkpoint folder, ready to act.

    Raises:
        CheckpointError: a file is missing or malformed, or the weights do not fit the network.
    """
    folder = Path(folder)
    config = read_config(folder)
    with torch.device("meta"):  # shapes without memory: config.json may ask for anything
        expected = make_network(config["network"], config["settings"]).state_dict()
    tensors = _read_weights(folder / WEIGHTS, sum(value.nbytes for value in expected.values()))
    for key in sorted(expected.keys() | tensors.keys()):
        met = tuple(tensors[key].shape) if key in tensors else "nothing"
        right = tuple(expected[key].shape) if key in expected else "nothing"
        if met != right:
            raise CheckpointError(
                f"{folder / WEIGHTS}: {key} is {met}; network {config['network']!r} has {right}"
            )
        if tensors[key].dtype != expected[key].dtype or not torch.isfinite(tensors[key]).all():
            raise CheckpointError(
                f"{folder / WEIGHTS}: {key} is not finite {expected[key].dtype}; train again"
            )
    network = make_network(config["network"], config["settings"])
    network.load_state_dict(tensors)
    return network.eval()


def read_config(folder: Path | str) -> dict[str, Any]:
    """config.json, checked: `network`, `settings` and `provenance` are there.

    Raises:
        CheckpointError: missing, malformed or of another format.
    """
    path = Path(folder) / CONFIG
    if not path.is_file():
        raise CheckpointError(
            f"{folder} is not a checkpoint: {CONFIG} missing; make one with: python train.py DATASET"
        )
    try:
        config = json.loads(files.read_text(path, MAX_CONFIG_BYTES))
        if config["format"] != FORMAT:
            raise CheckpointError(f"{path} has format {config['format']!r}; expected {FORMAT!r}")
        return {key: config[key] for key in ("network", "settings", "provenance")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path} is malformed ({error!r}); train again or copy it again") from None


def _read_weights(path: Path, expected_bytes: int) -> dict[str, torch.Tensor]:
    try:
        size = path.stat().st_size
        if not expected_bytes <= size <= expected_bytes + MAX_CONFIG_BYTES:
            raise CheckpointError(f"{path} has {size} bytes; the network needs about {expected_bytes}")
        return load(path.read_bytes())
    except (OSError, SafetensorError, ValueError, KeyError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}); train again or copy it again") from None

"""Checkpoints: a folder of weights.safetensors and config.json; a network goes in and the same comes out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

import h2rh_env
from h2rh_env.core.errors import CheckpointError
from h2rh_env.utils import files

from ..config import PolicyConfig
from .base import HandoverNetwork
from .factory import make_network

FORMAT, FORMAT_1 = "h2rh-checkpoint-2", "h2rh-checkpoint-1"
CONFIG, WEIGHTS = "config.json", "weights.safetensors"
MAX_CONFIG_BYTES = 1_000_000
FROZEN = Path(h2rh_env.__file__).parent / "assets/checkpoints/ranging"
# Format 1 kept neither the policy's configuration nor these arguments, which were constants of the code. The frozen
# policy was written by that code, so its configuration is that of all checkpoints of format 1.
FORMAT_1_SETTINGS: dict[str, dict[str, Any]] = {
    "compact": {"sees": "all", "offset_m": 0.1, "contact_depth_m": 0.40499999999999997},
    "resnet18": {"typical_step": [0.1, 0.1, 0.1, 0.03, 0.03, 0.03]},
}


@dataclass(frozen=True)
class CheckpointConfig:
    """What config.json says.

    Attributes:
        network: its name in `NETWORKS`.
        settings: the network's own arguments.
        policy: everything else that decides what the policy does.
        provenance: JSON values: datasets, settings of the training, versions.
    """

    network: str
    settings: Mapping[str, Any]
    policy: PolicyConfig
    provenance: Mapping[str, Any]


def save_checkpoint(
    folder: Path | str, name: str, network: HandoverNetwork, provenance: Mapping[str, Any] | None = None
) -> None:
    """Writes a network and its policy's configuration as a folder; each file is replaced whole.

    Args:
        name: of the network in `NETWORKS`.
        provenance: JSON values: datasets, settings of the training, versions.
    """
    folder = Path(folder)
    tensors = {key: value.detach().cpu().contiguous() for key, value in network.state_dict().items()}
    config = {
        "format": FORMAT,
        "network": name,
        "settings": network.settings,
        "policy": network.config.to_json(),
        "provenance": dict(provenance or {}),
    }
    files.write_bytes(folder / WEIGHTS, save(tensors))
    files.write_json(folder / CONFIG, config)


def load_checkpoint(folder: Path | str) -> HandoverNetwork:
    """Reads the network of a checkpoint folder, ready to act, with its policy's configuration.

    Raises:
        CheckpointError: A file is missing or malformed, a setting is unknown or missing, or the weights do not fit.
    """
    folder = Path(folder)
    config = read_config(folder)
    with torch.device("meta"):  # shapes without memory: config.json may ask for anything
        empty = make_network(config.network, config.settings, config.policy)
    _check_settings(folder / CONFIG, config, empty)
    expected = empty.state_dict()
    tensors = _read_weights(folder / WEIGHTS, sum(value.nbytes for value in expected.values()))
    for key in sorted(expected.keys() | tensors.keys()):
        met = tuple(tensors[key].shape) if key in tensors else "nothing"
        right = tuple(expected[key].shape) if key in expected else "nothing"
        if met != right:
            raise CheckpointError(
                f"{folder / WEIGHTS}: {key} is {met}; network {config.network!r} has {right}"
            )
        if tensors[key].dtype != expected[key].dtype or not torch.isfinite(tensors[key]).all():
            raise CheckpointError(
                f"{folder / WEIGHTS}: {key} is not finite {expected[key].dtype}; train again"
            )
    network = make_network(config.network, config.settings, config.policy)
    network.load_state_dict(tensors)
    return network.eval()


def read_config(folder: Path | str) -> CheckpointConfig:
    """Reads config.json.

    Raises:
        CheckpointError: It is missing, malformed or of another format, or a value of the policy's configuration is
            unknown or missing.
    """
    path = Path(folder) / CONFIG
    if not path.is_file():
        raise CheckpointError(
            f"{folder} is not a checkpoint: {CONFIG} missing; make one with: python train.py DATASET"
        )
    try:
        config = json.loads(files.read_text(path, MAX_CONFIG_BYTES))
        known = config["format"]
        name, settings, provenance = (config[key] for key in ("network", "settings", "provenance"))
        if known == FORMAT_1:
            kind = str(name).removesuffix("-half").removesuffix("-masks").removesuffix("-rgb")
            settings = FORMAT_1_SETTINGS.get(kind, {}) | settings
            return CheckpointConfig(name, settings, read_config(FROZEN).policy, provenance)
        if known != FORMAT:
            raise CheckpointError(f"{path} has format {known!r}; expected {FORMAT!r} or {FORMAT_1!r}")
        return CheckpointConfig(name, settings, PolicyConfig.from_json(config["policy"]), provenance)
    except CheckpointError as error:
        raise CheckpointError(str(error) if str(path) in str(error) else f"{path}: {error}") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path} is malformed ({error!r}); train again or copy it again") from None


def _check_settings(path: Path, config: CheckpointConfig, network: HandoverNetwork) -> None:
    missing = sorted(network.settings.keys() - config.settings.keys())
    if missing:
        raise CheckpointError(
            f"{path}: settings lack {', '.join(missing)}; network {config.network!r} of this version has "
            f"{', '.join(network.settings)}"
        )


def _read_weights(path: Path, expected_bytes: int) -> dict[str, torch.Tensor]:
    try:
        size = path.stat().st_size
        if not expected_bytes <= size <= expected_bytes + MAX_CONFIG_BYTES:
            raise CheckpointError(f"{path} has {size} bytes; the network needs about {expected_bytes}")
        return load(path.read_bytes())
    except (OSError, SafetensorError, ValueError, KeyError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}); train again or copy it again") from None

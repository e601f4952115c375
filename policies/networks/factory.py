"""Networks by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from h2rh_env.core.errors import CheckpointError

from .base import HandoverNetwork
from .compact import CompactNetwork
from .resnet import ResNet18Network

NETWORKS: dict[str, Callable[..., HandoverNetwork]] = {
    "compact": CompactNetwork,
    "compact-masks": partial(CompactNetwork, sees="masks"),
    "compact-rgb": partial(CompactNetwork, sees="rgb"),
    "resnet18": ResNet18Network,
    "resnet18-half": partial(ResNet18Network, height=84, width=112),
}


def make_network(name: str, settings: Mapping[str, Any] | None = None) -> HandoverNetwork:
    """A network by name, with random weights.

    Raises:
        CheckpointError: an unknown name, or settings that the network does not take.
    """
    if name not in NETWORKS:
        raise CheckpointError(f"no network is named {name!r}; known are {', '.join(NETWORKS)}")
    try:
        network = NETWORKS[name](**(settings or {}))
    except (TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"network {name!r} does not take the settings {settings} ({error})") from None
    return network

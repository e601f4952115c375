"""Networks by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from h2rh_env.core.errors import CheckpointError

from ..config import PolicyConfig
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


def make_network(
    name: str, settings: Mapping[str, Any] | None = None, config: PolicyConfig | None = None
) -> HandoverNetwork:
    """Makes a network with random weights.

    Args:
        name: one of `NETWORKS`.
        settings: the network's own arguments; by default those of its name.
        config: everything else that decides what the policy does; by default a new policy's.

    Raises:
        CheckpointError: The name is unknown, or the network does not take the settings.
    """
    if name not in NETWORKS:
        raise CheckpointError(f"no network is named {name!r}; known are {', '.join(NETWORKS)}")
    try:
        return NETWORKS[name](**(settings or {}), config=config)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"network {name!r} does not take the settings {settings} ({error})") from None

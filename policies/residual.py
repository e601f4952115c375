"""Residual: what reinforcement learning sees and adds to, a cloned network's features and action."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from h2rh_env.interface import Observation, action_space, observation_space

from .checkpoints import load_checkpoint
from .network import HandoverNetwork
from .ranging import OwnRange

# The most that is added: rad, m and score; a third of what a demonstration's step is.
ADDED = np.array([0.04] * 3 + [0.015] * 3 + [0.5], np.float32)

Floats = npt.NDArray[np.float32]


class Residual:
    """An action is a base and what a learner adds, in [-1, 1] of a bound.

    With a network, the base is its action, and the learner sees what its last layer sees. Without one, the base is
    the middle of the action space, the bound is its half, and the learner sees images.
    """

    def __init__(self, network: HandoverNetwork | None = None) -> None:
        limits = action_space()
        self._low, self._high = limits.low, limits.high
        self._middle, half = (limits.low + limits.high) / 2, (limits.high - limits.low) / 2
        self._half = half.astype(np.float32)
        self._network = network
        self._bound = ADDED if network else self._half
        self.action_space = gym.spaces.Box(-1, 1, (7,), np.float32)
        self.observation_space: gym.Space[Any] = observation_space()
        if network:
            last = [layer for layer in network.modules() if isinstance(layer, nn.Linear)][-1]
            last.register_forward_pre_hook(self._keep)
            size = last.in_features + len(network.geometry_signs) + 7
            self.observation_space = gym.spaces.Box(-np.inf, np.inf, (size,), np.float32)
        self.forget()

    @classmethod
    def load(cls, checkpoint: Path | str) -> Residual:
        """Raises: CheckpointError: the folder is not a checkpoint."""
        return cls(load_checkpoint(checkpoint))

    def forget(self, rows: Iterable[int] | None = None) -> None:
        """Begins new episodes in these rows of the batch; in all by default."""
        if rows is None:
            self._ranges: defaultdict[int, OwnRange] = defaultdict(OwnRange)
        for row in rows or ():
            self._ranges.pop(row, None)

    @torch.inference_mode()
    def read(self, observation: Observation, rows: Sequence[int] | None = None) -> tuple[Any, Floats]:
        """The newest frames of episodes to what the learner sees, and base actions (B, 7).

        Args:
            rows: which episodes; all of the batch by default.
        """
        rgb, masks = observation["rgb"], observation["masks"]
        if self._network is None:
            return {"rgb": rgb, "masks": masks}, np.tile(self._middle, (len(rgb), 1)).astype(np.float32)
        rgb, masks = np.ascontiguousarray(rgb), np.ascontiguousarray(masks)
        views = zip(rows or range(len(rgb)), rgb, masks, strict=True)
        seen = [self._ranges[row].see(image, mask) for row, image, mask in views]
        ranges = np.stack([each.numbers for each in seen])
        images, geometry = self._network.prepare(
            torch.from_numpy(rgb), torch.from_numpy(masks), torch.from_numpy(ranges)
        )
        actions = self._network.act(images.float() / 255, geometry, seen)
        base = np.clip(actions, self._low, self._high)
        features = [self._hidden.numpy(), geometry.numpy(), (base - self._middle) / self._half]
        return np.concatenate(features, axis=1).astype(np.float32), base

    def combine(self, base: Floats, added: npt.NDArray[Any]) -> Floats:
        """Actions (B, 7) of the environment, which all episodes take now."""
        actions = np.clip(base + added * self._bound, self._low, self._high).astype(np.float32)
        for row, action in enumerate(actions):
            self._ranges[row].acted(action)
        return actions

    def _keep(self, layer: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        self._hidden = inputs[0]

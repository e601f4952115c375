"""Residual: what reinforcement learning sees of a cloned policy, and what it may add to its action."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
import torch

from h2rh_env.interface import MAX_EPISODE_STEPS, Observation, action_space, observation_space

from .checkpoints import load_checkpoint
from .network import HandoverNetwork
from .ranging import OwnFollower, Sighting

# Turning is left to the checkpoint: it sees where the object is, but is wrong about how far.
LEARNT = slice(3, 7)
ADDED = np.array([0.02] * 3 + [0.5], np.float32)  # the most that is added to these, m and score
TYPICAL_M, TYPICAL_LOG = 0.4, 0.25  # a distance, and by how much its logarithm varies
BACK = (1, 2, 4)  # earlier frames that the present one is compared with

Floats = npt.NDArray[np.float32]


@dataclass
class _Episode:
    """What is remembered of one: the follower, and the numbers of the last frames."""

    follower: OwnFollower = field(default_factory=OwnFollower)
    recent: deque[Floats] = field(default_factory=lambda: deque(maxlen=max(BACK) + 1))

    def changes(self, numbers: Floats) -> Floats:
        """Against the earlier frames; against the first where there are not so many."""
        self.recent.appendleft(numbers)
        return np.concatenate([numbers - self.recent[min(back, len(self.recent) - 1)] for back in BACK])


class Residual:
    """An action is a base and what a learner adds, in [-1, 1] of a bound.

    With a network, the base is its action. The learner sees some forty numbers, not images: the base, where object
    and hand are in the image, the measured range, and how base and range changed over the last frames; and it adds
    to translation and grasp score. Without a network, the base is the middle of the action space, the bound is its
    half, and the learner sees images.
    """

    def __init__(self, network: HandoverNetwork | None = None) -> None:
        limits = action_space()
        self._low, self._high = limits.low, limits.high
        self._middle, half = (limits.low + limits.high) / 2, (limits.high - limits.low) / 2
        self._half = half.astype(np.float32)
        self._network = network
        self._learnt, self._bound = (LEARNT, ADDED) if network else (slice(0, 7), self._half)
        self.action_space = gym.spaces.Box(-1, 1, self._bound.shape, np.float32)
        self.observation_space: gym.Space[Any] = observation_space()
        if network:
            size = len(network.geometry_signs) + len(limits.low) + 3 + len(BACK) * (len(ADDED) + 2)
            self.observation_space = gym.spaces.Box(-np.inf, np.inf, (size,), np.float32)
        self.forget()

    @classmethod
    def load(cls, checkpoint: Path | str) -> Residual:
        """Raises: CheckpointError: the folder is not a checkpoint."""
        return cls(load_checkpoint(checkpoint))

    def forget(self, rows: Iterable[int] | None = None) -> None:
        """Begins new episodes in these rows of the batch; in all by default."""
        if rows is None:
            self._episodes: dict[int, _Episode] = {}
        for row in rows or ():
            self._episodes.pop(row, None)

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
        episodes = [self._episodes.setdefault(row, _Episode()) for row in rows or range(len(rgb))]
        seen = [each.follower.see(*view) for each, *view in zip(episodes, rgb, masks, strict=True)]
        images, geometry = self._network.read(seen)
        actions = self._network.act(images.float() / 255, geometry, seen)
        base = np.clip(actions, self._low, self._high)
        scaled, distances = (base - self._middle) / self._half, np.stack([_distances(each) for each in seen])
        following = np.concatenate([scaled[:, self._learnt], distances], axis=1).astype(np.float32)
        changes = np.stack([each.changes(row) for each, row in zip(episodes, following, strict=True)])
        age = np.array([[each.frames / MAX_EPISODE_STEPS] for each in seen])
        numbers = np.concatenate([geometry.numpy(), scaled, distances, age, changes], axis=1)
        return numbers.astype(np.float32), base

    def combine(self, base: Floats, added: npt.NDArray[Any]) -> Floats:
        """Actions (B, 7) of the environment, which all episodes take now."""
        actions = base.copy()
        actions[:, self._learnt] += added * self._bound
        actions = np.clip(actions, self._low, self._high).astype(np.float32)
        for row, action in enumerate(actions):
            if row in self._episodes:
                self._episodes[row].follower.acted(action)
        return actions


def _distances(seen: Sighting) -> Floats:
    """Of the middle of what is seen of the object, and of the nearest of it, near 1 and around 0."""
    nearest_m = np.linalg.norm(seen.object_points, axis=1).min(initial=seen.distance_m)
    logs = np.log(np.array([seen.distance_m, max(float(nearest_m), 0.05)]) / TYPICAL_M)
    return (logs / TYPICAL_LOG).astype(np.float32)

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

from h2rh_env.core.action import decode_action
from h2rh_env.core.clearance import sweep_gap
from h2rh_env.core.geometry import SE3
from h2rh_env.core.policy import Observation
from h2rh_env.core.spaces import action_space, observation_space
from h2rh_env.core.task import MAX_EPISODE_STEPS, STANDOFF_M

from ..networks.base import HandoverNetwork
from ..networks.checkpoints import load_checkpoint
from ..tracking.depth import OwnTracker, Track
from ..tracking.object_motion import MotionEstimate, MotionTracker

STEP = slice(3, 7)  # of an action: translation and grasp score; turning hangs little on the distance
SHARE = 4.0  # the most of the way from the checkpoint's action to the one it takes where the giver may move
SCORE = 0.5  # the most that is added to the grasp score
LEARNT = np.array([SHARE, SCORE])
TYPICAL_M, TYPICAL_LOG = 0.4, 0.25  # a distance, and by how much its logarithm varies
OFF_LOG, TYPICAL_SIGMA, TYPICAL_MPS, TYPICAL_GAP_M = 0.1, 0.05, 0.05, 0.05
BACK = (1, 2, 4)  # earlier frames that the present one is compared with

Floats = npt.NDArray[np.float32]


@dataclass
class _Episode:
    """What is remembered of one: what was followed, where the camera is, and the numbers of the last frames."""

    tracker: OwnTracker = field(default_factory=OwnTracker)
    sway: MotionTracker = field(default_factory=MotionTracker)
    start_from_camera: SE3 = field(default_factory=SE3.identity)
    recent: deque[Floats] = field(default_factory=lambda: deque(maxlen=max(BACK) + 1))

    def see(
        self, rgb: npt.NDArray[np.uint8], masks: npt.NDArray[np.uint8]
    ) -> tuple[Track, Track, MotionEstimate]:
        """What is seen if the object stands still, and if it moves, and how it does."""
        seen = self.tracker.see(rgb, masks)
        return seen, *self.sway.follow(seen, self.start_from_camera.matrix)

    def acted(self, action: Floats) -> None:
        self.tracker.acted(action)
        self.start_from_camera = self.start_from_camera @ decode_action(action)[0]

    def changes(self, numbers: Floats) -> Floats:
        """Against the earlier frames; against the first where there are not so many."""
        self.recent.appendleft(numbers)
        return np.concatenate([numbers - self.recent[min(back, len(self.recent) - 1)] for back in BACK])


class Residual:
    """An action is made of bases and of what a learner adds, in [-1, 1] of a bound.

    With a network, there are two bases: its action, and the one it would take if the object were where `sway` has it.
    The learner sees some forty numbers, not images: both bases, how near things are, how the object moves, and how
    all that changed over the last frames. It says how far to go from the first base to the second, and adds to the
    grasp score; zeros are the first base. Without a network, the base is the middle of the action space, the bound is
    its half, and the learner sees images.
    """

    def __init__(self, network: HandoverNetwork | None = None) -> None:
        limits = action_space()
        self._low, self._high = limits.low, limits.high
        self._middle, half = (limits.low + limits.high) / 2, (limits.high - limits.low) / 2
        self._half = half.astype(np.float32)
        self._network = network
        self.action_space = gym.spaces.Box(-1, 1, (len(LEARNT if network else half),), np.float32)
        self.observation_space: gym.Space[Any] = observation_space()
        if network:
            step = len(half[STEP])
            size = len(half) + step + NUMBERS + (1 + len(BACK)) * (step + 3)
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
        """The newest frames of episodes to what the learner sees, and bases (B, K, 7).

        Args:
            rows: which episodes; all of the batch by default.
        """
        rgb, masks = observation["rgb"], observation["masks"]
        if self._network is None:
            base = np.tile(self._middle, (len(rgb), 1, 1)).astype(np.float32)
            return {"rgb": rgb, "masks": masks}, base
        rgb, masks = np.ascontiguousarray(rgb), np.ascontiguousarray(masks)
        episodes = [self._episodes.setdefault(row, _Episode()) for row in rows or range(len(rgb))]
        known = [each.see(*view) for each, *view in zip(episodes, rgb, masks, strict=True)]
        both = [still for still, _, _ in known] + [moving for _, moving, _ in known]
        images, geometry = self._network.read(both)
        actions = self._network.act(images.float() / 255, geometry, both)
        bases = np.clip(actions, self._low, self._high).reshape(2, len(known), -1).swapaxes(0, 1)
        scaled = (bases - self._middle) / self._half
        distances = np.stack([_distances(moving) for _, moving, _ in known])
        followed = np.concatenate([scaled[:, 1, STEP], scaled[:, 0, -1:], distances], axis=1).astype(
            np.float32
        )
        changes = np.stack([each.changes(row) for each, row in zip(episodes, followed, strict=True)])
        numbers = np.stack([_numbers(*each) for each in known])
        apart = scaled[:, 1, STEP] - scaled[:, 0, STEP]
        told = np.concatenate([scaled[:, 0], apart, numbers, followed, changes], axis=1)
        return told.astype(np.float32), bases.astype(np.float32)

    def combine(self, bases: Floats, added: npt.NDArray[Any]) -> Floats:
        """Actions (B, 7) of the environment, which all episodes take now."""
        actions = bases[:, 0].copy()
        if self._network is None:
            actions += added * self._half
        else:
            share, score = (np.asarray(added) * LEARNT).T
            actions += share[:, None] * (bases[:, 1] - bases[:, 0])
            actions[:, -1] += score
        actions = np.clip(actions, self._low, self._high).astype(np.float32)
        for row, action in enumerate(actions):
            if row in self._episodes:
                self._episodes[row].acted(action)
        return actions


def _distances(seen: Track) -> Floats:
    """Of the middle of what is seen of the object, and of the nearest of it, near 1 and around 0."""
    nearest_m = np.linalg.norm(seen.object_points, axis=1).min(initial=seen.distance_m)
    logs = np.log(np.array([seen.distance_m, max(float(nearest_m), 0.05)]) / TYPICAL_M)
    return (logs / TYPICAL_LOG).astype(np.float32)


NUMBERS = 9


def _numbers(still: Track, moving: Track, motion: MotionEstimate) -> Floats:
    """How far distances are apart, how sure they are, how the object moves, how wide the way is, and the time."""
    free_m = float(sweep_gap(moving.hand_points, STANDOFF_M).min(initial=TYPICAL_GAP_M))
    numbers = [
        np.log(moving.distance_m / still.distance_m) / OFF_LOG,
        np.log(moving.distance_m / motion.distance_m) / OFF_LOG,
        np.log(moving.sigma / TYPICAL_SIGMA),
        np.log(motion.sigma / TYPICAL_SIGMA),
        *(motion.velocity / TYPICAL_MPS),
        min(free_m, TYPICAL_GAP_M) / TYPICAL_GAP_M,
        2 * still.frames / MAX_EPISODE_STEPS - 1,
    ]
    return np.array(numbers, np.float32)

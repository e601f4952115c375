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

from ..config import PolicyConfig
from ..networks.base import HandoverNetwork
from ..networks.checkpoints import load_checkpoint
from ..tracking.object_motion import MotionEstimate, MotionTracker
from ..tracking.tracker import OwnTracker, Track
from .features import Recent, ResidualFeatures

STEP = slice(3, 7)  # of an action: translation and grasp score; rotation hangs little on the distance
LEARNT = 2  # numbers that are learnt: the share, and what is added to the score

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class ResidualConfig:
    """How a learner's numbers are scaled; it is saved in the model's file."""

    most_share: float = 4.0
    """The farthest that an action goes from the checkpoint's, in differences to the action for a moving object."""
    most_score: float = 0.5
    """The most that is added to the grasp score."""
    typical_m: float = 0.4
    """Unit of distances, m."""
    typical_log: float = 0.25
    """By how much the logarithm of a distance varies."""
    typical_ratio: float = 0.1
    """By how much the logarithm of a ratio of distances varies."""
    typical_sigma: float = 0.05
    """Unit of uncertainties."""
    typical_mps: float = 0.05
    """Unit of velocities, m/s."""
    typical_gap_m: float = 0.05
    """Unit of the room between the gripper's advance and the hand, m."""
    least_m: float = 0.05
    """The nearest point counts as at least this far away, m."""
    back: tuple[int, ...] = (1, 2, 4)
    """How many frames ago the earlier frames were taken that the newest one is compared with."""


@dataclass
class _Episode:
    """What is remembered of an episode: both trackers, where the camera is, and numbers of the last frames."""

    tracker: OwnTracker
    motion_tracker: MotionTracker
    recent: deque[Floats]
    initial_from_camera: SE3 = field(default_factory=SE3.identity)

    @classmethod
    def begun(cls, policy: PolicyConfig, config: ResidualConfig) -> _Episode:
        return cls(OwnTracker(policy), MotionTracker(policy), deque(maxlen=max(config.back) + 1))

    def see(
        self, rgb: npt.NDArray[np.uint8], masks: npt.NDArray[np.uint8]
    ) -> tuple[Track, Track, MotionEstimate]:
        """The track of a frame if the object stands still, the one if it moves, and how it does."""
        seen = self.tracker.see(rgb, masks)
        return seen, *self.motion_tracker.track(seen, self.initial_from_camera)

    def acted(self, action: Floats) -> None:
        self.tracker.acted(action)
        self.initial_from_camera = self.initial_from_camera @ decode_action(action)[0]

    def changes(self, numbers: Floats, back: Sequence[int]) -> Floats:
        """Differences to the earlier frames, or to the first frame where there are not so many."""
        self.recent.appendleft(numbers)
        return np.concatenate([numbers - self.recent[min(each, len(self.recent) - 1)] for each in back])


class Residual:
    """An action is made of bases and of what a learner adds, in [-1, 1] of a bound.

    With a network, there are two bases: its action, and the one it would take if the object were where the motion
    tracker has it. The learner sees `ResidualFeatures`, not images. It says how far to go from the first base to the
    second, and adds to the grasp score; zeros are the first base. Without a network, the base is the middle of the
    action space, the bound is its half, and the learner sees images.
    """

    def __init__(self, network: HandoverNetwork | None = None, config: ResidualConfig | None = None) -> None:
        limits = action_space()
        self._low, self._high = limits.low, limits.high
        self._middle, half = (limits.low + limits.high) / 2, (limits.high - limits.low) / 2
        self._half = half.astype(np.float32)
        self._network = network
        self.config = config or ResidualConfig()
        self.action_space = gym.spaces.Box(-1, 1, (LEARNT if network else len(half),), np.float32)
        self.observation_space: gym.Space[Any] = observation_space()
        if network:
            size = ResidualFeatures.count(len(self.config.back))
            self.observation_space = gym.spaces.Box(-np.inf, np.inf, (size,), np.float32)
        self.forget()

    @classmethod
    def load(cls, checkpoint: Path | str, config: ResidualConfig | None = None) -> Residual:
        """Builds on a checkpoint folder.

        Raises:
            CheckpointError: The folder is not a checkpoint.
        """
        return cls(load_checkpoint(checkpoint), config)

    @property
    def builds_on_policy(self) -> bool:
        """Whether there is a network."""
        return self._network is not None

    @property
    def policy(self) -> PolicyConfig:
        """The configuration of the policy that it builds on, or a new one's."""
        return self._network.config if self._network is not None else PolicyConfig()

    def forget(self, rows: Iterable[int] | None = None) -> None:
        """Begins new episodes in these rows of the batch; in all by default."""
        if rows is None:
            self._episodes: dict[int, _Episode] = {}
        for row in rows or ():
            self._episodes.pop(row, None)

    @torch.inference_mode()
    def observe(self, observation: Observation, rows: Sequence[int] | None = None) -> tuple[Any, Floats]:
        """Turns the newest frames of episodes into what the learner sees, and bases (B, K, 7).

        Args:
            rows: which episodes; all of the batch by default.
        """
        rgb, masks = observation["rgb"], observation["masks"]
        if self._network is None:
            base = np.tile(self._middle, (len(rgb), 1, 1)).astype(np.float32)
            return {"rgb": rgb, "masks": masks}, base
        rgb, masks = np.ascontiguousarray(rgb), np.ascontiguousarray(masks)
        episodes = [self._episode(row) for row in rows or range(len(rgb))]
        known = [each.see(*view) for each, *view in zip(episodes, rgb, masks, strict=True)]
        both = [still for still, _, _ in known] + [moving for _, moving, _ in known]
        images, geometry = self._network.preprocess(both)
        actions = self._network.act(images.float() / 255, geometry, both)
        bases = np.clip(actions, self._low, self._high).reshape(2, len(known), -1).swapaxes(0, 1)
        scaled = (bases - self._middle) / self._half
        features = [
            self._features(*each, actions[0], actions[1], episode).pack()
            for each, actions, episode in zip(known, scaled, episodes, strict=True)
        ]
        return np.stack(features), bases.astype(np.float32)

    def _episode(self, row: int) -> _Episode:
        if row not in self._episodes:
            self._episodes[row] = _Episode.begun(self.policy, self.config)
        return self._episodes[row]

    def _features(
        self,
        still: Track,
        moving: Track,
        motion: MotionEstimate,
        still_action: Floats,
        moving_action: Floats,
        episode: _Episode,
    ) -> ResidualFeatures:
        config, control = self.config, self.policy.control
        recent = Recent(moving_action[STEP], still_action[-1:], self._log_distances(moving)).pack()
        free_m = float(sweep_gap(moving.hand_points, control.standoff_m).min(initial=config.typical_gap_m))
        ratios = np.array([moving.distance_m / still.distance_m, moving.distance_m / motion.distance_m])
        return ResidualFeatures(
            still_action=still_action,
            to_moving=moving_action[STEP] - still_action[STEP],
            log_ratios=np.log(ratios) / config.typical_ratio,
            log_sigmas=np.log(np.array([moving.sigma, motion.sigma]) / config.typical_sigma),
            velocity=motion.velocity / config.typical_mps,
            free_gap=np.array([min(free_m, config.typical_gap_m) / config.typical_gap_m]),
            time=np.array([2 * still.frames / control.episode_steps - 1]),
            recent=recent,
            changes=episode.changes(recent, config.back),
        )

    def _log_distances(self, seen: Track) -> Floats:
        """Distances (2,) to the middle of what is seen of the object, and to the nearest point of it."""
        config = self.config
        nearest_m = float(np.linalg.norm(seen.object_points, axis=1).min(initial=seen.distance_m))
        logs = np.log(np.array([seen.distance_m, max(nearest_m, config.least_m)]) / config.typical_m)
        return np.asarray(logs / config.typical_log, np.float32)

    def combine(self, bases: Floats, added: npt.NDArray[Any]) -> Floats:
        """Actions (B, 7) of the environment, which all episodes take now."""
        actions = bases[:, 0].copy()
        if self._network is None:
            actions += added * self._half
        else:
            share, score = (np.asarray(added) * [self.config.most_share, self.config.most_score]).T
            actions += share[:, None] * (bases[:, 1] - bases[:, 0])
            actions[:, -1] += score
        actions = np.clip(actions, self._low, self._high).astype(np.float32)
        for row, action in enumerate(actions):
            if row in self._episodes:
                self._episodes[row].acted(action)
        return actions

"""Rolls policies out in scenes, every policy from the same starts, and keeps what a report needs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .env import H2RHandoverEnv
from .handover_scene import HandoverScene
from .interface import MAX_EPISODE_STEPS, EpisodeRecord, Observation, Policy
from .metrics import EpisodeScore, score


@dataclass(frozen=True, eq=False)
class Episode:
    """One rolled-out episode; `frames` are its observations, empty unless asked for."""

    record: EpisodeRecord
    score: EpisodeScore
    frames: tuple[Observation, ...] = ()


def episode_seed(seed: int, scene_index: int, start_index: int) -> int:
    """The seed of one start; it does not depend on the policy, the order or the number of starts."""
    return int(np.random.SeedSequence([seed, scene_index, start_index]).generate_state(1)[0])


def run_episode(
    env: H2RHandoverEnv, policy: Policy, name: str, scene: str, seed: int, keep_frames: bool = False
) -> Episode:
    """One episode of at most 30 steps in the named scene.

    A policy whose class says `privileged = True` (the expert) is shown scene and pose before it acts.
    """
    observation, _ = env.reset(seed=seed, options={"scene": scene})
    policy.reset(seed)
    frames = [observation]
    step_seconds: list[float] = []
    for _ in range(MAX_EPISODE_STEPS):
        if getattr(policy, "privileged", False):
            policy.observe_state(env.scene, env.world_from_camera)  # type: ignore[attr-defined]
        began = time.perf_counter()
        action = policy.act(observation)
        step_seconds.append(time.perf_counter() - began)
        observation, _, terminated, _, _ = env.step(action)
        if terminated:
            break
        frames.append(observation)
    record = env.record(name, seed, step_seconds)
    return Episode(record, score(record, env.scene), tuple(frames) if keep_frames else ())


def evaluate(
    policies: Mapping[str, Policy],
    scenes: Sequence[HandoverScene],
    starts: int,
    seed: int,
    env_options: Mapping[str, Any] | None = None,
    done: Callable[[], None] = lambda: None,
) -> dict[str, list[Episode]]:
    """Every policy from the same `starts` starts of every scene; frames are kept for each scene's first.

    Args:
        env_options: arguments of `H2RHandoverEnv` besides the scenes.
        done: called after each episode.
    """
    env = H2RHandoverEnv(list(scenes), **(env_options or {}))
    episodes: dict[str, list[Episode]] = {name: [] for name in policies}
    for scene_index, start_index, scene in _starts(scenes, starts):
        for name, policy in policies.items():
            start_seed = episode_seed(seed, scene_index, start_index)
            episode = run_episode(env, policy, name, scene.name, start_seed, keep_frames=start_index == 0)
            episodes[name].append(episode)
            done()
    return episodes


def _starts(scenes: Sequence[HandoverScene], starts: int) -> Iterator[tuple[int, int, HandoverScene]]:
    for scene_index, scene in enumerate(scenes):
        for start_index in range(starts):
            yield scene_index, start_index, scene


def masked_frame(observation: Observation) -> npt.NDArray[np.uint8]:
    """The camera's image (H, W, 3) with outlines of object (green) and hand (orange)."""
    image = observation["rgb"].copy()
    for channel, colour in ((0, (64, 255, 96)), (1, (255, 160, 32))):
        mask = observation["masks"][..., channel] > 0
        inner = mask.copy()
        inner[1:] &= mask[:-1]
        inner[:-1] &= mask[1:]
        inner[:, 1:] &= mask[:, :-1]
        inner[:, :-1] &= mask[:, 1:]
        image[mask & ~inner] = colour
    return image

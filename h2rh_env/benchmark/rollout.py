"""Rollout: one policy in one scene from one initial pose, and the same episode shown again."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ..core.episode import EpisodeRecord
from ..core.errors import PolicyError, SceneError
from ..core.geometry import SE3
from ..core.policy import Observation, Policy, PrivilegedPolicy, tell_camera
from ..core.task import EPISODE_STEPS, Task
from ..envs.handover import H2RHandoverEnv
from ..envs.handover_metrics import HandoverScore
from ..envs.metrics import EpisodeScore
from ..perturbations.conditions import AS_RENDERED, Condition, Corruption
from ..scenes.handover_scene import HandoverScene
from .labels import scene_labels


@dataclass(frozen=True, eq=False)
class Episode:
    """One rolled-out episode, where it began, and its verdict.

    Attributes:
        scene: label of the scene, unique among the scenes of an evaluation (see `scene_labels`).
        seed: of the evaluation; record.seed is the initial pose's own.
        task: what the policy's score ended; a policy of `grasp` declares no pre-grasp pose.
        handover: the verdict by contact; None where the object cannot be held safely, or nobody asked.
    """

    record: EpisodeRecord
    score: EpisodeScore
    scene: str
    seed: int = 0
    condition: Condition = AS_RENDERED
    handover: HandoverScore | None = None
    task: Task = "reach"


def episode_seed(seed: int, scene_index: int, start_index: int) -> int:
    """The seed of one initial pose; it does not depend on the policy, the order or the number of initial poses."""
    return int(np.random.SeedSequence([seed, scene_index, start_index]).generate_state(1)[0])


def task_of(policy: Policy) -> Task:
    """What a policy's score ends: `grasp` closes the fingers, `reach` (for all that say nothing) declares.

    Raises:
        PolicyError: the policy's attribute `task` is neither.
    """
    task: Task = getattr(policy, "task", "reach")
    if task not in EPISODE_STEPS:
        raise PolicyError(f"{type(policy).__name__}.task is {task!r}; known are {', '.join(EPISODE_STEPS)}")
    return task


def run_episode(
    env: H2RHandoverEnv,
    policy: Policy,
    name: str,
    scene: HandoverScene | str,
    seed: int,
    condition: Condition = AS_RENDERED,
    most_steps: int | None = None,
) -> EpisodeRecord:
    """One episode in a scene that the environment holds, of as many steps as its task allows.

    A `PrivilegedPolicy` (the expert) is shown scene and pose before it acts. Whatever a
    policy is shown is a copy of its own: what it does to that changes neither the episode nor the verdict.

    Args:
        scene: the scene, or its name where no other scene has it.
        most_steps: the episode is left after this many; by default it goes on to its end.

    Returns:
        The record; its actions are those that were executed.
    """
    corruption = Corruption(condition, seed)
    env.gripper_from_camera = corruption.gripper_from_camera or SE3.identity()
    observation, _ = env.reset(seed=seed, options={"scene": scene})
    tell_camera(policy, env.camera)
    policy.reset(seed)
    shown = copy.deepcopy(env.scene) if isinstance(policy, PrivilegedPolicy) else None
    step_seconds: list[float] = []
    for _ in range(EPISODE_STEPS[env.task] if most_steps is None else most_steps):
        if isinstance(policy, PrivilegedPolicy) and shown is not None:
            policy.observe_state(shown, env.scene_from_camera)
        seen = copy.deepcopy(corruption.seen(observation))
        began = time.perf_counter()
        action = policy.act(seen)
        step_seconds.append(time.perf_counter() - began)
        observation, terminated = env.act(corruption.executed(action))
        if terminated:
            break
    return env.record(name, seed, step_seconds)


def replay(env: H2RHandoverEnv, episode: Episode) -> Iterator[Observation]:
    """What the policy saw, from the initial pose to the end, by doing again what was done; no policy is needed.

    Raises:
        SceneError: the environment does not hold the episode's scene.
    """
    record = episode.record
    corruption = Corruption(episode.condition, record.seed)
    env.gripper_from_camera = corruption.gripper_from_camera or SE3.identity()
    observation, _ = env.reset(seed=record.seed, options={"scene": scene_of(episode, env.scenes)})
    yield corruption.seen(observation)
    for action in record.actions:
        observation, terminated = env.act(action)
        if terminated:
            return
        yield corruption.seen(observation)


def scene_of(episode: Episode, scenes: Sequence[HandoverScene]) -> HandoverScene:
    """The scene of an episode among scenes, by its label, else by name and hash.

    Raises:
        SceneError: it is not among them.
    """
    for label, scene in zip(scene_labels(scenes), scenes, strict=True):
        if label == episode.scene:
            return scene
    record = episode.record
    for scene in scenes:
        if (scene.name, scene.scene_hash) == (record.scene, record.scene_hash):
            return scene
    known = ", ".join(scene_labels(scenes))
    raise SceneError(f"the episode's scene {episode.scene!r} is not among the scenes at hand: {known}")

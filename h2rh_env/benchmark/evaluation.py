"""Rolls policies out in scenes, every policy from the same starts, in one process or several alike."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, groupby, product
from typing import Any

import numpy as np

from ..core.episode import EpisodeRecord
from ..core.errors import ActionError
from ..core.geometry import SE3
from ..core.policy import Observation, Policy
from ..core.task import MAX_EPISODE_STEPS
from ..envs.handover import H2RHandoverEnv
from ..envs.metrics import EpisodeScore, score
from ..perturbations.conditions import AS_RENDERED, Condition, Corruption
from ..scenes.handover_scene import HandoverScene
from ..utils.parallel import Cluster, map_tasks

MakePolicy = Callable[[str], Policy]


@dataclass(frozen=True, eq=False)
class Episode:
    """One rolled-out episode, where it began, and its verdict.

    Attributes:
        seed: of the evaluation; record.seed is the start's own.
    """

    record: EpisodeRecord
    score: EpisodeScore
    seed: int = 0
    condition: Condition = AS_RENDERED


def episode_seed(seed: int, scene_index: int, start_index: int) -> int:
    """The seed of one start; it does not depend on the policy, the order or the number of starts."""
    return int(np.random.SeedSequence([seed, scene_index, start_index]).generate_state(1)[0])


def run_episode(
    env: H2RHandoverEnv, policy: Policy, name: str, scene: str, seed: int, condition: Condition = AS_RENDERED
) -> EpisodeRecord:
    """One episode of at most 30 steps in the named scene.

    A policy whose class says `privileged = True` (the expert) is shown scene and pose before it acts.

    Returns:
        The record; its actions are those that were executed.
    """
    corruption = Corruption(condition, seed)
    env.gripper_from_camera = corruption.gripper_from_camera or SE3.identity()
    observation, _ = env.reset(seed=seed, options={"scene": scene})
    policy.reset(seed)
    step_seconds: list[float] = []
    for _ in range(MAX_EPISODE_STEPS):
        if getattr(policy, "privileged", False):
            policy.observe_state(env.scene, env.scene_from_camera)  # type: ignore[attr-defined]
        seen = corruption.seen(observation)
        began = time.perf_counter()
        action = policy.act(seen)
        step_seconds.append(time.perf_counter() - began)
        observation, _, terminated, _, _ = env.step(corruption.executed(action))
        if terminated:
            break
    return env.record(name, seed, step_seconds)


def replay(env: H2RHandoverEnv, episode: Episode) -> Iterator[Observation]:
    """What the policy saw, from the start to the end, by doing again what was done; no policy is needed."""
    record = episode.record
    corruption = Corruption(episode.condition, record.seed)
    env.gripper_from_camera = corruption.gripper_from_camera or SE3.identity()
    observation, _ = env.reset(seed=record.seed, options={"scene": record.scene})
    yield corruption.seen(observation)
    for action in record.actions:
        observation, _, terminated, _, _ = env.step(action)
        if terminated:
            return
        yield corruption.seen(observation)


@dataclass(frozen=True)
class _Task:
    policy: str
    scene: str
    seed: int
    start_seed: int
    condition: Condition


def evaluate(
    policies: Mapping[str, Policy],
    scenes: Sequence[HandoverScene],
    starts: int,
    seed: int,
    env_options: Mapping[str, Any] | None = None,
    done: Callable[[], None] = lambda: None,
    *,
    seeds: int = 1,
    conditions: Sequence[Condition] = (AS_RENDERED,),
    workers: int = 1,
    cluster: Cluster | None = None,
    make_policy: MakePolicy | None = None,
) -> dict[str, list[Episode]]:
    """Every policy from the same `starts` starts of every scene, under every condition.

    Args:
        env_options: arguments of `H2RHandoverEnv` besides the scenes.
        done: called after each episode.
        seeds: so many sets of starts, of `seed` and the numbers after it.
        workers, cluster: where to run, see `map_tasks`. The figures are those of one process: an episode depends on
            its own seed alone.
        make_policy: makes a policy by its name in a worker; by default the policies are pickled.

    Returns:
        Episodes by policy, in order of seed, scene, start and condition.
    """
    grid = product(range(seed, seed + seeds), enumerate(scenes), range(starts), conditions, policies)
    tasks = [
        _Task(name, scene.name, run, episode_seed(run, index, start), condition)
        for run, (index, scene), start, condition, name in grid
    ]
    episodes: dict[str, list[Episode]] = {name: [] for name in policies}
    rolled: Iterator[Episode]
    if workers > 1 or cluster:
        groups = _groups(tasks, policies, scenes, env_options, make_policy)
        rolled = chain.from_iterable(map_tasks(_run_group, groups, workers, cluster))
    else:
        stage = _Stage(policies, scenes, env_options)
        rolled = map(stage.run, tasks)
    for episode in rolled:
        episodes[episode.record.policy].append(episode)
        done()
    return episodes


class _Stage:
    """What a process needs to run any of the tasks."""

    def __init__(
        self,
        policies: Mapping[str, Policy],
        scenes: Sequence[HandoverScene],
        env_options: Mapping[str, Any] | None,
    ) -> None:
        self.policies = policies
        self.scenes = {scene.name: scene for scene in scenes}
        self.env = H2RHandoverEnv(list(scenes), **(env_options or {}))
        _act_on_one_core()

    def run(self, task: _Task) -> Episode:
        policy = self.policies[task.policy]
        try:
            record = run_episode(self.env, policy, task.policy, task.scene, task.start_seed, task.condition)
        except ActionError as error:
            raise ActionError(f"policy {task.policy!r}: {error}") from None
        return Episode(record, score(record, self.scenes[task.scene]), task.seed, task.condition)


def _act_on_one_core() -> None:
    """So that times compare, and sums don't depend on how many cores shared them."""
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)


@dataclass(frozen=True)
class _Group:
    """The tasks in one scene with one seed, and what they need."""

    tasks: list[_Task]
    scene: HandoverScene
    policies: Mapping[str, Policy] | list[str]
    make_policy: MakePolicy | None
    env_options: Mapping[str, Any] | None


def _groups(
    tasks: Sequence[_Task],
    policies: Mapping[str, Policy],
    scenes: Sequence[HandoverScene],
    env_options: Mapping[str, Any] | None,
    make_policy: MakePolicy | None,
) -> list[_Group]:
    named = {scene.name: scene for scene in scenes}
    sent = list(policies) if make_policy else policies
    runs = groupby(tasks, key=lambda task: (task.seed, task.scene))
    return [_Group(list(run), named[name], sent, make_policy, env_options) for (_, name), run in runs]


def _run_group(group: _Group) -> list[Episode]:
    made = {name: group.make_policy(name) for name in group.policies} if group.make_policy else group.policies
    assert isinstance(made, Mapping)
    stage = _Stage(made, [group.scene], group.env_options)
    return [stage.run(task) for task in group.tasks]

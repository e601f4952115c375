"""Rolls policies out in scenes, every policy from the same initial poses, in one process or several alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain, groupby, product
from typing import Any

from ..core.policy import Policy
from ..perturbations.conditions import AS_RENDERED, Condition
from ..scenes.handover_scene import HandoverScene
from ..utils.parallel import Cluster, map_tasks
from .judge import HandoverConfig
from .labels import scene_labels
from .rollout import Episode, episode_seed
from .stage import MakePolicy, SceneTasks, Stage, Task, run_tasks

BENCHMARK_HANDOVER = HandoverConfig()


def evaluate(
    policies: Mapping[str, Policy],
    scenes: Sequence[HandoverScene],
    initial_poses: int,
    seed: int,
    env_options: Mapping[str, Any] | None = None,
    progress: Callable[[], None] = lambda: None,
    *,
    handover: HandoverConfig | None = BENCHMARK_HANDOVER,
    seeds: int = 1,
    conditions: Sequence[Condition] = (AS_RENDERED,),
    workers: int = 1,
    cluster: Cluster | None = None,
    make_policy: MakePolicy | None = None,
) -> dict[str, list[Episode]]:
    """Rolls every policy out from the same initial poses of every scene, under every condition.

    An episode depends on its scene, its own seed and its policy alone: the order of the policies, the number of
    processes, and what policies do to what they are shown change no figure. Scenes are told apart by content.

    Args:
        initial_poses: how many of each scene, for each seed.
        env_options: arguments of `H2RHandoverEnv` besides the scenes.
        progress: called after each episode.
        handover: how handovers are judged by contact; None leaves that out, which is faster.
        seeds: so many sets of initial poses, of `seed` and the numbers after it.
        workers: processes; never more are started than there are scenes times seeds.
        cluster: where the processes run, see `map_tasks`.
        make_policy: makes a policy by its name in a worker; by default the policies are pickled.

    Returns:
        Episodes by policy, in order of seed, scene, initial pose and condition.
    """
    labels = scene_labels(scenes)
    grid = product(range(seed, seed + seeds), range(len(scenes)), range(initial_poses), conditions, policies)
    tasks = [
        Task(name, index, labels[index], run, episode_seed(run, index, number), condition)
        for run, index, number, condition, name in grid
    ]
    episodes: dict[str, list[Episode]] = {name: [] for name in policies}
    rolled: Iterator[Episode]
    workers = min(workers, seeds * len(scenes))
    if workers > 1 or cluster:
        sent = tuple(policies) if make_policy else policies
        runs = groupby(tasks, key=lambda task: (task.seed, task.scene_index))
        groups = [
            SceneTasks(list(run), scenes[index], sent, make_policy, env_options, handover)
            for (_, index), run in runs
        ]
        if make_policy and tasks:
            first = Stage(policies, {0: scenes[0]}, env_options, None)
            for name in policies:
                first.warm_up(Task(name, 0, labels[0], seed, episode_seed(seed, 0, 0), AS_RENDERED))
        rolled = chain.from_iterable(map_tasks(run_tasks, groups, workers, cluster))
    else:
        rolled = map(Stage(policies, dict(enumerate(scenes)), env_options, handover).run, tasks)
    for episode in rolled:
        episodes[episode.record.policy].append(episode)
        progress()
    return episodes

"""Stage: scenes in an environment, and the policies that act in them, in the process where they do."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..core.errors import ActionError
from ..core.policy import Policy
from ..core.task import Task as EpisodeTask
from ..envs.handover import H2RHandoverEnv
from ..envs.metrics import score
from ..perturbations.conditions import Condition
from ..scenes.handover_scene import HandoverScene
from .judge import HandoverConfig, Judge
from .rollout import Episode, run_episode, task_of

MakePolicy = Callable[[str], Policy]
WARM_UP_STEPS = 4  # by then a policy has seen two frames


@dataclass(frozen=True)
class Task:
    """One episode to be run.

    Attributes:
        scene_index: the scene's place among the scenes of the evaluation; scene: its label.
        seed: of the evaluation; start_seed: of the initial pose.
    """

    policy: str
    scene_index: int
    scene: str
    seed: int
    start_seed: int
    condition: Condition


class Stage:
    """What a process needs to run any of the tasks in some scenes."""

    def __init__(
        self,
        policies: Mapping[str, Policy],
        scenes: Mapping[int, HandoverScene],
        env_options: Mapping[str, Any] | None,
        handover: HandoverConfig | None,
    ) -> None:
        """Args: scenes: by their place among the scenes of the evaluation. handover: None judges no contact."""
        self._policies, self._scenes = policies, scenes
        self._options, self._envs = env_options or {}, dict[EpisodeTask, H2RHandoverEnv]()
        self._judge = Judge(handover, env_options or {}) if handover else None
        _act_on_one_core()

    def run(self, task: Task) -> Episode:
        """Rolls out and judges; no policy was shown the scene that judges."""
        scene, policy = self._scenes[task.scene_index], self._policies[task.policy]
        try:
            record = run_episode(
                self._env(task_of(policy)), policy, task.policy, scene, task.start_seed, task.condition
            )
        except ActionError as error:
            raise ActionError(f"policy {task.policy!r}: {error}") from None
        ends = task_of(policy)
        verdict = self._judge(record, scene, task.condition, ends) if self._judge else None
        reached = (
            record if ends == "reach" else replace(record, declared=False)
        )  # it declares no pre-grasp pose
        return Episode(record, score(reached, scene), task.scene, task.seed, task.condition, verdict, ends)

    def warm_up(self, task: Task) -> None:
        """Acts a few times, so that kernels are compiled and stored before other processes want them."""
        policy = self._policies[task.policy]
        env, scene = self._env(task_of(policy)), self._scenes[task.scene_index]
        run_episode(env, policy, task.policy, scene, task.start_seed, most_steps=WARM_UP_STEPS)

    def _env(self, task: EpisodeTask) -> H2RHandoverEnv:
        """The environment of a task, made when the first policy of that task acts."""
        if task not in self._envs:
            self._envs[task] = H2RHandoverEnv(list(self._scenes.values()), task=task, **self._options)
        return self._envs[task]


def _act_on_one_core() -> None:
    """So that times compare, and sums don't depend on how many cores shared them."""
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)


@dataclass(frozen=True)
class SceneTasks:
    """The tasks in one scene with one seed, and what a worker needs for them.

    Attributes:
        policies: by name, or names alone where `make_policy` makes them.
    """

    tasks: list[Task]
    scene: HandoverScene
    policies: Mapping[str, Policy] | tuple[str, ...]
    make_policy: MakePolicy | None
    env_options: Mapping[str, Any] | None
    handover: HandoverConfig | None


def run_tasks(group: SceneTasks) -> list[Episode]:
    """Runs the tasks in this process, in order."""
    if group.make_policy is None:
        assert isinstance(group.policies, Mapping)
        policies = group.policies
    else:
        policies = _made(group.make_policy, tuple(group.policies))
    stage = Stage(policies, {group.tasks[0].scene_index: group.scene}, group.env_options, group.handover)
    return [stage.run(task) for task in group.tasks]


@functools.lru_cache(maxsize=1)
def _made(make_policy: MakePolicy, names: tuple[str, ...]) -> dict[str, Policy]:
    """The policies of a worker, made once for all scenes that it gets."""
    return {name: make_policy(name) for name in names}

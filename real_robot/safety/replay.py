"""A logged trial, judged again: the same questions and answers must lead the guard to the same decisions."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from h2rh_env.core.errors import RobotError
from h2rh_env.core.geometry import SE3, Array

from ..config import RobotConfig
from ..interfaces import RobotState, Safety
from .motion_guard import Decision, MotionGuard, Surroundings
from .trial_log import read_log

Answer = float | bool
Kept = TypeVar("Kept", float, bool)


class Recording:
    """Hands questions on and keeps the answers in order."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._surroundings = surroundings
        self.answers: list[Answer] = []

    def distance(self, position_world: Array) -> float:
        return self._kept(self._surroundings.distance(position_world))

    def clearance(self, position_world: Array) -> float:
        return self._kept(self._surroundings.clearance(position_world))

    def in_the_way(self, world_from_gripper: SE3) -> bool:
        return self._kept(self._surroundings.in_the_way(world_from_gripper))

    def is_reachable(self, world_from_gripper: SE3) -> bool:
        return self._kept(self._surroundings.is_reachable(world_from_gripper))

    def speed_scale(self, world_from_gripper: SE3) -> float:
        return self._kept(self._surroundings.speed_scale(world_from_gripper))

    def is_allowed(self, world_from_gripper: SE3) -> bool:
        return self._kept(self._surroundings.is_allowed(world_from_gripper))

    def _kept(self, answer: Kept) -> Kept:
        self.answers.append(answer)
        return answer


class _Recorded:
    """Gives recorded answers in order, whatever the question."""

    def __init__(self, answers: list[Answer | None]) -> None:
        self._answers = deque(answers)

    def distance(self, position_world: Array) -> float:
        return self._number()

    def clearance(self, position_world: Array) -> float:
        return self._number()

    def in_the_way(self, world_from_gripper: SE3) -> bool:
        return bool(self._answers.popleft())

    def is_reachable(self, world_from_gripper: SE3) -> bool:
        return bool(self._answers.popleft())

    def speed_scale(self, world_from_gripper: SE3) -> float:
        return self._number()

    def is_allowed(self, world_from_gripper: SE3) -> bool:
        return bool(self._answers.popleft())

    def _number(self) -> float:
        answer = self._answers.popleft()
        return np.inf if answer is None else float(answer)


@dataclass(frozen=True)
class Replay:
    """How many decisions were judged again, and the line numbers of those that came out otherwise."""

    decisions: int
    differing_lines: tuple[int, ...]


def replay(path: Path | str) -> Replay:
    """Judges every decision of a trial's log again.

    Raises:
        RobotError: not a log, or a line lacks what its decision was made from.
    """
    entries = read_log(path)
    try:
        guard = MotionGuard(RobotConfig.from_json(entries[0]["config"]))
        gripper_from_camera = _pose(entries[0]["gripper_from_camera"])
        differing, judged = [], 0
        for number, entry in enumerate(entries[1:], 2):
            decision = _decide(guard, gripper_from_camera, entry)
            if decision is None:
                continue
            judged += 1
            if not _same(decision, entry):
                differing.append(number)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise RobotError(
            f"{path} lacks what a decision was made from ({error!r}); the log is damaged"
        ) from None
    return Replay(judged, tuple(differing))


def _decide(guard: MotionGuard, gripper_from_camera: SE3, entry: dict[str, Any]) -> Decision | None:
    if entry["kind"] == "begin":
        return guard.begin(_pose(entry["pose"]))
    if entry["kind"] == "action":
        return guard.admit_action(_array(entry["action"]), gripper_from_camera, _Recorded(entry["answers"]))
    if entry["kind"] == "way round":
        return guard.admit_new(_pose(entry["goal"]), _Recorded(entry["answers"]))
    if entry["kind"] == "tick":
        goal = None if entry["goal"] is None else _pose(entry["goal"])
        surroundings = _Recorded(entry["answers"])
        return guard.advance(goal, _state(entry["state"]), surroundings, entry["now_s"], entry["frame_s"])
    return None


def _same(decision: Decision, entry: dict[str, Any]) -> bool:
    if (decision.verdict, decision.reason) != (entry["verdict"], entry["reason"]):
        return False
    if decision.world_from_gripper is None or entry["sent"] is None:
        return decision.world_from_gripper is None and entry["sent"] is None
    return bool(np.array_equal(decision.world_from_gripper.matrix[:3], _array(entry["sent"])))


def _state(logged: dict[str, Any]) -> RobotState:
    return RobotState(
        logged["time_s"], _pose(logged["world_from_gripper"]), _array(logged["velocity"]), _array(logged["force"]),
        Safety(logged["safety"]),
    )  # fmt: skip


def _pose(rows: list[list[float | None]]) -> SE3:
    matrix = _array(rows)
    return SE3(matrix[:, :3].copy(), matrix[:, 3].copy())


def _array(values: Any) -> Array:
    """Logged numbers; null, which stands for what was not finite, becomes NaN."""
    return np.array(values, np.float64)

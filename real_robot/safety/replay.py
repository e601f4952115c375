"""A logged trial, judged again: the same questions and answers must lead the guard to the same decisions."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from h2rh_env.core.errors import RobotError
from h2rh_env.core.geometry import SE3, Array

from ..config import RobotConfig
from .decision import Decision, Surroundings
from .motion_guard import GRIPPER_CORNERS, MotionGuard, extent_with
from .trial_log import (
    FIRST_FORMAT,
    FORMAT,
    ActionLine,
    Answers,
    BeginLine,
    CarryLine,
    DetourLine,
    JudgedLine,
    Line,
    TickLine,
    TrialLine,
    read_log,
)

ORIGIN = np.zeros((1, 3))
Kept = TypeVar("Kept", float, bool)

ROUNDING = 1e-9  # of a pose, m and parts of a turn, that is none of a decision's doing


class Recording:
    """Hands questions on and keeps the answers in order."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._surroundings = surroundings
        self.answers: Answers = []

    def distance(self, position_world: Array) -> float:
        return self._kept(self._surroundings.distance(position_world))

    def clearance(self, position_world: Array) -> float:
        return self._kept(self._surroundings.clearance(position_world))

    def is_blocked(self, world_from_gripper: SE3) -> bool:
        return self._kept(self._surroundings.is_blocked(world_from_gripper))

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

    def __init__(self, answers: Answers) -> None:
        self._answers = deque(answers)

    def distance(self, position_world: Array) -> float:
        return self._number()

    def clearance(self, position_world: Array) -> float:
        return self._number()

    def is_blocked(self, world_from_gripper: SE3) -> bool:
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
    first, lines = read_log(path)
    try:
        guard = _guard_of(first)
        differing, judged = [], 0
        for number, line in enumerate(lines, 2):
            decision = _decide(guard, first.gripper_from_camera, line)
            if decision is None or not isinstance(line, JudgedLine):
                continue
            judged += 1
            if not _same(decision, line, first.format):
                differing.append(number)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise RobotError(
            f"{path} lacks what a decision was made from ({error!r}); the log is damaged"
        ) from None
    return Replay(judged, tuple(differing))


def _guard_of(first: TrialLine) -> MotionGuard:
    """As it was when the log was written."""
    if first.format == FORMAT:
        return MotionGuard(RobotConfig.from_json(first.config), extent_with(first.gripper_from_camera))
    no_table = {"table_m": first.config["workspace_low_m"][2]}
    extent = ORIGIN if first.format == FIRST_FORMAT else GRIPPER_CORNERS
    return MotionGuard(RobotConfig.from_json(no_table | first.config), extent)


def _decide(guard: MotionGuard, gripper_from_camera: SE3, line: Line) -> Decision | None:
    match line:
        case BeginLine():
            return guard.begin(line.pose)
        case ActionLine():
            return guard.admit_action(line.action, gripper_from_camera, _Recorded(line.answers))
        case DetourLine():
            return guard.admit_new(line.goal, _Recorded(line.answers))
        case TickLine():
            around = _Recorded(line.answers)
            return guard.advance(line.goal, line.state, around, line.now_s, line.frame_s, line.most_mps)
        case CarryLine():
            guard.carry(line.points)
    return None


def _same(decision: Decision, line: JudgedLine, log_format: str) -> bool:
    """Whether verdict and reason are equal, and the pose but for rounding, which differs from one processor and
    release to the next; the first format said its reasons in other words."""
    if decision.verdict is not line.verdict:
        return False
    if log_format != FIRST_FORMAT and decision.reason != line.reason:
        return False
    if decision.world_from_gripper is None or line.sent is None:
        return decision.world_from_gripper is None and line.sent is None
    off = np.abs(decision.world_from_gripper.matrix - line.sent.matrix)
    return bool((off <= ROUNDING).all())

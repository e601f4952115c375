"""The log of one trial: a line of JSON for each thing asked, measured, decided or sent; nothing is rewritten."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from h2rh_env.core.errors import RobotError
from h2rh_env.core.geometry import SE3, Array

from ..interfaces import RobotState, Safety
from .decision import Decision, Verdict

FORMAT = "h2rh-trial-3"
SECOND_FORMAT = "h2rh-trial-2"  # whose guard did not bound the camera, and whose configuration knew no table
FIRST_FORMAT = "h2rh-trial-1"  # whose guard bounded the gripper's origin alone
FORMATS = (FORMAT, SECOND_FORMAT, FIRST_FORMAT)
Answers = list[float | bool | None]
"""What the guard was told in turn; None, which stands for what was not finite, is infinitely far."""


@dataclass(frozen=True, eq=False)
class TrialLine:
    """The first line: what was tried, over which devices, with which configuration."""

    KIND: ClassVar[str] = "trial"
    source: str
    policy: str
    seed: int
    scene: str
    gripper_from_camera: SE3
    config: dict[str, Any]
    format: str = FORMAT


@dataclass(frozen=True, eq=False)
class JudgedLine:
    """What the guard decided: its verdict, the reason, and the goal admitted or the setpoint sent."""

    verdict: Verdict
    reason: str
    sent: SE3 | None


@dataclass(frozen=True, eq=False)
class BeginLine(JudgedLine):
    """The guard began from a measured pose."""

    KIND: ClassVar[str] = "begin"
    pose: SE3

    @classmethod
    def of(cls, decision: Decision, pose: SE3) -> Self:
        return cls(decision.verdict, decision.reason, decision.world_from_gripper, pose)


@dataclass(frozen=True, eq=False)
class ActionLine(JudgedLine):
    """The guard judged a policy's action (7,)."""

    KIND: ClassVar[str] = "action"
    action: npt.NDArray[np.floating[Any]]
    answers: Answers
    score: float

    @classmethod
    def of(cls, decision: Decision, action: npt.NDArray[np.float32], answers: Answers) -> Self:
        sent = decision.world_from_gripper
        return cls(decision.verdict, decision.reason, sent, action, answers, decision.score)


@dataclass(frozen=True, eq=False)
class DetourLine(JudgedLine):
    """The guard judged a goal instead of one out of reach."""

    KIND: ClassVar[str] = "detour"
    goal: SE3
    answers: Answers

    @classmethod
    def of(cls, decision: Decision, goal: SE3, answers: Answers) -> Self:
        return cls(decision.verdict, decision.reason, decision.world_from_gripper, goal, answers)


@dataclass(frozen=True, eq=False)
class TickLine(JudgedLine):
    """The guard decided a control period: when, on which state and frame, towards what, how fast at most."""

    KIND: ClassVar[str] = "tick"
    now_s: float
    frame_s: float
    state: RobotState
    goal: SE3 | None
    answers: Answers
    most_mps: float = math.inf

    @classmethod
    def of(
        cls, decision: Decision, now_s: float, frame_s: float, state: RobotState, goal: SE3 | None, most_mps: float,
        answers: Answers,
    ) -> Self:  # fmt: skip
        sent = decision.world_from_gripper
        return cls(decision.verdict, decision.reason, sent, now_s, frame_s, state, goal, answers, most_mps)


@dataclass(frozen=True, eq=False)
class AlignedLine:
    """The declared pose, and the pre-grasp pose that was chosen near it, if one was."""

    KIND: ClassVar[str] = "aligned"
    declared: SE3
    pregrasp: SE3 | None


@dataclass(frozen=True, eq=False)
class ClosesLine:
    """The fingers begin to close at a measured pose."""

    KIND: ClassVar[str] = "closes"
    pose: SE3


@dataclass(frozen=True, eq=False)
class CarryLine:
    """From here on the guard bounds these points (P, 3) in the gripper's frame too."""

    KIND: ClassVar[str] = "carry"
    points: Array


@dataclass(frozen=True, eq=False)
class EndLine:
    """How the trial ended, and when, s."""

    KIND: ClassVar[str] = "end"
    outcome: str
    reason: str
    reach_s: float | None
    total_s: float


Line = (
    TrialLine
    | BeginLine
    | ActionLine
    | DetourLine
    | TickLine
    | AlignedLine
    | ClosesLine
    | CarryLine
    | EndLine
)
_KINDS: dict[str, Callable[..., Line]] = {
    "way round": DetourLine,  # so called in the first format
    **{kind.KIND: kind for kind in (TrialLine, BeginLine, ActionLine, DetourLine, TickLine, AlignedLine, ClosesLine,
                                    CarryLine, EndLine)},
}  # fmt: skip


def pack(line: Line) -> str:
    """A line of JSON; arrays become lists, poses 3x4 lists, and numbers that are not finite null."""
    values = {field.name: _plain(getattr(line, field.name)) for field in fields(line)}
    return json.dumps({"kind": line.KIND, **values}, allow_nan=False)


def unpack(text: str) -> Line:
    """The line that was packed.

    Raises:
        ValueError, KeyError, TypeError: not JSON, or not such a line.
    """
    entry = json.loads(text)
    kind = _KINDS[entry.pop("kind")]
    return kind(**{name: _FROM_PLAIN.get(name, _same)(value) for name, value in entry.items()})


class TrialLog:
    """Appends lines, each flushed before the next thing happens, so that a crash loses at most one."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)

    def __enter__(self) -> Self:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._file = self.path.open("x", encoding="utf-8")
        except FileExistsError:
            raise RobotError(f"{self.path} exists; a log is never overwritten, so name another") from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def write(self, line: Line) -> None:
        self._file.write(pack(line) + "\n")
        self._file.flush()


def read_log(path: Path | str) -> tuple[TrialLine, list[Line]]:
    """The first line of a log and all others; a last one that a crash cut short is left out.

    Raises:
        RobotError: no such file, not a log, or a damaged one.
    """
    try:
        texts = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise RobotError(f"{path} cannot be read ({error}); name a trial's .jsonl file") from None
    lines: list[Line] = []
    for number, text in enumerate(texts, 1):
        try:
            lines.append(unpack(text))
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            if number == len(texts) > 1:
                break
            raise RobotError(
                f"{path}:{number} is no line of a trial's log ({error!r}); it is damaged"
            ) from None
    if not lines or not isinstance(lines[0], TrialLine) or lines[0].format not in FORMATS:
        raise RobotError(f"{path} is not a trial's log; its first line must have format {FORMAT!r}")
    return lines[0], lines[1:]


def _plain(value: Any) -> Any:  # noqa: PLR0911
    if isinstance(value, SE3):
        return _plain(value.matrix[:3])
    if isinstance(value, RobotState):
        return {name: _plain(each) for name, each in vars(value).items()}
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, dict):
        return {key: _plain(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value


def _same(value: Any) -> Any:
    return value


def _array(values: Any) -> Array:
    """Logged numbers; null becomes NaN."""
    return np.array(values, np.float64)


def _pose(rows: list[list[float | None]]) -> SE3:
    matrix = _array(rows)
    return SE3(matrix[:, :3].copy(), matrix[:, 3].copy())


def _pose_or_none(rows: list[list[float | None]] | None) -> SE3 | None:
    return None if rows is None else _pose(rows)


def _state(logged: dict[str, Any]) -> RobotState:
    return RobotState(
        logged["time_s"], _pose(logged["world_from_gripper"]), _array(logged["velocity"]), _array(logged["force"]),
        Safety(logged["safety"]),
    )  # fmt: skip


_FROM_PLAIN: dict[str, Callable[[Any], Any]] = {
    "verdict": Verdict, "sent": _pose_or_none, "pose": _pose, "goal": _pose_or_none, "state": _state,
    "action": _array, "points": lambda rows: _array(rows).reshape(-1, 3), "gripper_from_camera": _pose,
    "declared": _pose, "pregrasp": _pose_or_none,
    "frame_s": lambda value: -math.inf if value is None else value,
    "most_mps": lambda value: math.inf if value is None else value,
}  # fmt: skip

"""Decision: what the motion guard says to a goal or a setpoint, and the questions it asks before."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum, auto
from typing import Protocol

from h2rh_env.core.geometry import SE3, Array


class Verdict(StrEnum):
    """What the arm does next."""

    GO = "go"
    HOLD = "hold"
    STOP = "stop"


class Cause(Enum):
    """Why a decision is not GO; `Decision.reason` says it to a person."""

    NONE = auto()
    NOT_BEGUN = auto()
    NOT_FINITE = auto()
    OUTSIDE = auto()
    TOO_NEAR = auto()
    OUT_OF_REACH = auto()
    FORBIDDEN = auto()
    JUMPS = auto()
    REFUSALS = auto()
    NO_GOAL = auto()
    STALE_FRAME = auto()
    PATH_BLOCKED = auto()
    ARM_FAULT = auto()
    LATCHED = auto()


@dataclass(frozen=True, eq=False)
class Decision:
    """What may be done.

    Attributes:
        verdict: GO; HOLD, which brakes and waits; STOP, after which nothing is sent until a person re-arms.
        reason: why not GO, and what to do about it; cause: the same, to be compared.
        world_from_gripper: the goal admitted or the setpoint to send; None for a goal refused and on STOP.
        score: of the action, where one was judged.
    """

    verdict: Verdict
    reason: str = ""
    world_from_gripper: SE3 | None = None
    score: float = 0.0
    cause: Cause = Cause.NONE


def hold(cause: Cause, reason: str) -> Decision:
    """A decision that brakes and waits."""
    return Decision(Verdict.HOLD, reason, cause=cause)


class Surroundings(Protocol):
    """What the guard asks about the world around a pose."""

    def distance(self, position_world: Array) -> float:
        """From (3,) to the nearest point of hand or object, m; infinite if there is none."""

    def clearance(self, position_world: Array) -> float:
        """The same to what the gripper must keep away from: hand and object, or the hand alone while grasping."""

    def is_blocked(self, world_from_gripper: SE3) -> bool:
        """Whether the open gripper, there or as it goes on, touches what it must keep away from."""

    def is_reachable(self, world_from_gripper: SE3) -> bool:
        """Whether joints exist for the pose, near enough to the arm's own."""

    def speed_scale(self, world_from_gripper: SE3) -> float:
        """Part of the allowed speed that the arm takes there: less near a singularity."""

    def is_allowed(self, world_from_gripper: SE3) -> bool:
        """Whether the controller's safety limits allow the pose."""

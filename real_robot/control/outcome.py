"""Outcome: how a trial ended, and what is kept of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from h2rh_env.core.episode import EpisodeRecord


class Outcome(StrEnum):
    """How a trial ended."""

    HANDED_OVER = "handed over"
    NOT_DECLARED = "not declared in time"
    BLOCKED = "advance blocked"
    NO_GRASP = "nothing grasped"
    NOT_RELEASED = "giver did not let go"
    STOPPED = "stopped"


@dataclass(frozen=True, eq=False)
class TrialResult:
    """Outcome and why; the record that metrics judge; time to the declaration (None without), and in all, s."""

    outcome: Outcome
    reason: str
    record: EpisodeRecord
    reach_s: float | None
    total_s: float

"""Verdicts: what an episode came to, as the headline counts it and in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ..benchmark.rollout import Episode
from ..envs.handover_metrics import HANDOVER_FAILURES
from ..envs.metrics import FAILURES
from ..utils.proportions import Rate

Episodes = Mapping[str, Sequence[Episode]]


def judged_by_contact(run: Iterable[Episode]) -> bool:
    """Whether the headline of these episodes is *handed over*; without contact it is the paper's *success*."""
    return any(e.handover is not None for e in run)


def headline_name(episodes: Episodes) -> str:
    """What the headline counts."""
    return "handed over" if judged_by_contact(e for run in episodes.values() for e in run) else "success"


def counted(run: Sequence[Episode], by_contact: bool) -> list[Episode]:
    """The episodes that the headline counts: by contact those whose object can be held safely."""
    return [e for e in run if e.handover is not None] if by_contact else list(run)


def succeeded(e: Episode) -> bool:
    """Whether it was handed over; where that was not judged, whether the pre-grasp pose was reached."""
    return e.handover.handed_over if e.handover else e.score.success


def headline(run: Sequence[Episode], by_contact: bool) -> Rate:
    """The rate of successes among what is counted; its interval resamples scenes."""
    listed = counted(run, by_contact)
    return Rate.of(map(succeeded, listed), [e.scene for e in listed])


def kinds(by_contact: bool) -> tuple[str, ...]:
    """Success and what else an episode may come to, in the order of legends."""
    return ("handed over", *HANDOVER_FAILURES) if by_contact else ("success", *FAILURES)


def kind_of(e: Episode, by_contact: bool) -> str:
    """Which of `kinds` an episode came to."""
    failure = e.handover.first_failure if by_contact and e.handover else e.score.first_failure
    return failure or kinds(by_contact)[0]


def verdict(e: Episode) -> str:
    """In words: handed over, what failed first, or how far an episode came that contact does not judge."""
    if e.handover is not None:
        return e.handover.first_failure or "handed over"
    return e.score.first_failure or "reached"

"""A doubt: one sentence about what a capture seems to get wrong, how grave it is, and how to undo it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ..base import HandoverCapture, RgbdView

Change = Callable[[RgbdView], RgbdView]
Fix = Callable[[HandoverCapture], HandoverCapture]


@dataclass(frozen=True, eq=False)
class Doubt:
    """What a capture seems to get wrong.

    Attributes:
        sentence: the mistake with its likely cause and what would be right.
        refused: whether a scene of it would be wrong as a whole, so that `build` wants to be told that it may.
        fix: returns the capture without the mistake; None where the cause is not certain enough.
    """

    sentence: str
    refused: bool = False
    fix: Fix | None = None


def changed(capture: HandoverCapture, names: frozenset[str], change: Change) -> HandoverCapture:
    """Returns the capture with a change of the cameras of these names."""
    return replace(capture, views=tuple(change(v) if v.name in names else v for v in capture.views))


def names_of(views: Sequence[RgbdView]) -> frozenset[str]:
    return frozenset(view.name for view in views)


MOST_ALIKE = 2  # doubts that differ only in camera and figures, before they are told as one


def gathered(doubts: Sequence[Doubt]) -> list[Doubt]:
    """Puts doubts that differ only in camera and figures together: the first stands for all, as do their fixes."""
    alike: dict[str, list[Doubt]] = {}
    for doubt in doubts:
        alike.setdefault(re.sub(r"cameras? \S+( and \S+)?|[-+\d.]+", "#", doubt.sentence), []).append(doubt)
    return [
        told for group in alike.values() for told in (group if len(group) <= MOST_ALIKE else [_as_one(group)])
    ]


def _as_one(group: Sequence[Doubt]) -> Doubt:
    fixes = [doubt.fix for doubt in group if doubt.fix]

    def fix(capture: HandoverCapture) -> HandoverCapture:
        for each in fixes:
            capture = each(capture)
        return capture

    return Doubt(
        f"{group[0].sentence} (and {len(group) - 1} other cameras alike)",
        any(doubt.refused for doubt in group),
        fix if len(fixes) == len(group) else None,
    )

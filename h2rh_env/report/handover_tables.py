"""Tables of the headline: what was handed over, how safely, what failed first, and from where."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..benchmark.rollout import Episode
from ..envs.handover_metrics import HANDOVER_FAILURES, HandoverSummary, summarise_handovers
from ..envs.metrics import ANGLES
from ..utils.proportions import Rate
from .verdicts import Episodes

Rows = tuple[list[str], list[list[str]]]  # header and body, as text
POLICY = "policy (95 %: scenes resampled)"  # head of the first column of tables with intervals


def handover_summaries(episodes: Episodes) -> dict[str, HandoverSummary]:
    """Figures of each policy's handovers."""
    return {policy: _summary(run) for policy, run in episodes.items()}


def _summary(run: Sequence[Episode]) -> HandoverSummary:
    return summarise_handovers(
        [e.handover for e in run], [e.score.initial_angle_rad for e in run], [e.scene for e in run]
    )


def handover_rows(episodes: Episodes) -> Rows:
    """The headline, one row per policy."""
    body = []
    for policy, s in handover_summaries(episodes).items():
        angle = "-" if math.isnan(s.grasp_angle_rad) else f"{math.degrees(s.grasp_angle_rad):.0f}°"
        distance = "-" if math.isnan(s.grasp_distance_m) else f"{1e3 * s.grasp_distance_m:.0f} mm"
        counts = (s.failures["pushed the object"], s.failures["slipped or dropped"])
        rates = [with_interval(s.handed_over), with_interval(s.safe), str(s.touched_hand)]
        body.append([policy, *rates, *map(str, counts), f"{distance}, {angle}"])
    header = ["handed over (95 %)", "safe (95 %)", "touched a hand", "pushed", "slipped"]
    return [POLICY, *header, "to the nearest acceptable grasp (median)"], body


def handover_failure_rows(episodes: Episodes) -> Rows:
    """What failed first, one row per policy; with those handed over they make up all episodes that count."""
    body = []
    for policy, s in handover_summaries(episodes).items():
        body.append([policy, str(s.handed_over.count), *map(str, s.failures.values()), str(s.left_out)])
    return ["policy", "handed over", *HANDOVER_FAILURES, "left out (no safe grasp)"], body


def handover_angle_rows(episodes: Episodes) -> Rows:
    """Handed over by the angle between initial pose and approach, one row per policy."""
    body = [
        [policy, *map(with_interval, s.by_angle.values())]
        for policy, s in handover_summaries(episodes).items()
    ]
    return [POLICY, *(f"{name} (95 %)" for name in ANGLES)], body


def with_interval(rate: Rate) -> str:
    """Count, total and the interval in percent."""
    low, high = rate.interval
    return f"{rate} ({100 * low:.0f}-{100 * high:.0f})" if rate.total else "-"

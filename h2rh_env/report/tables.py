"""Tables: the figures of an evaluation as header and body of text."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations

from rich.table import Table

from ..benchmark.paper import TABLE_I
from ..benchmark.rollout import Episode
from ..core.proportions import Comparison, Rate, compare, mean_and_spread
from ..envs.metrics import ANGLES, FAILURES, UNSAFE, Summary, summarise
from ..perturbations.conditions import AS_RENDERED, Condition

Rows = tuple[list[str], list[list[str]]]  # header and body, as text
Episodes = Mapping[str, Sequence[Episode]]
INTERVAL = "95 %, scenes resampled"


def under(episodes: Episodes, condition: Condition = AS_RENDERED) -> dict[str, list[Episode]]:
    """The episodes under one condition."""
    return {policy: [e for e in run if e.condition == condition] for policy, run in episodes.items()}


def summaries(episodes: Episodes) -> dict[str, Summary]:
    return {policy: summary(run) for policy, run in episodes.items()}


def summary(run: Sequence[Episode]) -> Summary:
    """Figures of episodes, whose intervals resample scenes."""
    return summarise([e.score for e in run], [e.scene for e in run])


def rows(episodes: Episodes) -> Rows:
    """Rates over all episodes, one row per policy."""
    body = []
    for policy, s in summaries(episodes).items():
        rates = (s.declared, s.safe, s.centred, s.in_band, s.graspable)
        body.append([policy, with_interval(s.success), *map(str, rates)])
    return ["policy", f"success ({INTERVAL})", "declared", "safe", "centred", "in band", "graspable"], body


def with_interval(rate: Rate) -> str:
    """Count, total and the interval in percent."""
    low, high = rate.interval
    return f"{rate} ({100 * low:.0f}-{100 * high:.0f})" if rate.total else "-"


def safety_rows(episodes: Episodes) -> Rows:
    """Safe episodes, those of them that never declared, and what was unsafe first; one row per policy."""
    body = []
    for policy, s in summaries(episodes).items():
        body.append([policy, with_interval(s.safe), str(s.undeclared_safe), *map(str, s.unsafe.values())])
    return ["policy", f"safe ({INTERVAL})", "of these undeclared", *UNSAFE], body


def angle_rows(episodes: Episodes) -> Rows:
    """Success by the angle between initial pose and approach, one row per policy."""
    body = [[policy, *map(with_interval, s.by_angle.values())] for policy, s in summaries(episodes).items()]
    return ["policy", *(f"{name} ({INTERVAL})" for name in ANGLES)], body


def measure_rows(episodes: Episodes) -> Rows:
    """Distances, steps and times, one row per policy."""
    body = []
    for policy, s in summaries(episodes).items():
        body.append([policy, _distance(s), f"{s.steps_mean:.1f}", f"{1e3 * s.seconds_per_step:.2f}"])
    return ["policy", "distance (m)", "steps", "ms a step"], body


def failure_rows(episodes: Episodes) -> Rows:
    """First failures, one row per policy."""
    body = [[policy, *map(str, s.failures.values())] for policy, s in summaries(episodes).items()]
    return ["policy", *FAILURES], body


def scene_rows(episodes: Episodes) -> Rows:
    """Success by scene, one row per scene and one column per policy, with the distance of declared poses."""
    body = []
    for scene, by_policy in by_scene(episodes).items():
        cells = [scene]
        for s in summaries(by_policy).values():
            cells.append(f"{s.success}  {s.distance_mean_m:.2f} m" if s.declared.count else f"{s.success}")
        body.append(cells)
    return ["scene", *episodes], body


def by_scene(episodes: Episodes) -> dict[str, dict[str, list[Episode]]]:
    """Episodes by scene, then by policy."""
    names = dict.fromkeys(e.scene for run in episodes.values() for e in run)
    return {
        name: {policy: [e for e in run if e.scene == name] for policy, run in episodes.items()}
        for name in names
    }


def pairs(episodes: Episodes) -> dict[tuple[str, str], Comparison]:
    """Every two policies on the same initial poses."""
    succeeded = {policy: [e.score.success for e in run] for policy, run in episodes.items()}
    return {
        (a, b): compare(succeeded[a], succeeded[b], [e.scene for e in episodes[a]])
        for a, b in combinations(episodes, 2)
    }


def pair_rows(episodes: Episodes) -> Rows:
    """Every two policies on the same initial poses: who succeeded where the other did not."""
    body = []
    for (a, b), c in pairs(episodes).items():
        counts = map(str, (c.both, c.first_only, c.second_only, c.neither))
        body.append([f"{a} : {b}", *counts, difference_text(c), p_text(c.p_value)])
    counted = ["both", "first only", "second only", "neither"]
    return ["first : second", *counted, f"difference ({INTERVAL})", "p (scenes exchanged)"], body


def difference_text(found: Comparison) -> str:
    """The difference in percent points, with its interval where there is one."""
    if math.isnan(found.difference):
        return "-"
    low, high = (100 * v for v in found.interval)
    known = "" if math.isnan(low) else f" ({low:+.0f} to {high:+.0f})"
    return f"{100 * found.difference:+.0f} %{known}"


def p_text(p_value: float) -> str:
    return "< 0.0001" if p_value < 1e-4 else f"{p_value:.4f}"


def seed_rows(episodes: Episodes) -> Rows:
    """Success by seed, with mean and standard deviation over the seeds."""
    seeds = list(dict.fromkeys(e.seed for run in episodes.values() for e in run))
    body = []
    for policy, run in episodes.items():
        rates = [summary([e for e in run if e.seed == seed]).success for seed in seeds]
        mean, spread = mean_and_spread([100 * rate.value for rate in rates])
        body.append([policy, f"{mean:.1f} ± {spread:.1f}", *map(str, rates)])
    return ["policy", "success (%)", *(f"seed {seed}" for seed in seeds)], body


def paper_rows(episodes: Episodes) -> Rows:
    """Table I: distance, safe and centred by object, the paper's figures above ours; all objects together last."""
    body = []
    for name, by_policy in by_scene(episodes).items():
        seen, mean, deviation, safe, centred = TABLE_I[name]
        told = name if seen else f"{name} (not in the paper's training)"
        body.append([told, "paper", f"{mean:.2f} ± {deviation:.2f}", f"{safe}/10", f"{centred}/10", "-"])
        body += [[told, policy, *_paper_cells(s)] for policy, s in summaries(by_policy).items()]
    totals = [f"{sum(row[k] for row in TABLE_I.values())}/{10 * len(TABLE_I)}" for k in (3, 4)]
    body.append(["all of the paper's", "paper", "-", *totals, "-"])
    body += [["all here", policy, *_paper_cells(s)] for policy, s in summaries(episodes).items()]
    return ["object", "who", "distance (m)", "safe", "centred", "success"], body


def _paper_cells(s: Summary) -> list[str]:
    return [_distance(s), str(s.safe), str(s.centred), str(s.success)]


def condition_rows(episodes: Episodes) -> Rows:
    """Success under each perturbation, one row for each policy, one column per strength."""
    conditions = list(
        dict.fromkeys(e.condition for run in episodes.values() for e in run if e.condition.perturbation)
    )
    strengths = sorted({c.strength for c in conditions})
    body = []
    for name in dict.fromkeys(c.perturbation for c in conditions):
        for policy, run in episodes.items():
            places = (AS_RENDERED, *(Condition(name, s) for s in strengths))
            body.append([name, policy, *(str(success_under(run, place)) for place in places)])
    return ["perturbation", "policy", "none", *(f"{s:g}" for s in strengths)], body


def success_under(run: Sequence[Episode], condition: Condition) -> Rate:
    return summary([e for e in run if e.condition == condition]).success


def tables(episodes: Episodes, by_object: bool = False) -> dict[str, Rows]:
    """What is printed and written, by title.

    Args:
        by_object: scenes are the objects of Table I, to be set beside the paper's figures.
    """
    plain = under(episodes)
    found = {
        "rates": rows(plain),
        "safety, declared or not": safety_rows(plain),
        "success by the angle between initial pose and approach": angle_rows(plain),
        "at the declared pose": measure_rows(plain),
        "first failures": failure_rows(plain),
    }
    if by_object:
        found["Table I"] = paper_rows(plain)
    else:
        found["success and distance by scene"] = scene_rows(plain)
    if len(episodes) > 1:
        found["the same initial poses, two by two"] = pair_rows(plain)
    if len({e.seed for run in plain.values() for e in run}) > 1:
        found["success by seed"] = seed_rows(plain)
    if any(e.condition != AS_RENDERED for run in episodes.values() for e in run):
        found["success under perturbations of growing strength"] = condition_rows(episodes)
    return found


def terminal_table(title: str, header: Sequence[str], body: Sequence[Sequence[str]]) -> Table:
    table = Table(title=title)
    for i, name in enumerate(header):
        table.add_column(name, justify="left" if i == 0 else "right")
    for row in body:
        table.add_row(*row)
    return table


def markdown_table(header: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *body]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def _distance(s: Summary) -> str:
    return f"{s.distance_mean_m:.3f} ± {s.distance_std_m:.3f}" if s.declared.count else "-"

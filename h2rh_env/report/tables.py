"""Tables: the figures of an evaluation as header and body of text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

from rich.table import Table

from ..benchmark.paper import TABLE_I
from ..benchmark.rollout import Episode
from ..envs.metrics import ANGLES, FAILURES, UNSAFE, Summary, summarise
from ..perturbations.conditions import AS_RENDERED, Condition
from ..utils.proportions import Comparison, Rate, compare, mean_and_spread
from .handover_tables import (
    POLICY,
    Rows,
    handover_angle_rows,
    handover_failure_rows,
    handover_rows,
    with_interval,
)
from .verdicts import Episodes, counted, headline, headline_name, judged_by_contact, succeeded

UNDER_PERTURBATIONS = "under perturbations of growing strength"


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
    return [POLICY, "success (95 %)", "declared", "safe", "centred", "in band", "graspable"], body


def safety_rows(episodes: Episodes) -> Rows:
    """Safe episodes, those of them that never declared, and what was unsafe first; one row per policy."""
    body = []
    for policy, s in summaries(episodes).items():
        body.append([policy, with_interval(s.safe), str(s.undeclared_safe), *map(str, s.unsafe.values())])
    return [POLICY, "safe (95 %)", "of these undeclared", *UNSAFE], body


def angle_rows(episodes: Episodes) -> Rows:
    """Success by the angle between initial pose and approach, one row per policy."""
    body = [[policy, *map(with_interval, s.by_angle.values())] for policy, s in summaries(episodes).items()]
    return [POLICY, *(f"{name} (95 %)" for name in ANGLES)], body


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
    """The headline by scene, one row per scene and one column per policy, with the distance of declared poses."""
    by_contact = _by_contact(episodes)
    body = []
    for scene, by_policy in by_scene(episodes).items():
        cells = [scene]
        for policy, s in summaries(by_policy).items():
            rate = headline(by_policy[policy], by_contact)
            share = str(rate) if rate.total else "left out"
            cells.append(f"{share}  {s.distance_mean_m:.2f} m" if s.declared.count else share)
        body.append(cells)
    return ["scene", *episodes], body


def _by_contact(episodes: Episodes) -> bool:
    return judged_by_contact(e for run in episodes.values() for e in run)


def by_scene(episodes: Episodes) -> dict[str, dict[str, list[Episode]]]:
    """Episodes by scene, then by policy."""
    names = dict.fromkeys(e.scene for run in episodes.values() for e in run)
    return {
        name: {policy: [e for e in run if e.scene == name] for policy, run in episodes.items()}
        for name in names
    }


def pairs(episodes: Episodes) -> dict[tuple[str, str], Comparison]:
    """Every two policies on the same initial poses, by the headline."""
    listed = {policy: counted(run, _by_contact(episodes)) for policy, run in episodes.items()}
    return {
        (a, b): compare(
            [succeeded(e) for e in listed[a]], [succeeded(e) for e in listed[b]], [e.scene for e in listed[a]]
        )
        for a, b in combinations(episodes, 2)
    }


def pair_rows(episodes: Episodes) -> Rows:
    """Every two policies on the same initial poses: who succeeded, by the headline, where the other did not."""
    body = []
    for (a, b), c in pairs(episodes).items():
        counts = map(str, (c.both, c.first_only, c.second_only, c.neither))
        body.append([f"{a} : {b}", *counts, difference_text(c), p_text(c.p_value)])
    counted = ["both", "first only", "second only", "neither"]
    return ["first : second", *counted, "difference (95 %, scenes resampled)", "p (scenes exchanged)"], body


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
    """The headline by seed, with mean and standard deviation over the seeds."""
    by_contact = _by_contact(episodes)
    seeds = list(dict.fromkeys(e.seed for run in episodes.values() for e in run))
    body = []
    for policy, run in episodes.items():
        rates = [headline([e for e in run if e.seed == seed], by_contact) for seed in seeds]
        mean, spread = mean_and_spread([100 * rate.value for rate in rates])
        body.append([policy, f"{mean:.1f} ± {spread:.1f}", *map(str, rates)])
    return ["policy", f"{headline_name(episodes)} (%)", *(f"seed {seed}" for seed in seeds)], body


def paper_rows(episodes: Episodes) -> Rows:
    """Table I: distance, safe and centred by object, the paper's figures above ours; all objects together last."""
    body = []
    for name, by_policy in by_scene(episodes).items():
        seen, mean, deviation, safe, centred = TABLE_I[name]
        split = "seen" if seen else "unseen"
        paper = [f"{mean:.2f} ± {deviation:.2f}", f"{safe}/10", f"{centred}/10", "-", "-"]
        body.append([name, split, "paper", *paper])
        body += [[name, split, policy, *_paper_cells(run)] for policy, run in by_policy.items()]
    totals = [f"{sum(row[k] for row in TABLE_I.values())}/{10 * len(TABLE_I)}" for k in (3, 4)]
    body.append(["all of the paper's", "-", "paper", "-", *totals, "-", "-"])
    for split in ("seen", "unseen"):
        for policy, run in episodes.items():
            mine = [e for e in run if TABLE_I[e.scene][0] == (split == "seen")]
            if mine:
                body.append([f"all {split} here", split, policy, *_paper_cells(mine)])
    body += [["all here", "-", policy, *_paper_cells(run)] for policy, run in episodes.items()]
    return ["object", "split", "who", "distance (m)", "safe", "centred", "success", "handed over"], body


def _paper_cells(run: Sequence[Episode]) -> list[str]:
    s = summary(run)
    handed_over = headline(run, by_contact=True)
    shares = [str(s.safe), str(s.centred), str(s.success)]
    return [_distance(s), *shares, str(handed_over) if handed_over.total else "-"]


def condition_rows(episodes: Episodes) -> Rows:
    """The headline under each perturbation, one row for each policy, one column per strength."""
    conditions = list(
        dict.fromkeys(e.condition for run in episodes.values() for e in run if e.condition.perturbation)
    )
    strengths = sorted({c.strength for c in conditions})
    by_contact = _by_contact(episodes)
    body = []
    for name in dict.fromkeys(c.perturbation for c in conditions):
        for policy, run in episodes.items():
            places = (AS_RENDERED, *(Condition(name, s) for s in strengths))
            body.append([name, policy, *(str(headline_under(run, place, by_contact)) for place in places)])
    return ["perturbation", "policy", "none", *(f"{s:g}" for s in strengths)], body


def headline_under(run: Sequence[Episode], condition: Condition, by_contact: bool) -> Rate:
    """The headline of a policy's episodes under one condition."""
    return headline([e for e in run if e.condition == condition], by_contact)


def tables(episodes: Episodes, by_object: bool = False) -> dict[str, Rows]:
    """What is printed and written, by title: the headline first, then the paper's figures.

    Args:
        by_object: scenes are the objects of Table I, to be set beside the paper's figures.
    """
    plain = under(episodes)
    found: dict[str, Rows] = {}
    name = headline_name(plain)
    if _by_contact(plain):
        found["handed over"] = handover_rows(plain)
        found["first failures of the handover"] = handover_failure_rows(plain)
        found["handed over by the angle between initial pose and approach"] = handover_angle_rows(plain)
    found |= {
        "safety, declared or not": safety_rows(plain),
        "the paper's figures": rows(plain),
        "success by the angle between initial pose and approach": angle_rows(plain),
        "at the declared pose": measure_rows(plain),
        "first failures before the pre-grasp pose": failure_rows(plain),
    }
    if by_object:
        found["Table I"] = paper_rows(plain)
    else:
        found[f"{name} and distance by scene"] = scene_rows(plain)
    if len(episodes) > 1:
        found[f"{name} from the same initial poses, two by two"] = pair_rows(plain)
    if len({e.seed for run in plain.values() for e in run}) > 1:
        found[f"{name} by seed"] = seed_rows(plain)
    if any(e.condition != AS_RENDERED for run in episodes.values() for e in run):
        found[f"{name} {UNDER_PERTURBATIONS}"] = condition_rows(episodes)
    return found


def terminal_table(title: str, header: Sequence[str], body: Sequence[Sequence[str]]) -> Table:
    """A table for the terminal; what the head of the first column says of intervals stands in the title there."""
    if header[0] == POLICY:
        title, header = title + POLICY.removeprefix("policy"), ["policy", *header[1:]]
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

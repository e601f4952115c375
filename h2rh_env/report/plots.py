"""Plots: figures of an evaluation as inline SVG; colours are the page's CSS variables."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

from ..benchmark.paper import TABLE_I
from ..core.task import DISTANCE_BAND_M
from ..perturbations.conditions import AS_RENDERED, Condition
from ..utils.proportions import Rate
from .tables import by_scene, headline_under, summaries
from .verdicts import Episodes, counted, headline_name, kind_of, kinds

WIDTH, LEFT, RIGHT = 880, 170, 150  # the longest label beside a bar is "100 %  1000/1000"
COLOURS = 8  # of policies, in the page's style


def colour(index: int) -> str:
    """CSS colour of the policy with this index."""
    return f"var(--p{index % COLOURS})"


def legend(names: Sequence[str], colours: Sequence[str]) -> str:
    """Names beside squares of their colours."""
    return (
        '<div class="legend">'
        + "".join(
            f'<span><i style="background:{c}"></i>{escape(n)}</span>'
            for n, c in zip(names, colours, strict=True)
        )
        + "</div>"
    )


def rate_bars(rates: Mapping[str, Rate], title: str) -> str:
    """A bar per policy with its 95 % interval."""
    row, top = 40, 8
    height = top + row * len(rates) + 28
    parts = [_percent_axis(top, height - 24)]
    for i, (name, rate) in enumerate(rates.items()):
        y = top + row * i + row / 2
        parts.append(_text(LEFT - 12, y, _short(name), "end"))
        parts.append(_rect(LEFT, y - 11, _across(rate.value) - LEFT, 22, colour(i), 3))
        if rate.total:
            low, high = (_across(v) for v in rate.interval)
            parts.append(_line(low, y, high, y, "var(--ink)", 1.6))
            parts += [_line(x, y - 5, x, y + 5, "var(--ink)", 1.6) for x in (low, high)]
        label = f"{100 * rate.value:.0f} %  {rate}" if rate.total else "no episode"
        parts.append(_text(WIDTH - RIGHT + 14, y, label, "start", "value"))
    return _svg(height, parts, f"{title} with 95 % intervals")


def failure_bars(episodes: Episodes, by_contact: bool) -> str:
    """Draws the successes of each policy and what failed first as parts of one bar."""
    row, top = 40, 8
    names = kinds(by_contact)
    height = top + row * len(episodes) + 28
    parts = [_percent_axis(top, height - 24)]
    for i, (policy, run) in enumerate(episodes.items()):
        y = top + row * i + row / 2
        parts.append(_text(LEFT - 12, y, _short(policy), "end"))
        found = [kind_of(e, by_contact) for e in counted(run, by_contact)]
        left = 0
        for kind in names:
            count = found.count(kind)
            if not count:
                continue
            x0, x1 = _across(left / len(found)), _across((left + count) / len(found))
            parts.append(
                _rect(x0, y - 12, max(x1 - x0 - 1.5, 1), 24, failure_colour(kind), 2, f"{kind}: {count}")
            )
            if x1 - x0 > 24:
                parts.append(_text((x0 + x1) / 2, y, str(count), "middle", "inside"))
            left += count
    return legend(names, [failure_colour(k) for k in names]) + _svg(height, parts, "First failures by policy")


def failure_colour(kind: str) -> str:
    """CSS colour of what an episode came to."""
    return next(f"var(--f{names.index(kind)})" for names in map(kinds, (True, False)) if kind in names)


def distances(episodes: Episodes, by_object: bool) -> str:
    """Distance of the declared poses by scene: every episode, mean and deviation, and the wanted band.

    Args:
        by_object: adds the paper's Table I.
    """
    scenes = by_scene(episodes)
    lane = 15
    row = lane * (len(episodes) + by_object) + 14
    height = 8 + row * len(scenes) + 40
    low, high = (_metres(v) for v in DISTANCE_BAND_M)
    parts = [_rect(low, 8, high - low, height - 48, "var(--band)", 0, "0.35 to 0.45 m")]
    for tick in (0.2, 0.3, 0.4, 0.5, 0.6, 0.7):
        parts.append(_line(_metres(tick), 8, _metres(tick), height - 40, "var(--rule)", 1))
        parts.append(_text(_metres(tick), height - 26, f"{tick:.1f}", "middle", "tick"))
    parts.append(
        _text((LEFT + WIDTH - RIGHT) / 2, height - 8, "distance at the declared pose (m)", "middle", "tick")
    )
    for i, (scene, by_policy) in enumerate(scenes.items()):
        top = 8 + row * i
        parts.append(_line(LEFT, top + row, WIDTH - RIGHT, top + row, "var(--rule)", 0.6))
        parts.append(_text(LEFT - 12, top + row / 2, _short(scene), "end"))
        if by_object:
            _, mean, deviation, _, _ = TABLE_I[scene]
            parts += _whisker(top + 7 + lane / 2, mean, deviation, "var(--muted)", [], "paper")
        for k, (policy, run) in enumerate(by_policy.items()):
            found = [e.score.distance_m for e in run if e.score.declared]
            y = top + 7 + lane * (k + by_object + 0.5)
            if found:
                s = summaries({policy: run})[policy]
                parts += _whisker(y, s.distance_mean_m, s.distance_std_m, colour(k), found, policy)
            else:
                parts.append(_text(LEFT + 8, y, "none declared", "start", "tick"))
    names = (["paper"] if by_object else []) + [_short(p) for p in episodes]
    colours = (["var(--muted)"] if by_object else []) + [colour(k) for k in range(len(episodes))]
    return legend(names, colours) + _svg(height, parts, "Distance at the declared pose by scene")


def _whisker(
    y: float, mean: float, deviation: float, paint: str, values: Sequence[float], name: str
) -> list[str]:
    return [
        *(_dot(_metres(v), y, 2.4, paint, f"{v:.3f} m", 0.35) for v in values),
        _line(_metres(mean - deviation), y, _metres(mean + deviation), y, paint, 2),
        _dot(_metres(mean), y, 4.6, paint, f"{name}: {mean:.3f} ± {deviation:.3f} m"),
        _text(WIDTH - RIGHT + 14, y, f"{mean:.3f} ± {deviation:.3f}", "start", "small"),
    ]


def curves(episodes: Episodes) -> str:
    """The headline against strength, one panel per perturbation, with bands of 95 % intervals."""
    conditions = list(dict.fromkeys(e.condition for run in episodes.values() for e in run))
    by_contact = headline_name(episodes) == "handed over"
    panels = []
    for name in dict.fromkeys(c.perturbation for c in conditions if c.perturbation):
        strengths = sorted(c.strength for c in conditions if c.perturbation == name)
        panels.append(
            f"<figure><figcaption>{escape(name.replace('_', ' '))}</figcaption>"
            f"{_panel(episodes, name, strengths, by_contact)}</figure>"
        )
    key = legend([_short(p) for p in episodes], [colour(k) for k in range(len(episodes))])
    return key + '<div class="panels">' + "".join(panels) + "</div>"


def _panel(episodes: Episodes, name: str, strengths: Sequence[float], by_contact: bool) -> str:
    width, height, left, top, bottom = 270, 190, 34, 8, 30

    def x(strength: float) -> float:
        return left + strength * (width - left - 10)

    def y(share: float) -> float:
        return top + (1 - share) * (height - top - bottom)

    parts = []
    for share in (0, 0.5, 0.9, 1):
        dashed = ' stroke-dasharray="3 3"' if share == 0.9 else ""
        parts.append(_line(x(0), y(share), x(1), y(share), "var(--rule)", 1, dashed))
        if share != 0.9:
            parts.append(_text(left - 6, y(share), f"{100 * share:.0f}", "end", "tick"))
    parts += [_text(x(v), height - 16, f"{v:g}", "middle", "tick") for v in (0, *strengths)]
    for k, run in enumerate(episodes.values()):
        places = [(0.0, AS_RENDERED), *((s, Condition(name, s)) for s in strengths)]
        rates = [(x(s), headline_under(run, condition, by_contact)) for s, condition in places]
        rates = [(at, rate) for at, rate in rates if rate.total]
        upper = [f"{at:.1f},{y(rate.interval[1]):.1f}" for at, rate in rates]
        lower = [f"{at:.1f},{y(rate.interval[0]):.1f}" for at, rate in reversed(rates)]
        middle = " ".join(f"{at:.1f},{y(rate.value):.1f}" for at, rate in rates)
        parts.append(f'<polygon points="{" ".join(upper + lower)}" fill="{colour(k)}" opacity=".16"/>')
        parts.append(f'<polyline points="{middle}" fill="none" stroke="{colour(k)}" stroke-width="2.2"/>')
        parts += [_dot(at, y(rate.value), 3.2, colour(k), str(rate)) for at, rate in rates]
    return _svg(height, parts, f"Success under {name}", width)


def _across(share: float) -> float:
    return LEFT + (0.0 if math.isnan(share) else share) * (WIDTH - LEFT - RIGHT)


def _metres(distance: float) -> float:
    """0.1 to 0.8 m, and no farther."""
    return LEFT + min(max((distance - 0.1) / 0.7, 0), 1) * (WIDTH - LEFT - RIGHT)


def _percent_axis(top: float, bottom: float) -> str:
    lines = [_line(_across(v), top, _across(v), bottom, "var(--rule)", 1) for v in (0, 0.25, 0.5, 0.75, 1)]
    texts = [
        _text(_across(v), bottom + 14, f"{100 * v:.0f} %", "middle", "tick") for v in (0, 0.25, 0.5, 0.75, 1)
    ]
    return "".join(lines + texts)


def _short(name: str, longest: int = 22) -> str:
    return name if len(name) <= longest else "…" + name[1 - longest :]


def _text(x: float, y: float, text: str, anchor: str, kind: str = "label") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" dominant-baseline="central" class="{kind}">'
        f"{escape(text)}</text>"
    )


def _rect(x: float, y: float, width: float, height: float, fill: str, radius: float, title: str = "") -> str:
    inner = f"<title>{escape(title)}</title>" if title else ""
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="{radius}" '
        f'fill="{fill}">{inner}</rect>'
    )


def _dot(x: float, y: float, radius: float, fill: str, title: str, opacity: float = 1.0) -> str:
    return (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{fill}" opacity="{opacity}">'
        f"<title>{escape(title)}</title></circle>"
    )


def _line(x0: float, y0: float, x1: float, y1: float, stroke: str, width: float, more: str = "") -> str:
    return (
        f'<line x1="{x0:.1f}" y1="{y0:.1f}" x2="{x1:.1f}" y2="{y1:.1f}" stroke="{stroke}" '
        f'stroke-width="{width}"{more}/>'
    )


def _svg(height: float, parts: Sequence[str], title: str, width: float = WIDTH) -> str:
    return (
        f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(title, quote=True)}">'
        f"{''.join(parts)}</svg>"
    )

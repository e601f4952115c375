"""The page: a report as one HTML file that needs no network and no other file."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

import imageio.v3 as iio
from PIL import Image

from ..benchmark.rollout import Episode
from ..perturbations.conditions import AS_RENDERED
from ..utils import files
from . import plots
from .handover_tables import Rows
from .pictures import Film, Picture, strip
from .tables import UNDER_PERTURBATIONS, summaries, under
from .verdicts import Episodes, headline, headline_name, verdict

STYLE = Path(__file__).parents[1] / "assets" / "report.css"
MAX_VIDEO_BYTES = 12_000_000
MOST_ROWS = 16  # of scenes that are plotted one by one
HEAD = '<meta charset=utf-8><meta name=viewport content="width=device-width, initial-scale=1">'
NOTES = {  # of tables that get a section of their own, by how their titles end or what they are
    "Table I": "The paper's figures stand beside ours. Its columns are of its own scenes and initial poses; seen and "
    "unseen are the paper's split.",
    "two by two": "p: the share of random exchanges of the two policies, scene by scene, that differ as much.",
    "by seed": "Each seed draws its own initial poses; mean and standard deviation over seeds.",
    UNDER_PERTURBATIONS: "Shaded: 95 % intervals, scenes resampled. The dashed line is 90 %.",
}
HANDED_OVER_NOTE = (
    "Closed in time, never within 0.1 m of the hand, nor of the object before the final approach; the hand was not "
    "touched, the object not pushed by more than 20 mm, and held after release, retreat and shake. Out of the "
    "episodes whose object the gripper can hold safely. Whiskers: 95 %, scenes resampled."
)
REACHED_NOTE = (
    "The paper's figures of the pre-grasp pose; they saturate and are kept to compare with Table I. Success: "
    "declared within 30 steps, in the band, centred and safe, together."
)
ONCE_NOTE = "Each episode counts once: as a success, or under the first rule it broke."
DISTANCE_NOTE = (
    "A dot is an episode; the large ones are means, with one standard deviation. The band is what is wanted."
)


def write_page(
    folder: Path,
    report: Mapping[str, Any],
    episodes: Episodes,
    found: Mapping[str, Rows],
    failures: Sequence[Film],
    command: str,
) -> None:
    """report.html from what `save` has; episodes.mp4 in the folder goes into it if it is small enough.

    Args:
        report: what report.json holds. found: the tables by title. failures: films to show.
        command: makes the report again.
    """
    plain = under(episodes)
    by_object = "Table I" in found
    parts = [_header(report, plain), _cards(plain), *_headline_sections(plain, found)]
    parts.append(_paper_section(plain, found))
    parts.append(_distance_section(plain, found, by_object))
    for title, rows in found.items():
        note = next((text for end, text in NOTES.items() if title.endswith(end)), None)
        if note is not None:
            plot = [_figure(plots.curves(episodes))] if title.endswith(UNDER_PERTURBATIONS) else []
            parts.append(_section(_capitalised(title), note, *plot, _table(rows)))
    parts += [
        _films(episodes, failures, folder),
        _video(folder / "episodes.mp4"),
        _provenance(report, command),
    ]
    head = f"<title>Handover evaluation</title><style>\n{STYLE.read_text()}</style>"
    page = f"<!doctype html>\n<html lang=en>{HEAD}{head}\n<main>{''.join(parts)}</main></html>\n"
    files.write_bytes(folder / "report.html", page.encode())


def _header(report: Mapping[str, Any], plain: Episodes) -> str:
    settings = report["settings"]
    runs = [e for run in plain.values() for e in run]
    initial_poses = len({(e.scene, e.record.seed) for e in runs})
    seeds = sorted({e.seed for e in runs})
    suite = settings.get("suite")
    line = (
        f"{len(report['scenes'])} scenes, {initial_poses} initial poses, {len(plain)} policies, "
        f"{'seed' if len(seeds) == 1 else 'seeds'} {', '.join(map(str, seeds))}"
    )
    moving = ", moving giver" if settings.get("giver") == "moving" else ""
    title = "Human-to-robot handover" + (f": {suite}{moving}" if suite else "")
    return f"<header><h1>{escape(title)}</h1><p>{escape(line)}</p></header>"


def _cards(plain: Episodes) -> str:
    cards = []
    by_contact, name = headline_name(plain) == "handed over", headline_name(plain)
    for i, (policy, s) in enumerate(summaries(plain).items()):
        rate = headline(plain[policy], by_contact)
        low, high = rate.interval
        share = f"{100 * rate.value:.0f}<small> %</small>" if rate.total else "–"
        times = f"{1e3 * s.seconds_per_step:.1f} ms a step"
        detail = f"{rate} {name}, {100 * low:.0f} to {100 * high:.0f} %<br>safe {s.safe}, {times}"
        cards.append(
            f'<div class=card style="--c:{plots.colour(i)}">{escape(policy)}<b>{share}</b>'
            f"<span>{detail}</span></div>"
        )
    return f"<div class=cards>{''.join(cards)}</div>"


def _headline_sections(plain: Episodes, found: Mapping[str, Rows]) -> list[str]:
    """What was handed over, and what failed first; nothing where contact was not asked."""
    if "handed over" not in found:
        return []
    rates = {policy: headline(run, by_contact=True) for policy, run in plain.items()}
    angles = "handed over by the angle between initial pose and approach"
    return [
        _section("Handed over", HANDED_OVER_NOTE, _figure(plots.rate_bars(rates, "Handed over by policy")),
                 _table(found["handed over"]), _titled(angles, found)),
        _section("What failed first", ONCE_NOTE, _figure(plots.failure_bars(plain, by_contact=True)),
                 _table(found["first failures of the handover"])),
    ]  # fmt: skip


def _paper_section(plain: Episodes, found: Mapping[str, Rows]) -> str:
    rates = {policy: s.success for policy, s in summaries(plain).items()}
    further = ("safety, declared or not", "success by the angle between initial pose and approach")
    return _section(
        "The pre-grasp pose",
        REACHED_NOTE,
        _figure(plots.rate_bars(rates, "Success by policy")),
        _table(found["the paper's figures"]),
        _figure(plots.failure_bars(plain, by_contact=False)),
        *(_titled(title, found) for title in further),
    )


def _titled(title: str, found: Mapping[str, Rows]) -> str:
    return f"<h3>{escape(_capitalised(title))}</h3>{_table(found[title])}"


def _capitalised(title: str) -> str:
    return title[0].upper() + title[1:]


def _distance_section(plain: Episodes, found: Mapping[str, Rows], by_object: bool) -> str:
    bodies = [_table(found["at the declared pose"])]
    many = len({e.scene for run in plain.values() for e in run}) > MOST_ROWS
    shown = _pooled(plain) if many else plain
    bodies.insert(0, _figure(plots.distances(shown, by_object)))
    by_scene = next((rows for title, rows in found.items() if title.endswith("distance by scene")), None)
    if by_scene:
        table = _table(by_scene)
        bodies.append(f"<details><summary>All scenes</summary>{table}</details>" if many else table)
    return _section("Distance at the declared pose", DISTANCE_NOTE, *bodies)


def _pooled(plain: Episodes) -> dict[str, list[Episode]]:
    """All scenes in one row, where there are too many for a row each."""
    return {policy: [replace(e, scene="all scenes") for e in run] for policy, run in plain.items()}


def _films(episodes: Episodes, failures: Sequence[Film], folder: Path) -> str:
    if not failures:
        return _section("Failures", "There was none.")
    order = {id(e): i for i, e in enumerate(e for run in episodes.values() for e in run)}
    figures = []
    for shown in failures:
        e = shown.episode
        where = e.scene + (f", {e.condition}" if e.condition != AS_RENDERED else "")
        look = f"python -m h2rh_env.viewer --report {folder} --episode {order[id(e)]}"
        picture = _data("image/jpeg", _as_jpeg(strip(shown)))
        who = f"<b>{escape(e.record.policy)}</b> on {escape(where)}: <em>{escape(verdict(e))}</em>"
        figures.append(
            f"<figure><figcaption>{who}, {e.score.distance_m:.2f} m after {e.score.steps} steps</figcaption>"
            f'<img alt="film strip" src="{picture}"><code class=note>{escape(look)}</code></figure>'
        )
    note = (
        "From the initial pose on, as the policy saw it; object outlined in green, hand in orange. Then, where the "
        "fingers were closed, from beside the gripper: final approach, closing, retreat and shake."
    )
    return _section("Failures", note, f"<div class=films>{''.join(figures)}</div>")


def _as_jpeg(picture: Picture) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=84)
    return buffer.getvalue()


def _video(path: Path) -> str:
    if not path.exists():
        return ""
    content = path.read_bytes()
    if len(content) > MAX_VIDEO_BYTES:
        return _section("Video", f"{path.name} beside this page is too large to be part of it.")
    poster = _data("image/jpeg", _as_jpeg(iio.imread(path, index=0)))
    source = _data("video/mp4", content)
    video = f'<video controls muted loop preload=metadata poster="{poster}" src="{source}"></video>'
    return _section("Video", "Policies side by side from the same start, scene after scene.", video)


def _provenance(report: Mapping[str, Any], command: str) -> str:
    hashes = [
        (f"policy {name}", value or "no files")
        for name, value in (report["settings"].get("policy_hashes") or {}).items()
    ]
    hashes += [(f"scene {name}", value) for name, value in report["scenes"].items()]
    body = "".join(f"<tr><td>{escape(k)}<td>{escape(v)}" for k, v in hashes)
    versions = ", ".join(f"{name} {value}" for name, value in report["versions"].items())
    settings = "\n".join(f"{k} = {v}" for k, v in report["settings"].items() if k != "policy_hashes")
    return _section(
        "To see it again",
        "report.json and records.npz beside this page hold every episode.",
        f"<pre>{escape(command)}\npython evaluate.py --reproduce REPORT/report.json</pre>",
        "<details><summary>Settings and versions</summary>"
        f"<pre>{escape(settings)}\n\n{escape(versions)}</pre></details>",
        "<details><summary>Hashes (SHA-256)</summary><div class=scroll><table class=hashes><tbody>"
        f"{body}</table></div></details>",
    )


def _section(title: str, note: str, *bodies: str) -> str:
    text = f"<p>{escape(note)}</p>" if note else ""
    return f"<section><h2>{escape(title)}</h2>{text}{''.join(bodies)}</section>\n"


def _figure(svg: str) -> str:
    return f"<div class=figure>{svg}</div>"


def _table(rows: Rows) -> str:
    header, body = rows
    head = "".join(f"<th>{escape(name)}" for name in header)
    lines = "".join("<tr>" + "".join(f"<td>{escape(cell)}" for cell in line) for line in body)
    return f"<div class=scroll><table><thead><tr>{head}<tbody>{lines}</table></div>"


def _data(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"

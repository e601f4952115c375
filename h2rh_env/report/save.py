"""Writes a report's files, and says whether two reports hold the same figures."""

from __future__ import annotations

import json
import math
import platform
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from PIL import Image

from ..benchmark.rollout import Episode, scene_of
from ..contact.conditions import BENCHMARK_CONDITIONS, ContactConditions
from ..envs.handover import H2RHandoverEnv
from ..envs.handover_metrics import HandoverSummary
from ..envs.metrics import Summary
from ..rendering.select import make_rasteriser
from ..utils import files
from ..utils.proportions import Comparison, Rate
from .closing import closing_pictures
from .handover_tables import handover_summaries
from .page import write_page
from .pictures import Film, film, sheet, write_video
from .records import FORMAT, write_records
from .tables import markdown_table, pairs, summaries, tables, under
from .verdicts import Episodes, succeeded, verdict

PACKAGES = ("gymnasium", "numba", "numpy", "scipy", "torch", "onnxruntime", "mujoco")
TIMES = ("seconds_per_step",)  # what differs from run to run
MOST_FILMS, MOST_FAILURES = 24, 12


def save(
    folder: Path,
    episodes: Episodes,
    settings: Mapping[str, Any],
    env: H2RHandoverEnv,
    by_object: bool = False,
    conditions: ContactConditions = BENCHMARK_CONDITIONS,
) -> None:
    """Writes report.json, records.npz, report.md, report.html, episodes.png and episodes.mp4.

    Args:
        settings: what reproduces the report: command line arguments, seed, hashes of policies.
        env: holds the scenes; shows the episodes again.
        by_object: scenes are the objects of Table I.
        conditions: what contact drew from the seeds; the films show its closing again.
    """
    folder.mkdir(parents=True, exist_ok=True)
    report = as_json(episodes, settings)
    files.write_json(folder / "report.json", report)
    write_records(folder / "records.npz", [e for run in episodes.values() for e in run])
    found = tables(episodes, by_object)
    parts = [f"### {title[0].upper()}{title[1:]}\n\n{markdown_table(*rows)}" for title, rows in found.items()]
    text = "## Evaluation\n\n" + "\n".join(parts)
    foot = f"\n`{command(settings)}`\n\n```json\n{json.dumps(dict(settings), indent=1)}\n```\n"
    files.write_bytes(folder / "report.md", (text + foot).encode())
    rasteriser = make_rasteriser(settings.get("rasteriser", "auto"))

    def shown(e: Episode) -> Film:
        scene = scene_of(e, env.scenes)
        return replace(film(env, e), closing=closing_pictures(scene, e, conditions, rasteriser))

    films = [shown(e) for e in _first_initial_poses(episodes)]
    failures = [shown(e) for e in _failures(episodes)]
    Image.fromarray(sheet(films)).save(folder / "episodes.png")
    write_video(folder / "episodes.mp4", films)
    write_page(folder, report, episodes, found, failures, command(settings))


def as_json(episodes: Episodes, settings: Mapping[str, Any]) -> dict[str, Any]:
    """report.json; equal runs give equal values but for times."""
    runs = [e for run in episodes.values() for e in run]
    plain = under(episodes)
    content: dict[str, Any] = _without_nan(
        {
            "format": FORMAT,
            "settings": dict(settings),
            "versions": {"python": platform.python_version(), "h2rh-env": version("h2rh-env")}
            | {name: found for name in PACKAGES if (found := _version(name))},
            "scenes": {e.scene: e.record.scene_hash for e in runs},
            "summary": {policy: _summary_json(s) for policy, s in summaries(plain).items()},
            "handovers": {policy: _summary_json(s) for policy, s in handover_summaries(plain).items()},
            "pairs": [_pair_json(a, b, c) for (a, b), c in pairs(plain).items()],
            "episodes": [_episode_json(e) for e in runs],
        }
    )
    return content


def _handover_json(e: Episode) -> dict[str, Any] | None:
    """None where the object cannot be held safely, or contact was not asked."""
    return asdict(e.handover) | {"handed_over": e.handover.handed_over} if e.handover else None


def _pair_json(first: str, second: str, found: Comparison) -> dict[str, Any]:
    counts = {name: getattr(found, name) for name in ("both", "first_only", "second_only", "neither")}
    figures = {name: getattr(found, name) for name in ("difference", "interval", "p_value")}
    return {"first": first, "second": second} | counts | figures


def _episode_json(e: Episode) -> dict[str, Any]:
    return (
        {
            "policy": e.record.policy,
            "scene": e.scene,
            "scene_name": e.record.scene,
            "scene_hash": e.record.scene_hash,
            "task": e.task,
            "ended": e.record.declared,
            "seed": e.seed,
            "start_seed": e.record.seed,
            "perturbation": e.condition.perturbation,
            "strength": e.condition.strength,
        }
        | asdict(e.score)
        | {"safe": e.score.safe, "success": e.score.success, "handover": _handover_json(e)}
        | {
            "scene_from_start": e.record.scene_from_gripper[0].tolist(),
            "scene_from_end": e.record.scene_from_gripper[-1].tolist(),
        }
    )


def differences(saved: Mapping[str, Any], fresh: Mapping[str, Any]) -> list[str]:
    """What two reports disagree about, but for times: hashes, then every figure of every episode."""
    return [
        *_differing(
            "", *({k: r[k] for k in ("scenes", "summary", "handovers", "pairs")} for r in (saved, fresh))
        ),
        *_differing("policy hashes", *(r["settings"].get("policy_hashes") for r in (saved, fresh))),
        *_differing("episodes", saved["episodes"], fresh["episodes"]),
    ]


def _differing(where: str, one: Any, other: Any) -> Iterator[str]:
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        for key in one:
            if key not in TIMES:
                yield from _differing(f"{where} {key}".strip(), one[key], other[key])
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for i, (a, b) in enumerate(zip(one, other, strict=True)):
            yield from _differing(f"{where} {i}", a, b)
    elif one != other:
        yield f"{where}: {_short(one)} was saved, {_short(other)} is met now"


def _short(value: Any) -> str:
    if isinstance(value, dict | list):
        return f"{len(value)} entries"
    return str(value)


def as_json_value(value: Any) -> Any:
    """A setting in JSON's types: paths as text, tuples as lists, dataclasses as they are nested."""
    if isinstance(value, dict):
        return {key: as_json_value(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [as_json_value(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def command(settings: Mapping[str, Any]) -> str:
    """The command line that makes the report again; settings that are null or lists of null stand for defaults."""
    words = ["python", "evaluate.py"]
    for flag, value in _flags(settings):
        for item in value if isinstance(value, list) and flag == "--policy" else [value]:
            words += [flag, *(map(str, item) if isinstance(item, list) else [str(item)])]
    return shlex.join(words)


def _flags(settings: Mapping[str, Any], prefix: str = "--") -> Iterator[tuple[str, Any]]:
    """Options as they are typed; an option that the suite does not read is left out, since it would be refused."""
    unread = {"policy_hashes", "checkpoint"}
    unread |= {"objects"} if settings.get("suite") != "unseen" else set()
    unread |= {"strengths"} if settings.get("suite") != "robust" else set()
    for key, value in settings.items():
        if key in unread or value is None:
            continue
        flag = prefix + key.replace("_", "-")
        if isinstance(value, dict):
            yield from _flags(value, f"{flag}.")
        else:
            yield flag, value


def _first_initial_poses(episodes: Episodes) -> list[Episode]:
    """Each scene's first start under each policy, as rendered; of many scenes an even choice."""
    plain = under(episodes)
    scenes = list(dict.fromkeys(e.scene for run in plain.values() for e in run))
    wanted = max(1, MOST_FILMS // max(1, len(plain)))
    chosen = scenes[:: max(1, -(-len(scenes) // wanted))]
    return [next(e for e in run if e.scene == scene) for scene in chosen for run in plain.values() if run]


def _failures(episodes: Episodes) -> list[Episode]:
    """Failures to look at: of each policy in turn, every kind once before any comes twice."""
    queues = []
    for run in episodes.values():
        kinds: dict[str, list[Episode]] = {}
        for e in run:
            if not succeeded(e):
                kinds.setdefault(f"{verdict(e)} {e.condition.perturbation}", []).append(e)
        queues.append(_in_turn(list(kinds.values())))
    return _in_turn(queues)[:MOST_FAILURES]


def _in_turn(lists: Sequence[Sequence[Episode]]) -> list[Episode]:
    longest = max(map(len, lists), default=0)
    return [items[i] for i in range(longest) for items in lists if i < len(items)]


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _summary_json(summary: Summary | HandoverSummary) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for name, value in vars(summary).items():
        if isinstance(value, Rate):
            out[name] = _rate_json(value)
        elif isinstance(value, dict):
            out[name] = {key: _rate_json(v) if isinstance(v, Rate) else v for key, v in value.items()}
        else:
            out[name] = value
    return out


def _rate_json(rate: Rate) -> dict[str, Any]:
    """The interval resamples scenes, as `Rate.interval` says."""
    return {"count": rate.count, "total": rate.total, "interval_95": list(rate.interval)}


def _without_nan(value: Any) -> Any:
    """JSON has no NaN nor infinity; null says that there is no figure."""
    if isinstance(value, dict):
        return {k: _without_nan(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


__all__ = ["Film", "as_json", "command", "differences", "save"]

"""What an evaluation leaves behind: a table, `report.json`, `report.md`, a sheet of episodes and a video."""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont
from rich.table import Table

from . import files
from .evaluation import Episode, masked_frame
from .metrics import FAILURES, Rate, Summary, summarise

SHEET_COLUMNS = 7
Rows = tuple[list[str], list[list[str]]]  # header and body, as text
PACKAGES = ("gymnasium", "numba", "numpy", "torch")


def summaries(episodes: Mapping[str, Sequence[Episode]]) -> dict[str, Summary]:
    return {policy: summarise([e.score for e in run]) for policy, run in episodes.items()}


def rows(episodes: Mapping[str, Sequence[Episode]]) -> Rows:
    """Rates, one row per policy."""
    body = []
    for policy, s in summaries(episodes).items():
        low, high = s.success.interval
        success = f"{s.success} ({100 * low:.0f}-{100 * high:.0f})"
        body.append([policy, success, *map(str, (s.declared, s.safe, s.centred, s.in_band, s.graspable))])
    return ["policy", "success (95 %)", "declared", "safe", "centred", "in band", "graspable"], body


def measure_rows(episodes: Mapping[str, Sequence[Episode]]) -> Rows:
    """Distances, steps and times, one row per policy."""
    body = []
    for policy, s in summaries(episodes).items():
        distance = f"{s.distance_mean_m:.3f} ± {s.distance_std_m:.3f}" if s.declared.count else "-"
        body.append([policy, distance, f"{s.steps_mean:.1f}", f"{1e3 * s.seconds_per_step:.2f}"])
    return ["policy", "distance (m)", "steps", "ms a step"], body


def failure_rows(episodes: Mapping[str, Sequence[Episode]]) -> Rows:
    """First failures, one row per policy."""
    body = [[policy, *map(str, s.failures.values())] for policy, s in summaries(episodes).items()]
    return ["policy", *FAILURES], body


def scene_rows(episodes: Mapping[str, Sequence[Episode]]) -> Rows:
    """Success by scene, one row per scene and one column per policy, with the distance of declared poses."""
    names = list(dict.fromkeys(e.record.scene for run in episodes.values() for e in run))
    body = []
    for scene in names:
        cells = [scene]
        for run in episodes.values():
            s = summarise([e.score for e in run if e.record.scene == scene])
            cells.append(f"{s.success}  {s.distance_mean_m:.2f} m" if s.declared.count else f"{s.success}")
        body.append(cells)
    return ["scene", *episodes], body


def tables(episodes: Mapping[str, Sequence[Episode]]) -> dict[str, Rows]:
    """What is printed and written, by title."""
    return {
        "rates": rows(episodes),
        "at the declared pose": measure_rows(episodes),
        "first failures": failure_rows(episodes),
        "success and distance by scene": scene_rows(episodes),
    }


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


def save(folder: Path, episodes: Mapping[str, Sequence[Episode]], settings: Mapping[str, Any]) -> None:
    """Writes report.json, report.md, episodes.png and episodes.mp4.

    Args:
        settings: what reproduces the report: command line arguments, seed, hashes of policies.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files.write_json(folder / "report.json", _as_json(episodes, settings))
    text = "# Evaluation\n\n" + "\n".join(f"{t}\n\n{markdown_table(*r)}" for t, r in tables(episodes).items())
    settings_text = json.dumps(dict(settings), indent=1)
    files.write_bytes(folder / "report.md", f"{text}\n```json\n{settings_text}\n```\n".encode())
    kept = [e for run in episodes.values() for e in run if e.frames]
    Image.fromarray(episode_sheet(kept)).save(folder / "episodes.png")
    write_video(folder / "episodes.mp4", kept)


def _as_json(episodes: Mapping[str, Sequence[Episode]], settings: Mapping[str, Any]) -> dict[str, Any]:
    runs = [e for run in episodes.values() for e in run]
    return _without_nan({
        "settings": dict(settings),
        "versions": {"python": platform.python_version(), "h2rh-env": version("h2rh-env")}
        | {name: version(name) for name in PACKAGES},
        "scenes": {e.record.scene: e.record.scene_hash for e in runs},
        "summary": {policy: _summary_json(s) for policy, s in summaries(episodes).items()},
        "episodes": [
            {"policy": e.record.policy, "scene": e.record.scene, "seed": e.record.seed}
            | asdict(e.score)
            | {
                "world_from_start": e.record.world_from_gripper[0].tolist(),
                "actions": [[round(float(v), 6) for v in action] for action in e.record.actions],
            }
            for e in runs
        ],
    })  # fmt: skip


def _summary_json(summary: Summary) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for name, value in vars(summary).items():
        if isinstance(value, Rate):
            low, high = value.interval
            out[name] = {"count": value.count, "total": value.total, "wilson_95": [low, high]}
        else:
            out[name] = value
    return out


def _without_nan(value: Any) -> Any:
    """JSON has no NaN nor infinity; null says that there is no figure."""
    if isinstance(value, dict):
        return {k: _without_nan(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_without_nan(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def episode_sheet(episodes: Sequence[Episode], scale: float = 0.75) -> npt.NDArray[np.uint8]:
    """A film strip per episode: `SHEET_COLUMNS` moments from start to end under a line of text."""
    strips = [_strip(e, scale) for e in episodes]
    return np.concatenate(strips) if strips else np.zeros((1, 1, 3), np.uint8)


def _strip(episode: Episode, scale: float) -> npt.NDArray[np.uint8]:
    moments = np.linspace(0, len(episode.frames) - 1, SHEET_COLUMNS).round().astype(int)
    tiles = []
    for moment in moments:
        image = Image.fromarray(masked_frame(episode.frames[moment]))
        tiles.append(np.asarray(image.resize((round(image.width * scale), round(image.height * scale)))))
    strip = np.concatenate(tiles, axis=1)
    caption = Image.new("RGB", (strip.shape[1], 22), (24, 24, 28))
    draw = ImageDraw.Draw(caption)
    draw.text((6, 4), _caption(episode), fill=_verdict_colour(episode), font=ImageFont.load_default(13))
    return np.concatenate([np.asarray(caption), strip])


def _caption(episode: Episode) -> str:
    s = episode.score
    verdict = "success" if s.success else s.first_failure
    return f"{episode.record.policy}  on  {episode.record.scene}:  {verdict},  {s.distance_m:.2f} m,  {s.steps} steps"


def _verdict_colour(episode: Episode) -> tuple[int, int, int]:
    return (120, 230, 120) if episode.score.success else (250, 130, 110)


def write_video(path: Path, episodes: Sequence[Episode], fps: int = 8, hold: int = 6) -> None:
    """One MP4: the policies side by side, scene after scene; ended episodes hold their last frame."""
    by_start: dict[tuple[str, int], list[Episode]] = {}
    for e in episodes:
        by_start.setdefault((e.record.scene, e.record.seed), []).append(e)
    images: list[npt.NDArray[np.uint8]] = []
    for group in by_start.values():
        length = max(len(e.frames) for e in group) + hold
        images += [np.concatenate([_labelled(e, t) for e in group], axis=1) for t in range(length)]
    if images:
        height, width = images[0].shape[:2]
        even = [image[: height - height % 2, : width - width % 2] for image in images]
        iio.imwrite(path, np.stack(even), fps=fps, codec="libx264", macro_block_size=2)


def _labelled(episode: Episode, moment: int) -> npt.NDArray[np.uint8]:
    ended = moment >= len(episode.frames)
    image = Image.fromarray(masked_frame(episode.frames[min(moment, len(episode.frames) - 1)]))
    draw = ImageDraw.Draw(image)
    name = ImageFont.load_default(13)
    draw.text((5, 3), f"{episode.record.policy}", fill=(255, 255, 255), font=name)
    draw.text((5, image.height - 18), episode.record.scene, fill=(170, 170, 170), font=name)
    if ended:
        verdict = "success" if episode.score.success else str(episode.score.first_failure)
        draw.text((5, 19), verdict, fill=_verdict_colour(episode), font=name)
    return np.asarray(image)

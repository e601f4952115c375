"""Writes demonstrations in LeRobot's layout: numbers in parquet, images in MP4, the rest in JSON.

meta/info.json, meta/stats.json                       what there is, and its statistics
meta/tasks.parquet                                    one task
meta/episodes/chunk-000/file-000.parquet              a row per episode: where its frames and its video begin
data/chunk-000/file-000.parquet                       a row per frame, a row group per episode
videos/observation.images.rgb/chunk-000/file-000.mp4  the episodes' frames, one after another
videos/observation.images.masks/...                   masks as grey: object 255, hand 128, lossless
meta/h2rh.json                                        ours: provenance, and each episode's scene and seed
README.md                                             a data card: what each feature is, and in which unit
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import Progress, TaskID

from ...core.errors import DatasetError
from ...utils import cli, files
from ...utils.video import VideoWriter
from ..read import DatasetSummary, Demonstration, describe, read_demonstrations
from .card import data_card
from .features import ACTION, MASKS, RGB, SENTENCES, STATE, grey, pose_numbers, state
from .parquet import SCALARS, VECTORS, pyarrow, write_frames, write_table, write_tasks
from .statistics import Statistics, Values

VERSION = "v3.0"
EPISODES_PER_FILE, FILES_PER_CHUNK = 500, 1000
DATA_PATH = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
VIDEO_PATH = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
EPISODES_PATH = "meta/episodes/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
# Quality for colour; masks keep every value.
CODING = {RGB: ["-crf", "18"], MASKS: ["-qp", "0"]}


def export(data: Path, out: Path, fps: int) -> None:
    """Writes the dataset, whole or not at all.

    Raises:
        DatasetError: The demonstrations cannot be read, there are none, or `out` exists.
        MissingPackageError: The package pyarrow is not installed.
    """
    pyarrow("pyarrow")
    if out.exists():
        raise DatasetError(f"{out} exists; give another --out or delete it")
    summary = describe(data)
    if not summary.episodes:
        raise DatasetError(f"{data} holds no episode; there is nothing to export")
    with files.whole_folder(out) as folder:
        _write(data, summary, fps, folder)


def _write(data: Path, summary: DatasetSummary, fps: int, folder: Path) -> None:
    totals = Statistics()
    demonstrations = read_demonstrations(data)
    frames = 0
    origins: list[dict[str, Any]] = []
    with cli.progress_bar() as bar:
        task = bar.add_task("episodes", total=summary.episodes, note="")
        for first in range(0, summary.episodes, EPISODES_PER_FILE):
            part = islice(demonstrations, EPISODES_PER_FILE)
            shown = (_counted(demonstration, bar, task, origins) for demonstration in part)
            frames = _write_part(shown, first, frames, totals, summary, fps, folder)
    write_tasks(folder / "meta/tasks.parquet", SENTENCES[summary.task])
    files.write_json(folder / "meta/stats.json", totals.nested())
    files.write_json(folder / "meta/info.json", _info(summary, frames, fps))
    files.write_json(folder / "meta/h2rh.json", {"provenance": summary.provenance, "episodes": origins})
    files.write_bytes(folder / "README.md", data_card(summary, frames, fps, origins).encode())


def _counted(
    demonstration: Demonstration, bar: Progress, task: TaskID, origins: list[dict[str, Any]]
) -> Demonstration:
    """Counts a demonstration, notes its origin and returns it."""
    bar.update(task, advance=1)
    origins.append({name: getattr(demonstration, name) for name in ("scene", "scene_hash", "seed", "reward")})
    return demonstration


def _write_part(
    demonstrations: Iterable[Demonstration],
    first: int,
    start: int,
    totals: Statistics,
    summary: DatasetSummary,
    fps: int,
    folder: Path,
) -> int:
    """Writes the files of some episodes, the first of which has the number `first` and begins at frame `start`.

    Returns:
        The frame after their last.
    """
    number = first // EPISODES_PER_FILE
    place = {"chunk_index": number // FILES_PER_CHUNK, "file_index": number % FILES_PER_CHUNK}
    rows: list[dict[str, Any]] = []
    columns: list[Values] = []
    frame = start
    with (
        _video(folder, RGB, place, summary, fps) as colours,
        _video(folder, MASKS, place, summary, fps) as outlines,
    ):
        for episode, demonstration in enumerate(demonstrations, first):
            images = {RGB: demonstration.rgb, MASKS: grey(demonstration.masks)}
            for video, frames in ((colours, images[RGB]), (outlines, images[MASKS])):
                for image in frames:
                    video.add(image)
            columns.append(_columns(demonstration, episode, frame, fps))
            own = Statistics()
            for statistics in (own, totals):
                statistics.add(columns[-1], images)
            row = {"tasks": [SENTENCES[summary.task]], "length": len(demonstration)}
            rows.append(
                row | _episode_row(episode, frame, frame - start, len(demonstration), fps, place, own)
            )
            frame += len(demonstration)
    write_frames(folder / DATA_PATH.format(**place), columns)
    write_table(folder / EPISODES_PATH.format(**place), rows)
    return frame


def _columns(demonstration: Demonstration, episode: int, start: int, fps: int) -> Values:
    """Returns a row per frame of what is not an image."""
    steps = len(demonstration)
    frames = np.arange(steps)
    ended = frames == steps - 1
    return {
        STATE: state(demonstration.scene_from_camera[0], demonstration.scene_from_camera),
        ACTION: demonstration.actions,
        "camera_from_goal": pose_numbers(demonstration.camera_from_goal),
        "clearance_m": demonstration.clearance_m.astype(np.float32),
        "next.reward": (ended * demonstration.reward).astype(np.float32),
        "next.success": ended & (demonstration.reward > 0),
        "next.done": ended,
        "timestamp": (frames / fps).astype(np.float32),
        "frame_index": frames,
        "episode_index": np.full(steps, episode),
        "index": start + frames,
        "task_index": np.zeros(steps, np.int64),
    }


def _episode_row(
    episode: int, start: int, frames_before: int, steps: int, fps: int, place: dict[str, int], own: Statistics
) -> dict[str, Any]:
    row: dict[str, Any] = {
        "episode_index": episode,
        "dataset_from_index": start,
        "dataset_to_index": start + steps,
    }
    for part in ("data", "meta/episodes", f"videos/{RGB}", f"videos/{MASKS}"):
        row |= {f"{part}/{name}": value for name, value in place.items()}
    for key in (RGB, MASKS):
        row[f"videos/{key}/from_timestamp"] = frames_before / fps
        row[f"videos/{key}/to_timestamp"] = (frames_before + steps) / fps
    for key, values in own.nested().items():
        row |= {f"stats/{key}/{name}": value for name, value in values.items()}
    return row


def _video(folder: Path, key: str, place: dict[str, int], summary: DatasetSummary, fps: int) -> VideoWriter:
    path = folder / VIDEO_PATH.format(video_key=key, **place)
    return VideoWriter(path, summary.width, summary.height, fps, CODING[key])


def _info(summary: DatasetSummary, frames: int, fps: int) -> dict[str, Any]:
    video = {
        "dtype": "video",
        "shape": [summary.height, summary.width, 3],
        "names": ["height", "width", "channels"],
        "info": {
            "video.height": summary.height,
            "video.width": summary.width,
            "video.codec": "h264",
            "video.pix_fmt": "yuv420p",
            "video.is_depth_map": False,
            "video.fps": fps,
            "video.channels": 3,
            "has_audio": False,
        },
    }
    vectors = {
        key: {"dtype": "float32", "shape": [len(names)], "names": names} for key, names in VECTORS.items()
    }
    scalars = {key: {"dtype": dtype, "shape": [1], "names": None} for key, dtype in SCALARS.items()}
    return {
        "codebase_version": VERSION,
        "robot_type": "ur5",
        "total_episodes": summary.episodes,
        "total_frames": frames,
        "total_tasks": 1,
        "chunks_size": FILES_PER_CHUNK,
        "data_files_size_in_mb": 100,
        "video_files_size_in_mb": 200,
        "fps": fps,
        "splits": {"train": f"0:{summary.episodes}"},
        "data_path": DATA_PATH,
        "video_path": VIDEO_PATH,
        "features": {RGB: video, MASKS: video, **vectors, **scalars},
    }

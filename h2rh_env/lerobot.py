"""Exports demonstrations as a LeRobot data set of format v3.0: numbers in parquet, images in MP4, the rest in JSON.

    python -m h2rh_env.lerobot data/train --out data/train-lerobot

    meta/info.json, meta/stats.json                       what there is, and its statistics
    meta/tasks.parquet                                    one task
    meta/episodes/chunk-000/file-000.parquet              a row per episode: where its frames and its video begin
    data/chunk-000/file-000.parquet                       a row per frame, a row group per episode
    videos/observation.images.rgb/chunk-000/file-000.mp4  the episodes' frames, one after another
    videos/observation.images.masks/...                   masks as grey: object 255, hand 128, lossless
    meta/h2rh.json                                        ours: provenance, and each episode's scene and seed

Demonstrations have no clock; `--fps` only says how fast to play them.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import tyro
from rich.progress import Progress, TaskID
from scipy.spatial.transform import Rotation

from . import cli, files
from .demonstrations import DatasetSummary, Demonstration, describe, read_demonstrations
from .errors import DatasetError, MissingPackageError
from .geometry import Array
from .video import VideoWriter

VERSION = "v3.0"
TASK = "Move to the pre-grasp pose of the object that the hand holds out."
RGB, MASKS = "observation.images.rgb", "observation.images.masks"
OBJECT_GREY, HAND_GREY = 255, 128
EPISODES_PER_FILE, FILES_PER_CHUNK = 500, 1000
DATA_PATH = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
VIDEO_PATH = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
EPISODES_PATH = "meta/episodes/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
POSE = ["x_m", "y_m", "z_m", "qw", "qx", "qy", "qz"]
ACTION = ["a_rad", "b_rad", "c_rad", "x_m", "y_m", "z_m", "grasp_score"]
VECTORS = {"observation.state": POSE, "action": ACTION, "camera_from_goal": POSE}
SCALARS = {
    "clearance_m": "float32", "next.done": "bool", "timestamp": "float32", "frame_index": "int64",
    "episode_index": "int64", "index": "int64", "task_index": "int64",
}  # fmt: skip
QUANTILES = {"q01": 0.01, "q10": 0.1, "q50": 0.5, "q90": 0.9, "q99": 0.99}
STATS_STRIDE_PX = 4
# Quality for colour; masks keep every value.
CODING = {RGB: ["-crf", "18"], MASKS: ["-qp", "0"]}

Values = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class ExportSettings:
    """What to export, and where to."""

    data: Annotated[Path, tyro.conf.Positional]
    """Folder of the demonstrations."""
    out: Path
    """Folder of the LeRobot data set; must not exist."""
    fps: int = 10
    """Frames a second at which the videos play."""

    def __post_init__(self) -> None:
        if self.fps < 1:
            raise DatasetError(f"--fps is {self.fps}; it must be at least 1")


def export(settings: ExportSettings) -> None:
    """Writes the whole data set beside its place and moves it there.

    Raises:
        DatasetError: the demonstrations cannot be read, there are none, or `out` exists.
        MissingPackageError: pyarrow is not installed.
    """
    _pyarrow("pyarrow")
    if settings.out.exists():
        raise DatasetError(f"{settings.out} exists; give another --out or delete it")
    summary = describe(settings.data)
    if not summary.episodes:
        raise DatasetError(f"{settings.data} holds no episode; there is nothing to export")
    settings.out.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=settings.out.parent, prefix=f".{settings.out.name}."))
    try:
        temporary.chmod(0o755)
        _write(settings, summary, temporary)
        os.rename(temporary, settings.out)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _write(settings: ExportSettings, summary: DatasetSummary, folder: Path) -> None:
    totals = Statistics()
    demonstrations = read_demonstrations(settings.data)
    frames = 0
    origins: list[dict[str, Any]] = []
    with cli.progress_bar() as bar:
        task = bar.add_task("episodes", total=summary.episodes, note="")
        for first in range(0, summary.episodes, EPISODES_PER_FILE):
            part = islice(demonstrations, EPISODES_PER_FILE)
            shown = (_told(demonstration, bar, task, origins) for demonstration in part)
            frames = _write_part(shown, first, frames, totals, summary, settings.fps, folder)
    _write_tasks(folder / "meta/tasks.parquet")
    files.write_json(folder / "meta/stats.json", totals.nested())
    files.write_json(folder / "meta/info.json", _info(summary, frames, settings.fps))
    files.write_json(folder / "meta/h2rh.json", {"provenance": summary.provenance, "episodes": origins})


def _told(
    demonstration: Demonstration, bar: Progress, task: TaskID, origins: list[dict[str, Any]]
) -> Demonstration:
    """The demonstration, once it is counted and its origin noted."""
    bar.update(task, advance=1)
    origins.append({name: getattr(demonstration, name) for name in ("scene", "scene_hash", "seed")})
    return demonstration


def _write_part(
    demonstrations: Iterable[Demonstration], first: int, start: int, totals: Statistics,
    summary: DatasetSummary, fps: int, folder: Path,
) -> int:  # fmt: skip
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
            images = {RGB: demonstration.rgb, MASKS: _grey(demonstration.masks)}
            for video, frames in ((colours, images[RGB]), (outlines, images[MASKS])):
                for image in frames:
                    video.add(image)
            columns.append(_columns(demonstration, episode, frame, fps))
            own = Statistics()
            for statistics in (own, totals):
                statistics.add(columns[-1], images)
            rows.append(_episode_row(episode, frame, frame - start, len(demonstration), fps, place, own))
            frame += len(demonstration)
    _write_frames(folder / DATA_PATH.format(**place), columns)
    _write_table(folder / EPISODES_PATH.format(**place), rows)
    return frame


def _columns(demonstration: Demonstration, episode: int, start: int, fps: int) -> Values:
    """A row per frame of what is not an image."""
    steps = len(demonstration)
    frames = np.arange(steps)
    return {
        "observation.state": _pose(demonstration.world_from_camera),
        "action": demonstration.actions,
        "camera_from_goal": _pose(demonstration.camera_from_goal),
        "clearance_m": demonstration.clearance_m.astype(np.float32),
        "next.done": frames == steps - 1,
        "timestamp": (frames / fps).astype(np.float32),
        "frame_index": frames,
        "episode_index": np.full(steps, episode),
        "index": start + frames,
        "task_index": np.zeros(steps, np.int64),
    }


def _pose(matrices: Array) -> npt.NDArray[np.float32]:
    """(T, 4, 4) to (T, 7): position, m, and quaternion wxyz."""
    wxyz = Rotation.from_matrix(matrices[:, :3, :3]).as_quat(canonical=True, scalar_first=True)
    return np.concatenate([matrices[:, :3, 3], wxyz], axis=1).astype(np.float32)


def _grey(masks: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Masks (T, H, W, 2) as grey pictures (T, H, W, 3)."""
    grey = np.where(masks[..., 0] > 0, OBJECT_GREY, np.where(masks[..., 1] > 0, HAND_GREY, 0))
    return np.repeat(grey[..., None].astype(np.uint8), 3, axis=3)


def _episode_row(
    episode: int, start: int, frames_before: int, steps: int, fps: int, place: dict[str, int], own: Statistics
) -> dict[str, Any]:
    row: dict[str, Any] = {
        "episode_index": episode, "tasks": [TASK], "length": steps,
        "dataset_from_index": start, "dataset_to_index": start + steps,
    }  # fmt: skip
    for part in ("data", "meta/episodes", f"videos/{RGB}", f"videos/{MASKS}"):
        row |= {f"{part}/{name}": value for name, value in place.items()}
    for key in (RGB, MASKS):
        row[f"videos/{key}/from_timestamp"] = frames_before / fps
        row[f"videos/{key}/to_timestamp"] = (frames_before + steps) / fps
    for key, values in own.nested().items():
        row |= {f"stats/{key}/{name}": value for name, value in values.items()}
    return row


class Statistics:
    """Of each feature: least, greatest, mean, standard deviation, count and quantiles.

    Of images, per channel in [0, 1], every fourth pixel of a frame.
    """

    def __init__(self) -> None:
        self._samples: dict[str, list[npt.NDArray[Any]]] = {}
        self._counts: dict[str, npt.NDArray[np.int64]] = {}
        self._frames = 0

    def add(self, columns: Values, images: Values) -> None:
        """Frames' columns (T, ...), and images (T, H, W, 3)."""
        self._frames += len(columns["index"])
        for key, values in columns.items():
            self._samples.setdefault(key, []).append(values.reshape(len(values), -1).astype(np.float64))
        for key, frames in images.items():
            some = frames[:, ::STATS_STRIDE_PX, ::STATS_STRIDE_PX].reshape(-1, 3)
            counts = np.stack([np.bincount(some[:, channel], minlength=256) for channel in range(3)])
            self._counts[key] = self._counts.get(key, np.zeros((3, 256), np.int64)) + counts

    def nested(self) -> dict[str, dict[str, Any]]:
        """As lists: (d,) for a column of width d, (3, 1, 1) for images."""
        found: dict[str, dict[str, Any]] = {}
        for key, parts in self._samples.items():
            values = np.concatenate(parts)
            found[key] = {
                "min": values.min(axis=0).tolist(), "max": values.max(axis=0).tolist(),
                "mean": values.mean(axis=0).tolist(), "std": values.std(axis=0).tolist(),
            } | {name: np.quantile(values, q, axis=0).tolist() for name, q in QUANTILES.items()}  # fmt: skip
        for key, counts in self._counts.items():
            found[key] = {
                name: [[[v]] for v in per_channel] for name, per_channel in _of_levels(counts).items()
            }
        return {key: values | {"count": [self._frames]} for key, values in found.items()}


def _of_levels(counts: npt.NDArray[np.int64]) -> dict[str, list[float]]:
    """Statistics of how often (C, 256) each 8-bit level occurs, per channel, in [0, 1]."""
    levels = np.arange(256) / 255
    share = counts / counts.sum(axis=1, keepdims=True)
    mean = share @ levels
    cumulated = share.cumsum(axis=1)
    found = {
        "min": levels[(counts > 0).argmax(axis=1)],
        "max": levels[255 - (counts[:, ::-1] > 0).argmax(axis=1)],
        "mean": mean,
        "std": np.sqrt(np.maximum(share @ levels**2 - mean**2, 0)),
    } | {name: levels[(cumulated >= q - 1e-12).argmax(axis=1)] for name, q in QUANTILES.items()}
    return {name: values.tolist() for name, values in found.items()}


def _video(folder: Path, key: str, place: dict[str, int], summary: DatasetSummary, fps: int) -> VideoWriter:
    path = folder / VIDEO_PATH.format(video_key=key, **place)
    return VideoWriter(path, summary.width, summary.height, fps, CODING[key])


def _info(summary: DatasetSummary, frames: int, fps: int) -> dict[str, Any]:
    video = {
        "dtype": "video",
        "shape": [summary.height, summary.width, 3],
        "names": ["height", "width", "channels"],
        "info": {
            "video.height": summary.height, "video.width": summary.width, "video.codec": "h264",
            "video.pix_fmt": "yuv420p", "video.is_depth_map": False, "video.fps": fps, "video.channels": 3,
            "has_audio": False,
        },
    }  # fmt: skip
    vectors = {
        key: {"dtype": "float32", "shape": [len(names)], "names": names} for key, names in VECTORS.items()
    }
    scalars = {key: {"dtype": dtype, "shape": [1], "names": None} for key, dtype in SCALARS.items()}
    return {
        "codebase_version": VERSION, "robot_type": "ur5", "total_episodes": summary.episodes,
        "total_frames": frames, "total_tasks": 1, "chunks_size": FILES_PER_CHUNK, "data_files_size_in_mb": 100,
        "video_files_size_in_mb": 200, "fps": fps, "splits": {"train": f"0:{summary.episodes}"},
        "data_path": DATA_PATH, "video_path": VIDEO_PATH,
        "features": {RGB: video, MASKS: video, **vectors, **scalars},
    }  # fmt: skip


def _pyarrow(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        raise MissingPackageError("LeRobot's format needs pyarrow: pip install 'h2rh-env[lerobot]'") from None


def _write_frames(path: Path, episodes: Sequence[Values]) -> None:
    """A row group per episode, so that one is read without the others."""
    tables = [_frame_table(columns) for columns in episodes]
    path.parent.mkdir(parents=True, exist_ok=True)
    with _pyarrow("pyarrow.parquet").ParquetWriter(path, tables[0].schema) as writer:
        for table in tables:
            writer.write_table(table)


def _frame_table(columns: Values) -> Any:
    pa = _pyarrow("pyarrow")
    arrays = {}
    for key in (*VECTORS, *SCALARS):
        values = columns[key]
        if key in VECTORS:
            arrays[key] = pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])
        else:
            arrays[key] = pa.array(values)
    return pa.table(arrays)


def _write_table(path: Path, rows: list[dict[str, Any]]) -> None:
    _write_parquet(path, _pyarrow("pyarrow").Table.from_pylist(rows))


def _write_tasks(path: Path) -> None:
    """LeRobot reads this table with pandas and looks tasks up by their text, so that is its index."""
    columns = [
        {"name": name, "field_name": name, "pandas_type": kind, "numpy_type": numpy, "metadata": None}
        for name, kind, numpy in (("task_index", "int64", "int64"), ("task", "unicode", "object"))
    ]
    pandas = {"index_columns": ["task"], "column_indexes": [], "columns": columns, "pandas_version": "2.0.0"}
    table = _pyarrow("pyarrow").table({"task_index": [0], "task": [TASK]})
    _write_parquet(path, table.replace_schema_metadata({"pandas": json.dumps(pandas)}))


def _write_parquet(path: Path, table: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    _pyarrow("pyarrow.parquet").write_table(table, path)


def main(settings: ExportSettings) -> None:
    export(settings)
    print(f"{settings.out}: a LeRobot {VERSION} data set of {describe(settings.data).episodes} episodes")


if __name__ == "__main__":
    cli.run(main, ExportSettings, __doc__)

"""records.npz: the poses and actions of a report's episodes, exact, in the order of report.json."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from ..benchmark.rollout import Episode
from ..core.episode import EpisodeRecord
from ..core.errors import HandoverError
from ..core.task import MAX_GRASP_STEPS
from ..envs.handover_metrics import HandoverScore
from ..envs.metrics import EpisodeScore
from ..perturbations.conditions import Condition
from ..utils import files

FORMAT = "h2rh-report-2"
UNBOUNDED = ("centre_offset", "clearance_m", "hand_clearance_m")  # may be infinite, which is null in JSON
MAX_BYTES = 2**30
MAX_JSON_BYTES = 2**28


def write_records(path: Path, episodes: Sequence[Episode]) -> None:
    """Poses (sum of T + 1, 4, 4), actions (sum of T, 7), times, and each episode's counts and last mask."""
    records = [e.record for e in episodes]
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        poses=np.concatenate([r.scene_from_gripper for r in records]),
        actions=np.concatenate([r.actions for r in records]),
        step_seconds=np.concatenate([r.step_seconds for r in records]),
        pose_counts=np.array([len(r.scene_from_gripper) for r in records]),
        action_counts=np.array([len(r.actions) for r in records]),
        mask_size=np.array(records[0].end_object_mask.shape),
        end_masks=np.packbits(
            np.stack([r.end_object_mask for r in records]).reshape(len(records), -1), axis=1
        ),
    )
    files.write_bytes(path, buffer.getvalue())


def read_report(path: Path | str) -> dict[str, Any]:
    """report.json of a file or of a report's folder.

    Raises:
        HandoverError: missing, or not a report.
    """
    path = Path(path)
    path = path / "report.json" if path.is_dir() else path
    try:
        report = json.loads(files.read_text(path, MAX_JSON_BYTES))
        if not isinstance(report, dict) or not {"settings", "episodes", "scenes", "summary"} <= report.keys():
            raise HandoverError(f"{path} is not a report; expected what evaluate.py writes")
        if report.get("format") != FORMAT:
            raise HandoverError(
                f"{path} is a report of format {report.get('format', 'h2rh-report-1')!r}, whose figures were defined "
                f"otherwise; this version reads {FORMAT!r}: evaluate again"
            )
        return report
    except (OSError, ValueError) as error:
        raise HandoverError(f"{path} cannot be read ({error}); name a report.json of evaluate.py") from None


def read_episodes(folder: Path | str) -> list[Episode]:
    """The episodes of a report: report.json and records.npz together.

    Raises:
        HandoverError: a file is missing, malformed, or they do not belong together.
    """
    folder = Path(folder)
    folder = folder.parent if folder.is_file() else folder
    entries = read_report(folder)["episodes"]
    path = folder / "records.npz"
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(item.file_size for item in archive.infolist()) > MAX_BYTES:
                raise HandoverError(f"{path} would take more than {MAX_BYTES} bytes of memory")
        with np.load(path, allow_pickle=False) as archive:
            return _episodes(entries, {name: archive[name] for name in archive.files})
    except (OSError, ValueError, KeyError, TypeError, IndexError, EOFError, zipfile.BadZipFile) as error:
        raise HandoverError(f"{path} does not go with its report.json ({error}); evaluate again") from None


def _episodes(entries: list[dict[str, Any]], arrays: dict[str, np.ndarray]) -> list[Episode]:
    pose_counts, action_counts = arrays["pose_counts"], arrays["action_counts"]
    if not len(entries) == len(pose_counts) == len(action_counts) == len(arrays["end_masks"]):
        raise ValueError(f"{len(entries)} episodes in one, {len(pose_counts)} in the other")
    if len(entries) and not (pose_counts.min() >= 1 and pose_counts.max() <= MAX_GRASP_STEPS + 1):
        raise ValueError(f"an episode has {pose_counts.min()} to {pose_counts.max()} poses")
    poses = np.split(arrays["poses"], np.cumsum(pose_counts)[:-1])
    actions = np.split(arrays["actions"], np.cumsum(action_counts)[:-1])
    seconds = np.split(arrays["step_seconds"], np.cumsum(action_counts)[:-1])
    height, width = arrays["mask_size"]
    masks = np.unpackbits(arrays["end_masks"], axis=1)[:, : height * width].reshape(-1, height, width) > 0
    score_fields = [f.name for f in fields(EpisodeScore)]
    found = []
    for i, entry in enumerate(entries):
        record = EpisodeRecord(
            entry["scene_name"],
            entry["scene_hash"],
            entry["policy"],
            entry["start_seed"],
            poses[i],
            actions[i].astype(np.float32),
            entry["ended"],
            masks[i],
            seconds[i],
        )
        figures: dict[str, Any] = {name: entry[name] for name in score_fields}
        figures |= {name: np.inf for name in UNBOUNDED if entry[name] is None}
        condition = Condition(entry["perturbation"], entry["strength"])
        score, handover = EpisodeScore(**figures), _handover(entry["handover"])
        found.append(
            Episode(record, score, entry["scene"], entry["seed"], condition, handover, entry["task"])
        )
    return found


def _handover(entry: dict[str, Any] | None) -> HandoverScore | None:
    if entry is None:
        return None
    return HandoverScore(**{f.name: entry[f.name] for f in fields(HandoverScore)})

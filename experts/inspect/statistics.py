"""Prints statistics of demonstrations: lengths, distances, how many frames are labelled, and the expert's phases.

    python -m experts.inspect.statistics data/train
    python -m experts.inspect.statistics data/train --scenes scenes/train

The expert's phases are counted if the scenes that the demonstrations come from are given.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
import tyro
from rich.console import Console
from rich.table import Table

from h2rh_env.core.errors import DatasetError
from h2rh_env.core.geometry import SE3, rotation_angle
from h2rh_env.core.task import GRASP_SCORE_THRESHOLD
from h2rh_env.datasets.read import Demonstration, describe, read_demonstrations
from h2rh_env.scenes.handover_scene import HandoverScene, load_scenes
from h2rh_env.utils import cli

from ..three_phase import Phase, ThreePhaseExpert

PERCENTILES = (0, 5, 50, 95, 100)


@dataclass(frozen=True)
class StatisticsConfig:
    """Options of the command."""

    data: Annotated[Path, tyro.conf.Positional]
    """Folder of the demonstrations, as experts.collect writes it."""
    scenes: Path | None = None
    """Folder of the scenes that the demonstrations come from; needed to count the expert's phases."""


@dataclass(frozen=True, eq=False)
class DemonstrationStatistics:
    """Figures of E episodes.

    Attributes:
        frames: (E,) of each. steps: (E,) until the pre-grasp pose, Cls = 1, is reached first.
        length_m: (E,) of the camera's path there; turn_rad: (E,) by which it turned on the path, rad.
        distance_m: (E,) of the initial pose from the pre-grasp position.
        clearance_m: (E,) least distance to hand or object.
        object_share, hand_share: (E,) mean part of the image that the masks cover.
        positives: frames with Cls = 1. dropped: trajectories rejected while collecting.
        phases: frames by the expert's phase; empty where no scenes were given.
    """

    frames: npt.NDArray[np.int64]
    steps: npt.NDArray[np.int64]
    length_m: npt.NDArray[np.float64]
    turn_rad: npt.NDArray[np.float64]
    distance_m: npt.NDArray[np.float64]
    clearance_m: npt.NDArray[np.float64]
    object_share: npt.NDArray[np.float64]
    hand_share: npt.NDArray[np.float64]
    positives: int
    dropped: int
    phases: Mapping[Phase, int]


def statistics(
    folder: Path | str, scenes: Sequence[HandoverScene] = (), expert: ThreePhaseExpert | None = None
) -> DemonstrationStatistics:
    """Reads a dataset once.

    Args:
        scenes: where it comes from, to count phases; expert: whose phases.

    Raises:
        DatasetError: no dataset, an empty one, or one of other scenes.
    """
    by_name = {scene.name: scene for scene in scenes}
    phases: Counter[Phase] = Counter()
    rows, positives = [], 0
    for demonstration in read_demonstrations(folder):
        positives += int((demonstration.actions[:, 6] >= GRASP_SCORE_THRESHOLD).sum())
        rows.append(_row(demonstration))
        if by_name:
            phases.update(phases_of(demonstration, scene_of(demonstration, by_name), expert))
    if not rows:
        raise DatasetError(f"{folder} holds no episode")
    frames, steps, length_m, turn_rad, distance_m, clearance_m, objects, hands = np.array(rows).T
    return DemonstrationStatistics(
        frames.astype(np.int64), steps.astype(np.int64), length_m, turn_rad, distance_m, clearance_m,
        objects, hands, positives, describe(folder).dropped, phases,
    )  # fmt: skip


def scene_of(demonstration: Demonstration, by_name: Mapping[str, HandoverScene]) -> HandoverScene:
    """The scene of a demonstration.

    Raises:
        DatasetError: it is not there, or was changed since.
    """
    scene = by_name.get(demonstration.scene)
    if scene is None or scene.scene_hash != demonstration.scene_hash:
        what = "is not among them" if scene is None else "was changed since"
        raise DatasetError(
            f"the demonstrations come from other scenes: {demonstration.scene!r} {what}; give those that "
            "they were collected in"
        )
    return scene


def phases_of(
    demonstration: Demonstration, scene: HandoverScene, expert: ThreePhaseExpert | None = None
) -> list[Phase]:
    """The expert's phase at each frame."""
    expert = expert or ThreePhaseExpert()
    return [expert.phase_at(scene, SE3.from_matrix(pose)) for pose in demonstration.scene_from_camera]


def _row(demonstration: Demonstration) -> tuple[float, ...]:
    poses = demonstration.scene_from_camera
    arrived = demonstration.actions[:, 6] >= GRASP_SCORE_THRESHOLD
    steps = int(arrived.argmax()) if arrived.any() else len(demonstration)
    path = poses[: steps + 1]
    turn = sum(rotation_angle(a[:3, :3].T @ b[:3, :3]) for a, b in pairwise(path))
    return (
        len(demonstration),
        steps,
        float(np.linalg.norm(np.diff(path[:, :3, 3], axis=0), axis=1).sum()),
        turn,
        float(np.linalg.norm(demonstration.camera_from_goal[0, :3, 3])),
        float(demonstration.clearance_m.min()),
        float((demonstration.masks[..., 0] > 0).mean()),
        float((demonstration.masks[..., 1] > 0).mean()),
    )


def table(found: DemonstrationStatistics) -> Table:
    """Least, 5 %, median, 95 % and greatest of each figure."""
    view = Table("", "min", "5 %", "median", "95 %", "max")
    rows = {
        "frames": (found.frames, "{:.0f}"),
        "steps to the pre-grasp pose": (found.steps, "{:.0f}"),
        "initial to pre-grasp, m": (found.distance_m, "{:.2f}"),
        "path, m": (found.length_m, "{:.2f}"),
        "turn, deg": (np.degrees(found.turn_rad), "{:.0f}"),
        "least clearance, m": (found.clearance_m, "{:.3f}"),
        "object, % of image": (100 * found.object_share, "{:.1f}"),
        "hand, % of image": (100 * found.hand_share, "{:.1f}"),
    }
    for name, (values, form) in rows.items():
        view.add_row(name, *(form.format(v) for v in np.percentile(values, PERCENTILES)))
    return view


def main(settings: StatisticsConfig) -> None:
    """Prints."""
    found = statistics(settings.data, load_scenes(settings.scenes) if settings.scenes else ())
    frames = int(found.frames.sum())
    console = Console()
    console.print(table(found))
    console.print(
        f"{len(found.frames)} demonstrations, {frames} frames, {found.dropped} dropped; "
        f"Cls = 1 in {found.positives} frames ({100 * found.positives / frames:.1f} %)"
    )
    if found.phases:
        parts = (f"{p.name.lower()} {100 * n / frames:.1f} %" for p, n in sorted(found.phases.items()))
        console.print("phases: " + ", ".join(parts))


if __name__ == "__main__":
    cli.run(main, StatisticsConfig, __doc__)

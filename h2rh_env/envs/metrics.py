"""What the figures of Tables I and II mean, as functions of an episode and the scene it was in."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..core.clearance import between_fingers, swept_hits
from ..core.episode import EpisodeRecord
from ..core.geometry import SE3
from ..core.gripper import ROBOTIQ_2F85, GripperGeometry
from ..core.proportions import Rate
from ..core.task import CLEARANCE_M, DISTANCE_BAND_M, STANDOFF_M
from ..scenes.handover_scene import HandoverScene

CENTRE_TOLERANCE = 0.05  # of the image's width
MIN_CLOSING_POINTS = 5

FAILURES = ("not declared", "too near on the way", "off centre", "out of the band", "unsafe advance")


@dataclass(frozen=True)
class EpisodeScore:
    """Figures of one episode.

    Attributes:
        distance_m: least distance from the grasp-frame origin at the end to a point of the object.
        centre_offset: from the image's centre to the object's mask at the end, as a fraction of the image's
            width; 0 on the mask, infinite if the object is not seen.
        clearance_m: least distance of any pose to hand or object.
        declared, in_band, centred, safe: see `score`; all are false for an episode that was not declared,
            but `safe`, which then speaks of the poses alone.
        graspable: whether the gripper would close on the object after the advance; None where no grasp
            fits the scene, nothing was declared, or nobody asked.
        success: declared, in the band, centred and safe.
        first_failure: None for a success, else one of `FAILURES`.
        steps: poses visited after the start.
        seconds_per_step: mean time the policy took, s; 0 where not measured.
    """

    distance_m: float
    centre_offset: float
    clearance_m: float
    declared: bool
    in_band: bool
    centred: bool
    safe: bool
    graspable: bool | None
    success: bool
    first_failure: str | None
    steps: int
    seconds_per_step: float


def score(record: EpisodeRecord, scene: HandoverScene, with_graspable: bool = True) -> EpisodeScore:
    """Judges an episode (Sec. IV-B) against the points of its scene.

    Args: with_graspable: whether to ask that too, which takes a third of the time.
    """
    end = record.end_scene_from_gripper
    positions = record.scene_from_gripper[:, :3, 3]
    distance = float(scene.object_clearance.distance(end.translation))
    offset = centre_offset(record.end_object_mask)
    clearance = float(scene.clearance.distance(positions).min())

    clear_way = clearance > CLEARANCE_M
    clear_advance = not swept_hits(scene.hand_points, end, STANDOFF_M).any()
    in_band = record.declared and DISTANCE_BAND_M[0] <= distance <= DISTANCE_BAND_M[1]
    centred = record.declared and bool(offset <= CENTRE_TOLERANCE)
    safe = clear_way and (clear_advance or not record.declared)
    verdicts = (record.declared, clear_way, centred, in_band, clear_advance)
    first_failure = next((name for name, good in zip(FAILURES, verdicts, strict=True) if not good), None)
    return EpisodeScore(
        distance_m=distance,
        centre_offset=offset,
        clearance_m=clearance,
        declared=record.declared,
        in_band=in_band,
        centred=centred,
        safe=safe,
        graspable=closes_on(scene.object_points, _advanced(end))
        if with_graspable and record.declared and scene.grasp.graspable
        else None,
        success=first_failure is None,
        first_failure=first_failure,
        steps=len(positions) - 1,
        seconds_per_step=float(np.mean(record.step_seconds)) if len(record.step_seconds) else 0.0,
    )


def centre_offset(mask: npt.NDArray[np.bool_]) -> float:
    """Distance from the image's centre to the nearest pixel centre of a mask (H, W), less half a pixel, as a
    fraction of the width; 0 on the mask, infinite for an empty one."""
    height, width = mask.shape
    if mask[(height - 1) // 2 : height // 2 + 1, (width - 1) // 2 : width // 2 + 1].any():
        return 0.0
    rows, columns = np.divmod(np.flatnonzero(mask), width)
    if not len(rows):
        return float("inf")
    apart = np.hypot(rows + 0.5 - height / 2, columns + 0.5 - width / 2)
    return max(0.0, float(apart.min()) - math.sqrt(0.5)) / width


def closes_on(
    object_points_scene: npt.ArrayLike, scene_from_grasp: SE3, gripper: GripperGeometry = ROBOTIQ_2F85
) -> bool:
    """Whether the open gripper at a grasp pose has object points (P, 3) between its fingers and none inside them."""
    points_gripper = scene_from_grasp.inverse().apply(object_points_scene)
    between = between_fingers(points_gripper, gripper)
    touched = swept_hits(object_points_scene, scene_from_grasp, 0.0, 0.0, gripper)
    return int(between.sum()) >= MIN_CLOSING_POINTS and not touched.any()


def _advanced(scene_from_gripper: SE3) -> SE3:
    return scene_from_gripper @ SE3(np.eye(3), np.array([0.0, 0.0, STANDOFF_M]))


@dataclass(frozen=True)
class Summary:
    """Figures of several episodes. Distances are over declared episodes, NaN if there are none."""

    episodes: int
    success: Rate
    declared: Rate
    safe: Rate
    centred: Rate
    in_band: Rate
    graspable: Rate
    without_grasp: int
    distance_mean_m: float
    distance_std_m: float
    steps_mean: float
    seconds_per_step: float
    failures: dict[str, int]


def summarise(scores: Sequence[EpisodeScore]) -> Summary:
    """Rates over `scores`; those declared without a grasp count as such."""
    distances = [s.distance_m for s in scores if s.declared]
    judged = [s.graspable for s in scores if s.graspable is not None]
    counted = Counter(s.first_failure for s in scores)

    def rate(name: str) -> Rate:
        return Rate.of(getattr(s, name) for s in scores)

    return Summary(
        episodes=len(scores),
        success=rate("success"),
        declared=rate("declared"),
        safe=rate("safe"),
        centred=rate("centred"),
        in_band=rate("in_band"),
        graspable=Rate.of(judged),
        without_grasp=sum(s.declared and s.graspable is None for s in scores),
        distance_mean_m=float(np.mean(distances)) if distances else float("nan"),
        distance_std_m=float(np.std(distances)) if distances else float("nan"),
        steps_mean=float(np.mean([s.steps for s in scores])) if scores else float("nan"),
        seconds_per_step=float(np.mean([s.seconds_per_step for s in scores])) if scores else float("nan"),
        failures={name: counted[name] for name in FAILURES},
    )

"""What the figures of Tables I and II mean, as functions of an episode and the scene it was in."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..core.clearance import between_fingers, swept_hits
from ..core.episode import EpisodeRecord
from ..core.geometry import SE3, Array, angle_between, between
from ..core.gripper import ROBOTIQ_2F85, GripperGeometry
from ..core.motion_limits import MAX_STEP_TRANSLATION_M
from ..core.task import CLEARANCE_M, DISTANCE_BAND_M, STANDOFF_M
from ..scenes.handover_scene import HandoverScene
from ..utils.proportions import Rate

CENTRE_TOLERANCE = 0.05  # of the image's width
MIN_CLOSING_POINTS = 5

FAILURES = ("not declared", "too near on the way", "off centre", "out of the band", "unsafe advance")
UNSAFE = ("within 0.1 m of a hand", "gripper touched a hand", "advance through a hand")


@dataclass(frozen=True)
class EpisodeScore:
    """Figures of one episode.

    Attributes:
        distance_m: least distance from the grasp-frame origin at the end to a point of the object.
        centre_offset: from the image's centre to the object's mask at the end, as a fraction of the image's
            width; 0 on the mask, infinite if the object is not seen.
        clearance_m: least distance of any pose to hand or object; hand_clearance_m: to the hand alone.
        initial_angle_rad: between the approach of the scene's grasp and the direction from the initial pose to its
            contact point; 0 means that the initial pose lies on the approach.
        declared, in_band, centred: see `score`; false for an episode that was not declared.
        unsafe: what was unsafe first, one of `UNSAFE`, whether it was declared or not; None for a safe episode.
        graspable: whether the gripper would close on the object after the advance; None where no grasp
            fits the scene, nothing was declared, or nobody asked.
        first_failure: None for a success, else one of `FAILURES`.
        steps: poses visited after the initial one.
        seconds_per_step: mean time the policy took, s; 0 where not measured.
    """

    distance_m: float
    centre_offset: float
    clearance_m: float
    hand_clearance_m: float
    initial_angle_rad: float
    declared: bool
    in_band: bool
    centred: bool
    unsafe: str | None
    graspable: bool | None
    first_failure: str | None
    steps: int
    seconds_per_step: float

    @property
    def safe(self) -> bool:
        return self.unsafe is None

    @property
    def success(self) -> bool:
        """Declared, in the band, centred, and safe of hand and object."""
        return self.first_failure is None


def score(record: EpisodeRecord, scene: HandoverScene, with_graspable: bool = True) -> EpisodeScore:
    """Judges an episode (Sec. IV-B) against the points of its scene.

    Args: with_graspable: whether to ask that too, which takes a third of the time.
    """
    end = record.end_scene_from_gripper
    positions = record.scene_from_gripper[:, :3, 3]
    distance = float(scene.object_clearance.distance(end.translation))
    offset = centre_offset(record.end_object_mask)
    clearance = float(scene.clearance.distance(positions).min())
    hand_clearances = scene.hand_clearance.distance(positions)

    in_band = record.declared and DISTANCE_BAND_M[0] <= distance <= DISTANCE_BAND_M[1]
    centred = record.declared and bool(offset <= CENTRE_TOLERANCE)
    clear_advance = not swept_hits(scene.hand_points, end, STANDOFF_M).any()
    clear_of_hand = bool(hand_clearances.min() > CLEARANCE_M)
    touched = touches(record.scene_from_gripper, hand_clearances, scene.hand_points)
    harmless = (clear_of_hand, not touched, clear_advance or not record.declared)
    verdicts = (record.declared, clearance > CLEARANCE_M and not touched, centred, in_band, clear_advance)
    return EpisodeScore(
        distance_m=distance,
        centre_offset=offset,
        clearance_m=clearance,
        hand_clearance_m=float(hand_clearances.min()),
        initial_angle_rad=initial_angle_rad(record, scene),
        declared=record.declared,
        in_band=in_band,
        centred=centred,
        unsafe=_first_broken(UNSAFE, harmless),
        graspable=closes_on(scene.object_points, _advanced(end))
        if with_graspable and record.declared and scene.grasp.graspable
        else None,
        first_failure=_first_broken(FAILURES, verdicts),
        steps=len(positions) - 1,
        seconds_per_step=float(np.mean(record.step_seconds)) if len(record.step_seconds) else 0.0,
    )


def _first_broken(names: Sequence[str], verdicts: Sequence[bool]) -> str | None:
    return next((name for name, good in zip(names, verdicts, strict=True) if not good), None)


def touches(
    scene_from_gripper: Array,
    hand_clearances_m: Array,
    hand_points_scene: npt.ArrayLike,
    gripper: GripperGeometry = ROBOTIQ_2F85,
) -> bool:
    """Whether any part of the open gripper touched the hand on a path.

    Between two poses a gripper is looked at halfway too: a step is at most 0.06 m long, which is less than the
    fingers are thick and a hand is broad together.

    Args:
        scene_from_gripper: (T + 1, 4, 4) poses. hand_clearances_m: (T + 1,) from their origins to the hand.
        hand_points_scene: (P, 3), m.
    """
    reach_m = float(np.linalg.norm(np.abs(gripper.boxes()).max(axis=(0, 1)))) + MAX_STEP_TRANSLATION_M
    poses = [SE3.from_matrix(pose) for pose in scene_from_gripper]
    for i, (pose, clearance) in enumerate(zip(poses, hand_clearances_m, strict=True)):
        if clearance > reach_m:
            continue
        looked_at = [pose] if i == 0 else [pose, between(poses[i - 1], pose, 0.5)]
        if any(swept_hits(hand_points_scene, at, 0.0, 0.0, gripper).any() for at in looked_at):
            return True
    return False


def initial_angle_rad(record: EpisodeRecord, scene: HandoverScene) -> float:
    """Between the grasp's approach and the direction from the initial pose to the contact point."""
    grasp = scene.grasp
    towards = grasp.contact_scene - record.scene_from_gripper[0, :3, 3]
    return float(angle_between(grasp.scene_from_grasp.rotation[:, 2], towards))


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
    offset: float = max(0.0, float(apart.min()) - math.sqrt(0.5)) / width
    return offset


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
    """Figures of several episodes. Rates are over all of them, distances over declared ones (NaN without any).

    Attributes:
        undeclared_safe: safe episodes in which nothing was declared.
        unsafe: how often what was unsafe first. failures: how often what failed first.
        by_angle: success by the angle between initial pose and approach, by the names in `ANGLES`.
    """

    episodes: int
    success: Rate
    declared: Rate
    safe: Rate
    undeclared_safe: int
    unsafe: dict[str, int]
    centred: Rate
    in_band: Rate
    graspable: Rate
    without_grasp: int
    by_angle: dict[str, Rate]
    distance_mean_m: float
    distance_std_m: float
    steps_mean: float
    seconds_per_step: float
    failures: dict[str, int]


ANGLES = {"< 30°": (0.0, 30.0), "30-60°": (30.0, 60.0), "> 60°": (60.0, math.inf)}  # degrees, as tables say


def is_in(angle_rad: float, name: str) -> bool:
    """Whether an angle between initial pose and approach is in the range of `ANGLES` with this name."""
    low, high = ANGLES[name]
    return low <= math.degrees(angle_rad) < high


def summarise(scores: Sequence[EpisodeScore], scenes: Sequence[Hashable] | None = None) -> Summary:
    """Figures over `scores`; those declared without a grasp count as such.

    Args:
        scenes: what scene each score is of; intervals then resample scenes. None takes episodes for independent.
    """
    clusters = range(len(scores)) if scenes is None else scenes
    labelled = list(zip(scores, clusters, strict=True))
    distances = [s.distance_m for s in scores if s.declared]

    def rate(name: str, among: Sequence[tuple[EpisodeScore, Hashable]] = labelled) -> Rate:
        verdicts = [getattr(s, name) for s, _ in among]
        return Rate.of(verdicts, None if scenes is None else [scene for _, scene in among])

    return Summary(
        episodes=len(scores),
        success=rate("success"),
        declared=rate("declared"),
        safe=rate("safe"),
        undeclared_safe=sum(s.safe and not s.declared for s in scores),
        unsafe=_counted(UNSAFE, (s.unsafe for s in scores)),
        centred=rate("centred"),
        in_band=rate("in_band"),
        graspable=rate("graspable", [(s, c) for s, c in labelled if s.graspable is not None]),
        without_grasp=sum(s.declared and s.graspable is None for s in scores),
        by_angle={
            name: rate("success", [(s, c) for s, c in labelled if is_in(s.initial_angle_rad, name)])
            for name in ANGLES
        },
        distance_mean_m=float(np.mean(distances)) if distances else float("nan"),
        distance_std_m=float(np.std(distances)) if distances else float("nan"),
        steps_mean=float(np.mean([s.steps for s in scores])) if scores else float("nan"),
        seconds_per_step=float(np.mean([s.seconds_per_step for s in scores])) if scores else float("nan"),
        failures=_counted(FAILURES, (s.first_failure for s in scores)),
    )


def _counted(names: Sequence[str], found: Iterable[str | None]) -> dict[str, int]:
    counts = Counter(found)
    return {name: counts[name] for name in names}

"""What *handed over* means: a path of the gripper judged by contact, and the one reason why it failed."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from ..contact.conditions import BENCHMARK_CONDITIONS, ContactConditions
from ..contact.outcome import HandoverOutcome
from ..core.clearance.final_approach import kept_away
from ..core.geometry import SE3, Array, rotation_angle
from ..core.gripper import FINGERTIP_DEPTH_M, ROBOTIQ_2F85, GripperGeometry, half_turned
from ..core.task import CLEARANCE_M
from ..scenes.handover_scene import HandoverScene
from ..utils.proportions import Rate
from .metrics import ANGLES, is_in

HANDOVER_FAILURES = (
    "not closed in time",
    "too near on the way",
    "touched the hand",
    "pushed the object",
    "closed on nothing",
    "slipped or dropped",
)
NEAR_M, NEAR_RAD = (
    0.005,
    math.radians(3),
)  # one unit of a grasp's distance: the scale on which contact decides


@dataclass(frozen=True)
class HandoverScore:
    """Figures of one handover.

    Attributes:
        first_failure: None for an object that was handed over, else one of `HANDOVER_FAILURES`.
        safe: whether the grasp-frame origin stayed 0.1 m from the hand and no part of the gripper ever touched it.
        closed: whether the fingers were closed in time, by the policy or by who drove it on.
        touched_hand: whether there was any contact with the hand; hand_force_n: the greatest normal force.
        pushed_m: how far the object was displaced, at most, before the fingers had closed.
        slip_m, slip_rad: how far it moved and turned between the pads until the end; None if nothing was held.
        advance_m: how far the gripper was driven on after the declaration; None where the policy closed itself.
        grasp_distance_m, grasp_angle_rad: from the last pose, contact point to contact point, to the nearest
            acceptable grasp of the scene.
        friction, mass_kg: what the seed drew.
    """

    first_failure: str | None
    safe: bool
    closed: bool
    touched_hand: bool
    hand_force_n: float
    pushed_m: float
    slip_m: float | None
    slip_rad: float | None
    advance_m: float | None
    grasp_distance_m: float
    grasp_angle_rad: float
    friction: float
    mass_kg: float

    @property
    def handed_over(self) -> bool:
        return self.first_failure is None


def can_be_handed_over(scene: HandoverScene) -> bool:
    """Whether a gripper in use can hold the scene's object safely; else the scene is left out of *handed over*."""
    return scene.grasp.graspable


def score_handover(
    scene_from_gripper: Array,
    closed: bool,
    scene: HandoverScene,
    seed: int,
    conditions: ContactConditions = BENCHMARK_CONDITIONS,
    gripper: GripperGeometry = ROBOTIQ_2F85,
    advance_m: float | None = None,
) -> HandoverScore:
    """Judges a path of the gripper, at whose last pose the fingers close.

    Args:
        scene_from_gripper: (T + 1, 4, 4) poses in the scene's frame, the final approach among them.
        closed: False if the fingers were not closed in time; the path is then judged for safety alone.
        seed: of the drawn conditions.
        advance_m: what of the path's end was driven on by somebody else, for the record.
    """
    from ..contact.handover import simulate_handover  # loads MuJoCo

    path = [SE3.from_matrix(pose) for pose in scene_from_gripper]
    outcome = simulate_handover(scene, path, seed, conditions, gripper, closes=closed)
    clear = kept_away(scene_from_gripper, scene.hand_clearance, scene.object_clearance).all()
    hand_clear = scene.hand_clearance.distance(scene_from_gripper[:, :3, 3]).min() > CLEARANCE_M
    grasps = [grasp.scene_from_grasp for grasp in scene.acceptable_grasps or (scene.grasp,)]
    distance_m, angle_rad = to_nearest_grasp(path[-1], grasps)
    return HandoverScore(
        first_failure=_first_failure(closed, bool(clear), outcome),
        safe=bool(hand_clear) and not outcome.touched_hand,
        closed=closed,
        touched_hand=outcome.touched_hand,
        hand_force_n=outcome.greatest_hand_force_n,
        pushed_m=outcome.pushed_m,
        slip_m=outcome.slip_m,
        slip_rad=outcome.slip_rad,
        advance_m=advance_m,
        grasp_distance_m=distance_m,
        grasp_angle_rad=angle_rad,
        friction=outcome.friction,
        mass_kg=outcome.mass_kg,
    )


def _first_failure(closed: bool, clear: bool, outcome: HandoverOutcome) -> str | None:
    if not closed:
        return "not closed in time"
    return outcome.first_failure if clear else "too near on the way"


def to_nearest_grasp(scene_from_gripper: SE3, grasps: Sequence[SE3]) -> tuple[float, float]:
    """Distance between contact points (m) and angle (rad) to the nearest of some grasps, by either half turn.

    Near is measured in units of 5 mm and 3 degrees, the scale on which contact decides.
    """
    contact = scene_from_gripper.apply([0.0, 0.0, FINGERTIP_DEPTH_M])
    found = []
    for grasp in grasps:
        distance = float(np.linalg.norm(grasp.apply([0.0, 0.0, FINGERTIP_DEPTH_M]) - contact))
        turns = (grasp, half_turned(grasp))
        angle = min(rotation_angle(scene_from_gripper.rotation.T @ turn.rotation) for turn in turns)
        found.append((distance, angle))
    return min(found, key=lambda pair: pair[0] / NEAR_M + pair[1] / NEAR_RAD)


@dataclass(frozen=True)
class HandoverSummary:
    """Figures of several handovers. Rates are over all episodes whose object can be held safely.

    Attributes:
        left_out: episodes in scenes whose object cannot be held safely.
        by_angle: handed over by the angle between initial pose and approach, by the names in `ANGLES`.
        grasp_distance_m, grasp_angle_rad: medians to the nearest acceptable grasp, of closed ones; NaN without any.
        failures: how often what failed first.
    """

    handed_over: Rate
    safe: Rate
    touched_hand: Rate
    by_angle: dict[str, Rate]
    left_out: int
    grasp_distance_m: float
    grasp_angle_rad: float
    failures: dict[str, int]


def summarise_handovers(
    scores: Sequence[HandoverScore | None],
    angles_rad: Sequence[float],
    scenes: Sequence[Hashable],
) -> HandoverSummary:
    """Figures over handovers; None stands for an episode in a scene that is left out.

    Args:
        angles_rad: of each episode, between initial pose and approach. scenes: what intervals resample.
    """
    judged = [(s, a, c) for s, a, c in zip(scores, angles_rad, scenes, strict=True) if s is not None]
    closed = [s for s, _, _ in judged if s.closed]
    clusters = [scene for _, _, scene in judged]
    counted = Counter(s.first_failure for s, _, _ in judged)
    return HandoverSummary(
        handed_over=Rate.of((s.handed_over for s, _, _ in judged), clusters),
        safe=Rate.of((s.safe for s, _, _ in judged), clusters),
        touched_hand=Rate.of((s.touched_hand for s, _, _ in judged), clusters),
        by_angle={
            name: Rate.of((s.handed_over for s, _, _ in among), [scene for _, _, scene in among])
            for name, among in ((name, [j for j in judged if is_in(j[1], name)]) for name in ANGLES)
        },
        left_out=len(scores) - len(judged),
        grasp_distance_m=_median([s.grasp_distance_m for s in closed]),
        grasp_angle_rad=_median([s.grasp_angle_rad for s in closed]),
        failures={name: counted[name] for name in HANDOVER_FAILURES},
    )


def _median(values: Sequence[float]) -> float:
    return float(np.median(values)) if values else float("nan")

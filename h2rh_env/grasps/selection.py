"""Selection: of many grasps, the one safe for the hand (Eq. 1) that a person would expect.

What the image does not determine can't be learnt, so the choice is a smooth function of the geometry: the cheapest of
the candidates that differ are moved to the middle of the safe grasps around them, and the best of those is taken.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from ..errors import GraspError
from ..geometry import SE3, Array
from ..gripper import ROBOTIQ_2F85, GripperGeometry, upright_half_turn
from .base import GraspCandidate
from .closing import closing_of
from .fallback import approach_poses
from .preferences import Preferences, Situation
from .refinement import FEW, MANY, Worth
from .safety import FAULTS, Limits

LOOK_AHEAD = 128
ENOUGH_SAFE = 250
STARTS = 8
FINALISTS = 4
APART_M = 0.02
APART_COS = float(np.cos(np.radians(20)))


def select_grasp(
    candidates: Sequence[GraspCandidate],
    object_points: npt.ArrayLike,
    hand_points: npt.ArrayLike,
    gripper: GripperGeometry = ROBOTIQ_2F85,
    limits: Limits | None = None,
    preferences: Preferences | None = None,
) -> GraspCandidate:
    """The grasp to take the object with, or the best safe approach to an object that no grasp fits.

    Args:
        candidates: from a `GraspProposer`; order does not matter.
        object_points, hand_points: (P, 3), m, world frame; there may be no hand.
        limits: what makes a grasp unsafe or unseen. preferences: what makes it better.

    Returns:
        A grasp at or near one of the candidates. `graspable` is False where none of them is safe.

    Raises:
        GraspError: not even an approach is safe; the message counts why.
    """
    limits, preferences = limits or Limits(), preferences or Preferences()
    situation = Situation.of(object_points, hand_points)
    faults = np.zeros(0, np.int64)
    for closes in (True, False):
        worth = Worth(situation, limits, preferences, gripper, closes)
        proposed = (
            list(candidates) if closes else approach_poses(situation.surface.points, situation.free_centre)
        )
        crowd, rotations, origins = _by_cost(proposed, preferences, situation)
        safe, faults = _safe_ones(rotations, origins, worth)
        for choice in _refined([crowd[i] for i in safe], worth):
            if worth.allows(choice.world_from_grasp):
                return choice
    reasons = [f"{count} {FAULTS[i - 1]}" for i, count in enumerate(np.bincount(faults)) if i and count]
    raise GraspError(
        f"no safe approach to the object: of {len(faults)} directions tried, {', '.join(reasons)}"
    )


def _by_cost(
    candidates: list[GraspCandidate], preferences: Preferences, situation: Situation
) -> tuple[list[GraspCandidate], Array, Array]:
    """The candidates, cheapest first, with their rotations (N, 3, 3) and origins (N, 3)."""
    rotations = np.array([c.world_from_grasp.rotation for c in candidates]).reshape(-1, 3, 3)
    origins = np.array([c.world_from_grasp.translation for c in candidates]).reshape(-1, 3)
    contacts = np.array([c.contact_world for c in candidates]).reshape(-1, 3)
    scores = np.array([c.score for c in candidates])
    costs = preferences.costs(rotations, contacts, scores, np.full(len(scores), np.inf), situation)
    order = np.argsort(costs, kind="stable")
    return [candidates[i] for i in order], rotations[order], origins[order]


def _safe_ones(rotations: Array, origins: Array, worth: Worth) -> tuple[list[int], npt.NDArray[np.int64]]:
    """Indices of the first safe grasps, and the faults met until there were enough of them."""
    safe: list[int] = []
    faults: list[int] = []
    for first in range(0, len(rotations), LOOK_AHEAD):
        some = slice(first, first + LOOK_AHEAD)
        found = worth.judged(rotations[some], origins[some]).faults
        safe += list(first + np.flatnonzero(found == 0))
        faults += list(found)
        if len(safe) >= ENOUGH_SAFE:
            break
    return safe, np.array(faults, np.int64)


def _refined(candidates: list[GraspCandidate], worth: Worth) -> Iterator[GraspCandidate]:
    """Yields what the candidates lead to, best first, then the candidates themselves, cheapest first."""
    climbed = [worth.climb(c.world_from_grasp, FEW) for c in _different(candidates)]
    climbed.sort(key=lambda pose_and_worth: -pose_and_worth[1])
    finals = [worth.climb(pose, MANY) for pose, _ in climbed[:FINALISTS]]
    finals.sort(key=lambda pose_and_worth: -pose_and_worth[1])
    for pose, _ in finals:
        choice = _grasp_at(pose, worth)
        if choice.score > 0 or not worth.closes:
            yield choice
    yield from candidates


def _different(candidates: list[GraspCandidate]) -> list[GraspCandidate]:
    """The first candidates of which no two are alike."""
    chosen: list[GraspCandidate] = []
    for candidate in candidates:
        approach = candidate.world_from_grasp.rotation[:, 2]
        if all(
            np.linalg.norm(candidate.contact_world - c.contact_world) > APART_M
            or approach @ c.world_from_grasp.rotation[:, 2] < APART_COS
            for c in chosen
        ):
            chosen.append(candidate)
        if len(chosen) == STARTS:
            break
    return chosen


def _grasp_at(pose: SE3, worth: Worth) -> GraspCandidate:
    """A refined pose as a candidate, its fingers centred on what they close on."""
    if not worth.closes:
        return GraspCandidate(upright_half_turn(pose), 0.0, 0.0, graspable=False)
    closing = closing_of(pose.rotation[None], pose.translation[None], worth.situation.surface, worth.gripper)
    centred = SE3(pose.rotation, pose.translation + closing.middle_m[0] * pose.rotation[:, 0])
    return GraspCandidate(upright_half_turn(centred), float(closing.width_m[0]), float(closing.score[0]))

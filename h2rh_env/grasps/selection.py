"""Selection: of many grasps, the one safe for the hand (Eq. 1) that a person would expect.

What the image does not determine can't be learnt, so the choice is a smooth function of the geometry: a mode of the
density of good grasps, blurred so much that no single grasp decides it, from which the objective is climbed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

import numpy as np
import numpy.typing as npt

from ..core.errors import GraspError
from ..core.geometry import SE3
from ..core.gripper import ROBOTIQ_2F85, GripperGeometry, upright_half_turn
from .base import GraspCandidate
from .closing import closing_of
from .density import Density
from .fallback import approach_poses
from .preferences import Preferences, Situation
from .refinement import Objective
from .safety import FAULTS, Limits

MODES = 6  # modes of the density that are climbed in turn, until one leads to a grasp
SINGLES = 200  # grasps that are tried as they are, if none did


def select_grasp(
    candidates: Sequence[GraspCandidate],
    object_points: npt.ArrayLike,
    hand_points: npt.ArrayLike,
    gripper: GripperGeometry = ROBOTIQ_2F85,
    limits: Limits | None = None,
    preferences: Preferences | None = None,
) -> GraspCandidate:
    """Returns the grasp to take the object with, or the best safe approach to an object that no grasp fits.

    Args:
        candidates: Grasps from a `GraspProposer`; their order does not matter.
        object_points: Points (P, 3), m, scene frame.
        hand_points: Points (P, 3), m, scene frame; there may be no hand.
        gripper: The gripper.
        limits: What makes a grasp unsafe or unseen.
        preferences: What makes it better.

    Returns:
        A grasp at or near one of the candidates. `graspable` is False where none of them is safe.

    Raises:
        GraspError: Not even an approach is safe; the message counts why.
    """
    limits, preferences = limits or Limits(), preferences or Preferences()
    situation = Situation.of(object_points, hand_points)
    messages: list[str] = []
    for closes, tried in ((True, "grasps"), (False, "approaches")):
        objective = Objective(situation, limits, preferences, gripper, closes)
        proposed = (
            list(candidates) if closes else approach_poses(situation.surface.points, situation.free_centre)
        )
        density, faults = _safe_ones(proposed, objective)
        for choice in _choices(density, objective):
            if objective.allows(choice.scene_from_grasp):
                return choice
        messages.append(f"of {len(faults)} {tried} tried, {reasons(_counted(faults))}")
    raise GraspError(f"no safe approach to the object: {'; '.join(messages)}")


def count_faults(
    candidates: Sequence[GraspCandidate],
    object_points: npt.ArrayLike,
    hand_points: npt.ArrayLike,
    gripper: GripperGeometry = ROBOTIQ_2F85,
    limits: Limits | None = None,
) -> dict[str, int]:
    """Counts the first faults of grasps, as `select_grasp` sees them before it looks closely."""
    objective = Objective(
        Situation.of(object_points, hand_points), limits or Limits(), Preferences(), gripper, closes=True
    )
    return _counted(_safe_ones(list(candidates), objective)[1])


def _counted(faults: npt.NDArray[np.int64]) -> dict[str, int]:
    counts = np.bincount(faults, minlength=1 + len(FAULTS))
    names = ("are safe only at first sight", *FAULTS)
    return {name: int(count) for name, count in zip(names, counts, strict=True) if count}


def reasons(faults: Mapping[str, int]) -> str:
    """Says in words how many grasps have which fault first."""
    return ", ".join(f"{count} {name}" for name, count in faults.items()) or "none to judge"


def _safe_ones(
    candidates: list[GraspCandidate], objective: Objective
) -> tuple[Density, npt.NDArray[np.int64]]:
    """Returns the candidates that are safe on the thinned clouds, and the faults of all."""
    rotations = np.array([c.scene_from_grasp.rotation for c in candidates]).reshape(-1, 3, 3)
    origins = np.array([c.scene_from_grasp.translation for c in candidates]).reshape(-1, 3)
    contacts = np.array([c.contact_scene for c in candidates]).reshape(-1, 3)
    scores = np.array([c.score for c in candidates])
    verdicts = objective.judged(rotations, origins)
    safe = verdicts.faults == 0
    costs = objective.preferences.costs(
        rotations[safe], contacts[safe], scores[safe], verdicts.hand_gap_m[safe], objective.situation
    )
    return Density.of(rotations[safe], contacts[safe], costs), verdicts.faults


def _choices(density: Density, objective: Objective) -> Iterator[GraspCandidate]:
    """Yields what the modes lead to, the densest first, then single grasps, cheapest first."""
    tops = (objective.climb(pose) for pose in density.modes(MODES))
    for pose in chain(tops, density.poses(SINGLES)):
        choice = None if pose is None else _grasp_at(pose, objective)
        if choice is not None and (choice.score > 0 or not objective.closes):
            yield choice


def _grasp_at(pose: SE3, objective: Objective) -> GraspCandidate:
    """Returns a pose as a candidate, its fingers centred on what they close on."""
    if not objective.closes:
        return GraspCandidate(upright_half_turn(pose), 0.0, 0.0, graspable=False)
    closing = closing_of(
        pose.rotation[None], pose.translation[None], objective.situation.surface, objective.gripper
    )
    centred = SE3(pose.rotation, pose.translation + closing.middle_m[0] * pose.rotation[:, 0])
    return GraspCandidate(upright_half_turn(centred), float(closing.width_m[0]), float(closing.score[0]))

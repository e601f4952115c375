"""Selection: of many grasps, the one safe for the hand (Eq. 1) that a person would expect.

What the image does not determine can't be learnt, so the choice is a smooth function of the geometry: a mode of the
density of good grasps, blurred so much that no single grasp decides it, from which the objective is climbed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice

import numpy as np
import numpy.typing as npt

from ..core.errors import GraspError
from ..core.geometry import SE3
from ..core.gripper import ROBOTIQ_2F85, GripperGeometry, upright_half_turn
from .base import GraspCandidate
from .closing import closing_of
from .density import SPREADS, Density, nearness
from .fallback import approach_poses
from .preferences import Preferences, Situation
from .refinement import Objective
from .safety import FAULTS, Limits

MODES = 10  # modes of the density that are climbed in turn, until one leads to a grasp
ALIKE = float(np.exp(-0.5 * SPREADS[-1] ** 2))
MAX_SINGLES = 30  # grasps that are tried as they are, if none did


@dataclass(frozen=True, eq=False)
class SafeGrasps:
    """The safe ones among candidates, in their order of preference.

    Attributes:
        objective: What a grasp must keep, and what makes it better.
        density: The candidates that are safe on the thinned clouds.
        faults: What is wrong first with each candidate, see `safety.Verdicts`.
    """

    objective: Objective
    density: Density
    faults: npt.NDArray[np.int64]

    @classmethod
    def among(cls, candidates: Sequence[GraspCandidate], objective: Objective) -> SafeGrasps:
        """Judges candidates, in any order."""
        rotations = np.array([c.scene_from_grasp.rotation for c in candidates]).reshape(-1, 3, 3)
        origins = np.array([c.scene_from_grasp.translation for c in candidates]).reshape(-1, 3)
        contacts = np.array([c.contact_scene for c in candidates]).reshape(-1, 3)
        scores = np.array([c.score for c in candidates])
        verdicts = objective.judged(rotations, origins)
        safe = verdicts.faults == 0
        costs = objective.preferences.costs(
            rotations[safe], contacts[safe], scores[safe], verdicts.hand_gap_m[safe], objective.situation
        )
        return cls(objective, Density.of(rotations[safe], contacts[safe], costs), verdicts.faults)

    def choices(self) -> Iterator[GraspCandidate]:
        """Yields what the modes lead to, the densest first, then single grasps well apart, cheapest first."""
        tops = (self.objective.climb(pose) for pose in self.density.modes(MODES))
        before: list[GraspCandidate] = []
        for choice in self._usable(chain(tops, islice(self.density.spread(), MAX_SINGLES))):
            if not any(_alike(choice, other) for other in before):  # several modes may lead to one top
                before.append(choice)
                yield choice

    def others(self, chosen: GraspCandidate, count: int) -> Iterator[GraspCandidate]:
        """Yields at most `count` grasps, apart from the chosen one and each other, that cover all that is safe."""
        return self._usable(islice(self.density.spread(chosen.scene_from_grasp), count))

    @property
    def fault_counts(self) -> dict[str, int]:
        """How many candidates have which fault first, before anyone looks closely."""
        counts = np.bincount(self.faults, minlength=1 + len(FAULTS))
        names = ("are safe at first sight", *FAULTS)
        return {name: int(count) for name, count in zip(names, counts, strict=True) if count}

    def _usable(self, poses: Iterable[SE3 | None]) -> Iterator[GraspCandidate]:
        """Yields those poses that close on something and have no fault on the whole clouds."""
        for pose in poses:
            choice = None if pose is None else _grasp_at(pose, self.objective)
            if choice is None or (self.objective.closes and not choice.score > 0):
                continue
            if self.objective.allows(choice.scene_from_grasp):
                yield choice


def safe_grasps(
    candidates: Sequence[GraspCandidate],
    object_points: npt.ArrayLike,
    hand_points: npt.ArrayLike,
    gripper: GripperGeometry = ROBOTIQ_2F85,
    limits: Limits | None = None,
    preferences: Preferences | None = None,
) -> SafeGrasps:
    """Finds the safe grasps among candidates; see `select_grasp` for the arguments."""
    situation = Situation.of(object_points, hand_points)
    objective = Objective(situation, limits or Limits(), preferences or Preferences(), gripper, closes=True)
    return SafeGrasps.among(candidates, objective)


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
        A grasp at or near one of the candidates. `graspable` is False where none of them is safe. Whether it holds is
        for contact to say, see `h2rh_env.contact.verified_grasps`.

    Raises:
        GraspError: Not even an approach is safe; the message counts why.
    """
    safe = safe_grasps(candidates, object_points, hand_points, gripper, limits, preferences)
    return next(safe.choices(), None) or select_approach(safe)


def select_approach(safe: SafeGrasps) -> GraspCandidate:
    """Returns the best safe approach to an object that no grasp fits.

    Args:
        safe: The grasps that were tried, for the message.

    Raises:
        GraspError: Not even an approach is safe; the message counts why.
    """
    objective = replace(safe.objective, closes=False)
    situation = objective.situation
    poses = approach_poses(situation.surface.points, situation.free_centre)
    approaches = SafeGrasps.among(poses, objective)
    choice = next(approaches.choices(), None)
    if choice is None:
        raise GraspError(
            f"no safe approach to the object: of {len(safe.faults)} grasps tried, {reasons(safe.fault_counts)}; "
            f"of {len(approaches.faults)} approaches tried, {reasons(approaches.fault_counts)}"
        )
    return choice


def reasons(faults: Mapping[str, int]) -> str:
    """Says in words how many grasps have which fault first."""
    return ", ".join(f"{count} {name}" for name, count in faults.items()) or "none to judge"


def _alike(one: GraspCandidate, other: GraspCandidate) -> bool:
    """Tells whether two grasps are too near to each other to count as two choices."""
    arrays = (a[None] for g in (one, other) for a in (g.scene_from_grasp.rotation, g.contact_scene))
    return float(nearness(*arrays)[0, 0]) > ALIKE


def _grasp_at(pose: SE3, objective: Objective) -> GraspCandidate:
    """Returns a pose as a candidate, its fingers centred on what they close on."""
    if not objective.closes:
        return GraspCandidate(upright_half_turn(pose), 0.0, 0.0, graspable=False)
    closing = closing_of(
        pose.rotation[None], pose.translation[None], objective.situation.surface, objective.gripper
    )
    centred = SE3(pose.rotation, pose.translation + closing.middle_m[0] * pose.rotation[:, 0])
    return GraspCandidate(upright_half_turn(centred), float(closing.width_m[0]), float(closing.score[0]))

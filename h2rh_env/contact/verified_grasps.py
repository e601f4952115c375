"""Verified grasps: of the safe grasps, the one to take the object with and the others that hold in contact.

Geometry says in which order grasps are tried, contact says which of them count. A grasp holds if it is handed over,
straight from its pre-grasp pose, under the hardest of the benchmark's conditions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from ..core.gripper import ROBOTIQ_2F85, GripperGeometry
from ..core.task import STANDOFF_M
from ..grasps.base import GraspCandidate
from ..grasps.selection import SafeGrasps, safe_grasps, select_approach
from ..scenes.contact_shape import ContactShape
from .conditions import BENCHMARK_CONDITIONS, ContactConditions
from .handover import final_approach, simulate_handover

FIRST_SEED = 1_000_000  # of verification, far from those of the benchmark's episodes


# The least friction, the greatest mass and half as much noise again as the benchmark's.
HARDEST = ContactConditions(
    (BENCHMARK_CONDITIONS.friction[0],) * 2,
    (BENCHMARK_CONDITIONS.mass_factor[1],) * 2,
    1.5 * BENCHMARK_CONDITIONS.arrival_noise_m,
    1.5 * BENCHMARK_CONDITIONS.arrival_noise_rad,
)


@dataclass(frozen=True)
class Verification:
    """How grasps are verified.

    Attributes:
        conditions: What friction, mass and arrival are drawn from, one after the other from each of these.
        draws: How often the chosen grasp is tried; it must be handed over each time.
        acceptable_draws: How often each of the other grasps is tried.
        spread: How many other grasps, spread over all safe ones, are tried.
    """

    conditions: tuple[ContactConditions, ...] = (HARDEST, BENCHMARK_CONDITIONS)
    draws: int = 8
    acceptable_draws: int = 1
    spread: int = 24


DEFAULT = Verification()


@dataclass(frozen=True, eq=False)
class VerifiedGrasps:
    """What was chosen among safe grasps, and how.

    Attributes:
        grasp: The chosen grasp, or the best safe approach where no grasp holds.
        acceptable: The chosen grasp and the others that hold; empty where none does, or where nothing was verified.
        failures: Why the choices before the chosen one did not hold, and how many of them.
        faults: What is wrong first with how many candidates, before contact.
    """

    grasp: GraspCandidate
    acceptable: tuple[GraspCandidate, ...]
    failures: dict[str, int]
    faults: dict[str, int]

    def provenance(self) -> dict[str, Any]:
        """Returns JSON values for a scene's provenance: why choices did not hold and, without a grasp, all faults."""
        found: dict[str, Any] = {"grasp_failures": self.failures}
        return found if self.grasp.graspable else found | {"grasp_faults": self.faults}


def first_failure(
    shape: ContactShape,
    grasp: GraspCandidate,
    draws: int,
    conditions: Sequence[ContactConditions],
    gripper: GripperGeometry = ROBOTIQ_2F85,
) -> str | None:
    """Returns the first failure of a grasp in so many draws, straight from its pre-grasp pose; None if it holds."""
    path = final_approach(grasp.pregrasp(), STANDOFF_M)
    for draw in range(draws):
        drawn_from = conditions[draw % len(conditions)]
        outcome = simulate_handover(shape, path, FIRST_SEED + draw, drawn_from, gripper)
        if outcome.first_failure is not None:
            return outcome.first_failure
    return None


def choose_grasps(
    candidates: Sequence[GraspCandidate],
    object_points: npt.ArrayLike,
    hand_points: npt.ArrayLike,
    shape: ContactShape,
    verification: Verification | None = DEFAULT,
) -> VerifiedGrasps:
    """Chooses the first safe grasp that holds, and finds the others that hold.

    Args:
        candidates: Grasps from a `GraspProposer`; their order does not matter.
        object_points: Points (P, 3), m, scene frame.
        hand_points: Points (P, 3), m, scene frame; there may be no hand.
        shape: What can be touched.
        verification: How grasps are verified; None leaves the choice to geometry.

    Raises:
        GraspError: No grasp holds and not even an approach is safe.
    """
    safe = safe_grasps(candidates, object_points, hand_points)
    if verification is None:
        chosen = next(safe.choices(), None) or select_approach(safe)
        return VerifiedGrasps(chosen, (), {}, safe.fault_counts)
    failures: Counter[str] = Counter()
    for choice in safe.choices():
        failure = first_failure(shape, choice, verification.draws, verification.conditions)
        if failure is None:
            acceptable = acceptable_grasps(choice, safe, shape, verification)
            return VerifiedGrasps(choice, acceptable, dict(failures), safe.fault_counts)
        failures[failure] += 1
    return VerifiedGrasps(select_approach(safe), (), dict(failures), safe.fault_counts)


def acceptable_grasps(
    chosen: GraspCandidate, safe: SafeGrasps, shape: ContactShape, verification: Verification = DEFAULT
) -> tuple[GraspCandidate, ...]:
    """Returns the chosen grasp and, of grasps spread over all safe ones, those that hold."""
    v = verification
    others = safe.others(chosen, v.spread)
    held = (g for g in others if first_failure(shape, g, v.acceptable_draws, v.conditions) is None)
    return (chosen, *held)

"""Preferences: what a grasp costs, as a smooth function of where object, hand and gravity are."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.spatial import ConvexHull, cKDTree
from scipy.special import ndtr

from ..core.clearance import SWEEP_MARGIN_M
from ..core.errors import GraspError
from ..core.geometry import WORLD_UP, Array, angle_between
from ..core.task import OBJECT_DENSITY_KG_M3
from .surface import Surface, thinned

HAND_VOXEL_M = 0.007
LEVEL_M = 0.02  # a hand's middle this far aside of the object's free part tells its side well
FREE_FROM_HAND_M = 0.04  # a point of the object this far from the hand counts half as free


@dataclass(frozen=True, eq=False)
class Situation:
    """The object and the hand before a gripper, as whole clouds (P, 3) and thinned ones, m, scene frame.

    Attributes:
        free_centre: The mean (3,) of the object's surface, weighed by its distance to the hand, m.
        towards_hand: The unit vector (3,) from there to the hand's mean; None without a hand.
        aside: The level direction (2,) to the hand; its length is near 1 for a hand well beside the free part, and 0
            for one straight below or above.
    """

    object_points: Array
    hand_points: Array
    surface: Surface
    hand_thinned: Array
    free_centre: Array
    towards_hand: Array | None
    aside: Array

    @cached_property
    def mass_kg(self) -> float:
        """A guess at the object's mass, from the volume of its hull."""
        return OBJECT_DENSITY_KG_M3 * float(ConvexHull(self.surface.points, qhull_options="QJ").volume)

    @classmethod
    def of(cls, object_points: npt.ArrayLike, hand_points: npt.ArrayLike) -> Situation:
        """Takes the measures of two clouds (P, 3), m.

        Raises:
            GraspError: There are fewer than 100 object points, or points that are not finite.
        """
        whole = np.asarray(object_points, np.float64).reshape(-1, 3)
        hand = np.asarray(hand_points, np.float64).reshape(-1, 3)
        if not np.isfinite(hand).all():
            raise GraspError(
                f"{int((~np.isfinite(hand)).any(axis=1).sum())} hand points are not finite; drop them"
            )
        surface, thin_hand = Surface.from_points(whole), thinned(hand, HAND_VOXEL_M)
        if not len(hand):
            return cls(whole, hand, surface, thin_hand, surface.points.mean(axis=0), None, np.zeros(2))
        apart, _ = cKDTree(thin_hand).query(surface.points)
        free = 1 / (1 + np.exp((FREE_FROM_HAND_M - apart) / 0.012))
        centre = free @ surface.points / free.sum()
        to_hand = thin_hand.mean(axis=0) - centre
        aside = to_hand[:2] / np.hypot(LEVEL_M, np.linalg.norm(to_hand[:2]))
        return cls(whole, hand, surface, thin_hand, centre, to_hand / np.linalg.norm(to_hand), aside)


@dataclass(frozen=True)
class Preferences:
    """What makes a grasp better: how far from its best each property may be before it costs half a unit.

    Attributes:
        away_rad: The angle between the approach and the direction from the object's free part to the hand; it is
            small where the gripper comes from the other side.
        descent_rad: How far the best approach points below the horizontal.
        descent_spread_rad: The spread about that.
        roll_rad: The camera's roll from upright in the grasp frame.
        centre_m: The distance from the fingertips' midpoint to the middle of the object's free part.
        torque_kgm: The torque by which the object's weight turns it about the closing axis, between the pads, in
            kilograms at a lever of so many metres.
        misfit: The lack of score, 1 - score.
        height_m: A contact this much higher than the middle of the object's free part is one unit cheaper, so that of
            two free ends the upper one is taken.
        side_cost: The cost of an approach at a right angle to the hand's level direction; from the hand's side it is
            twice this. It settles from where to come when the hand is nearly below the object.
        arrival_m: How far beside its path the gripper may well come in, for nobody arrives exactly.
        hand_cost: The price of touching the hand then, which is paid by the chance of it.
    """

    away_rad: float = float(np.radians(45))
    descent_rad: float = float(np.radians(20))
    descent_spread_rad: float = float(np.radians(20))
    roll_rad: float = float(np.radians(25))
    centre_m: float = 0.025
    torque_kgm: float = 0.016
    misfit: float = 0.6
    arrival_m: float = 0.02
    height_m: float = 0.1
    side_cost: float = 4.0
    hand_cost: float = 14.0

    def costs(
        self, rotations: Array, contacts: Array, scores: Array, hand_gaps_m: Array, situation: Situation
    ) -> Array:
        """Returns the costs (N,) of N grasps: the less the better, and smooth in grasp, object and hand.

        Args:
            rotations: Rotations (N, 3, 3), scene from grasp frame.
            contacts: Midpoints of the fingertips, (N, 3), m.
            scores: The proposer's scores (N,).
            hand_gaps_m: Gaps (N,), see `safety.Verdicts`; infinite where not known.
            situation: The object and the hand.
        """
        approaches = rotations[:, :, 2]
        descent = np.arcsin(np.clip(-approaches[:, 2], -1, 1))
        roll = np.arcsin(np.clip(np.abs(rotations[:, 2, 0]), 0, 1))
        cost = ((descent - self.descent_rad) / self.descent_spread_rad) ** 2
        cost += (roll / self.roll_rad) ** 2
        cost += ((contacts - situation.free_centre) ** 2).sum(axis=1) / self.centre_m**2
        cost += (_torques_kgm(rotations, contacts, situation) / self.torque_kgm) ** 2
        cost += ((1 - scores) / self.misfit) ** 2
        cost -= 2 * (contacts - situation.free_centre)[:, 2] / self.height_m
        cost += 2 * self.side_cost * (1 - approaches[:, :2] @ situation.aside)
        if situation.towards_hand is not None:
            cost += (angle_between(approaches, situation.towards_hand) / self.away_rad) ** 2
        total: Array = cost / 2 + self.hand_cost * ndtr((SWEEP_MARGIN_M - hand_gaps_m) / self.arrival_m)
        return total


def _torques_kgm(rotations: Array, contacts: Array, situation: Situation) -> Array:
    """Returns the torques (N,), kg m, of the object's weight about the closing axes."""
    level = np.cross(rotations[:, :, 0], WORLD_UP)
    offsets = situation.surface.points.mean(axis=0) - contacts
    return np.asarray(situation.mass_kg * np.abs(np.einsum("ni,ni->n", offsets, level)))

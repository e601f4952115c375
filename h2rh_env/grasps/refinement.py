"""Refinement: from a safe grasp to the middle of the safe grasps around it.

The objective of a grasp is w = exp(-cost) if it is safe and holds, else 0. That jumps at every limit, and so would
the best grasp when the cloud changes slightly. Its mean over small changes of the pose, S(g) = E_d[w(g + d)], does
not: it is smooth in the pose and in the cloud. The refinement climbs S; a step is the mean of d weighed by w.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from ..core.geometry import SE3, Array
from ..core.gripper import FINGERTIP_DEPTH_M, GripperGeometry
from .closing import MIN_SCORE, closing_of
from .preferences import Preferences, Situation
from .safety import Limits, Verdicts, judge

SPREAD_M = 0.0075
SPREAD_RAD = 0.12
BREADTHS = (1.5, 1.5, 1.25, 1.25, 1.0, 1.0, 1.0, 1.0)  # of the changes, in units of the spreads, step by step


@dataclass(frozen=True)
class Objective:
    """The objective w of grasps in one situation, and the climb on its mean S."""

    situation: Situation
    limits: Limits
    preferences: Preferences
    gripper: GripperGeometry
    closes: bool

    def judged(self, rotations: Array, origins: Array) -> Verdicts:
        """Judges grasps on the thinned clouds."""
        points, hand = self.situation.surface.points, self.situation.hand_thinned
        return judge(rotations, origins, points, hand, self.limits, self.closes, self.gripper)

    def allows(self, scene_from_grasp: SE3) -> bool:
        """Tells whether a grasp has no fault on the whole clouds."""
        rotation, origin = scene_from_grasp.rotation[None], scene_from_grasp.translation[None]
        whole = self.situation.object_points, self.situation.hand_points
        return not judge(rotation, origin, *whole, self.limits, self.closes, self.gripper).faults[0]

    def of(self, rotations: Array, contacts: Array) -> Array:
        """Returns w (N,): exp(-cost), or 0 for a grasp that is unsafe or holds nothing."""
        origins = contacts - FINGERTIP_DEPTH_M * rotations[:, :, 2]
        verdicts = self.judged(rotations, origins)
        scores = np.zeros(len(rotations))
        good = verdicts.faults == 0
        if self.closes:
            scores[good] = closing_of(
                rotations[good], origins[good], self.situation.surface, self.gripper
            ).score
            good &= scores > MIN_SCORE
        objective = np.zeros(len(rotations))
        gaps = verdicts.hand_gap_m[good]
        objective[good] = np.exp(
            -self.preferences.costs(rotations[good], contacts[good], scores[good], gaps, self.situation)
        )
        return objective

    def climb(self, scene_from_grasp: SE3) -> SE3 | None:
        """Returns the grasp a few steps uphill on S; None where w is 0 all around it."""
        pose = scene_from_grasp
        for breadth in BREADTHS:
            changes = breadth * CHANGES
            turns = Rotation.from_rotvec(changes[:, :3]).as_matrix()
            contact = pose.apply([0.0, 0.0, FINGERTIP_DEPTH_M])
            weights = self.of(pose.rotation @ turns, contact + changes[:, 3:] @ pose.rotation.T)
            if not weights.any():
                return None
            step = weights @ changes / weights.sum()
            rotation = pose.rotation @ Rotation.from_rotvec(step[:3]).as_matrix()
            contact = contact + pose.rotation @ step[3:]
            pose = SE3(rotation, contact - FINGERTIP_DEPTH_M * rotation[:, 2])
        return pose


def _changes(count: int) -> Array:
    """Returns (8 * count, 6) rotation vectors and shifts about the contact, the same every time.

    With each change come its opposite and those of the mirrored and of the half-turned gripper, so that neither is
    preferred.
    """
    changes = np.random.default_rng(0).normal(size=(count, 6))
    for signs in ([-1, -1, -1, -1, -1, -1], [1, -1, -1, -1, 1, 1], [-1, -1, 1, -1, -1, 1]):
        changes = np.concatenate([changes, changes * signs])
    scaled: Array = changes * np.repeat([SPREAD_RAD, SPREAD_M], 3)
    return scaled


CHANGES = _changes(48)

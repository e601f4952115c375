"""A grasp, its pre-grasp pose, and what proposes grasps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ..core.geometry import SE3
from ..core.gripper import FINGERTIP_DEPTH_M
from ..core.task import STANDOFF_M


@dataclass(frozen=True, eq=False)
class GraspCandidate:
    """A pose of the grasp frame (see `h2rh_env.core.gripper`) in which the gripper takes the object.

    Attributes:
        scene_from_grasp: The pose, G in the paper.
        width_m: The width of what the fingers close on, m.
        score: The quality in [0, 1]; higher is better.
        graspable: Whether the gripper can close on the object. False marks the best safe approach to an object that
            is too wide, or too little of which is free of the hand.
    """

    scene_from_grasp: SE3
    width_m: float
    score: float
    graspable: bool = True

    def pregrasp(self, standoff_m: float = STANDOFF_M) -> SE3:
        """Returns the pre-grasp pose T_pre = T_GS - s n (Eq. 7), with the grasp's rotation."""
        rotation = self.scene_from_grasp.rotation
        return SE3(rotation, self.scene_from_grasp.translation - standoff_m * rotation[:, 2])

    @property
    def contact_scene(self) -> npt.NDArray[np.float64]:
        """The midpoint of the fingertips, (3,), m."""
        return self.scene_from_grasp.apply([0.0, 0.0, FINGERTIP_DEPTH_M])


class GraspProposer(Protocol):
    """Proposes grasps on an object, blind to the hand; `selection` chooses among them."""

    def propose(
        self, object_points_scene: npt.NDArray[np.float32], rng: np.random.Generator
    ) -> list[GraspCandidate]:
        """Returns grasps on the object given by points (P, 3), m, in any order.

        Raises:
            GraspError: There are too few points to work on.
        """

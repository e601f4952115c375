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
    """A pose of the grasp frame (see `h2rh_env.core.gripper`) to take the object with.

    Attributes:
        scene_from_grasp: G.
        width_m: of what the fingers close on, m.
        score: higher is better, in [0, 1].
        graspable: whether the gripper can close on it; False marks the best safe approach
            where no grasp fits: an object too wide, or too little of it free of the hand.
    """

    scene_from_grasp: SE3
    width_m: float
    score: float
    graspable: bool = True

    def pregrasp(self, standoff_m: float = STANDOFF_M) -> SE3:
        """T_pre = T_GS - s n (Eq. 7), with the grasp's rotation."""
        rotation = self.scene_from_grasp.rotation
        return SE3(rotation, self.scene_from_grasp.translation - standoff_m * rotation[:, 2])

    @property
    def contact_scene(self) -> npt.NDArray[np.float64]:
        """(3,) midpoint of the fingertips, m."""
        return self.scene_from_grasp.apply([0.0, 0.0, FINGERTIP_DEPTH_M])


class GraspProposer(Protocol):
    """Proposes grasps on an object, blind to the hand; `selection` chooses among them."""

    def propose(
        self, object_points_scene: npt.NDArray[np.float32], rng: np.random.Generator
    ) -> list[GraspCandidate]:
        """Grasps on the object given by points (P, 3), m; best need not come first.

        Raises:
            GraspError: too few points to work on.
        """

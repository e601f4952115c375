"""Reward: success alone, or shaped for reinforcement learning."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..core.clearance.final_approach import final_approach_begin
from ..core.geometry import SE3, rotation_angle
from ..core.gripper import half_turned
from ..core.task import CLEARANCE_M, Task
from ..scenes.handover_scene import HandoverScene


@dataclass(frozen=True)
class SparseReward:
    """1 for a success, else 0.

    `h2rh_env.envs.metrics` defines a success of reaching, `h2rh_env.envs.handover_metrics` one of grasping.
    """

    def moved(self, scene: HandoverScene, before: SE3, after: SE3, clearance_m: float) -> float:
        """Rewards a step from one pose `scene_from_gripper` to another, `clearance_m` from hand and object."""
        return 0.0

    def declared(self, scene: HandoverScene, at: SE3, success: bool) -> float:
        """Rewards declaring the pre-grasp pose, or closing the fingers, at a pose `scene_from_gripper`."""
        return float(success)


@dataclass(frozen=True)
class ShapedReward:
    """Success, less what comes too near, plus the change of a potential that is highest at the pre-grasp pose.

    A step earns `shaping * (gamma Phi(after) - Phi(before)) - unsafe * (1 - clearance / 0.1 m)`, the latter where
    the clearance is below 0.1 m (Eq. 14). Declaring earns `1 - shaping * Phi` if it is a success, else
    `-shaping * Phi`: the potential of the end is zero. So the shaping adds `-shaping * Phi(start)` to the return of
    every finished episode, whatever happened in between, and changes no policy's rank (Ng, Harada and Russell 1999),
    as long as the learner discounts by the same `gamma`. The safety term does change ranks, on purpose.

    Attributes:
        gamma: The discount of the learner.
        shaping: The weight of the potential.
        unsafe: The cost of a step that ends in the hand or the object; a step that ends 0.05 m away costs half of it.
        length_m: The distance from the pre-grasp pose, m, over which the potential falls to 1/e.
        angle_rad: The angle from the pre-grasp pose, rad, over which the potential falls to 1/e.
    """

    gamma: float = 0.99
    shaping: float = 0.5
    unsafe: float = 0.25
    length_m: float = 0.3
    angle_rad: float = 0.7

    def moved(self, scene: HandoverScene, before: SE3, after: SE3, clearance_m: float) -> float:
        """See `SparseReward.moved`."""
        gained = self.gamma * self.potential(scene, after) - self.potential(scene, before)
        return self.shaping * gained - self.unsafe * max(0.0, 1 - clearance_m / CLEARANCE_M)

    def declared(self, scene: HandoverScene, at: SE3, success: bool) -> float:
        """See `SparseReward.declared`."""
        return float(success) - self.shaping * self.potential(scene, at)

    def potential(self, scene: HandoverScene, scene_from_gripper: SE3) -> float:
        """Phi in [0, 1]: 1 at the pre-grasp pose with either half turn of the gripper."""
        pregrasp = scene.grasp.pregrasp()
        distance = float(np.linalg.norm(scene_from_gripper.translation - pregrasp.translation))
        turned = scene_from_gripper.rotation.T
        angle = min(rotation_angle(turned @ goal.rotation) for goal in (pregrasp, half_turned(pregrasp)))
        return float(np.exp(-distance / self.length_m - angle / self.angle_rad))


@dataclass(frozen=True)
class ShapedGraspReward(ShapedReward):
    """`ShapedReward` of an episode that goes on until the fingers close: the potential is highest at the grasp.

    Phi falls with the distance to the grasp and, once more, with the distance from the line that leads straight to
    it, so that the way to a high potential is round the object, not through it. What is too near is the hand, and the
    object only off the final approach to the grasp (`core.clearance.final_approach`).
    """

    def moved(self, scene: HandoverScene, before: SE3, after: SE3, clearance_m: float) -> float:
        """See `SparseReward.moved`."""
        grasp = scene.grasp.scene_from_grasp
        if final_approach_begin([after.matrix, grasp.matrix]) == 0:
            clearance_m = float(scene.hand_clearance.distance(after.translation))
        return super().moved(scene, before, after, clearance_m)

    def potential(self, scene: HandoverScene, scene_from_gripper: SE3) -> float:
        """Phi in [0, 1]: 1 at the grasp with either half turn of the gripper."""
        grasp = scene.grasp.scene_from_grasp
        offset = (scene_from_gripper.translation - grasp.translation) @ grasp.rotation
        distance = float(np.linalg.norm(offset) + np.linalg.norm(offset[:2]))
        turned = scene_from_gripper.rotation.T
        angle = min(rotation_angle(turned @ goal.rotation) for goal in (grasp, half_turned(grasp)))
        return float(np.exp(-distance / self.length_m - angle / self.angle_rad))


Reward = SparseReward | ShapedReward
REWARDS: dict[Task, dict[str, type[SparseReward] | type[ShapedReward]]] = {
    "reach": {"sparse": SparseReward, "shaped": ShapedReward},
    "grasp": {"sparse": SparseReward, "shaped": ShapedGraspReward},
}


def make_reward(reward: str | Reward, task: Task = "reach") -> Reward:
    """A task's reward by name, or the one given.

    Raises:
        ValueError: an unknown name.
    """
    if not isinstance(reward, str):
        return reward
    known = REWARDS[task]
    if reward not in known:
        raise ValueError(f"reward is {reward!r}; known are {', '.join(known)}")
    return known[reward]()

"""EpisodeRecord: what one episode in simulation, or one trial on a robot, leaves behind."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from .geometry import SE3, Array


@dataclass(frozen=True, eq=False)
class EpisodeRecord:
    """What happened in one episode in simulation or one trial on the robot; metrics need nothing else of it.

    Attributes:
        scene: name of the handover scene; scene_hash: SHA-256 of its files.
        policy: the policy's name.
        seed: of the environment's reset.
        scene_from_gripper: (T + 1, 4, 4), the start first, the declared pose (or the last) at the end.
        actions: (T, 7) as the policy gave them. An action whose score declares is not executed as a motion.
        declared: whether the policy declared the pre-grasp pose in time.
        end_object_mask: (H, W) bool, the object as seen from the last pose.
        step_seconds: (T,) time the policy took for each action, s.
        source: "simulation", "simulated" (a rehearsal over simulated devices), "emulator" or "robot".
    """

    scene: str
    scene_hash: str
    policy: str
    seed: int
    scene_from_gripper: Array
    actions: npt.NDArray[np.float32]
    declared: bool
    end_object_mask: npt.NDArray[np.bool_]
    step_seconds: Array = field(default_factory=lambda: np.zeros(0))
    source: str = "simulation"

    @property
    def end_scene_from_gripper(self) -> SE3:
        return SE3.from_matrix(self.scene_from_gripper[-1])

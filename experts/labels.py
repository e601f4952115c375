"""Labels: what the expert would answer at any pose, for a learner that can't see as finely as the expert does."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from h2rh_env.core.action import encode_action
from h2rh_env.core.geometry import SE3
from h2rh_env.core.motion_limits import ARRIVED_M, ARRIVED_RAD
from h2rh_env.scenes.handover_scene import HandoverScene

from .three_phase import Phase, ThreePhaseExpert
from .trajectory import remaining


@dataclass(frozen=True)
class Labeller:
    """Gives (T, Cls) of a pose, and the pose where the task ends as seen from there.

    The motion is the expert's. Cls is 1 within a tolerance that an image can tell, far inside the band in which a
    declared pose succeeds; the motion goes on to the pre-grasp pose there, so that a learner does not stop at the
    tolerance's edge.

    Attributes:
        arrived_m, arrived_rad: the tolerance about the pre-grasp pose; about a grasp it is the expert's own.
    """

    arrived_m: float = ARRIVED_M
    arrived_rad: float = ARRIVED_RAD
    expert: ThreePhaseExpert = field(default_factory=ThreePhaseExpert)

    def __call__(self, scene: HandoverScene, scene_from_camera: SE3) -> tuple[npt.NDArray[np.float32], SE3]:
        """An action (7,) with Cls as its grasp score, and the pre-grasp pose, or the grasp, as `camera_from_goal`."""
        camera_from_next_camera, ends = self.expert.plan_step(scene, scene_from_camera)
        goal = self.expert.goal(scene, scene_from_camera)
        camera_from_goal = scene_from_camera.inverse() @ goal
        if self.expert.task == "grasp":
            # The tolerance is within one step, so the motion that goes on leads to the grasp itself.
            return encode_action(
                camera_from_goal if ends else camera_from_next_camera, float(ends)
            ), camera_from_goal
        arrived = self._is_at(scene_from_camera, goal)
        return encode_action(camera_from_next_camera, float(arrived)), camera_from_goal

    def arrived(self, scene: HandoverScene, scene_from_camera: SE3) -> bool:
        """Cls."""
        if self.expert.task == "grasp":
            return self.expert.phase_at(scene, scene_from_camera) is Phase.CLOSE
        return self._is_at(scene_from_camera, self.expert.goal(scene, scene_from_camera))

    def _is_at(self, scene_from_camera: SE3, goal: SE3) -> bool:
        distance, angle = remaining(scene_from_camera, goal)
        return distance <= self.arrived_m and angle <= self.arrived_rad

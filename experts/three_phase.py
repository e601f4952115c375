"""ThreePhaseExpert: turn to the object, approach the pre-grasp pose, settle into it (Eqs. 8-13), keep away (Eq. 14).

Where the task goes on to the grasp, the final approach follows: straight along z, slower, until the fingers close.

The phase is read from the pose alone, never remembered: like poses get like actions, so that one image can tell a
learner what to do, and any pose that a learner drifts to can be labelled.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from h2rh_env.core.action import decode_action, encode_action
from h2rh_env.core.errors import PolicyError
from h2rh_env.core.geometry import SE3, WORLD_UP, Array, aim, angle_between
from h2rh_env.core.gripper import half_turned
from h2rh_env.core.motion_limits import IN_VIEW_RAD, SETTLE_WITHIN_M, STEP_M, STEP_RAD
from h2rh_env.core.policy import Observation
from h2rh_env.core.task import CLEARANCE_M, EPISODE_STEPS, STANDOFF_M, Task
from h2rh_env.scenes.handover_scene import HandoverScene

from .final_approach import FinalApproach
from .trajectory import advance, remaining


class Phase(IntEnum):
    """What the expert does at a pose."""

    AVOID = 0  # too near, or something is in the way
    TURN = 1
    APPROACH = 2
    SETTLE = 3
    DECLARE = 4
    ADVANCE = 5  # on the final approach
    CLOSE = 6


@dataclass(frozen=True, eq=False)
class Rollout:
    """An expert's episode.

    Attributes:
        poses: T + 1 of `scene_from_camera`, the initial one first. actions: (T, 7) float32; the last one declares
            or closes.
        phases: T, of each action. declared: whether it came so far.
    """

    poses: list[SE3]
    actions: npt.NDArray[np.float32]
    phases: list[Phase]
    declared: bool


@dataclass
class ThreePhaseExpert:
    """A policy that sees the scene instead of the image. Every threshold of Sec. III-B is an argument.

    Attributes:
        standoff_m: s of Eq. 7. settle_within_m: d of Eq. 8, to the pre-grasp position.
        aim_within_rad: phi of Eq. 12; in phase 2 the camera is re-aimed at the object when it is off by more.
        clearance_m: d_min of Eq. 14.
        max_step_m, max_step_rad: bounds of one step.
        centred_rad: phase 1 ends when the object is off the optical axis by at most this: one step of turning, which
            phase 2 takes as it sets off.
        in_view_rad: the same within d of the pre-grasp pose, where phase 3 leads the view from the object's centre to
            the contact and lets both wander a little.
        tolerance_m, tolerance_rad: how near to the pre-grasp pose counts as there (Cls = 1). A labeller of what
            learners visit may want more.
        gripper_from_camera: hand-eye offset.
        task: "reach" ends by declaring the pre-grasp pose, "grasp" by closing the fingers at the grasp.
    """

    standoff_m: float = STANDOFF_M
    settle_within_m: float = SETTLE_WITHIN_M
    aim_within_rad: float = 0.0
    clearance_m: float = CLEARANCE_M
    max_step_m: float = STEP_M
    max_step_rad: float = STEP_RAD
    centred_rad: float = STEP_RAD
    in_view_rad: float = IN_VIEW_RAD
    tolerance_m: float = 0.001
    tolerance_rad: float = 0.002
    gripper_from_camera: SE3 | None = None
    task: Task = "reach"

    def __post_init__(self) -> None:
        if self.task not in EPISODE_STEPS:
            raise PolicyError(f"task is {self.task!r}; the expert knows {', '.join(EPISODE_STEPS)}")
        self.final_approach = FinalApproach(self.standoff_m)
        self._state: tuple[HandoverScene, SE3] | None = None

    def reset(self, seed: int) -> None:
        """Forgets the last episode; there is no chance in this policy."""
        self._state = None

    def observe_state(self, scene: HandoverScene, scene_from_camera: SE3) -> None:
        """Shows what `act` will act on; called before each."""
        self._state = scene, scene_from_camera

    def act(self, observation: Observation) -> npt.NDArray[np.float32]:
        """The action (7,) at the pose last shown; the observation is not looked at.

        Raises:
            PolicyError: nothing was shown since the last reset.
        """
        if self._state is None:
            raise PolicyError(
                "the expert needs the scene: call observe_state(scene, scene_from_camera) before act"
            )
        return self.action_at(*self._state)

    def action_at(self, scene: HandoverScene, scene_from_camera: SE3) -> npt.NDArray[np.float32]:
        """The label of a pose: an action (7,) with Cls (0 or 1) as its grasp score."""
        camera_from_next_camera, at_pregrasp = self.plan_step(scene, scene_from_camera)
        return encode_action(camera_from_next_camera, float(at_pregrasp))

    def plan_step(self, scene: HandoverScene, scene_from_camera: SE3) -> tuple[SE3, bool]:
        """The next motion `camera_from_next_camera` from any pose, and whether that pose is where the task ends."""
        pregrasp = self.pregrasp(scene, scene_from_camera)
        phase = self._phase(scene, scene_from_camera, pregrasp)
        if phase in (Phase.DECLARE, Phase.CLOSE):
            return SE3.identity(), True
        if phase is Phase.SETTLE:
            target = advance(scene_from_camera, pregrasp, self.max_step_m, self.max_step_rad)
        elif phase is Phase.TURN:
            target = self._aimed(scene, scene_from_camera, scene_from_camera.translation)
        elif phase is Phase.APPROACH:
            target = self._approach(scene, scene_from_camera, pregrasp.translation)
        elif phase is Phase.ADVANCE:
            target = self._advanced(scene, scene_from_camera)
        else:
            waypoint = self._way_round(scene, scene_from_camera, pregrasp)
            target = self._approach(scene, scene_from_camera, waypoint)
        return scene_from_camera.inverse() @ target, False

    def phase_at(self, scene: HandoverScene, scene_from_camera: SE3) -> Phase:
        """Which phase a pose belongs to."""
        return self._phase(scene, scene_from_camera, self.pregrasp(scene, scene_from_camera))

    def _phase(self, scene: HandoverScene, scene_from_camera: SE3, pregrasp: SE3) -> Phase:
        position = scene_from_camera.translation
        distance, angle = remaining(scene_from_camera, pregrasp)
        if self.task == "grasp":
            grasp_from_gripper = self._grasp_from_gripper(scene, scene_from_camera)
            if self.final_approach.includes(grasp_from_gripper):
                return Phase.CLOSE if self.final_approach.closes(grasp_from_gripper) else Phase.ADVANCE
        elif distance <= self.tolerance_m and angle <= self.tolerance_rad:
            return Phase.DECLARE
        if not scene.clearance.keeps(position, pregrasp.translation, self.clearance_m):
            return Phase.AVOID
        sights = np.stack([scene.object_centre, scene.grasp.contact_scene]) - position
        off_centre, off_contact = angle_between(scene_from_camera.rotation[:, 2], sights)
        if distance >= self.settle_within_m:
            return Phase.TURN if off_centre > self.centred_rad else Phase.APPROACH
        return Phase.TURN if min(off_centre, off_contact) > self.in_view_rad else Phase.SETTLE

    def pregrasp(self, scene: HandoverScene, scene_from_camera: SE3) -> SE3:
        """The pre-grasp pose (Eq. 7) of the camera, by the half turn of the gripper that turns the camera least."""
        return self._turned_least(scene.grasp.pregrasp(self.standoff_m), scene_from_camera)

    def goal(self, scene: HandoverScene, scene_from_camera: SE3) -> SE3:
        """The pose of the camera in which the task ends, by the half turn that turns the camera least."""
        if self.task == "reach":
            return self.pregrasp(scene, scene_from_camera)
        return self._turned_least(scene.grasp.scene_from_grasp, scene_from_camera)

    def _turned_least(self, scene_from_grasp: SE3, scene_from_camera: SE3) -> SE3:
        offset = self.gripper_from_camera or SE3.identity()
        goals = [scene_from_grasp @ offset, half_turned(scene_from_grasp) @ offset]
        return min(goals, key=lambda goal: remaining(scene_from_camera, goal)[1])

    def _grasp_from_gripper(self, scene: HandoverScene, scene_from_camera: SE3) -> SE3:
        camera_from_gripper = (self.gripper_from_camera or SE3.identity()).inverse()
        scene_from_grasp = self.goal(scene, scene_from_camera) @ camera_from_gripper
        return scene_from_grasp.inverse() @ scene_from_camera @ camera_from_gripper

    def _advanced(self, scene: HandoverScene, scene_from_camera: SE3) -> SE3:
        """One step of the final approach."""
        offset = self.gripper_from_camera or SE3.identity()
        scene_from_grasp = self.goal(scene, scene_from_camera) @ offset.inverse()
        grasp_from_gripper = self._grasp_from_gripper(scene, scene_from_camera)
        return scene_from_grasp @ self.final_approach.advanced(grasp_from_gripper) @ offset

    def rollout(self, scene: HandoverScene, scene_from_camera: SE3, max_steps: int | None = None) -> Rollout:
        """Acts from an initial pose until the task ends, moved as by the environment; nothing is rendered.

        Args:
            max_steps: as many as an episode of the task has by default.
        """
        max_steps = EPISODE_STEPS[self.task] if max_steps is None else max_steps
        poses, phases, declared = [scene_from_camera], [], False
        actions: list[npt.NDArray[np.float32]] = []
        while len(actions) < max_steps and not declared:
            phases.append(self.phase_at(scene, poses[-1]))
            actions.append(self.action_at(scene, poses[-1]))
            camera_from_next_camera, score = decode_action(actions[-1])
            declared = score > 0
            if not declared:
                poses.append(poses[-1] @ camera_from_next_camera)
        return Rollout(poses, np.array(actions, np.float32).reshape(-1, 7), phases, declared)

    def _aimed(self, scene: HandoverScene, scene_from_camera: SE3, position: Array) -> SE3:
        """At another position, turned towards the object (Eq. 12) as far as one step allows."""
        direction = scene.object_centre - position
        rotation = scene_from_camera.rotation
        if angle_between(rotation[:, 2], direction) > self.aim_within_rad:
            rotation = aim(rotation, direction)
        return advance(
            SE3(scene_from_camera.rotation, position), SE3(rotation, position), 1.0, self.max_step_rad
        )

    def _approach(self, scene: HandoverScene, scene_from_camera: SE3, waypoint: Array) -> SE3:
        """A straight step (Eq. 9), shortened where the camera could not keep up with turning towards the object."""
        start = scene_from_camera.translation
        displacement = waypoint - start
        step = displacement * min(1.0, self.max_step_m / max(float(np.linalg.norm(displacement)), 1e-12))
        turn = float(angle_between(scene_from_camera.rotation[:, 2], scene.object_centre - start - step))
        step = step * min(1.0, self.max_step_rad / max(turn, 1e-12))
        return self._aimed(scene, scene_from_camera, start + step)

    def _way_round(self, scene: HandoverScene, scene_from_camera: SE3, goal: SE3) -> Array:
        """A position one step off that leads round the object towards the goal, or away from what is too near."""
        start, centre = scene_from_camera.translation, scene.object_centre
        away = _unit(start - scene.clearance.nearest(start), -scene_from_camera.rotation[:, 2])
        out = _unit(start - centre, away)
        to_goal = goal.translation - centre
        sideways = _unit(to_goal - out * (out @ to_goal), np.cross(out, WORLD_UP) + 1e-3)
        for direction in (sideways, sideways + out, sideways + away, out):
            position = start + self.max_step_m * _unit(direction, away)
            if scene.clearance.keeps(start, position, self.clearance_m):
                return position
        return start + self.max_step_m * away


def _unit(vector: Array, otherwise: Array) -> Array:
    """The direction of a vector (3,), or of another one where it is too short to have one."""
    length = np.linalg.norm(vector)
    return vector / length if length > 1e-6 else otherwise / np.linalg.norm(otherwise)

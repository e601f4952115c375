"""Simulation: one handover in progress, stepped by the arm's setpoints and the finger's, measured at every step."""

from __future__ import annotations

import math

import mujoco
import numpy as np

from ..core.geometry import SE3, Array
from ..core.gripper import GripperGeometry
from .conditions import DrawnConditions
from .config import PhysicsConfig
from .mujoco_model import FINGER_KG, MOUNT_INERTIA, MOUNT_KG, HandoverModel, damping

REBASE_RAD = 1.0  # from the mount's pose, after which the mount is set anew


class Simulation:
    """A handover from a fresh state; nothing of what ran before in the model remains.

    Attributes:
        time_s: since the start.
        hand_force_n: normal force between gripper and hand at this step, and `greatest_hand_force_n` so far.
        hand_touch_s: when they first touched; None if never.
        greatest_push_m: how far the object's centre of mass was from where the giver held it, at most.
    """

    def __init__(
        self,
        handover: HandoverModel,
        settings: PhysicsConfig,
        drawn: DrawnConditions,
        scene_from_gripper: SE3,
    ) -> None:
        self._handover, self._settings = handover, settings
        self._model, self._data = handover.model, handover.data
        self._mount = scene_from_gripper
        self._setpoint, self._moving = scene_from_gripper, False
        slide_lead = (
            damping(settings.arm_stiffness_npm, MOUNT_KG + 2 * FINGER_KG) / settings.arm_stiffness_npm
        )
        turn_lead = damping(settings.arm_stiffness_nmprad, MOUNT_INERTIA) / settings.arm_stiffness_nmprad
        self._lead_steps = np.repeat([slide_lead, turn_lead], 3) / settings.time_step_s
        self._set_up(drawn)
        self._setpoint_joints = self._joints(scene_from_gripper)
        self.hand_force_n = self.greatest_hand_force_n = self.greatest_push_m = 0.0
        self.hand_touch_s: float | None = None
        self.push_s: float | None = None

    def _set_up(self, drawn: DrawnConditions) -> None:
        handover, model = self._handover, self._model
        model.body_mass[:] = handover.masses
        model.body_inertia[:] = handover.inertias
        model.body_mass[handover.object_body] *= drawn.mass_factor
        model.body_inertia[handover.object_body] *= drawn.mass_factor
        model.geom_friction[list(handover.pad_geoms), 0] = drawn.friction
        self._place_mount(self._mount)
        self.hold(1.0)
        mujoco.mj_setConst(model, self._data)
        mujoco.mj_resetData(model, self._data)
        mujoco.mj_forward(model, self._data)

    def _place_mount(self, scene_from_mount: SE3) -> None:
        self._mount = scene_from_mount
        self._model.body_pos[self._handover.mount] = scene_from_mount.translation
        self._model.body_quat[self._handover.mount] = _wxyz(scene_from_mount.rotation)

    def hold(self, share: float) -> None:
        """How firmly the giver holds: 1 as at the start, 0 not at all; gravity acts on what is not held."""
        handover, model, settings = self._handover, self._model, self._settings
        first, ball = model.joint("object_x").id, model.joint("object_ball").id
        dof = handover.dofs["object_x"]
        model.jnt_stiffness[first : first + 3] = share * settings.giver_stiffness_npm
        model.jnt_stiffness[ball] = share * settings.giver_stiffness_nmprad
        model.dof_damping[dof : dof + 3] = share * settings.giver_damping_nspm
        model.dof_damping[dof + 3 : dof + 6] = share * settings.giver_damping_nmsprad
        model.body_gravcomp[handover.object_body] = share

    def step(self, setpoint: SE3, opening_m: float) -> None:
        """One time step towards an arm's setpoint and an opening between the pads."""
        if setpoint is not self._setpoint or self._moving:
            self._command_arm(setpoint)
        fingers = self._handover.actuators["left"]
        self._data.ctrl[fingers : fingers + 2] = (self.gripper.max_width_m - opening_m) / 2
        mujoco.mj_step(self._model, self._data)
        self._measure_hand()

    def _command_arm(self, setpoint: SE3) -> None:
        """Setpoints with the velocity's share, so that the controls do not lag behind."""
        self._moving = setpoint is not self._setpoint
        joints = self._joints(setpoint)
        if math.hypot(*joints[3:].tolist()) > REBASE_RAD:
            self._rebase(setpoint)
            joints, self._setpoint_joints = self._joints(setpoint), self._joints(self._setpoint)
        ahead = self._lead_steps * (joints - self._setpoint_joints) if self._moving else 0.0
        first = self._handover.actuators["mount_x"]
        self._data.ctrl[first : first + 6] = joints + ahead
        self._setpoint, self._setpoint_joints = setpoint, joints

    def _joints(self, scene_from_gripper: SE3) -> Array:
        """The mount's joints at a pose (6,): slides and rotation vector."""
        mount_from_scene, joints = self._mount.rotation.T, np.empty(6)
        joints[:3] = mount_from_scene @ (scene_from_gripper.translation - self._mount.translation)
        mujoco.mju_quat2Vel(joints[3:], _wxyz(mount_from_scene @ scene_from_gripper.rotation), 1.0)
        return joints

    def _rebase(self, scene_from_mount: SE3) -> None:
        """Sets the mount to another pose without moving the gripper: a ball's control is exact only near its zero."""
        gripper, old = self.scene_from_gripper, self._mount
        slide, ball = self._handover.qpos["mount_x"], self._handover.qpos["mount_ball"]
        dof = self._handover.dofs["mount_x"]
        self._place_mount(scene_from_mount)
        self._data.qpos[slide : slide + 3] = self._joints(gripper)[:3]
        self._data.qpos[ball : ball + 4] = _wxyz(scene_from_mount.rotation.T @ gripper.rotation)
        velocity = self._data.qvel[dof : dof + 3]
        self._data.qvel[dof : dof + 3] = scene_from_mount.rotation.T @ old.rotation @ velocity

    def _measure_hand(self) -> None:
        self.hand_force_n = 0.0
        if not self._data.ncon or (geoms := self._data.contact.geom).min() >= self._handover.hand_geoms:
            return
        touched = (geoms < self._handover.hand_geoms).any(axis=1)
        self.hand_force_n = float(self._normal_forces()[touched].sum())
        if self.hand_force_n > 0 and self.hand_touch_s is None:
            self.hand_touch_s = self.time_s
        self.greatest_hand_force_n = max(self.greatest_hand_force_n, self.hand_force_n)

    @property
    def tool_force_n(self) -> Array:
        """(3,) with which object, hand and the gripper's own inertia push at the arm, N, in the scene's frame."""
        first = self._handover.actuators["mount_x"]
        force: Array = -self._mount.rotation @ self._data.actuator_force[first : first + 3]
        return force

    def pad_forces_n(self) -> Array:
        """(2,) with which left and right pad press on the object along the closing axis, at this step."""
        if not self._data.ncon:
            return np.zeros(2)
        contact, handover = self._data.contact, self._handover
        axis = self._data.xmat[handover.mount].reshape(3, 3)[:, 0]
        along = self._normal_forces() * np.abs(contact.frame[:, :3] @ axis)
        on_object = (contact.geom >= handover.hand_geoms).all(axis=1)
        return np.array(
            [along[on_object & (contact.geom == pad).any(axis=1)].sum() for pad in handover.pad_geoms]
        )

    def _normal_forces(self) -> Array:
        """Returns the normal force of each contact, N; 0 for those that the solver leaves out."""
        address = self._data.contact.efc_address
        return np.where(address >= 0, self._data.efc_force[np.maximum(address, 0)], 0.0)

    def note_push(self) -> None:
        """Counts this step's displacement of the object as a push."""
        self.greatest_push_m = max(self.greatest_push_m, self.displacement_m)
        if self.push_s is None and self.displacement_m > self._settings.pushed_m:
            self.push_s = self.time_s

    @property
    def gripper(self) -> GripperGeometry:
        return self._handover.gripper

    @property
    def time_s(self) -> float:
        return float(self._data.time)

    @property
    def displacement_m(self) -> float:
        """How far the object's centre of mass is from where the giver held it, m."""
        first = self._handover.qpos["object_x"]
        return math.hypot(*self._data.qpos[first : first + 3].tolist())

    @property
    def opening_m(self) -> float:
        """Between the pads."""
        at = self._handover.qpos
        return self._handover.gripper.max_width_m - float(
            self._data.qpos[at["left"]] + self._data.qpos[at["right"]]
        )

    @property
    def scene_from_gripper(self) -> SE3:
        """Where the gripper is, which its setpoint is not quite while something pushes it."""
        slide, ball = self._handover.qpos["mount_x"], self._handover.qpos["mount_ball"]
        qpos = self._data.qpos
        return self._mount @ SE3(_rotation(qpos[ball : ball + 4]), qpos[slide : slide + 3].copy())

    @property
    def now_from_held(self) -> SE3:
        """The rigid motion, in the scene frame, of the object since the giver held it."""
        first, ball = self._handover.qpos["object_x"], self._handover.qpos["object_ball"]
        rotation = _rotation(self._data.qpos[ball : ball + 4])
        centre = self._handover.scene_from_object.translation
        return SE3(rotation, centre + self._data.qpos[first : first + 3] - rotation @ centre)

    @property
    def gripper_from_object(self) -> SE3:
        """Pose, in the gripper's frame, of the object's frame at its centre of mass."""
        return self.scene_from_gripper.inverse() @ self.now_from_held @ self._handover.scene_from_object


def _wxyz(rotation: Array) -> Array:
    wxyz = np.empty(4)
    mujoco.mju_mat2Quat(wxyz, rotation.ravel())
    return wxyz


def _rotation(wxyz: Array) -> Array:
    rotation = np.empty(9)
    mujoco.mju_quat2Mat(rotation, wxyz)
    return rotation.reshape(3, 3)

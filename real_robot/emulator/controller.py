"""The emulated controller without its sockets: registers, the running program, the arm, the gripper, their clock."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from h2rh_env.core.geometry import SE3, Array

from ..drivers.ur.kinematics import UR5, UR5E, ArmGeometry
from .arm import EMERGENCY, NORMAL, PROGRAM_STOP, PROTECTIVE, ArmModel, pose_vector
from .builtins import builtins_of
from .gripper import EmulatedGripper
from .urscript import Program, ScriptError, load

HOME_JOINTS = np.radians([0.0, -120.0, 130.0, -190.0, -90.0, 0.0])
FLANGE_FROM_GRIPPER_M = 0.058  # the grasp frame lies this far along the flange's z, its pads 0.163 m
GIVER_FORCE_N, OBJECT_LOAD_N = 22.0, 3.0
HISTORY_S = 30.0


@dataclass(frozen=True)
class Model:
    """A controller: its arm, the software it reports, its period and its serial number."""

    geometry: ArmGeometry
    version: tuple[int, int, int, int]
    period_s: float
    serial: str


MODELS = {
    "ur5": Model(UR5, (3, 15, 8, 106339), 0.008, "2016350000"),
    "ur5e": Model(UR5E, (5, 15, 0, 128265), 0.002, "20225500000"),
}


def model_of(name: str, rate_hz: float | None = None, version: str = "") -> Model:
    """A model by name, at another rate or with other software where asked."""
    model = MODELS[name]
    if rate_hz:
        model = replace(model, period_s=1 / rate_hz)
    if version:
        major, minor, patch, *build = [int(part) for part in version.split(".")]
        model = replace(model, version=(major, minor, patch, build[0] if build else 0))
    return model


class Controller:
    """Advanced by `step`, one period each; times are on the caller's clock, s."""

    def __init__(self, model: Model) -> None:
        self.model, self.version, self.period_s = model, model.version, model.period_s
        flange_from_tcp = np.eye(4)
        flange_from_tcp[2, 3] = FLANGE_FROM_GRIPPER_M
        self.arm = ArmModel(model.geometry, HOME_JOINTS, flange_from_tcp)
        self.gripper = EmulatedGripper()
        self.object_points = np.zeros((0, 3))
        self.release_after_s: float | None = 0.5
        self.remote_control = self.is_powered = True
        self.payload_kg = 1.1
        self.messages: deque[str] = deque(maxlen=200)
        self.steps = 0
        self.history: deque[tuple[float, ...]] = deque(maxlen=round(HISTORY_S / model.period_s))
        self._registers: dict[str, Any] = {}
        self._written_s: dict[str, float] = {}
        self._watchdogs: dict[str, float] = {}
        self._program: Program | None = None
        self._held_s = 0.0
        self._now_s = 0.0
        self._began_s: float | None = None

    @property
    def now_s(self) -> float:
        """When the last period began, on the caller's clock."""
        return self._now_s

    @property
    def uptime_s(self) -> float:
        """What the controller's own clock says."""
        return 0.0 if self._began_s is None else self._now_s - self._began_s + self.period_s

    @property
    def has_power(self) -> bool:
        """Whether the joints are powered and their brakes released; an emergency stop takes the power away."""
        return self.is_powered and self.arm.safety_mode != EMERGENCY

    @property
    def is_running(self) -> bool:
        return self._program is not None and self._program.is_running

    def read(self, name: str) -> Any:
        return self._registers.get(name, 0.0 if "double" in name else False if "bit" in name else 0)

    def write(self, name: str, value: Any) -> None:
        self._registers[name] = value
        self._written_s[name] = self._now_s

    def set_watchdog(self, register: str, least_hz: float) -> None:
        self._watchdogs[register] = math.inf if least_hz <= 0 else 1 / least_hz
        self._written_s[register] = self._now_s

    def add_message(self, text: str) -> None:
        self.messages.append(text)

    def upload(self, script: str) -> None:
        """Replaces the running program, unless the safety system has stopped the arm."""
        self.stop_program("another program was uploaded")
        if self.arm.safety_mode != NORMAL or not self.is_powered:
            self.add_message("a program cannot start: the arm is stopped for safety or not powered")
            return
        try:
            self._program = load(script, builtins_of(self))
        except ScriptError as error:
            self.add_message(f"the program does not compile: {error}")

    def stop_program(self, reason: str) -> None:
        """Ends the program, its watchdogs and its motion."""
        if self._program is not None:
            self.add_message(f"program stopped: {reason}")
        self._program = None
        self._watchdogs.clear()
        self.arm.halt(PROGRAM_STOP)

    def step(self, now_s: float, computed_s: float | None = None) -> None:
        """One period: the program runs first, then the arm moves, then the gripper.

        Args:
            now_s: when the period is due; computed_s: when it is computed, which the history tells, s.
        """
        self._now_s = now_s
        self._began_s = now_s if self._began_s is None else self._began_s
        self.steps += 1
        for register, most_s in list(self._watchdogs.items()):
            if now_s - self._written_s[register] > most_s:
                self.stop_program(f"watchdog: {register} was not written for {most_s:.3f} s")
        self._step_program()
        self.arm.step(self.period_s)
        if self.arm.safety_mode != NORMAL and self._program is not None:
            self.stop_program("the safety system stopped the arm")
        self.gripper.step(self.period_s, self._object_in_gripper())
        self._feel()
        speed = float(np.linalg.norm(self.arm.tcp_speed[:3]))
        self.history.append(
            (now_s if computed_s is None else computed_s, *map(float, self.arm.tcp[:3, 3]), speed)
        )

    def _step_program(self) -> None:
        if self._program is None:
            return
        try:
            self._program.step()
        except ScriptError as error:
            self.stop_program(str(error))
        if self._program is not None and not self._program.is_running:
            self.stop_program("it ended")

    def _object_in_gripper(self) -> Array:
        if not len(self.object_points) or self.gripper.registers["OBJ"] != 0:
            return np.zeros((0, 3))
        return SE3.from_matrix(self.arm.tcp).inverse().apply(self.object_points)

    def _feel(self) -> None:
        """Load at the tool: the giver's hold, then the object's weight alone."""
        self._held_s = self._held_s + self.period_s if self.gripper.is_holding else 0.0
        released = self.release_after_s is not None and self._held_s >= self.release_after_s
        load = 0.0 if not self.gripper.is_holding else OBJECT_LOAD_N if released else GIVER_FORCE_N
        self.arm.force = np.array([0.0, 0.0, -load, 0.0, 0.0, 0.0])


def output_fields(controller: Controller) -> dict[str, tuple[str, Callable[[], Any]]]:
    """Every RTDE output that is no register: name to type and value; what is not modelled is a plausible constant."""
    arm = controller.arm
    zeros, rest = [0.0] * 6, [0.0] * 3
    return {
        "timestamp": ("DOUBLE", lambda: controller.uptime_s),
        **{f"{kind}_q": ("VECTOR6D", lambda: arm.q) for kind in ("target", "actual")},
        **{f"{kind}_qd": ("VECTOR6D", lambda: arm.qd) for kind in ("target", "actual")},
        **{f"{kind}_TCP_pose": ("VECTOR6D", lambda: pose_vector(arm.tcp)) for kind in ("target", "actual")},
        **{f"{kind}_TCP_speed": ("VECTOR6D", lambda: arm.tcp_speed) for kind in ("target", "actual")},
        "actual_TCP_force": ("VECTOR6D", lambda: arm.force),
        **dict.fromkeys(
            ("target_qdd", "target_current", "target_moment", "actual_current", "joint_control_output",
             "ft_raw_wrench", "payload_inertia"), ("VECTOR6D", lambda: zeros)),
        "joint_temperatures": ("VECTOR6D", lambda: [30.0] * 6),
        "actual_joint_voltage": ("VECTOR6D", lambda: [48.0] * 6),
        "joint_mode": ("VECTOR6INT32", lambda: [253] * 6),
        **dict.fromkeys(("actual_tool_accelerometer", "payload_cog"), ("VECTOR3D", lambda: rest)),
        **dict.fromkeys(("actual_digital_input_bits", "actual_digital_output_bits"), ("UINT64", lambda: 0)),
        **dict.fromkeys(
            ("actual_execution_time", "actual_momentum", "standard_analog_input0",
             "standard_analog_input1", "standard_analog_output0", "standard_analog_output1"),
            ("DOUBLE", lambda: 0.0)),
        **dict.fromkeys(("speed_scaling", "target_speed_fraction"), ("DOUBLE", lambda: 1.0)),
        **dict.fromkeys(("actual_main_voltage", "actual_robot_voltage"), ("DOUBLE", lambda: 48.0)),
        "actual_robot_current": ("DOUBLE", lambda: 0.5),
        "payload": ("DOUBLE", lambda: controller.payload_kg),
        "robot_mode": ("INT32", lambda: 7 if controller.has_power else 3),
        "safety_mode": ("INT32", lambda: arm.safety_mode),
        "safety_status": ("INT32", lambda: arm.safety_mode),
        "runtime_state": ("UINT32", lambda: 2 if controller.is_running else 1),
        "robot_status_bits": ("UINT32", lambda: controller.has_power | controller.is_running << 1),
        "safety_status_bits": ("UINT32", lambda: arm.safety_bits),
        "output_bit_registers0_to_31": ("UINT32", lambda: 0),
        "output_bit_registers32_to_63": ("UINT32", lambda: 0),
    }  # fmt: skip


def dashboard_answer(controller: Controller, line: str) -> str:
    """To one line on port 29999."""
    arm, version = controller.arm, ".".join(map(str, controller.version))
    command = line.strip().lower()
    safety = {NORMAL: "NORMAL", PROTECTIVE: "PROTECTIVE_STOP", EMERGENCY: "ROBOT_EMERGENCY_STOP"}[
        arm.safety_mode
    ]
    if command == "unlock protective stop":
        if arm.unlock():
            return "Protective stop releasing"
        return (
            "Cannot unlock protective stop until 5s after occurrence. "
            "Always inspect cause of protective stop before unlocking"
        )
    if command == "stop":
        controller.stop_program("stopped at the dashboard")
        return "Stopped"
    answers = {
        "polyscopeversion": f"URSoftware {version} (Jan 01 2024)",
        "get serial number": controller.model.serial,
        "get robot model": "UR5",
        "is in remote control": str(controller.remote_control).lower(),
        "robotmode": f"Robotmode: {'RUNNING' if controller.has_power else 'POWER_OFF'}",
        "safetystatus": f"Safetystatus: {safety}",
        "safetymode": f"Safetymode: {safety}",
        "running": f"Program running: {str(controller.is_running).lower()}",
        "programstate": f"{'PLAYING' if controller.is_running else 'STOPPED'} rtde_control",
        "power on": "Powering on",
        "brake release": "Brake releasing",
        "close safety popup": "closing safety popup",
        "close popup": "closing popup",
        "quit": "Disconnected",
    }
    return answers.get(command, f"could not understand: '{line.strip()}'")

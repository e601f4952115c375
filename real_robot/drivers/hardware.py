"""The real devices together, and whether each of them answers."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import numpy as np

from h2rh_env.core.errors import HandoverError, RobotError
from h2rh_env.core.geometry import SE3, rotation_angle

from ..calibration.hand_eye import HandEyeCalibration
from ..config import RobotConfig
from ..interfaces import Devices, Safety
from ..safety.camera_body import camera_axis
from ..segmentation.base import GivenMasks, make_segmenter
from .realsense import RealSenseCamera
from .robotiq import RobotiqGripper
from .threaded_camera import ThreadedCamera
from .ur.body import ArmBody
from .ur5 import UR5Arm

TCP_TOLERANCE_M, TCP_TOLERANCE_RAD = (
    0.01,
    math.radians(2),
)  # a calibrated arm is millimetres off its data sheet


class MachineClock:
    """The machine's monotonic clock, which the drivers use too."""

    def now(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        if seconds > 0:
            time.sleep(seconds)


def real_devices(config: RobotConfig, calibration_path: Path, segmenter: str, read_only: bool) -> Devices:
    """Arm, gripper and camera of the configuration, not yet connected; read-only, none of them moves.

    Raises:
        RobotError: the calibration is missing, too old or malformed, or there is no such segmenter.
    """
    calibration = _calibration(config, calibration_path)
    camera = RealSenseCamera(calibration.camera_serial, latency_s=config.camera_latency_s)
    body = ArmBody(config.table_m, camera_axis(calibration.gripper_from_camera))
    return Devices(
        UR5Arm(
            config.arm_host, config.control_period_s, read_only, state_age_s=config.state_age_s, body=body
        ),
        RobotiqGripper(config.arm_host, config.gripper_port, config.gripper_force, read_only=read_only),
        ThreadedCamera(camera, make_segmenter(segmenter)),
        GivenMasks(),
        MachineClock(),
        calibration.gripper_from_camera,
        "robot",
    )


def check_devices(
    config: RobotConfig, calibration_path: Path, segmenter: str
) -> Iterator[tuple[str, str, bool]]:
    """Name, what was found, and whether it is good, for each device; all are read only."""
    checks: list[tuple[str, Callable[[], str]]] = [
        ("calibration", lambda: _found_calibration(config, calibration_path)),
        ("arm", lambda: _found_arm(config)),
        ("tool", lambda: check_tool(config)),
        ("gripper", lambda: _found_gripper(config)),
        ("camera", lambda: _found_camera(config, calibration_path)),
        ("segmenter", lambda: f"{type(make_segmenter(segmenter)).__name__} loads"),
    ]
    for name, check in checks:
        try:
            yield name, check(), True
        except HandoverError as error:
            yield name, str(error), False


def _calibration(config: RobotConfig, path: Path) -> HandEyeCalibration:
    calibration = HandEyeCalibration.load(path)
    calibration.check(date.today(), config.calibration_age_days, calibration.camera_serial)
    return calibration


def _found_calibration(config: RobotConfig, path: Path) -> str:
    calibration = _calibration(config, path)
    return f"of camera {calibration.camera_serial}, measured on {calibration.measured_on}"


def _found_arm(config: RobotConfig) -> str:
    with UR5Arm(config.arm_host, config.control_period_s, True, state_age_s=config.state_age_s) as arm:
        state = arm.state()
        if state.safety is not Safety.NORMAL:
            raise RobotError(f"the arm reports: {state.safety}; acknowledge it at the pendant")
        where = state.world_from_gripper.translation.round(3)
        return f"{arm.version} at {config.arm_host}, {state.safety}, gripper at {where} m"


def check_tool(config: RobotConfig) -> str:
    """TCP and payload of the pendant, on which every pose and the arm's force estimate rest.

    Raises:
        RobotError: they are not those of the configuration.
    """
    with UR5Arm(config.arm_host, config.control_period_s, True, state_age_s=config.state_age_s) as arm:
        wanted = SE3(np.eye(3), np.array([0.0, 0.0, config.tcp_height_m]))
        off = wanted.inverse() @ arm.measured_tool()
        turn = rotation_angle(off.rotation)
        if np.linalg.norm(off.translation) > TCP_TOLERANCE_M or turn > TCP_TOLERANCE_RAD:
            raise RobotError(
                f"the pendant's TCP is {1000 * np.linalg.norm(off.translation):.0f} mm and {np.degrees(turn):.0f} "
                f"deg from the grasp frame; set it to (0, 0, {1000 * config.tcp_height_m:.0f} mm) without a turn"
            )
        payload = arm.payload_kg
        if payload is None:
            return "TCP as it should be; the controller does not tell its payload, look at the pendant"
        if abs(payload - config.payload_kg) > config.payload_tolerance_kg:
            raise RobotError(
                f"the pendant's payload is {payload:.2f} kg; set it to {config.payload_kg:.2f} kg, or payload_kg in "
                "the configuration to what gripper, camera and mounts weigh"
            )
        return f"TCP as it should be, payload {payload:.2f} kg"


def _found_gripper(config: RobotConfig) -> str:
    with RobotiqGripper(config.arm_host, config.gripper_port, read_only=True) as gripper:
        state = gripper.state()
        if state.fault or not state.activated:
            raise RobotError(f"the gripper reports fault {state.fault}, activated: {state.activated}")
        return f"open {1000 * state.opening_m:.0f} mm"


def _found_camera(config: RobotConfig, calibration_path: Path) -> str:
    with RealSenseCamera() as camera:
        _calibration(config, calibration_path).check(date.today(), config.calibration_age_days, camera.serial)
        first = camera.frame().time_s
        time.sleep(2 * config.frame_hold_s)
        if camera.frame().time_s == first:
            raise RobotError(f"no new frame came within {2 * config.frame_hold_s} s; use a USB 3 port")
        return f"{camera.serial} delivers frames"

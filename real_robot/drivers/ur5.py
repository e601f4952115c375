"""UR5 and UR5e, by a process of its own (`servo`) that speaks to the controller with ur-rtde.

The pendant's TCP must be the grasp frame of `h2rh_env.core.gripper`, and its safety limits stay in force whatever
this file does. Tested against `real_robot.emulator`; not run on an arm.
"""

from __future__ import annotations

import importlib.util
import json
import math
import select
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from scipy.spatial.transform import Rotation

from h2rh_env.core.errors import MissingPackageError, RobotError, install_line
from h2rh_env.core.geometry import SE3, Array

from ..interfaces import RobotState, Safety
from .ur5_kinematics import UR5, UR5E, ArmGeometry, condition_number, forward, nearest_joints
from .ur5_process import LONGEST_MESSAGE

CALL_TIMEOUT_S = 0.5
CONNECT_TIMEOUT_S = 20.0
SLOW_CONDITION, STOP_CONDITION = 17.0, 30.0  # MoveIt Servo's defaults
WORTHWHILE_SPEED_SCALE = 0.25  # on a way that isn't begun where it is less: 0.3 m once took 90 s
MAX_TURN_OF_JOINTS_RAD = 2.0  # a pose that needs more is on another branch, which a straight way cannot reach
MAX_TURN_ON_WAY_RAD = (
    0.8  # from one pose of a way to the next; more is another branch, or a singularity between
)
SAME_ARM_M = 0.02  # a calibrated arm differs from its data sheet by millimetres, a UR5 from a UR5e by 0.07 m
SAFETY_BITS = {2: Safety.PROTECTIVE_STOP, 4: Safety.PROTECTIVE_STOP, 5: Safety.EMERGENCY_STOP,
               6: Safety.EMERGENCY_STOP, 7: Safety.EMERGENCY_STOP, 8: Safety.FAULT, 9: Safety.FAULT,
               10: Safety.FAULT}  # fmt: skip


class UR5Arm:
    """An arm at `host`; a state's time is its stamp's, on this machine's clock, so a frozen stream grows old.

    A fault stays: every later call raises it, until the arm is entered anew. Read-only, it tells its state, takes
    every pose for reachable, and sends nothing.

    Args:
        world_from_base: where the base stands, upright; the world is the base itself on a robot.
        state_age_s: the process stops the arm when its state is older.
    """

    def __init__(
        self,
        host: str,
        period_s: float,
        read_only: bool = False,
        world_from_base: SE3 | None = None,
        state_age_s: float = 0.05,
    ) -> None:
        self._host, self._period_s, self._read_only = host, period_s, read_only
        self._state_age_s = state_age_s
        self._world_from_base = world_from_base or SE3.identity()
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: socket.socket | None = None
        self._newest: dict[str, Any] = {}
        self._geometry: ArmGeometry | None = None
        self._flange_from_tcp = np.eye(4)
        self._stops = 0
        self.version = ""
        self.payload_kg: float | None = None
        self.fault = ""

    def __enter__(self) -> Self:
        for package in ("rtde_control", "rtde_receive", "dashboard_client"):
            if importlib.util.find_spec(package) is None:
                raise MissingPackageError(f"ur-rtde is not installed; type: {install_line('robot')}")
        self.fault, self._newest = "", {}
        self._pipe, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "real_robot.drivers.ur5_process", str(theirs.fileno()), self._host,
             str(self._period_s), str(self._state_age_s), str(self._read_only)], pass_fds=[theirs.fileno()],
        )  # fmt: skip
        theirs.close()
        try:
            ready = self._wait_for("ready", CONNECT_TIMEOUT_S)
            self._wait_for("state", CALL_TIMEOUT_S)
            self.version, self.payload_kg = ready["version"], ready["payload_kg"]
            if not self._read_only:
                self._flange_from_tcp = world_from_tcp(ready["tcp_offset"]).matrix
                self._geometry = self._recognised()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        try:
            self.stop()
        finally:
            self._end()

    def state(self) -> RobotState:
        self._read()
        newest = self._newest
        if not newest:
            raise RobotError(self.fault or "the arm is not connected; enter it first")
        turn = self._world_from_base.rotation
        return RobotState(
            newest["time_s"],
            self._world_from_base @ world_from_tcp(newest["pose"]),
            turn @ np.array(newest["velocity"]),
            turn @ np.array(newest["force"]),
            safety_of(newest["bits"]),
        )

    def measured_tool(self) -> SE3:
        """`flange_from_tcp` that explains the measured joints and pose, to the millimetres of a data sheet's arm."""
        arm = UR5 if self.version.startswith("3") else UR5E
        flange = forward(arm, np.array(self._newest["joints"]))
        return SE3.from_matrix(np.linalg.inv(flange) @ world_from_tcp(self._newest["pose"]).matrix)

    def is_reachable(self, world_from_gripper: SE3) -> bool:
        return self._read_only or self.speed_scale(world_from_gripper) > 0

    def can_follow(self, way: Sequence[SE3]) -> bool:
        if self._read_only:
            return True
        joints = np.array(self._newest["joints"])
        here = self._world_from_base @ world_from_tcp(self._newest["pose"])
        least = min(WORTHWHILE_SPEED_SCALE, self._speed_scale(here, joints))
        for pose in way:
            following = self._joints(pose, joints, MAX_TURN_ON_WAY_RAD)
            speed_scale = 0.0 if following is None else self._speed_scale(pose, following)
            if following is None or speed_scale == 0 or speed_scale < least:
                return False
            joints = following
        return True

    def speed_scale(self, world_from_gripper: SE3) -> float:
        """1 away from singularities, falling to 0 where the arm must not go, and 0 out of reach."""
        now = np.array(self._newest["joints"])
        joints = self._joints(world_from_gripper, now, MAX_TURN_OF_JOINTS_RAD)
        return 0.0 if joints is None else self._speed_scale(world_from_gripper, joints)

    def _speed_scale(self, world_from_gripper: SE3, joints: Array) -> float:
        base_from_tcp = (self._world_from_base.inverse() @ world_from_gripper).matrix
        condition = condition_number(self._model(), joints, base_from_tcp)
        return min(1.0, max(0.0, (STOP_CONDITION - condition) / (STOP_CONDITION - SLOW_CONDITION)))

    def is_allowed(self, world_from_gripper: SE3) -> bool:
        if self._read_only:
            return True
        self._tell(allowed=tcp_of(self._world_from_base.inverse() @ world_from_gripper))
        return bool(self._wait_for("allowed", CALL_TIMEOUT_S))

    def servo(self, world_from_gripper: SE3) -> None:
        if not self._read_only:
            self._tell(servo=tcp_of(self._world_from_base.inverse() @ world_from_gripper))

    def stop(self) -> None:
        if self._pipe is None or self._read_only or self.fault:
            return
        self._stops += 1
        try:
            self._tell(stop=self._stops)
            while self._wait_for("stopped", CALL_TIMEOUT_S) != self._stops:
                pass
        except RobotError as error:
            self._latch(
                str(error)
            )  # the process is gone or was killed: the controller's watchdog halts the arm

    def _joints(self, world_from_gripper: SE3, near: Array, most_rad: float) -> Array | None:
        """For a pose, on the branch of joints `near` (6,), none turned by more than `most_rad`; None if none are."""
        base_from_tcp = (self._world_from_base.inverse() @ world_from_gripper).matrix
        if not np.isfinite(base_from_tcp).all():
            return None
        joints = nearest_joints(self._model(), base_from_tcp @ np.linalg.inv(self._flange_from_tcp), near)
        if joints is None or np.abs(joints - near).max() > most_rad:
            return None
        return joints

    def _model(self) -> ArmGeometry:
        if self._geometry is None:
            raise RobotError("the arm is not connected; enter it first")
        return self._geometry

    def _recognised(self) -> ArmGeometry:
        """The arm whose data sheet fits the measured joints and pose."""
        joints, pose = np.array(self._newest["joints"]), np.array(self._newest["pose"][:3])
        for arm in (UR5, UR5E):
            if math.dist((forward(arm, joints) @ self._flange_from_tcp)[:3, 3], pose) < SAME_ARM_M:
                return arm
        raise RobotError("the arm's joints and TCP fit neither a UR5 nor a UR5e; check the pendant's TCP")

    def _tell(self, **message: Any) -> None:
        if self.fault or self._pipe is None:
            raise RobotError(self.fault or "the arm is not connected; enter it first")
        try:
            self._pipe.send(json.dumps(message).encode(), socket.MSG_DONTWAIT)
        except OSError as error:
            self._read()
            self._latch(f"the arm's process is gone ({error})")
            raise RobotError(self.fault) from None

    def _read(self) -> dict[str, Any]:
        """Takes all news; returns what was no state."""
        other: dict[str, Any] = {}
        while self._pipe is not None and select.select([self._pipe], [], [], 0)[0]:
            try:
                received = self._pipe.recv(LONGEST_MESSAGE)
            except OSError:
                received = b""
            if not received:
                self._latch("the arm's process ended without a word")
                break
            message = json.loads(received)
            if "fault" in message:
                self._latch(message["fault"])
            self._newest = message.get("state", self._newest)
            other.update(message)
        return other

    def _wait_for(self, name: str, timeout_s: float) -> Any:
        """Raises: RobotError: a fault, or no such message in time; then the process is killed."""
        deadline = time.monotonic() + timeout_s
        while self._pipe is not None:
            news = self._read()
            if name in news:
                return news[name]
            if self.fault:
                raise RobotError(self.fault)
            rest = deadline - time.monotonic()
            if rest <= 0:
                self._latch(f"the arm's process said nothing of {name!r} within {timeout_s} s and was killed")
                self._kill()
                raise RobotError(self.fault)
            select.select([self._pipe], [], [], rest)
        raise RobotError("the arm is not connected; enter it first")

    def _latch(self, fault: str) -> None:
        self.fault = self.fault or fault

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _end(self) -> None:
        if self._pipe is not None:
            self._pipe.close()
        self._pipe = None
        if self._process is not None:
            try:
                self._process.wait(CALL_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._kill()
        self._process = None


def world_from_tcp(pose: list[float]) -> SE3:
    """UR's [x, y, z, rx, ry, rz], m and rotation vector, to a pose."""
    return SE3(Rotation.from_rotvec(pose[3:6]).as_matrix(), np.array(pose[:3], np.float64))


def tcp_of(world_from_gripper: SE3) -> list[float]:
    """A pose to UR's [x, y, z, rx, ry, rz]."""
    turn = Rotation.from_matrix(world_from_gripper.rotation).as_rotvec()
    return [*map(float, world_from_gripper.translation), *map(float, turn)]


def safety_of(bits: int) -> Safety:
    """The controller's safety status bits; the gravest wins, and no bit at all is a fault."""
    found = [name for bit, name in SAFETY_BITS.items() if bits >> bit & 1]
    for grave in (Safety.FAULT, Safety.EMERGENCY_STOP, Safety.PROTECTIVE_STOP):
        if grave in found:
            return grave
    return Safety.NORMAL if bits & 0b11 else Safety.FAULT

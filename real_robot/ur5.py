"""UR5 and UR5e by ur-rtde, the only file that imports it.

Written from the client's own interface; not run against an arm or a controller's emulator yet. The pendant's TCP
must be the grasp frame of `h2rh_env.gripper`, and its safety limits stay in force whatever this file does.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Self

import numpy as np
from scipy.spatial.transform import Rotation

from h2rh_env.errors import MissingPackageError, RobotError
from h2rh_env.geometry import SE3

from .interfaces import RobotState, Safety

CALL_TIMEOUT_S = 0.5
CONNECT_TIMEOUT_S = 10.0
WATCHDOG_HZ = 10.0  # the controller halts the arm when kicked less often
LOOKAHEAD_S, GAIN = 0.1, 300.0
SAFETY_BITS = {2: Safety.PROTECTIVE_STOP, 4: Safety.PROTECTIVE_STOP, 5: Safety.EMERGENCY_STOP,
               6: Safety.EMERGENCY_STOP, 7: Safety.EMERGENCY_STOP, 8: Safety.FAULT, 9: Safety.FAULT,
               10: Safety.FAULT}  # fmt: skip


def bounded(call: Callable[[], Any], timeout_s: float, what: str) -> Any:
    """The result of a call that may never return.

    A call that is late is left behind in a daemon thread, since a thread cannot be killed.

    Raises:
        RobotError: the call raised, or did not return in time.
    """
    outcome: list[tuple[bool, Any]] = []

    def work() -> None:
        try:
            outcome.append((True, call()))
        except Exception as error:
            outcome.append((False, error))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(timeout_s)
    if not outcome:
        raise RobotError(f"{what} did not return within {timeout_s} s; is the controller still there?")
    good, value = outcome[0]
    if not good:
        raise RobotError(f"{what} failed: {value}")
    return value


class UR5Arm:
    """An arm at `host`; the time of a state is when its time stamp last changed, so a frozen stream grows old.

    Read-only, it tells its state, takes every pose for reachable, and sends nothing.
    """

    def __init__(self, host: str, period_s: float, read_only: bool = False) -> None:
        self._host, self._period_s, self._read_only = host, period_s, read_only
        self._control: Any = None
        self._receive: Any = None
        self._stamp = -1.0
        self._changed_s = 0.0

    def __enter__(self) -> Self:
        try:
            import rtde_control
            import rtde_receive
        except ImportError as error:
            raise MissingPackageError(
                f'ur-rtde is not installed ({error}); type: pip install -e ".[robot]"'
            ) from None
        rate = 1 / self._period_s
        self._receive = bounded(
            lambda: rtde_receive.RTDEReceiveInterface(self._host, rate), CONNECT_TIMEOUT_S, "connecting"
        )
        if self._read_only:
            return self
        self._control = bounded(
            lambda: rtde_control.RTDEControlInterface(self._host, rate),
            CONNECT_TIMEOUT_S,
            "uploading the script",
        )
        self._call("setWatchdog", WATCHDOG_HZ)
        return self

    def __exit__(self, *exception: object) -> None:
        if self._control is None:
            return
        try:
            self.stop()
            self._call("stopScript")
        finally:
            self._control = None

    def state(self) -> RobotState:
        receive = self._receive
        if receive is None:
            raise RobotError("the arm is not connected; enter it first")
        stamp, pose, velocity, force, bits = bounded(
            lambda: (
                receive.getTimestamp(), receive.getActualTCPPose(), receive.getActualTCPSpeed(),
                receive.getActualTCPForce(), receive.getSafetyStatusBits(),
            ),
            CALL_TIMEOUT_S, "reading the arm's state",
        )  # fmt: skip
        if stamp != self._stamp:
            self._stamp, self._changed_s = stamp, time.monotonic()
        return RobotState(
            self._changed_s,
            world_from_tcp(pose),
            np.array(velocity[:3]),
            np.array(force[:3]),
            safety_of(bits),
        )

    def is_reachable(self, world_from_gripper: SE3) -> bool:
        if self._read_only:
            return True
        pose = tcp_of(world_from_gripper)
        return bool(self._call("isPoseWithinSafetyLimits", pose)) and bool(
            self._call("getInverseKinematicsHasSolution", pose)
        )

    def servo(self, world_from_gripper: SE3) -> None:
        if self._read_only:
            return
        pose = tcp_of(world_from_gripper)
        self._call("kickWatchdog")
        if not self._call("servoL", pose, 0.0, 0.0, self._period_s, LOOKAHEAD_S, GAIN):
            raise RobotError("the controller refuses a set point; read the message on the pendant")

    def stop(self) -> None:
        if self._control is not None:
            self._call("servoStop")

    def _call(self, name: str, *arguments: Any) -> Any:
        if self._control is None:
            raise RobotError("the arm is not connected; enter it first")
        method = getattr(self._control, name, None)
        if method is None:
            raise RobotError(f"this version of ur-rtde has no {name}; install at least 1.6")
        return bounded(lambda: method(*arguments), CALL_TIMEOUT_S, name)


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

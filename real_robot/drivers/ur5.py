"""UR5 and UR5e, by a process of its own (`ur.process`) that speaks to the controller with ur-rtde.

The pendant's TCP must be the grasp frame of `h2rh_env.core.gripper`, and its safety limits stay in force whatever
this file does. Tested against `real_robot.emulator`; not run on an arm.
"""

from __future__ import annotations

import importlib.util
import math
import select
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Self, TypeVar

import numpy as np
from scipy.spatial.transform import Rotation

from h2rh_env.core.errors import MissingPackageError, RobotError, install_line
from h2rh_env.core.geometry import SE3, Array

from ..interfaces import RobotState, Safety
from .ur.body import ArmBody
from .ur.dashboard import check_ready, end_program
from .ur.kinematics import UR5, UR5E, forward
from .ur.messages import (
    LONGEST_MESSAGE,
    Allowed,
    ArmState,
    AskAllowed,
    Failed,
    Message,
    Ready,
    Setpoint,
    Stop,
    Stopped,
    pack,
    unpack,
)
from .ur.process import REST_S
from .ur.reach import Reach

News = TypeVar("News", Ready, Allowed, Stopped)

CALL_TIMEOUT_S = 0.5
CONNECT_TIMEOUT_S = 20.0
SAME_ARM_M = 0.02  # a calibrated arm differs from its data sheet by millimetres, a UR5 from a UR5e by 0.07 m
SAFETY_BITS = {2: Safety.PROTECTIVE_STOP, 4: Safety.PROTECTIVE_STOP, 5: Safety.EMERGENCY_STOP,
               6: Safety.EMERGENCY_STOP, 7: Safety.EMERGENCY_STOP, 8: Safety.FAULT, 9: Safety.FAULT,
               10: Safety.FAULT}  # fmt: skip


class UR5Arm:
    """An arm at `host`; a state's time is its stamp's, on this machine's clock, so a frozen stream grows old.

    A fault stays: every later call raises it, until the arm is entered anew. At a fault and on leaving, the
    controller is made to end its program. Read-only, the arm tells its state, takes every pose for reachable, and
    sends nothing.

    Args:
        world_from_base: where the base stands, upright; the world is the base itself on a robot.
        state_age_s: the process stops the arm when its state is older.
        body: the table, and the camera's place, which the links keep off.
    """

    def __init__(
        self,
        host: str,
        period_s: float,
        read_only: bool = False,
        world_from_base: SE3 | None = None,
        state_age_s: float = 0.05,
        body: ArmBody | None = None,
    ) -> None:
        self._host, self._period_s, self._read_only = host, period_s, read_only
        self._state_age_s = state_age_s
        self._world_from_base, self._body = world_from_base or SE3.identity(), body or ArmBody()
        self._process: subprocess.Popen[bytes] | None = None
        self._commands: socket.socket | None = None
        self._states: socket.socket | None = None
        self._newest: ArmState | None = None
        self._reach: Reach | None = None
        self._stops = 0
        self._moves_the_arm = False
        self.version = ""
        self.payload_kg: float | None = None
        self.fault = ""

    def __enter__(self) -> Self:
        for package in ("rtde_control", "rtde_receive"):
            if importlib.util.find_spec(package) is None:
                raise MissingPackageError(f"ur-rtde is not installed; type: {install_line('robot')}")
        self.version = check_ready(self._host, to_move=not self._read_only)
        self.fault, self._newest = "", None
        self._start_process()
        try:
            ready = self._wait_for(Ready, CONNECT_TIMEOUT_S)
            self._wait_for_a_state()
            self.payload_kg = ready.payload_kg
            if ready.tcp_offset is not None:
                self._reach = self._recognised(world_from_tcp(ready.tcp_offset).matrix)
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
        newest, turn = self._measured(), self._world_from_base.rotation
        return RobotState(
            newest.time_s,
            self._world_from_base @ world_from_tcp(newest.pose),
            turn @ np.array(newest.velocity),
            turn @ np.array(newest.force),
            safety_of(newest.bits),
        )

    def measured_tool(self) -> SE3:
        """`flange_from_tcp` that explains the measured joints and pose, to the millimetres of a data sheet's arm."""
        arm, newest = UR5 if self.version.startswith("3") else UR5E, self._measured()
        flange = forward(arm, np.array(newest.joints))
        return SE3.from_matrix(np.linalg.inv(flange) @ world_from_tcp(newest.pose).matrix)

    def is_reachable(self, world_from_gripper: SE3) -> bool:
        return self._read_only or self.speed_scale(world_from_gripper) > 0

    def can_follow(self, path: Sequence[SE3]) -> bool:
        if self._read_only:
            return True
        newest = self._measured()
        here = self._world_from_base @ world_from_tcp(newest.pose)
        return self._known_reach().can_follow(path, here, np.array(newest.joints))

    def speed_scale(self, world_from_gripper: SE3) -> float:
        """1 away from singularities, falling to 0 where the arm must not go, and 0 out of reach."""
        now = np.array(self._measured().joints)
        return self._known_reach().speed_scale(world_from_gripper, now)

    def is_allowed(self, world_from_gripper: SE3) -> bool:
        if self._read_only:
            return True
        self._send(AskAllowed(tuple(tcp_of(self._world_from_base.inverse() @ world_from_gripper))))
        return self._wait_for(Allowed, CALL_TIMEOUT_S).yes

    def servo(self, world_from_gripper: SE3) -> None:
        if not self._read_only:
            self._send(Setpoint(tuple(tcp_of(self._world_from_base.inverse() @ world_from_gripper))))

    def stop(self) -> None:
        if self._commands is None or self._read_only or self.fault:
            return
        self._stops += 1
        try:
            self._send(Stop(self._stops))
            while self._wait_for(Stopped, CALL_TIMEOUT_S).number != self._stops:
                pass
        except RobotError as error:
            self._latch(str(error))

    def _known_reach(self) -> Reach:
        if self._reach is None:
            raise RobotError("the arm is not connected; enter it first")
        return self._reach

    def _recognised(self, flange_from_tcp: Array) -> Reach:
        """Of the arm whose data sheet fits the measured joints and pose."""
        newest = self._measured()
        joints, pose = np.array(newest.joints), np.array(newest.pose[:3])
        for arm in (UR5, UR5E):
            if math.dist((forward(arm, joints) @ flange_from_tcp)[:3, 3], pose) < SAME_ARM_M:
                return Reach(arm, flange_from_tcp, self._world_from_base, self._body)
        raise RobotError("the arm's joints and TCP fit neither a UR5 nor a UR5e; check the pendant's TCP")

    def _start_process(self) -> None:
        kind = socket.AF_UNIX, socket.SOCK_SEQPACKET
        (self._commands, theirs), (self._states, to_states) = (
            socket.socketpair(*kind),
            socket.socketpair(*kind),
        )
        given = [theirs.fileno(), to_states.fileno(), self._states.fileno()]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "real_robot.drivers.ur.process", *map(str, given), self._host,
             str(self._period_s), str(self._state_age_s), str(self._read_only)], pass_fds=given,
        )  # fmt: skip
        theirs.close()
        to_states.close()
        self._moves_the_arm = not self._read_only

    def _measured(self) -> ArmState:
        if self._newest is None:
            raise RobotError(self.fault or "the arm is not connected; enter it first")
        return self._newest

    def _send(self, message: Message) -> None:
        if self.fault or self._commands is None:
            raise RobotError(self.fault or "the arm is not connected; enter it first")
        try:
            self._commands.send(pack(message), socket.MSG_DONTWAIT)
        except OSError as error:
            self._read()
            self._latch(f"the arm's process is gone ({error})")
            raise RobotError(self.fault) from None

    def _read(self) -> list[Message]:
        """Takes the newest state and all other news, which it returns."""
        news: list[Message] = []
        if self._states is not None:
            with suppress(BlockingIOError):
                while received := self._states.recv(LONGEST_MESSAGE, socket.MSG_DONTWAIT):
                    state = unpack(received)
                    self._newest = state if isinstance(state, ArmState) else self._newest
        while self._commands is not None and select.select([self._commands], [], [], 0)[0]:
            try:
                received = self._commands.recv(LONGEST_MESSAGE)
            except ConnectionResetError:  # it died with setpoints unread; its last words come after this
                continue
            if not received:
                self._latch(
                    "the arm's process ended without a word: its link to the controller may have broken"
                )
                break
            message = unpack(received)
            if isinstance(message, Failed):
                self._latch(message.fault)
            news.append(message)
        return news

    def _wait_for(self, kind: type[News], timeout_s: float) -> News:
        """Raises: RobotError: a fault, or no such message in time; then the process is killed."""
        deadline = time.monotonic() + timeout_s
        while self._commands is not None:
            for message in self._read():
                if isinstance(message, kind):
                    return message
            if self.fault:
                raise RobotError(self.fault)
            rest = deadline - time.monotonic()
            if rest <= 0:
                self._kill()
                self._latch(
                    f"the arm's process said nothing of {kind.__name__!r} within {timeout_s} s and was killed"
                )
                raise RobotError(self.fault)
            select.select([self._commands], [], [], rest)
        raise RobotError("the arm is not connected; enter it first")

    def _wait_for_a_state(self) -> None:
        deadline = time.monotonic() + CALL_TIMEOUT_S
        while self._newest is None and not self.fault and time.monotonic() < deadline:
            time.sleep(self._period_s)
            self._read()
        self._measured()

    def _latch(self, fault: str) -> None:
        """Keeps the first fault, and makes sure that nothing of ours runs on at the controller.

        Before its program is ended the arm may hold its last setpoint: holding brakes harder than a program's end.
        """
        if self.fault:
            return
        self.fault = fault
        if self._moves_the_arm:
            time.sleep(REST_S)
        self._end_program()

    def _end_program(self) -> None:
        if not self._moves_the_arm:
            return
        self._moves_the_arm = False
        if doubt := end_program(self._host):
            self.fault = f"{self.fault}; {doubt}" if self.fault else doubt

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _end(self) -> None:
        """Ends the process, then whatever program the controller runs, which was ours."""
        for channel in (self._commands, self._states):
            if channel is not None:
                channel.close()
        self._commands = self._states = None
        if self._process is not None:
            try:
                self._process.wait(CALL_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._kill()
        self._process = None
        self._end_program()


def world_from_tcp(pose: Sequence[float]) -> SE3:
    """UR's [x, y, z, rx, ry, rz], m and rotation vector, to a pose."""
    return SE3(Rotation.from_rotvec(np.array(pose[3:6])).as_matrix(), np.array(pose[:3], np.float64))


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

"""The process that alone talks to the arm: setpoints in, states out, and a stop whenever anything is late.

    python -m real_robot.drivers.ur.process COMMANDS STATES UNREAD HOST PERIOD_S STATE_AGE_S READ_ONLY

`UR5Arm` starts it with three sockets by number: COMMANDS, which both ends read and write; STATES, to write to, and
UNREAD, the other end of STATES, from which this process takes what nobody has read, so that the newest is there.

It dies at the first fault. The client would reconnect inside a call and upload a new program, without a watchdog:
once connected, this process gives up the right to open anything, so a broken connection stays broken.
"""

from __future__ import annotations

import math
import os
import resource
import socket
import sys
import time
from collections import deque
from contextlib import suppress
from typing import Any, NoReturn

from ..device_clock import DeviceClock
from .dashboard import NOT_POWERED, OCCUPIED
from .messages import (
    LONGEST_MESSAGE,
    Allowed,
    ArmState,
    AskAllowed,
    Failed,
    Message,
    Pose,
    Ready,
    Setpoint,
    Stop,
    Stopped,
    pack,
    unpack,
)

WATCHDOG_PERIODS = (
    2.0  # the controller ends a program whose command register was not written for this many ages
)
LOOKAHEAD_S, GAIN = 0.03, 300.0  # the least look-ahead: how far the arm runs on is its speed times this
REST_S = 0.04  # after which an arm that holds its setpoint has braked from 0.25 m/s to a tenth of that
STOP_RADPS2 = 25.0  # of what is left then; the controller takes up to 40
MAX_JUMP_M, MAX_JUMP_RAD = (
    0.005,
    math.radians(2),
)  # from what was last sent; the guard's are 2 mm and 0.3 degrees
CATCH_UP_M, CATCH_UP_RAD = (
    0.003,
    math.radians(0.6),
)  # within which a waiting setpoint is skipped for a newer one
NORMAL_BITS, STOPPED_BITS = 0b11, 0b11111111100
RUNNING, PLAYING = 7, 2  # the arm's mode, and the state of its program
STANDARD_STREAMS = 3


class Fault(Exception):
    """Why the arm must not move any more."""


class ServoLoop:
    """One period: take messages, follow or stop, report."""

    def __init__(
        self, commands: socket.socket, states: tuple[socket.socket, socket.socket], host: str, period_s: float,
        state_age_s: float, read_only: bool,
    ) -> None:  # fmt: skip
        import rtde_control
        import rtde_receive

        self._commands, (self._states, self._unread) = commands, states
        self._period_s, self._state_age_s = period_s, state_age_s
        self._receive: Any = rtde_receive.RTDEReceiveInterface(host, 1 / period_s)
        if stopped := self._receive.getSafetyStatusBits() & STOPPED_BITS:
            raise Fault(f"the arm's safety bits are {stopped:#x}; acknowledge the stop at the pendant first")
        if self._receive.getRobotMode() != RUNNING:
            raise Fault(f"{NOT_POWERED} (its mode is {self._receive.getRobotMode()})")
        if not read_only and self._receive.getRuntimeState() == PLAYING:
            raise Fault(OCCUPIED)
        self._control: Any = None if read_only else rtde_control.RTDEControlInterface(host, 1 / period_s)
        self._waiting: deque[Pose] = deque()
        self._sent: Pose | None = None
        self._stamp, self._stamp_s, self._clock = -1.0, time.monotonic(), DeviceClock()
        if self._control is not None and not self._control.setWatchdog(1 / (WATCHDOG_PERIODS * state_age_s)):
            raise Fault("the controller did not take the watchdog")
        _open_nothing_more()

    def run(self) -> None:
        """Serves until the other end is gone, or a fault."""
        offset = None if self._control is None else tuple(map(float, self._control.getTCPOffset()))
        self._send(Ready(offset, self._payload()))
        due = time.monotonic()
        while self._obey():
            self._follow()
            self.send_state()
            self._check()
            due = max(due + self._period_s, time.monotonic())
            time.sleep(max(0.0, due - time.monotonic()))

    def stop(self) -> None:
        """Comes to rest at what was sent last, which is where the guard allowed it, then ends the servo.

        Holding the setpoint brakes at once and never beyond it; braking the joints alone would overrun it.
        """
        self._waiting.clear()
        if self._sent is not None and time.monotonic() - self._stamp_s <= self._state_age_s:
            for _ in range(round(REST_S / self._period_s)):
                self._follow()
                time.sleep(self._period_s)
            self._control.servoStop(STOP_RADPS2)
        self._sent = None

    def _payload(self) -> float | None:
        """What the controller takes the payload to be, kg; None from one too old to tell."""
        try:
            return float(self._receive.getPayload())
        except RuntimeError:
            return None

    def _obey(self) -> bool:
        """Takes every message; false when there is nobody left to obey."""
        while True:
            try:
                received = self._commands.recv(LONGEST_MESSAGE)
            except BlockingIOError:
                return True
            if not received:
                return False
            match unpack(received):
                case Setpoint(pose):
                    self._take(pose)
                case AskAllowed(pose):
                    self._send(Allowed(bool(self._control.isPoseWithinSafetyLimits(list(pose)))))
                case Stop(number):
                    self.stop()
                    self._send(Stopped(number))
                case other:
                    raise Fault(f"the session sent what only this process may send: {other}")

    def _take(self, pose: Pose) -> None:
        if len(pose) != 6 or not all(map(math.isfinite, pose)):
            raise Fault(f"a setpoint is not six finite numbers: {pose}")
        self._waiting.append(pose)
        if len(self._waiting) * self._period_s > WATCHDOG_PERIODS * self._state_age_s:
            raise Fault(
                f"{len(self._waiting)} setpoints wait to be sent; something held this machine up, end it"
            )

    def _follow(self) -> None:
        """Sends the next setpoint, or the last once more: when no newer one comes, the arm comes to rest there."""
        if self._control is None:
            return
        if self._waiting:
            self._sent = self._next(self._sent or tuple(self._receive.getActualTCPPose()))
        if self._sent is None:
            self._control.kickWatchdog()
        elif not self._control.servoL(list(self._sent), 0.0, 0.0, self._period_s, LOOKAHEAD_S, GAIN):
            self._fail("the controller refuses a setpoint; read the message on the pendant")

    def _next(self, before: Pose) -> Pose:
        """The setpoint to send after another one; those that were overtaken are skipped in small steps only.

        Raises:
            Fault: it is too far from what was sent last.
        """
        pose = self._waiting.popleft()
        metres, radians = distance_between(before, pose)
        if metres > MAX_JUMP_M or radians > MAX_JUMP_RAD:
            raise Fault(
                f"a setpoint is {metres:.3f} m and {math.degrees(radians):.1f} degrees from the one before; at most "
                f"{MAX_JUMP_M} m and {math.degrees(MAX_JUMP_RAD):.0f} degrees are sent"
            )
        while self._waiting:
            metres, radians = distance_between(before, self._waiting[0])
            if metres > CATCH_UP_M or radians > CATCH_UP_RAD:
                break
            pose = self._waiting.popleft()
        return pose

    def send_state(self) -> None:
        """Leaves the newest measurement for the session; what it has not read of older ones is taken back."""
        receive = self._receive
        stamp, now_s = receive.getTimestamp(), time.monotonic()
        pose, velocity = receive.getActualTCPPose(), receive.getActualTCPSpeed()[:3]
        force = receive.getActualTCPForce()[:3]
        joints, bits = receive.getActualQ(), receive.getSafetyStatusBits()
        if receive.getTimestamp() != stamp:  # another state came meanwhile; this one is a mixture
            stamp, now_s, pose = receive.getTimestamp(), time.monotonic(), receive.getActualTCPPose()
        if stamp != self._stamp:
            self._stamp, self._stamp_s = stamp, now_s
        state = ArmState(
            self._clock.time_s(stamp, now_s), tuple(pose), tuple(velocity), tuple(force), tuple(joints), bits
        )
        with suppress(BlockingIOError):
            while self._unread.recv(LONGEST_MESSAGE):
                pass
        with suppress(OSError):  # nobody listens any more; the next `_obey` sees it
            self._states.send(pack(state))

    def _check(self) -> None:
        age_s = time.monotonic() - self._stamp_s
        if age_s > self._state_age_s:
            raise Fault(f"the arm's state stream stood still for {age_s:.3f} s")
        self._check_safety()
        if self._control is not None and not self._control.isProgramRunning():
            self._fail("the control program stopped; read the message on the pendant")

    def _fail(self, otherwise: str) -> NoReturn:
        """Blames the safety system if it stopped the arm, which the stream of states may show later than the program.

        Raises:
            Fault: always; it waits for a state that was measured from now on, but not longer than one may be old.
        """
        noticed_s = now_s = time.monotonic()
        while now_s - noticed_s < self._state_age_s:
            if self._clock.time_s(self._receive.getTimestamp(), now_s) >= noticed_s:
                break
            time.sleep(self._period_s / 4)
            now_s = time.monotonic()
        self._check_safety()
        raise Fault(otherwise)

    def _check_safety(self) -> None:
        bits = self._receive.getSafetyStatusBits()
        if bits & STOPPED_BITS or not bits & NORMAL_BITS:
            raise Fault(f"the arm's safety system stopped it (bits {bits:#x}); acknowledge it at the pendant")

    def _send(self, message: Message) -> None:
        with suppress(OSError):  # nobody listens any more; the next `_obey` sees it
            self._commands.send(pack(message))


def distance_between(a: Pose, b: Pose) -> tuple[float, float]:
    """Metres and radians between two poses (x, y, z, rx, ry, rz); a whole turn more or less is none."""
    p, q = _quaternion(a), _quaternion(b)
    difference = min(
        math.dist(p, q), math.dist(p, [-x for x in q])
    )  # exact near zero, where an arc cosine is not
    return math.dist(a[:3], b[:3]), 4 * math.asin(min(1.0, difference / 2))


def _quaternion(pose: Pose) -> list[float]:
    """The rotation of a pose, wxyz."""
    angle = math.hypot(*pose[3:])
    scale = 0.5 if angle < 1e-9 else math.sin(angle / 2) / angle
    return [math.cos(angle / 2), *(scale * component for component in pose[3:])]


def _open_nothing_more() -> None:
    """From here on every attempt of this process to open a connection fails, whoever makes it.

    The limit is not zero, since the kernel allows no more sockets in one poll than the limit says.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) < STANDARD_STREAMS:
        pass
    os.close(descriptor)
    resource.setrlimit(resource.RLIMIT_NOFILE, (STANDARD_STREAMS, STANDARD_STREAMS))


def main(arguments: list[str]) -> NoReturn:
    """Never returns: the clients' destructors may abort or wait for minutes, so the process ends without them."""
    *descriptors, host, period_s, state_age_s, read_only = arguments
    commands, states, unread = (socket.socket(fileno=int(descriptor)) for descriptor in descriptors)
    for channel in (commands, states, unread):
        channel.setblocking(False)
    loop, fault = None, ""
    try:
        loop = ServoLoop(
            commands, (states, unread), host, float(period_s), float(state_age_s), read_only == "True"
        )
        loop.run()
    except Exception as error:
        fault = str(error) or type(error).__name__
        if loop is not None:
            with suppress(Exception):
                loop.send_state()
        commands.send(pack(Failed(fault)))
    finally:
        try:
            if loop is not None:
                loop.stop()
        finally:
            os._exit(1 if fault else 0)


if __name__ == "__main__":
    main(sys.argv[1:])

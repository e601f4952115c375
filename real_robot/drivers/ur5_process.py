"""The process that alone talks to the arm: setpoints in, states out, and a stop whenever anything is late.

    python -m real_robot.drivers.ur5_process FD HOST PERIOD_S STATE_AGE_S READ_ONLY

`UR5Arm` starts it with one end of a socket as FD. It dies at the first fault rather than let the client reconnect
and repeat an old command; what then halts the arm is the controller's own watchdog.
"""

from __future__ import annotations

import json
import math
import os
import socket
import sys
import time
from collections import deque
from contextlib import suppress
from typing import Any, NoReturn

WATCHDOG_PERIODS = (
    2.0  # the controller ends a program whose command register was not written for this many ages
)
LOOKAHEAD_S, GAIN = 0.03, 300.0  # the least look-ahead: how far the arm runs on is its speed times this
REST_S = 0.04  # after which an arm that holds its setpoint has braked from 0.25 m/s to a tenth of that
STOP_RADPS2 = 25.0  # of what is left then; the controller takes up to 40
MAX_JUMP_M = 0.005  # between setpoints; the guard's are 2 mm apart at most
LEAST_VERSIONS = {3: (3, 15), 5: (5, 10)}  # older controllers answer some questions with a stale True
NORMAL_BITS, STOPPED_BITS = 0b11, 0b11111111100
LONGEST_MESSAGE = 4096
KEPT_DELAYS = 250  # of the newest states: 2 s at 125 Hz


class Fault(Exception):
    """Why the arm must not move any more."""


class ControllerClock:
    """Puts the controller's stamps on the machine's clock.

    A state read late says nothing of when it was measured; its stamp does, and the promptest of the newest states
    says how far the two clocks are apart.
    """

    def __init__(self) -> None:
        self._delays: deque[float] = deque(maxlen=KEPT_DELAYS)
        self._stamp = -math.inf

    def time_s(self, stamp: float, now_s: float) -> float:
        """When a state was measured that is read at `now_s` and stamped by the controller, s."""
        if stamp < self._stamp:
            self._delays.clear()
        if stamp != self._stamp:
            self._delays.append(now_s - stamp)
        self._stamp = stamp
        return stamp + min(self._delays)


class ServoLoop:
    """One period: take messages, follow or stop, report."""

    def __init__(
        self, pipe: socket.socket, host: str, period_s: float, state_age_s: float, read_only: bool
    ) -> None:
        import dashboard_client
        import rtde_control
        import rtde_receive

        self._pipe, self._period_s, self._state_age_s = pipe, period_s, state_age_s
        dashboard = dashboard_client.DashboardClient(host)
        dashboard.connect()
        self._version = _checked_version(dashboard.polyscopeVersion())
        if self._version.startswith("5") and not dashboard.isInRemoteControl():
            raise Fault("the arm is in local control; switch it to remote control at the pendant")
        dashboard.disconnect()
        self._receive: Any = rtde_receive.RTDEReceiveInterface(host, 1 / period_s)
        if stopped := self._receive.getSafetyStatusBits() & STOPPED_BITS:
            raise Fault(f"the arm's safety bits are {stopped:#x}; acknowledge the stop at the pendant first")
        self._control: Any = None if read_only else rtde_control.RTDEControlInterface(host, 1 / period_s)
        self._target: list[float] | None = None
        self._stamp, self._stamp_s, self._clock = -1.0, time.monotonic(), ControllerClock()
        if self._control is not None and not self._control.setWatchdog(1 / (WATCHDOG_PERIODS * state_age_s)):
            raise Fault("the controller did not take the watchdog")

    def run(self) -> None:
        """Until told to exit, the other end is gone, or a fault."""
        offset = self._control.getTCPOffset() if self._control is not None else None
        self._tell(ready={"version": self._version, "tcp_offset": offset, "payload_kg": self._payload()})
        due = time.monotonic()
        while self._obey():
            self._follow()
            self.tell_state()
            self._check()
            due = max(due + self._period_s, time.monotonic())
            time.sleep(max(0.0, due - time.monotonic()))

    def stop(self) -> None:
        """Comes to rest at the last setpoint, which is where the guard allowed it, then ends the servo.

        Holding the setpoint brakes at once and never beyond it; braking the joints alone would overrun it.
        """
        if self._target is not None and time.monotonic() - self._stamp_s <= self._state_age_s:
            for _ in range(round(REST_S / self._period_s)):
                self._follow()
                time.sleep(self._period_s)
            self._control.servoStop(STOP_RADPS2)
        self._target = None

    def _payload(self) -> float | None:
        """As the controller takes it to be, kg; None from one too old to tell."""
        try:
            return float(self._receive.getPayload())
        except RuntimeError:
            return None

    def _obey(self) -> bool:
        """Takes every message; false when there is nobody or nothing left to obey."""
        while True:
            try:
                received = self._pipe.recv(LONGEST_MESSAGE)
            except BlockingIOError:
                return True
            if not received:
                return False
            message = json.loads(received)
            if "servo" in message:
                self._aim(message["servo"])
            elif "allowed" in message:
                self._tell(allowed=bool(self._control.isPoseWithinSafetyLimits(message["allowed"])))
            elif "stop" in message:
                self.stop()
                self._tell(stopped=message["stop"])
            else:
                return False

    def _aim(self, target: list[float]) -> None:
        if len(target) != 6 or not all(map(math.isfinite, target)):
            raise Fault(f"a setpoint is not six finite numbers: {target}")
        before = self._target or self._receive.getActualTCPPose()
        if math.dist(target[:3], before[:3]) > MAX_JUMP_M:
            raise Fault(f"a setpoint {math.dist(target[:3], before[:3]):.3f} m from the one before")
        self._target = target

    def _follow(self) -> None:
        """Sends the newest setpoint once more: when no newer one comes, the arm comes to rest there."""
        if self._control is None:
            return
        if self._target is None:
            self._control.kickWatchdog()
        elif not self._control.servoL(self._target, 0.0, 0.0, self._period_s, LOOKAHEAD_S, GAIN):
            self._check_safety()
            raise Fault("the controller refuses a setpoint; read the message on the pendant")

    def tell_state(self) -> None:
        """What was measured last, and when."""
        receive = self._receive
        stamp, now_s = receive.getTimestamp(), time.monotonic()
        measured = {
            "pose": receive.getActualTCPPose(), "velocity": receive.getActualTCPSpeed()[:3],
            "force": receive.getActualTCPForce()[:3], "joints": receive.getActualQ(),
            "bits": receive.getSafetyStatusBits(),
        }  # fmt: skip
        if receive.getTimestamp() != stamp:  # another state came meanwhile; this one is a mixture
            stamp, now_s, measured["pose"] = (
                receive.getTimestamp(),
                time.monotonic(),
                receive.getActualTCPPose(),
            )
        if stamp != self._stamp:
            self._stamp, self._stamp_s = stamp, now_s
        self._tell(state={"time_s": self._clock.time_s(stamp, now_s), **measured})

    def _check(self) -> None:
        age_s = time.monotonic() - self._stamp_s
        if age_s > self._state_age_s:
            raise Fault(f"the arm's state stream stood still for {age_s:.3f} s")
        self._check_safety()
        if self._control is not None and not self._control.isProgramRunning():
            raise Fault("the control program stopped; read the message on the pendant")

    def _check_safety(self) -> None:
        bits = self._receive.getSafetyStatusBits()
        if bits & STOPPED_BITS or not bits & NORMAL_BITS:
            raise Fault(f"the arm's safety system stopped it (bits {bits:#x}); acknowledge it at the pendant")

    def _tell(self, **message: Any) -> None:
        """Without waiting: a reader that is behind misses news, and finds it out by their age."""
        try:
            self._pipe.send(json.dumps(message).encode())
        except BlockingIOError:
            return
        except OSError:  # nobody listens any more; the next `_obey` sees it
            return


def _checked_version(text: str) -> str:
    """Raises: Fault: older than what this driver relies on."""
    parts = text.split()[-1 if " " not in text else 0].split(".")
    try:
        major, minor = int(parts[0]), int(parts[1])
    except (IndexError, ValueError):
        raise Fault(f"the controller's version {text!r} cannot be read") from None
    least = LEAST_VERSIONS.get(major)
    if least is None or (major, minor) < least:
        raise Fault(f"the controller's software is {text}; at least 3.15 (CB3) or 5.10 (e-Series) is needed")
    return text


def main(arguments: list[str]) -> NoReturn:
    """Never returns: the clients' destructors may abort or wait for minutes, so the process ends without them."""
    descriptor, host, period_s, state_age_s, read_only = arguments
    pipe = socket.socket(fileno=int(descriptor))
    pipe.setblocking(False)
    loop, fault = None, ""
    try:
        loop = ServoLoop(pipe, host, float(period_s), float(state_age_s), read_only == "True")
        loop.run()
    except Exception as error:
        fault = str(error) or type(error).__name__
        if loop is not None:
            with suppress(Exception):
                loop.tell_state()
        pipe.send(json.dumps({"fault": fault}).encode())
    finally:
        try:
            if loop is not None:
                loop.stop()
        finally:
            os._exit(1 if fault else 0)


if __name__ == "__main__":
    main(sys.argv[1:])

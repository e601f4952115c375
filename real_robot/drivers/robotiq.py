"""Robotiq 2F-85 over the socket that its URCap opens on the arm's controller.

Tested against a socket that speaks the documented protocol; not tried on a gripper.
"""

from __future__ import annotations

import socket
import time
import warnings
from typing import Self

from h2rh_env.core.errors import RobotError
from h2rh_env.core.gripper import ROBOTIQ_2F85

from ..interfaces import GripperState, ObjectStatus

OPEN_COUNT, CLOSED_COUNT = 3, 230  # positions at which the pads stop, of 0 to 255
MOST = {"POS": 255, "OBJ": 3, "FLT": 255, "STA": 3}  # of each register; none is less than 0
SPEED = 128  # of 0 to 255, about 85 mm/s
ACTIVE = 3  # STA once activated
LONGEST_ANSWER = 64
OPENING_TRIES = 3  # opening is the safe direction
OPENING_S = 2.0


class RobotiqGripper:
    """A gripper at `host`:`port`; `force` is its register, 0 to 255; every answer comes within `timeout_s`.

    What arrived unasked is thrown away before each command, and the connection with it once an answer was late.
    On leaving it opens, unless it holds something. Read-only, it tells its state and sends nothing that moves it.
    """

    def __init__(
        self, host: str, port: int = 63352, force: int = 25, timeout_s: float = 0.5, read_only: bool = False
    ) -> None:
        self._address, self._force, self._timeout_s = (host, port), force, timeout_s
        self._read_only = read_only
        self._socket: socket.socket | None = None
        self._is_entered = self._was_closed = False

    def __enter__(self) -> Self:
        self._is_entered, self._was_closed = True, False
        try:
            self._connection()
            if not self._read_only:
                self._activate()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        """Never raises, so that what a trial came to is not lost; what went wrong is a warning."""
        try:
            self._leave()
        except RobotError as error:
            warnings.warn(
                f"the gripper was left as it is ({error}); open it by hand", RuntimeWarning, stacklevel=2
            )
        finally:
            self._close()

    def state(self) -> GripperState:
        opening = (CLOSED_COUNT - self._get("POS")) / (CLOSED_COUNT - OPEN_COUNT) * ROBOTIQ_2F85.max_width_m
        return GripperState(
            max(0.0, opening), ObjectStatus(self._get("OBJ")), self._get("FLT"), self._get("STA") == ACTIVE
        )

    def move(self, opening_m: float) -> None:
        """Raises: RobotError: no such opening, or no answer; opening wide is tried three times before."""
        widest = ROBOTIQ_2F85.max_width_m
        if not 0.0 <= opening_m <= widest:
            raise RobotError(f"an opening is 0 to {widest} m; got {opening_m}")
        self._was_closed = opening_m < widest
        count = round(CLOSED_COUNT - opening_m / widest * (CLOSED_COUNT - OPEN_COUNT))
        count = 255 if opening_m == 0 else count if self._was_closed else 0
        for tries_left in reversed(range(1 if self._was_closed else OPENING_TRIES)):
            try:
                return self._set(f"POS {count} SPE {SPEED} FOR {self._force} GTO 1")
            except RobotError:
                if not tries_left:
                    raise

    def stop(self) -> None:
        if self._is_entered:
            self._set("GTO 0")

    def _leave(self) -> None:
        """Halts it, once it holds something or has opened."""
        if self._is_entered and not self._read_only and not self._holds_something():
            if self._was_closed:
                self.move(ROBOTIQ_2F85.max_width_m)
            deadline = time.monotonic() + OPENING_S
            while self._get("OBJ") == ObjectStatus.MOVING and time.monotonic() < deadline:
                time.sleep(0.02)
        self.stop()

    def _holds_something(self) -> bool:
        """False where that is not to be learnt, too."""
        try:
            return self._get("OBJ") == ObjectStatus.STOPPED_CLOSING
        except RobotError:
            return False

    def _activate(self) -> None:
        if self._get("STA") != ACTIVE:
            self._set("ACT 1")
        deadline = time.monotonic() + 10 * self._timeout_s
        while self._get("STA") != ACTIVE:
            if time.monotonic() > deadline:
                raise RobotError("the gripper does not activate; look for its fault on the pendant")
            time.sleep(0.02)

    def _get(self, name: str) -> int:
        """A register's value; answers to what was asked before are skipped."""
        self._send(f"GET {name}\n")
        deadline, line = time.monotonic() + self._timeout_s, ""
        while not line or (line.partition(" ")[0] in MOST and not line.startswith(name)):
            line = self._receive((b"\n",), deadline).decode("ascii", "replace").removeprefix("ack").strip()
        key, _, value = line.partition(" ")
        if key != name or not value.isdecimal() or int(value) > MOST[name]:
            raise RobotError(
                f"the gripper answers {line!r} to GET {name}; expected '{name} <0 to {MOST[name]}>'"
            )
        return int(value)

    def _set(self, assignments: str) -> None:
        if self._read_only:
            return
        self._send(f"SET {assignments}\n")
        answer = self._receive((b"ack", b"\n"), time.monotonic() + self._timeout_s)
        if answer != b"ack":
            raise RobotError(f"the gripper answers {answer!r} to SET {assignments}; expected b'ack'")

    def _connection(self) -> socket.socket:
        """The socket, opened anew where an answer was late or the last one broke."""
        if not self._is_entered:
            raise RobotError("the gripper is not connected; enter it first")
        if self._socket is None:
            try:
                self._socket = socket.create_connection(self._address, self._timeout_s)
            except OSError as error:
                raise RobotError(
                    f"no gripper at {self._address[0]}:{self._address[1]} ({error}); "
                    "is its URCap installed and the arm switched on?"
                ) from None
        return self._socket

    def _send(self, line: str) -> None:
        """Sends a command, after what nobody asked for was thrown away."""
        connection = self._connection()
        try:
            connection.setblocking(False)
            try:
                while connection.recv(LONGEST_ANSWER):
                    pass
            except BlockingIOError:
                pass
            connection.settimeout(self._timeout_s)
            connection.sendall(line.encode("ascii"))
        except OSError as error:
            self._disconnect()
            raise RobotError(f"the gripper's connection broke ({error}); check its cable") from None

    def _receive(self, ends: tuple[bytes, ...], deadline: float) -> bytes:
        """An answer up to one of its ends; the empty lines that some software puts between answers are skipped."""
        connection, received = self._connection(), b""
        while not received.endswith(ends) and len(received) < LONGEST_ANSWER:
            try:
                connection.settimeout(max(1e-3, deadline - time.monotonic()))
                part = connection.recv(1)
            except OSError as error:
                self._disconnect()  # its answer may still come, and would be taken for that to the next command
                raise RobotError(
                    f"the gripper does not answer within {self._timeout_s} s ({error})"
                ) from None
            if not part:
                self._disconnect()
                raise RobotError("the gripper closed its connection")
            received = (received + part).lstrip(b"\n")
        return received

    def _disconnect(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _close(self) -> None:
        self._disconnect()
        self._is_entered = False

"""Robotiq 2F-85 over the socket that its URCap opens on the arm's controller.

Tested against a socket that speaks the documented protocol; not tried on a gripper.
"""

from __future__ import annotations

import socket
import time
from typing import Self

import numpy as np

from h2rh_env.core.errors import RobotError
from h2rh_env.core.gripper import ROBOTIQ_2F85

from ..interfaces import GripperState, ObjectStatus

OPEN_COUNT, CLOSED_COUNT = 3, 230  # positions at which the pads stop, of 0 to 255
SPEED = 128  # of 0 to 255, about 85 mm/s
ACTIVE = 3  # STA once activated
LONGEST_LINE = 64


class RobotiqGripper:
    """A gripper at `host`:`port`; `force` is its register, 0 to 255; every answer comes within `timeout_s`.

    Read-only, it tells its state and sends nothing that moves it.
    """

    def __init__(
        self, host: str, port: int = 63352, force: int = 25, timeout_s: float = 0.5, read_only: bool = False
    ) -> None:
        self._address, self._force, self._timeout_s = (host, port), force, timeout_s
        self._read_only = read_only
        self._socket: socket.socket | None = None

    def __enter__(self) -> Self:
        try:
            self._socket = socket.create_connection(self._address, self._timeout_s)
        except OSError as error:
            raise RobotError(
                f"no gripper at {self._address[0]}:{self._address[1]} ({error}); "
                "is its URCap installed and the arm switched on?"
            ) from None
        try:
            if not self._read_only:
                self._activate()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        try:
            self.stop()
        finally:
            self._close()

    def state(self) -> GripperState:
        position = self._get("POS")
        opening = (CLOSED_COUNT - position) / (CLOSED_COUNT - OPEN_COUNT) * ROBOTIQ_2F85.max_width_m
        status = self._get("OBJ")
        if status not in set(ObjectStatus):
            raise RobotError(f"the gripper answers OBJ {status}; expected 0 to 3")
        return GripperState(
            max(0.0, opening), ObjectStatus(status), self._get("FLT"), self._get("STA") == ACTIVE
        )

    def move(self, opening_m: float) -> None:
        part = float(np.clip(opening_m / ROBOTIQ_2F85.max_width_m, 0.0, 1.0))
        count = (
            0 if part == 1 else 255 if part == 0 else round(CLOSED_COUNT - part * (CLOSED_COUNT - OPEN_COUNT))
        )
        self._set(f"POS {count} SPE {SPEED} FOR {self._force} GTO 1")

    def stop(self) -> None:
        if self._socket is not None:
            self._set("GTO 0")

    def _activate(self) -> None:
        if self._get("STA") != ACTIVE:
            self._set("ACT 1")
        deadline = time.monotonic() + 10 * self._timeout_s
        while self._get("STA") != ACTIVE:
            if time.monotonic() > deadline:
                raise RobotError("the gripper does not activate; look for its fault on the pendant")
            time.sleep(0.02)

    def _get(self, name: str) -> int:
        self._send(f"GET {name}\n")
        answer = self._receive(until=b"\n").decode("ascii", "replace").strip()
        key, _, value = answer.partition(" ")
        if key != name or not value.isdecimal():
            raise RobotError(f"the gripper answers {answer!r} to GET {name}; expected '{name} <number>'")
        return int(value)

    def _set(self, assignments: str) -> None:
        if self._read_only:
            return
        self._send(f"SET {assignments}\n")
        answer = self._receive(until=b"ack")
        if answer != b"ack":
            raise RobotError(f"the gripper answers {answer!r} to SET {assignments}; expected b'ack'")

    def _send(self, line: str) -> None:
        if self._socket is None:
            raise RobotError("the gripper is not connected; enter it first")
        try:
            self._socket.sendall(line.encode("ascii"))
        except OSError as error:
            raise RobotError(f"the gripper's connection broke ({error}); check its cable") from None

    def _receive(self, until: bytes) -> bytes:
        if self._socket is None:
            raise RobotError("the gripper is not connected; enter it first")
        received, deadline = b"", time.monotonic() + self._timeout_s
        while not received.endswith(until) and len(received) < LONGEST_LINE:
            try:
                self._socket.settimeout(max(1e-3, deadline - time.monotonic()))
                part = self._socket.recv(1)
            except OSError as error:
                raise RobotError(
                    f"the gripper does not answer within {self._timeout_s} s ({error})"
                ) from None
            if not part:
                raise RobotError("the gripper closed its connection")
            received += part
        return received

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

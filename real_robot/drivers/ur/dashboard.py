"""The controller's dashboard on port 29999: whether an arm is ready, and the end of whatever program it runs."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

from h2rh_env.core.errors import RobotError

PORT = 29999
TIMEOUT_S = 1.0  # of one answer while entering
END_TIMEOUT_S = 0.5  # of all that `end_program` does
LEAST_VERSIONS = {3: (3, 15), 5: (5, 10)}  # older controllers answer some questions with a stale True
LONGEST_ANSWER = 1024
NOT_POWERED = "the arm is not powered; switch it on and release its brakes at the pendant"
OCCUPIED = (
    "a program runs on the controller already, another session's perhaps; "
    "two must not share an arm, so end that one first, or stop it at the pendant"
)


class Dashboard:
    """One connection, one answer to each line."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._received = b""
        self._line()  # the greeting

    def ask(self, question: str) -> str:
        """The answer to a command, without its line's end."""
        self._connection.sendall(f"{question}\n".encode("ascii"))
        return self._line()

    def value_of(self, question: str) -> str:
        """What follows the colon of an answer such as "Robotmode: RUNNING"; empty where there is none."""
        return self.ask(question).partition(": ")[2].strip()

    def _line(self) -> str:
        while b"\n" not in self._received:
            part = self._connection.recv(LONGEST_ANSWER)
            if not part or len(self._received) > LONGEST_ANSWER:
                raise OSError("the dashboard closed its connection or talks without end")
            self._received += part
        line, _, self._received = self._received.partition(b"\n")
        return line.decode("utf-8", "replace").strip()


@contextmanager
def dashboard(host: str, timeout_s: float = TIMEOUT_S) -> Iterator[Dashboard]:
    """A connection to the dashboard of `host`; failures are OSError."""
    with socket.create_connection((host, PORT), timeout_s) as connection:
        yield Dashboard(connection)


def check_ready(host: str, to_move: bool) -> str:
    """The controller's version, once it is new enough, remote controlled, unstopped, powered, and free of programs.

    Args:
        to_move: whether the arm is to be moved, so that no other program may run.

    Raises:
        RobotError: it is not; the message says what to do.
    """
    try:
        with dashboard(host) as connection:
            version = checked_version(connection.ask("PolyscopeVersion"))
            if version.startswith("5") and connection.ask("is in remote control").lower() != "true":
                raise RobotError("the arm is in local control; switch it to remote control at the pendant")
            safety = connection.value_of("safetymode")
            if safety not in ("NORMAL", "REDUCED", ""):
                raise RobotError(f"the arm's safety system reports {safety}; acknowledge it at the pendant")
            mode = connection.value_of("robotmode")
            if mode not in ("RUNNING", ""):
                raise RobotError(f"{NOT_POWERED} (its mode is {mode})")
            if to_move and connection.value_of("running") == "true":
                raise RobotError(OCCUPIED)
            return version
    except OSError as error:
        raise RobotError(
            f"no controller answers at {host}:{PORT} ({error}); check its address, its cable and its power"
        ) from None


def end_program(host: str) -> str:
    """Stops whatever program the controller runs.

    Returns:
        Nothing once the controller has said that none runs; why that is not known otherwise. It takes
        `END_TIMEOUT_S` at most.
    """
    deadline = time.monotonic() + END_TIMEOUT_S
    try:
        with dashboard(host, END_TIMEOUT_S / 2) as connection:
            while connection.value_of("running") != "false":
                if time.monotonic() > deadline:
                    return "the controller does not say that its program ended; press the emergency stop"
                connection.ask("stop")
    except OSError as error:
        return f"whether the controller still runs a program is not known ({error}); look at the pendant"
    return ""


def checked_version(text: str) -> str:
    """The version's numbers, such as "3.15.8.106339".

    Raises:
        RobotError: older than what the driver relies on, or not to be read.
    """
    number = next((word for word in text.split() if word[:1].isdigit()), "")
    parts = number.split(".")
    try:
        major, minor = int(parts[0]), int(parts[1])
    except (IndexError, ValueError):
        raise RobotError(f"the controller's version {text!r} cannot be read") from None
    least = LEAST_VERSIONS.get(major)
    if least is None or (major, minor) < least:
        raise RobotError(
            f"the controller's software is {number}; at least 3.15 (CB3) or 5.10 (e-Series) is needed"
        )
    return number

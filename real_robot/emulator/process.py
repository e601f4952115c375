"""An emulated controller in a process of its own, and its faults on command."""

from __future__ import annotations

import json
import select
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import numpy as np

from h2rh_env.core.errors import RobotError
from h2rh_env.core.geometry import SE3, Array

from .server import FAULT_PORT

START_TIMEOUT_S, STOP_TIMEOUT_S, ANSWER_TIMEOUT_S = 20.0, 3.0, 5.0


class EmulatorProcess:
    """A context manager: the emulator runs inside it, and ends with this process however that ends.

    Its methods are faults and questions.
    """

    def __init__(
        self, host: str = "127.0.0.2", model: str = "ur5", rate_hz: float = 125.0, version: str = ""
    ) -> None:
        self.host = host
        self._options = ["--model", model, "--rate-hz", str(rate_hz), "--version", version]
        self._process: subprocess.Popen[str] | None = None
        self._faults: socket.socket | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "real_robot.emulator", "--host", self.host, "--until-stdin-ends", *self._options],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], START_TIMEOUT_S)
        line = self._process.stdout.readline() if ready else ""
        if not line.startswith("emulated"):
            self._process.kill()
            self._process.communicate()
            raise RobotError(f"the emulator did not start at {self.host}; its error is printed above")
        self._faults = socket.create_connection((self.host, FAULT_PORT), ANSWER_TIMEOUT_S)
        self._answers = self._faults.makefile("r")
        return self

    def __exit__(self, *exception: object) -> None:
        if self._faults is not None:
            self._faults.close()
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.communicate(timeout=STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()

    def freeze(self, seconds: float) -> None:
        """The state stream stops; connections stay."""
        self._do("freeze", seconds=seconds)

    def drop(self, seconds: float) -> None:
        """Every connection breaks, and new ones are refused for a while; 0 accepts them again at once."""
        self._do("drop", seconds=seconds)

    def exit(self) -> None:
        """The controller is gone, as when it loses power."""
        self._do("exit")
        if self._process is not None:
            self._process.wait(STOP_TIMEOUT_S)

    def protective_stop(self) -> None:
        self._do("protective_stop")

    def emergency_stop(self) -> None:
        self._do("emergency_stop")

    def jam(self, on: bool = True) -> None:
        """Something holds the joints."""
        self._do("jam", on=on)

    def local_control(self) -> None:
        """The pendant is switched from remote to local control."""
        self._do("local_control")

    def power_off(self) -> None:
        """The arm is switched off at the pendant; its controller stays on."""
        self._do("power_off")

    def set_tool(self, payload_kg: float, tcp_height_m: float) -> None:
        """What the pendant says of payload and TCP."""
        self._do("tool", payload_kg=payload_kg, tcp_height_m=tcp_height_m)

    def place(self, joints: Array) -> None:
        """Puts the arm at joints (6,), rad, at once."""
        self._do("joints", joints=list(map(float, joints)))

    def set_planes(self, planes: list[tuple[float, float, float, float]]) -> None:
        """Safety planes: normal x, y, z and offset, m, of the side that is allowed."""
        self._do("planes", planes=planes)

    def set_object(self, points_base_path: Path, release_after_s: float | None = 0.5) -> None:
        """What the fingers can close on, (P, 3) in the base frame as .npy, and when its giver lets go."""
        self._do("object", path=str(points_base_path), release_after_s=release_after_s)

    def fake_gripper(
        self, registers: dict[str, int] | None = None, answers: dict[str, str] | None = None
    ) -> None:
        """Overwrites registers of the gripper, or what it answers to GET."""
        self._do("gripper", registers=registers or {}, answers=answers or {})

    def status(self) -> dict[str, Any]:
        """Joints, running, safety_mode, messages and more."""
        return self._do("status")

    def tcp_feed(self) -> Callable[[], tuple[SE3, float]]:
        """Where the TCP is in the base frame, and since when, s, on the machine's monotonic clock.

        Over a connection of its own, for another thread.
        """
        feed = socket.create_connection((self.host, FAULT_PORT), ANSWER_TIMEOUT_S)
        answers = feed.makefile("r")

        def base_from_tcp() -> tuple[SE3, float]:
            feed.sendall(b'{"do": "tcp"}\n')
            answer = json.loads(answers.readline())
            return SE3.from_matrix(np.array(answer["tcp"])), answer["time_s"]

        return base_from_tcp

    def history(self, seconds: float) -> Array:
        """(N, 5) rows of when a period was computed, on the machine's monotonic clock, x, y, z, and speed of the
        TCP: a controller that a busy machine starves is known by its gaps."""
        return np.array(self._do("history", seconds=seconds)["rows"])

    def _do(self, name: str, **arguments: Any) -> dict[str, Any]:
        if self._faults is None:
            raise RobotError("the emulator is not running; enter it first")
        self._faults.sendall((json.dumps({"do": name, **arguments}) + "\n").encode())
        line = self._answers.readline()
        answer = json.loads(line) if line else {}
        if "error" in answer:
            raise RobotError(answer["error"])
        return answer

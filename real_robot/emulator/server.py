"""The emulated controller on its sockets: RTDE, dashboard, script, gripper, and one more that commands faults.

One thread serves everything in the controller's period, so that what a client sees is what the arm did.
"""

from __future__ import annotations

import ipaddress
import json
import os
import selectors
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TextIO

import numpy as np

from h2rh_env.core.errors import RobotError

from .arm import EMERGENCY, PROTECTIVE, SafetyPlane
from .controller import Controller, dashboard_answer, output_fields
from .rtde import RtdeConnection
from .urscript import BLOCK

RTDE_PORT, DASHBOARD_PORT, SCRIPT_PORT, GRIPPER_PORT, FAULT_PORT = 30004, 29999, 30003, 63352, 30099
SETTABLE = {
    "speed_slider_mask": "UINT32", "speed_slider_fraction": "DOUBLE", "standard_digital_output_mask": "UINT8",
    "standard_digital_output": "UINT8", "configurable_digital_output_mask": "UINT8",
    "configurable_digital_output": "UINT8", "tool_digital_output_mask": "UINT8", "tool_digital_output": "UINT8",
    "standard_analog_output_mask": "UINT8", "standard_analog_output_type": "UINT8",
    "standard_analog_output_0": "DOUBLE", "standard_analog_output_1": "DOUBLE",
    "external_force_torque": "VECTOR6D",
}  # fmt: skip
MOST_BEHIND_S = 0.1
LONGEST_LINE = 1 << 20


@dataclass(eq=False)
class _Client:
    """A connection: what it speaks, and what was received of an unfinished line or program."""

    connection: socket.socket
    port: int
    rtde: RtdeConnection | None = None
    received: bytes = b""
    unsent: bytearray = field(default_factory=bytearray)


class EmulatorServer:
    """Serves `host`, which must be a loopback address, until `serve` is told to exit."""

    def __init__(self, controller: Controller, host: str) -> None:
        if not ipaddress.ip_address(host).is_loopback:
            raise RobotError(f"the emulator serves loopback addresses only, such as 127.0.0.2; got {host}")
        self._controller = controller
        self._selector = selectors.DefaultSelector()
        self._clients: list[_Client] = []
        self._fields = output_fields(controller)
        self._frozen_until_s = self._refuse_until_s = 0.0
        self._exiting = False
        self._listeners = [
            self._listen(host, port)
            for port in (RTDE_PORT, DASHBOARD_PORT, SCRIPT_PORT, GRIPPER_PORT, FAULT_PORT)
        ]

    def serve(self) -> None:
        """Steps the controller in real time: a period that is computed late is still the one that was due."""
        period, due = self._controller.period_s, time.monotonic()
        try:
            while not self._exiting:
                self._poll(max(0.0, due - time.monotonic()))
                now = time.monotonic()
                if now < due:
                    continue
                due = max(due, now - MOST_BEHIND_S)
                self._controller.step(due, now)
                due += period
                if now >= self._frozen_until_s:
                    self._stream()
        finally:
            for client in list(self._clients):
                self._drop(client)
            for listener in self._listeners:
                listener.close()

    def exit_with(self, stream: TextIO) -> None:
        """Serves no longer than a pipe stays open."""
        self._selector.register(stream, selectors.EVENT_READ, stream)

    def _listen(self, host: str, port: int) -> socket.socket:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            raise RobotError(f"port {port} of {host} is taken ({error}); name another --host") from None
        listener.listen()
        listener.setblocking(False)
        self._selector.register(listener, selectors.EVENT_READ, port)
        return listener

    def _poll(self, timeout_s: float) -> None:
        for key, _ in self._selector.select(timeout_s):
            if isinstance(key.data, int):
                self._accept(key.fileobj, key.data)  # type: ignore[arg-type]
            elif key.data is key.fileobj:
                self._exiting = self._exiting or not os.read(key.fd, LONGEST_LINE)
            else:
                self._receive(key.data)

    def _accept(self, listener: socket.socket, port: int) -> None:
        connection, _ = listener.accept()
        if time.monotonic() < self._refuse_until_s and port != FAULT_PORT:
            connection.close()
            return
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client = _Client(connection, port)
        if port == RTDE_PORT:
            client.rtde = RtdeConnection(
                self._fields, self._controller.read, self._controller.write, self._controller.version,
                self._controller.period_s, SETTABLE,
            )  # fmt: skip
        self._clients.append(client)
        self._selector.register(connection, selectors.EVENT_READ, client)
        if port == DASHBOARD_PORT:
            self._send(client, b"Connected: Universal Robots Dashboard Server\n")

    def _receive(self, client: _Client) -> None:
        try:
            received = client.connection.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError:
            received = b""
        if not received:
            self._drop(client)
            return
        if client.rtde is not None:
            try:
                self._send(client, client.rtde.take(received))
            except ValueError as error:
                self._controller.add_message(str(error))
                self._drop(client)
            return
        client.received += received
        if client.port == SCRIPT_PORT:
            self._take_script(client)
        else:
            self._take_lines(client)

    def _take_script(self, client: _Client) -> None:
        text = client.received.decode("utf-8", "replace")
        if len(text) > LONGEST_LINE:
            self._drop(client)
        elif _is_whole_program(text):
            client.received = b""
            self._controller.upload(text)

    def _take_lines(self, client: _Client) -> None:
        *lines, client.received = client.received.split(b"\n")
        if len(client.received) > LONGEST_LINE:
            self._drop(client)
            return
        answer: dict[int, Callable[[str], str]] = {
            DASHBOARD_PORT: lambda line: dashboard_answer(self._controller, line) + "\n",
            GRIPPER_PORT: self._controller.gripper.answer,
            FAULT_PORT: lambda line: json.dumps(self._command(json.loads(line))) + "\n",
        }
        for line in lines:
            self._send(client, answer[client.port](line.decode("utf-8", "replace")).encode())

    def _stream(self) -> None:
        for client in list(self._clients):
            if client.rtde is not None and (package := client.rtde.package(self._controller.steps)):
                self._send(client, package)

    def _send(self, client: _Client, answer: bytes) -> None:
        """A client that reads too slowly misses whole packages, never parts of one."""
        if not client.unsent or client.rtde is None:
            client.unsent += answer
        try:
            while client.unsent:
                del client.unsent[: client.connection.send(client.unsent)]
        except BlockingIOError:
            return
        except OSError:
            self._drop(client)

    def _drop(self, client: _Client) -> None:
        if client in self._clients:
            self._clients.remove(client)
            self._selector.unregister(client.connection)
            client.connection.close()

    def _command(self, command: dict[str, Any]) -> dict[str, Any]:
        """One line of the fault port: {"do": name, ...}; see `EmulatorProcess`."""
        controller, arm, now = self._controller, self._controller.arm, time.monotonic()
        match command:
            case {"do": "tcp"}:
                return {"tcp": arm.tcp.tolist(), "time_s": controller.now_s}
            case {"do": "status"}:
                return self._status()
            case {"do": "history", "seconds": seconds}:
                return {"rows": [row for row in controller.history if row[0] > now - seconds]}
            case {"do": "freeze", "seconds": seconds}:
                self._frozen_until_s = now + seconds
            case {"do": "drop", "seconds": seconds}:
                self._refuse_until_s = now + seconds
                for client in [c for c in self._clients if c.port != FAULT_PORT]:
                    self._drop(client)
            case {"do": "exit"}:
                self._exiting = True
            case _:
                return self._trouble(command)
        return {}

    def _trouble(self, command: dict[str, Any]) -> dict[str, Any]:
        """What befalls the arm and the gripper."""
        controller, arm = self._controller, self._controller.arm
        match command:
            case {"do": "protective_stop"}:
                arm.stop_for_safety(PROTECTIVE)
            case {"do": "emergency_stop"}:
                arm.stop_for_safety(EMERGENCY)
            case {"do": "jam", "on": on}:
                arm.jammed = bool(on)
            case {"do": "local_control"}:
                controller.remote_control = False
            case {"do": "power_off"}:
                controller.is_powered = False
                controller.stop_program("the arm was switched off")
            case {"do": "tool", "payload_kg": payload, "tcp_height_m": height}:
                controller.payload_kg = payload
                arm.flange_from_tcp[2, 3] = height
                arm.step(0.0)
            case {"do": "joints", "joints": joints}:
                arm.q, arm.qd = np.array(joints, np.float64), np.zeros(6)
                arm.halt(1.0)
                arm.step(0.0)
            case {"do": "planes", "planes": planes}:
                arm.planes = [SafetyPlane(tuple(normal), offset) for *normal, offset in planes]
            case {"do": "object", "path": path, "release_after_s": after}:
                controller.object_points = np.load(path, allow_pickle=False).astype(np.float64)
                controller.release_after_s = after
            case {"do": "gripper", "registers": registers, "answers": answers}:
                controller.gripper.registers.update(registers)
                controller.gripper.answers = answers
            case _:
                return {"error": f"no command {command}"}
        return {}

    def _status(self) -> dict[str, Any]:
        controller = self._controller
        return {
            "joints": list(map(float, controller.arm.q)), "tcp": controller.arm.tcp.tolist(),
            "running": controller.is_running, "safety_mode": controller.arm.safety_mode,
            "messages": list(controller.messages), "steps": controller.steps,
            "gripper_lines": controller.gripper.lines, "clients": [c.port for c in self._clients],
            "refused": [name for c in self._clients if c.rtde for name in c.rtde.refused],
        }  # fmt: skip


def _is_whole_program(text: str) -> bool:
    """Whether every block of the program that was received so far is closed."""
    depth = 0
    for raw in text.splitlines():
        line = raw.strip()
        if BLOCK.match(line) or line.startswith(("if ", "if(", "while ", "while(")):
            depth += 1
        elif line.partition("#")[0].strip() == "end":
            depth -= 1
            if depth == 0:
                return True
    return False


def main_loop(controller: Controller, host: str, until_ends: TextIO | None = None) -> None:
    """Serves until told to exit or a stream ends, after one line on stdout that says it is ready."""
    server = EmulatorServer(controller, host)
    if until_ends is not None:
        server.exit_with(until_ends)
    print(f"emulated {controller.model.geometry.name} at {host}", flush=True)
    sys.stdout.flush()
    server.serve()

"""RTDE, protocol version 2, as the controller's side of one connection speaks it.

Packets: big-endian u16 size with header, u8 type, payload. The client names fields, learns their types and the
recipe's number, and after a start gets a package of them each period; input recipes carry values the other way.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Any

VERSION, CONTROLLER, OUTPUTS, INPUTS, START, PAUSE, DATA, MESSAGE = map(ord, "VvOISPUM")
FORMATS = {
    "BOOL": "?", "UINT8": "B", "UINT32": "I", "UINT64": "Q", "INT32": "i", "DOUBLE": "d",
    "VECTOR3D": "3d", "VECTOR6D": "6d", "VECTOR6INT32": "6i", "VECTOR6UINT32": "6I",
}  # fmt: skip
LONGEST_BACKLOG = 1 << 20


def type_of(name: str, is_input: bool) -> str:
    """The type of a register, or NOT_FOUND."""
    prefix, _, number = name.rpartition("_")
    side = "input" if is_input else ("input", "output")
    if not number.isdigit() or not prefix.startswith(side):
        return "NOT_FOUND"
    count, kind = {
        "int_register": (48, "INT32"),
        "double_register": (48, "DOUBLE"),
        "bit_register": (128, "BOOL"),
    }.get(prefix.partition("_")[2], (0, ""))
    return kind if int(number) < count else "NOT_FOUND"


class RtdeConnection:
    """Takes bytes in, gives bytes out; what fields mean is asked of the controller.

    Args:
        fields: name to (type, value) of every output that is no register.
        read: value of a register; write: sets an input.
        controller_version: major, minor, bug fix, build.
        settable: inputs that are no registers, name to type.
    """

    def __init__(
        self,
        fields: Mapping[str, tuple[str, Callable[[], Any]]],
        read: Callable[[str], Any],
        write: Callable[[str, Any], None],
        controller_version: tuple[int, int, int, int],
        period_s: float,
        settable: Mapping[str, str],
    ) -> None:
        self._fields, self._read, self._write, self._settable = fields, read, write, settable
        self._version, self._period_s = controller_version, period_s
        self._received = b""
        self._outputs: list[tuple[str, str]] = []
        self._inputs: dict[int, list[tuple[str, str]]] = {}
        self._every = 1
        self.is_streaming = False
        self.refused: list[str] = []

    def take(self, received: bytes) -> bytes:
        """Answers to what was received; raises ValueError for what is no RTDE."""
        self._received += received
        answers = b""
        while len(self._received) >= 3:
            size, kind = struct.unpack_from(">HB", self._received)
            if size < 3:
                raise ValueError(f"an RTDE packet of {size} bytes")
            if len(self._received) < size:
                break
            payload, self._received = self._received[3:size], self._received[size:]
            answers += self._answer(kind, payload)
        return answers

    def package(self, step: int) -> bytes:
        """The output recipe's values at a controller step; empty when nothing is due."""
        if not self.is_streaming or step % self._every:
            return b""
        layout, values = ">B", [1]
        for name, kind in self._outputs:
            value = self._fields[name][1]() if name in self._fields else self._read(name)
            layout += FORMATS[kind]
            values.extend(value if FORMATS[kind][0].isdigit() else [value])
        return _packet(DATA, struct.pack(layout, *values))

    def _answer(self, kind: int, payload: bytes) -> bytes:
        if kind == VERSION:
            return _packet(kind, struct.pack(">B", payload == b"\0\2"))
        if kind == CONTROLLER:
            return _packet(kind, struct.pack(">4I", *self._version))
        if kind == OUTPUTS:
            return self._set_outputs(payload)
        if kind == INPUTS:
            return self._add_inputs(payload)
        if kind in (START, PAUSE):
            self.is_streaming = kind == START
            return _packet(kind, b"\1")
        if kind == DATA:
            self._take_data(payload)
        return b""

    def _set_outputs(self, payload: bytes) -> bytes:
        (rate_hz,) = struct.unpack_from(">d", payload)
        names = _names(payload[8:])
        kinds = [self._fields[n][0] if n in self._fields else type_of(n, False) for n in names]
        self.refused += [n for n, k in zip(names, kinds, strict=True) if k == "NOT_FOUND"]
        self._every = max(1, round(1 / (max(rate_hz, 1.0) * self._period_s)))
        self._outputs = [(n, k) for n, k in zip(names, kinds, strict=True) if k != "NOT_FOUND"]
        return _packet(OUTPUTS, b"\1" + ",".join(kinds).encode())

    def _add_inputs(self, payload: bytes) -> bytes:
        names = _names(payload)
        kinds = [self._settable.get(n) or type_of(n, True) for n in names]
        good = "NOT_FOUND" not in kinds
        number = len(self._inputs) + 1 if good else 0
        if good:
            self._inputs[number] = list(zip(names, kinds, strict=True))
        return _packet(INPUTS, bytes([number]) + ",".join(kinds).encode())

    def _take_data(self, payload: bytes) -> None:
        recipe = self._inputs.get(payload[0], [])
        layout = ">" + "".join(FORMATS[kind] for _, kind in recipe)
        if len(payload) - 1 != struct.calcsize(layout):
            raise ValueError(f"an input package of {len(payload)} bytes for recipe {payload[0]}")
        values = list(struct.unpack(layout, payload[1:]))
        for name, kind in recipe:
            count = int(FORMATS[kind][0]) if FORMATS[kind][0].isdigit() else 1
            taken, values = values[:count], values[count:]
            self._write(name, taken if count > 1 else taken[0])


def _names(payload: bytes) -> list[str]:
    return [name for name in payload.decode("ascii").split(",") if name]


def _packet(kind: int, payload: bytes) -> bytes:
    return struct.pack(">HB", 3 + len(payload), kind) + payload

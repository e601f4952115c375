"""The emulated 2F-85: its registers, its socket's answers, and fingers that stop on the object between them."""

from __future__ import annotations

import numpy as np

from h2rh_env.core.clearance import between_fingers
from h2rh_env.core.geometry import Array
from h2rh_env.core.gripper import ROBOTIQ_2F85

OPEN_COUNT, CLOSED_COUNT = 3, 230
NAMES = ("ACT", "GTO", "POS", "SPE", "FOR", "STA", "OBJ", "PRE", "FLT", "ATR", "ARD", "MSC")
COUNTS_PER_S = 600.0  # at full speed: 85 mm in 0.4 s
LEAST_SPEED_PART = 0.13
ACTIVATION_S = 0.2


def width_between(points_gripper: Array) -> float:
    """Extent along the closing direction, m, of points (P, 3), in the gripper frame, between the pads."""
    between = between_fingers(points_gripper)
    return float(2 * np.abs(points_gripper[between, 0]).max()) if between.any() else 0.0


class EmulatedGripper:
    """Stepped with the points of the object in its frame; `registers` may be overwritten to fake a fault."""

    def __init__(self) -> None:
        self.registers = dict.fromkeys(NAMES, 0) | {"POS": OPEN_COUNT, "OBJ": 3, "SPE": 255, "FOR": 255}
        self.answers: dict[str, str] = {}
        self.lines: list[str] = []
        self.is_holding = False
        self._position = float(OPEN_COUNT)
        self._wanted = 0
        self._activating_s = 0.0

    def step(self, dt: float, object_points_gripper: Array) -> None:
        registers = self.registers
        if registers["STA"] == 1:
            self._activating_s += dt
            registers["STA"] = 3 if self._activating_s >= ACTIVATION_S else 1
        if registers["STA"] != 3 or not registers["GTO"] or registers["OBJ"] != 0:
            return
        part = max(LEAST_SPEED_PART, registers["SPE"] / 255)
        goal = float(np.clip(self._wanted, OPEN_COUNT, CLOSED_COUNT))
        path = goal - self._position
        held = width_between(object_points_gripper) if path > 0 else 0.0
        stop = CLOSED_COUNT - held / ROBOTIQ_2F85.max_width_m * (CLOSED_COUNT - OPEN_COUNT)
        self._position += float(np.clip(path, -COUNTS_PER_S * part * dt, COUNTS_PER_S * part * dt))
        if held and self._position >= stop:
            self._position, registers["OBJ"], self.is_holding = stop, 2, True
        elif abs(goal - self._position) < 0.5:
            registers["OBJ"] = 3
        registers["POS"] = round(self._position)

    def answer(self, line: str) -> str:
        """To one line of the socket; nothing at all to what it doesn't know, like the URCap's."""
        self.lines = [*self.lines[-99:], line]
        words = line.split()
        if len(words) == 2 and words[0] == "GET":
            value = self.answers.get(words[1], str(self.registers.get(words[1], "?")))
            return f"{words[1]} {value}\n"
        pairs = words[1:]
        if not words or words[0] != "SET" or len(pairs) % 2 or not all(v.isdigit() for v in pairs[1::2]):
            return "?\n"
        for name, number in zip(pairs[::2], pairs[1::2], strict=True):
            self._set(name, min(int(number), 255))
        return "ack"

    def _set(self, name: str, value: int) -> None:
        registers = self.registers
        if name == "POS":
            self._wanted = registers["PRE"] = value
            if value < self._position:
                self.is_holding = False
            registers["OBJ"] = 0
        elif name == "ACT":
            registers["STA"] = 1 if value and registers["STA"] == 0 else 0 if not value else registers["STA"]
            self._activating_s = 0.0
            registers["ACT"] = value
        elif name == "GTO":
            registers["GTO"] = value
            if not value and registers["OBJ"] == 0:
                registers["OBJ"] = 3
        elif name in registers:
            registers[name] = value

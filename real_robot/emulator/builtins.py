"""URScript's own functions, over the emulated arm: those that handover programs use.

Force mode, teach mode and the like are left out on purpose: a program that asks for them stops, as it would on a
controller too old to know them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from h2rh_env.core.geometry import Array, slerp

from .arm import ArmModel, pose_matrix, pose_vector
from .urscript import Pose, ScriptError, Steps

SINCE = {
    "get_inverse_kin_has_solution": ((3, 15), (5, 10)),
    "tool_contact": ((9, 0), (5, 4)),
    "protective_stop": ((3, 8), (5, 0)),
}  # least CB3 and e-Series versions
TURN_WEIGHT_M = 0.5  # a rotation of 1 rad counts as this much path in a straight move


class Registers(Protocol):
    """What a program reads, writes and asks of its controller."""

    arm: ArmModel
    period_s: float
    version: tuple[int, int, int, int]

    def read(self, name: str) -> Any: ...

    def write(self, name: str, value: Any) -> None: ...

    def set_watchdog(self, register: str, least_hz: float) -> None: ...

    def add_message(self, text: str) -> None: ...


def builtins_of(controller: Registers) -> dict[str, Callable[..., Any]]:
    """Name to function, as the controller's version has them; those that take time are generators."""
    table = {**_register_functions(controller), **_motions(controller), **_questions(controller)}
    series = 0 if controller.version[0] < 5 else 1
    for name, least in SINCE.items():
        if controller.version[:2] < least[series]:
            table.pop(name, None)
    return table


def _register_functions(controller: Registers) -> dict[str, Callable[..., Any]]:
    def watch(register: str, least_hz: float, action: str = "pause") -> None:
        controller.set_watchdog(register, float(least_hz))

    def add_message(text: Any, more: Any = "") -> None:
        controller.add_message(f"{text}{more}")

    def write_integer(number: int, value: float) -> None:
        controller.write(f"output_int_register_{number}", int(value))

    def write_float(number: int, value: float) -> None:
        controller.write(f"output_double_register_{number}", float(value))

    return {
        "read_input_integer_register": lambda k: controller.read(f"input_int_register_{k}"),
        "read_input_float_register": lambda k: controller.read(f"input_double_register_{k}"),
        "write_output_integer_register": write_integer,
        "write_output_float_register": write_float,
        "rtde_set_watchdog": watch,
        "textmsg": add_message,
        "popup": add_message,
    }


def _motions(controller: Registers) -> dict[str, Callable[..., Any]]:
    arm = controller.arm

    def until(done: Callable[[], bool]) -> Steps:
        yield
        while not done():
            yield

    def lasting(seconds: float) -> Steps:
        for _ in range(max(1, round(seconds / controller.period_s))):
            yield

    def movej(target: list[float], a: float = 1.4, v: float = 1.05, t: float = 0.0, r: float = 0.0) -> Steps:
        start, end = arm.q.copy(), _joints(arm, target)
        length = float(np.abs(end - start).max())
        arm.follow(lambda s: start + (end - start) * min(1.0, s / max(length, 1e-12)), length, v, a)
        yield from until(lambda: arm.is_path_done and arm.is_at_rest)

    def movel(target: list[float], a: float = 1.2, v: float = 0.25, t: float = 0.0, r: float = 0.0) -> Steps:
        end = arm.tcp_of(_joints(arm, target))
        arm.follow(*_straight(arm, end), v, a)
        yield from until(lambda: arm.is_path_done and arm.is_at_rest)

    def servoj(
        q: list[float],
        a: float = 0,
        v: float = 0,
        t: float = 0.002,
        lookahead_time: float = 0.1,
        gain: float = 300,
    ) -> Steps:
        if not (0.03 <= lookahead_time <= 0.2 and 100 <= gain <= 2000):
            raise ScriptError(f"servoj: lookahead_time {lookahead_time} or gain {gain} is out of range")
        arm.servo(_finite(q), lookahead_time, gain)
        yield from lasting(t)

    def speeding(kind: str) -> Callable[..., Steps]:
        def speed(target: list[float], a: float = 1.4, t: float = 0.0) -> Steps:
            arm.speed(kind, _finite(target), a)
            yield from lasting(t or controller.period_s)

        return speed

    def stopping(a: float = 2.0) -> Steps:
        arm.halt(a * 3 if a < 4 else a)
        yield from until(lambda: arm.is_at_rest)

    def stopping_joints(a: float = 2.0) -> Steps:
        arm.halt(a)
        yield from until(lambda: arm.is_at_rest)

    def sync() -> Steps:
        yield

    return {
        "movej": movej, "movel": movel, "servoj": servoj, "speedl": speeding("speedl"),
        "speedj": speeding("speedj"), "stopl": stopping, "stopj": stopping_joints, "sync": sync, "sleep": lasting,
    }  # fmt: skip


def _questions(controller: Registers) -> dict[str, Callable[..., Any]]:
    arm = controller.arm

    def solve(pose: list[float], near: list[float] | None = None, *_: float) -> Array | None:
        return arm.joints_of(pose_matrix(_finite(pose)), None if near is None else np.array(near))

    def get_inverse_kin(pose: list[float], *near: Any) -> list[float]:
        joints = solve(pose, *near)
        if joints is None:
            raise ScriptError("get_inverse_kin: no solution")
        return list(map(float, joints))

    def is_within_safety_limits(where: list[float]) -> bool:
        tcp = pose_matrix(_finite(where)) if isinstance(where, Pose) else arm.tcp_of(_finite(where))
        return arm.is_within_limits(tcp)

    def get_forward_kin(q: list[float] | None = None, *_: Any) -> Pose:
        return Pose(pose_vector(arm.tcp if q is None else arm.tcp_of(_finite(q))))

    def set_tcp(pose: list[float]) -> None:
        arm.flange_from_tcp = pose_matrix(_finite(pose))

    def protective_stop() -> None:
        arm.stop_for_safety(3)

    def pose_trans(a: list[float], b: list[float]) -> Pose:
        return Pose(pose_vector(pose_matrix(a) @ pose_matrix(b)))

    def ignored(*_: Any) -> None:
        """A setting that the model has no use for."""

    return {
        "get_inverse_kin": get_inverse_kin,
        "get_inverse_kin_has_solution": lambda *arguments: solve(*arguments) is not None,
        "get_forward_kin": get_forward_kin,
        "is_within_safety_limits": is_within_safety_limits,
        "set_tcp": set_tcp,
        "get_tcp_offset": lambda: Pose(pose_vector(arm.flange_from_tcp)),
        "protective_stop": protective_stop,
        "pose_trans": pose_trans,
        "pose_sub": lambda a, b: Pose(x - y for x, y in zip(a, b, strict=True)),
        "norm": lambda values: math.sqrt(sum(v * v for v in values)),
        "get_actual_tcp_pose": lambda: Pose(pose_vector(arm.tcp)),
        "get_actual_joint_positions": lambda: list(map(float, arm.q)),
        "get_actual_joint_positions_history": lambda steps=0: list(map(float, arm.q)),
        "get_target_tcp_speed": lambda: list(map(float, arm.tcp_speed)),
        "get_steptime": lambda: controller.period_s,
        "is_steady": lambda: arm.is_at_rest,
        "tool_contact": lambda direction: 0,
        "get_target_payload": lambda: 0.0,
        "get_target_payload_cog": lambda: [0.0, 0.0, 0.0],
        "set_payload": ignored, "set_target_payload": ignored, "set_gravity": ignored, "zero_ftsensor": ignored,
        "force_mode_set_gain_scaling": ignored, "force_mode_set_damping": ignored,
    }  # fmt: skip


def _finite(values: list[float] | Array) -> Array:
    array = np.asarray(values, np.float64)
    if array.shape != (6,) or not np.isfinite(array).all():
        raise ScriptError(f"six finite numbers are wanted, not {array.tolist()}")
    return array


def _joints(arm: ArmModel, target: list[float]) -> Array:
    """Joints (6,) of a pose or of a list of joints."""
    if not isinstance(target, Pose):
        return _finite(target)
    joints = arm.joints_of(pose_matrix(_finite(target)))
    if joints is None:
        raise ScriptError("the target is out of reach")
    return joints


def _straight(arm: ArmModel, end: Array) -> tuple[Callable[[float], Array | None], float]:
    """Joints along the straight line from here to a TCP pose (4, 4), and its length."""
    start = arm.tcp.copy()
    path = end[:3, 3] - start[:3, 3]
    turn = math.acos(max(-1.0, min(1.0, (float(np.trace(start[:3, :3].T @ end[:3, :3])) - 1) / 2)))
    length = max(float(np.linalg.norm(path)), TURN_WEIGHT_M * turn)

    def joints_at(s: float) -> Array | None:
        part = min(1.0, s / length)
        tcp = np.eye(4)
        tcp[:3, :3] = slerp(start[:3, :3], end[:3, :3], part)
        tcp[:3, 3] = start[:3, 3] + part * path
        return arm.joints_of(tcp)

    return joints_at, length

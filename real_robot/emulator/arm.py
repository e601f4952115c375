"""The emulated arm: joints that follow servo, speed and path commands, and the safety system that stops them.

A servo is a critically damped filter whose time constant is the look-ahead; a path has a trapezoid's speed. What a
real joint adds (friction, load, vibration) is not modelled.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from scipy.spatial.transform import Rotation

from h2rh_env.core.geometry import Array

from ..drivers.ur.kinematics import ArmGeometry, forward, jacobian, joint_frames, nearest_joints

MAX_JOINT_SPEED = math.pi  # rad/s
MAX_JOINT_ACCELERATION = 30.0  # rad/s^2
MAX_TCP_SPEED = 1.5  # m/s; the safety system's default
PROGRAM_STOP = 10.0  # rad/s^2, of a program that ends while the arm moves
HARD_STOP = 25.0  # rad/s^2, of protective and emergency stops
UNLOCK_AFTER_S = 5.0
NORMAL, PROTECTIVE, EMERGENCY = 1, 3, 7  # safety modes
SAFETY_BITS = {NORMAL: 1, PROTECTIVE: 1 << 2 | 1 << 10, EMERGENCY: 1 << 6 | 1 << 7 | 1 << 10}
REST_RADPS = 1e-4
SUBSTEPS = 4  # of a servo's filter, whose time constant may be a few periods

Path = Callable[[float], Array | None]


@dataclass
class SafetyPlane:
    """The tool's origin must stay where `normal` . position >= offset, m, in the base frame."""

    normal: tuple[float, float, float]
    offset: float

    def allows(self, position: Array) -> bool:
        return float(np.dot(self.normal, position)) >= self.offset


@dataclass
class _Motion:
    """What the joints do: "rest", "servo", "speedl", "speedj", "path" or "stop"."""

    kind: str = "rest"
    target: Array = field(default_factory=lambda: np.zeros(6))
    acceleration: float = 1.0
    lookahead_s: float = 0.1
    gain: float = 300.0
    path: Path | None = None
    length: float = 0.0
    speed: float = 0.0
    travelled: float = 0.0
    rate: float = 0.0


class ArmModel:
    """Joints q, qd (6,), rad and rad/s; TCP poses as (4, 4) in the base frame."""

    def __init__(self, geometry: ArmGeometry, joints: Array, flange_from_tcp: Array) -> None:
        self.geometry, self.flange_from_tcp = geometry, flange_from_tcp
        self.q, self.qd = np.array(joints, np.float64), np.zeros(6)
        self.force = np.zeros(6)
        self.planes: list[SafetyPlane] = []
        self.safety_mode, self.stopped_s, self.time_s = NORMAL, -math.inf, 0.0
        self.jammed = False
        self._motion = _Motion()
        self._refresh()

    @property
    def safety_bits(self) -> int:
        return SAFETY_BITS[self.safety_mode]

    @property
    def is_path_done(self) -> bool:
        return self._motion.kind != "path"

    @property
    def is_at_rest(self) -> bool:
        return bool(np.abs(self.qd).max() < REST_RADPS)

    def joints_of(self, tcp: Array, near: Array | None = None) -> Array | None:
        """Joints (6,) for a TCP pose (4, 4) near others, the arm's own by default; None out of reach."""
        flange = tcp @ np.linalg.inv(self.flange_from_tcp)
        return nearest_joints(self.geometry, flange, self.q if near is None else near)

    def tcp_of(self, joints: Array) -> Array:
        return forward(self.geometry, joints) @ self.flange_from_tcp

    def is_within_limits(self, tcp: Array) -> bool:
        return self.joints_of(tcp) is not None and all(plane.allows(tcp[:3, 3]) for plane in self.planes)

    def servo(self, joints: Array, lookahead_s: float, gain: float) -> None:
        self._begin(_Motion("servo", joints, lookahead_s=lookahead_s, gain=gain))

    def speed(self, kind: str, target: Array, acceleration: float) -> None:
        self._begin(_Motion(kind, target, acceleration))

    def follow(self, path: Path, length: float, speed: float, acceleration: float) -> None:
        """A path of `length`, m or rad, whose point at s has the joints `path(s)`."""
        if length < 1e-9:
            return self.halt(acceleration)
        self._begin(_Motion("path", acceleration=acceleration, path=path, length=length, speed=speed))

    def _begin(self, motion: _Motion) -> None:
        """Nothing begins while the safety system holds the arm."""
        if self.safety_mode == NORMAL:
            self._motion = motion

    def halt(self, deceleration: float) -> None:
        """Brakes every joint, rad/s^2, to rest."""
        if self._motion.kind != "rest":
            self._motion = _Motion("stop", acceleration=min(deceleration, HARD_STOP))

    def stop_for_safety(self, mode: int) -> None:
        """A graver stop replaces a lesser one; never the other way round."""
        if mode > self.safety_mode or self.safety_mode == NORMAL:
            self.safety_mode, self.stopped_s = mode, self.time_s
        self._motion = _Motion("stop", acceleration=HARD_STOP)

    def unlock(self) -> bool:
        """Ends a protective stop, no sooner than 5 s after it began; an emergency stop never."""
        if self.safety_mode != PROTECTIVE or self.time_s - self.stopped_s < UNLOCK_AFTER_S:
            return False
        self.safety_mode = NORMAL
        return True

    def step(self, dt: float) -> None:
        """One controller period."""
        self.time_s += dt
        if self.jammed:
            self.qd = np.zeros(6)
        else:
            self.q, self.qd = self._after(dt)
        self._refresh()
        self._watch()

    def _after(self, dt: float) -> tuple[Array, Array]:
        """Joints and their speeds one period on."""
        motion = self._motion
        if motion.kind == "servo":
            return self._servoed(motion, dt)
        if motion.kind == "path":
            joints = self._along(motion, dt)
            return joints, (joints - self.q) / dt
        if motion.kind == "speedl":
            speeds = np.linalg.lstsq(self._jacobian, motion.target, rcond=1e-3)[0]
            most = motion.acceleration / max(float(np.linalg.norm(self._jacobian[:3], 2)), 0.1) * 3
        elif motion.kind == "speedj":
            speeds, most = motion.target, motion.acceleration
        else:
            largest = float(np.abs(self.qd).max())
            speeds, most = self.qd * max(0.0, 1 - motion.acceleration * dt / max(largest, 1e-9)), HARD_STOP
            if largest < REST_RADPS:
                self._motion, speeds = _Motion(), np.zeros(6)
        qd = self.qd + np.clip(speeds - self.qd, -most * dt, most * dt)
        return self.q + qd * dt, qd

    def _servoed(self, motion: _Motion, dt: float) -> tuple[Array, Array]:
        """A critically damped filter towards the target, with bounded acceleration."""
        omega = 2 / motion.lookahead_s * math.sqrt(motion.gain / 300)
        q, qd, h = self.q, self.qd, dt / SUBSTEPS
        for _ in range(SUBSTEPS):
            wanted = omega * omega * (motion.target - q) - 2 * omega * qd
            qd = qd + np.clip(wanted, -MAX_JOINT_ACCELERATION, MAX_JOINT_ACCELERATION) * h
            q = q + qd * h
        return q, qd

    def _along(self, motion: _Motion, dt: float) -> Array:
        rest = motion.length - motion.travelled
        motion.rate = min(
            motion.rate + motion.acceleration * dt, motion.speed, math.sqrt(2 * motion.acceleration * rest)
        )
        motion.travelled = min(motion.length, motion.travelled + max(motion.rate * dt, 1e-6))
        joints = motion.path(motion.travelled) if motion.path else None
        if joints is None:
            self.stop_for_safety(PROTECTIVE)
            return self.q
        if motion.travelled >= motion.length:
            self._motion = _Motion("stop", acceleration=HARD_STOP)
        return joints

    def _refresh(self) -> None:
        frames = joint_frames(self.geometry, self.q)
        self.tcp = frames[-1] @ self.flange_from_tcp
        self._jacobian = jacobian(frames, self.tcp)
        self.tcp_speed = self._jacobian @ self.qd

    def _watch(self) -> None:
        """The safety system: speeds, joint limits, planes."""
        if self.safety_mode != NORMAL:
            return
        too_fast = np.linalg.norm(self.tcp_speed[:3]) > MAX_TCP_SPEED
        too_fast |= np.abs(self.qd).max() > MAX_JOINT_SPEED * 1.05
        beyond = np.abs(self.q).max() > 2 * math.pi or not np.isfinite(self.q).all()
        if too_fast or beyond or not all(plane.allows(self.tcp[:3, 3]) for plane in self.planes):
            self.stop_for_safety(PROTECTIVE)


def pose_matrix(pose: list[float] | Array) -> Array:
    """UR's [x, y, z, rx, ry, rz] to (4, 4)."""
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_rotvec(np.asarray(pose[3:6], np.float64)).as_matrix()
    matrix[:3, 3] = pose[:3]
    return matrix


def pose_vector(matrix: Array) -> list[float]:
    """(4, 4) to UR's [x, y, z, rx, ry, rz]."""
    return [*map(float, matrix[:3, 3]), *map(float, Rotation.from_matrix(matrix[:3, :3]).as_rotvec())]

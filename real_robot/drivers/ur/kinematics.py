"""Kinematics of the UR5 and UR5e: forward, Jacobian, closed-form inverse, and how near a pose is to a singularity.

Denavit-Hartenberg parameters as Universal Robots publishes them; joints in rad, lengths in m.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from h2rh_env.core.geometry import Array

JOINT_LIMIT_RAD = 2 * math.pi


@dataclass(frozen=True)
class ArmGeometry:
    """The lengths that set apart one arm of this family from another.

    Attributes:
        upper_arm_offset, forearm_offset: how far the links lie beside the frames of their joints, along the axis
            of the shoulder, m.
    """

    name: str
    d1: float
    a2: float
    a3: float
    d4: float
    d5: float
    d6: float
    upper_arm_offset: float
    forearm_offset: float

    @property
    def links(self) -> tuple[tuple[float, float, float], ...]:
        """(a, d, alpha) of each joint."""
        right = math.pi / 2
        return (
            (0.0, self.d1, right),
            (self.a2, 0.0, 0.0),
            (self.a3, 0.0, 0.0),
            (0.0, self.d4, right),
            (0.0, self.d5, -right),
            (0.0, self.d6, 0.0),
        )


UR5 = ArmGeometry("UR5", 0.089159, -0.425, -0.39225, 0.10915, 0.09465, 0.0823, 0.13585, 0.01615)
UR5E = ArmGeometry("UR5e", 0.1625, -0.425, -0.3922, 0.1333, 0.0997, 0.0996, 0.138, 0.007)


def joint_frames(arm: ArmGeometry, joints: Array) -> list[Array]:
    """Seven (4, 4) frames in the base: that of the base, then of each link; the last is the flange."""
    frames = [np.eye(4)]
    for (a, d, alpha), q in zip(arm.links, joints, strict=True):
        frames.append(frames[-1] @ _link(a, d, alpha, float(q)))
    return frames


def forward(arm: ArmGeometry, joints: Array) -> Array:
    """(4, 4) `base_from_flange` of joints (6,)."""
    return joint_frames(arm, joints)[-1]


def jacobian(frames: list[Array], base_from_tool: Array) -> Array:
    """(6, 6): joint speeds to the tool's velocity (m/s) and angular velocity (rad/s), in the base frame.

    Args:
        frames: `joint_frames` at the joints in question.
    """
    moving = np.stack(frames[:6])
    axes, levers = moving[:, :3, 2], base_from_tool[:3, 3] - moving[:, :3, 3]
    turned = axes[:, [1, 2, 0]] * levers[:, [2, 0, 1]] - axes[:, [2, 0, 1]] * levers[:, [1, 2, 0]]
    return np.concatenate([turned, axes], axis=1).T


def inverse(arm: ArmGeometry, base_from_flange: Array) -> list[Array]:
    """Every solution (6,), at most eight, each joint in (-pi, pi]; empty out of reach."""
    target, solutions = base_from_flange, []
    wrist = target[:3, 3] - arm.d6 * target[:3, 2]
    reach = math.hypot(wrist[0], wrist[1])
    if reach < arm.d4:
        return []
    swing, lean = math.atan2(wrist[1], wrist[0]), math.acos(arm.d4 / reach)
    for q1 in (swing + lean + math.pi / 2, swing - lean + math.pi / 2):
        s1, c1 = math.sin(q1), math.cos(q1)
        cosine = (target[0, 3] * s1 - target[1, 3] * c1 - arm.d4) / arm.d6
        if abs(cosine) > 1 + 1e-9:
            continue
        bend = math.acos(max(-1.0, min(1.0, cosine)))
        for q5 in (bend, -bend):
            s5 = math.sin(q5)
            if abs(s5) < 1e-9:
                continue
            q6 = math.atan2(
                (-target[0, 1] * s1 + target[1, 1] * c1) / s5, (target[0, 0] * s1 - target[1, 0] * c1) / s5
            )
            solutions += _elbows(arm, target, (q1, q5, q6))
    return solutions


def nearest_joints(arm: ArmGeometry, base_from_flange: Array, near: Array) -> Array | None:
    """The solution whose joints, whole turns allowed, move least from `near` (6,); None out of reach."""
    best, least = None, math.inf
    for solution in _solutions(arm, np.ascontiguousarray(base_from_flange, np.float64).tobytes()):
        turned = near + np.remainder(solution - near + math.pi, 2 * math.pi) - math.pi
        turned = np.where(np.abs(turned) > JOINT_LIMIT_RAD, solution, turned)
        turn = float(np.abs(turned - near).max())
        if turn < least:
            best, least = turned, turn
    return best


@lru_cache(maxsize=32)
def _solutions(arm: ArmGeometry, pose: bytes) -> tuple[Array, ...]:
    """`inverse` of a pose's bytes: a loop asks about the same goal, and each setpoint, several times."""
    found = inverse(arm, np.frombuffer(pose).reshape(4, 4))
    for joints in found:
        joints.flags.writeable = False
    return tuple(found)


def condition_number(arm: ArmGeometry, joints: Array, base_from_tool: Array) -> float:
    """Condition number of the Jacobian, in m and rad as they are: large near a singularity, infinite at one."""
    return condition_of(joint_frames(arm, joints), base_from_tool)


def condition_of(frames: list[Array], base_from_tool: Array) -> float:
    """The same, of joints whose `joint_frames` are known."""
    singular_values = np.linalg.svd(jacobian(frames, base_from_tool), compute_uv=False)
    return float(singular_values[0] / max(singular_values[-1], 1e-12))


def _link(a: float, d: float, alpha: float, q: float) -> Array:
    c, s, ca, sa = math.cos(q), math.sin(q), math.cos(alpha), math.sin(alpha)
    return np.array(
        [[c, -s * ca, s * sa, a * c], [s, c * ca, -c * sa, a * s], [0.0, sa, ca, d], [0.0, 0.0, 0.0, 1.0]]
    )


def _elbows(arm: ArmGeometry, target: Array, outer: tuple[float, float, float]) -> list[Array]:
    """Both solutions of shoulder, elbow and first wrist joint, the others given."""
    q1, q5, q6 = outer
    first, fifth, sixth = (_link(*arm.links[k], q) for k, q in ((0, q1), (4, q5), (5, q6)))
    inner = np.linalg.inv(first) @ target @ np.linalg.inv(fifth @ sixth)
    point = inner[:3, 3] + arm.d4 * inner[:3, 1]
    x, y = point[0], point[1]
    cosine = (x * x + y * y - arm.a2**2 - arm.a3**2) / (2 * arm.a2 * arm.a3)
    if abs(cosine) > 1 + 1e-9:
        return []
    bend, found = math.acos(max(-1.0, min(1.0, cosine))), []
    for q3 in (bend, -bend):
        q2 = math.atan2(y, x) - math.atan2(arm.a3 * math.sin(q3), arm.a2 + arm.a3 * math.cos(q3))
        q4 = math.atan2(inner[1, 0], inner[0, 0]) - q2 - q3
        found.append(np.remainder(np.array([q1, q2, q3, q4, q5, q6]) + math.pi, 2 * math.pi) - math.pi)
    return found

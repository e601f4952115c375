"""The motion guard: every pose that is sent to the arm leaves from here.

An action becomes a goal, and a goal is judged anew at every setpoint, in this order: finite, workspace, step,
reachable, allowed by the controller; then age and state of the arm, speed and acceleration (less near a
singularity), distance to the hand, reachable again.

One law bounds the speed v near anything that matters, with a the acceleration of every stop:

    v^2 <= min_i ( v_i^2 + 2 a max(0, d - d_i) )

where d is a distance and v_i the speed allowed within d_i: the zones of the configuration, and v_i = 0 at the
clearance d_min and at the walls of the workspace. Distances shrink no faster than the arm moves, so braking
with a keeps the law: a stop is always within reach, in whatever direction the arm moves.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from h2rh_env.core.action import decode_action
from h2rh_env.core.geometry import SE3, Array, slerp
from h2rh_env.core.gripper import FINGERTIP_DEPTH_M
from h2rh_env.core.spaces import action_space

from ..config import RobotConfig
from ..interfaces import RobotState, Safety

TRACKING = (
    0.8  # of the acceleration is spent on arriving, so that rounding never asks for more than all of it
)
NEGLIGIBLE = 1e-5  # a way in m or rad not worth moving for
OUT_OF_REACH = "the arm cannot reach the goal"
ACTION_LIMIT = np.asarray(action_space().high[:6], np.float64) * (1 + 1e-6)


class Verdict(StrEnum):
    GO = "go"
    HOLD = "hold"
    STOP = "stop"


@dataclass(frozen=True, eq=False)
class Decision:
    """What may be done.

    Attributes:
        verdict: GO; HOLD, which brakes and waits; STOP, after which nothing is sent until a person re-arms.
        reason: why not GO, and what to do about it.
        world_from_gripper: the goal admitted or the setpoint to send; None for a goal refused and on STOP.
        score: of the action, where one was judged.
    """

    verdict: Verdict
    reason: str = ""
    world_from_gripper: SE3 | None = None
    score: float = 0.0


class Surroundings(Protocol):
    """What the guard asks about the world around a pose."""

    def distance(self, position_world: Array) -> float:
        """From (3,) to the nearest point of hand or object, m; infinite if there is none."""

    def clearance(self, position_world: Array) -> float:
        """The same to what the gripper must keep away from: hand and object, or the hand alone while grasping."""

    def in_the_way(self, world_from_gripper: SE3) -> bool:
        """Whether the open gripper, there or on its way onwards, touches what it must keep away from."""

    def is_reachable(self, world_from_gripper: SE3) -> bool:
        """Whether joints exist for the pose, near enough to the arm's own."""

    def speed_scale(self, world_from_gripper: SE3) -> float:
        """Part of the allowed speed that the arm takes there: less near a singularity."""

    def is_allowed(self, world_from_gripper: SE3) -> bool:
        """Whether the controller's safety limits allow the pose."""


class MotionGuard:
    """Bounds motion; holds state: the last setpoint, its velocity, and a fault that stays once met."""

    def __init__(self, config: RobotConfig) -> None:
        self._config = config
        self._low = np.array(config.workspace_low_m)
        self._high = np.array(config.workspace_high_m)
        self._position = np.full(3, np.nan)
        self._rotation = Rotation.identity()
        self._velocity = np.zeros(3)
        self._turn = np.zeros(3)
        self._jumps = self._refusals = 0
        self.fault = "the guard does not know where the arm is; begin with a measured pose"

    @property
    def setpoint(self) -> SE3:
        """The last setpoint sent, or the pose begun with."""
        return _pose(self._position.copy(), self._rotation)

    @property
    def at_rest(self) -> bool:
        """Whether the last setpoint neither moved nor turned."""
        return not self._velocity.any() and not self._turn.any()

    def has_arrived(self, goal: SE3) -> bool:
        """Whether the last setpoint rests at a goal, to 0.1 mm and 1 mrad."""
        off = self.setpoint.inverse() @ goal
        return (
            self.at_rest
            and bool(np.abs(off.matrix - np.eye(4)).max() < 1e-3)
            and bool(np.abs(off.translation).max() < 1e-4)
        )

    @property
    def speed(self) -> float:
        """Of the last setpoint, m/s."""
        return float(np.linalg.norm(self._velocity))

    @property
    def turn_speed(self) -> float:
        """Of the last setpoint, rad/s."""
        return float(np.linalg.norm(self._turn))

    def begin(self, world_from_gripper: SE3) -> Decision:
        """Starts from a measured pose at rest; the only way to clear a latched fault."""
        self.fault = ""
        self._velocity, self._turn = np.zeros(3), np.zeros(3)
        self._jumps = self._refusals = 0
        if not np.isfinite(world_from_gripper.matrix).all():
            return self._stop("the arm's pose is not finite; check its driver")
        if self._wall(world_from_gripper.translation) < 0:
            return self._stop("the arm is outside the workspace; move it inside by its pendant")
        self._position = world_from_gripper.translation.copy()
        self._rotation = Rotation.from_matrix(world_from_gripper.rotation)
        return Decision(Verdict.GO, world_from_gripper=world_from_gripper)

    def admit_action(
        self, action: npt.ArrayLike, gripper_from_camera: SE3, surroundings: Surroundings
    ) -> Decision:
        """Judges a policy's action (7,), given at the last setpoint, as a goal."""
        if self.fault:
            return Decision(Verdict.STOP, self.fault)
        raw = np.asarray(action, np.float64)
        if raw.shape != (7,) or not np.isfinite(raw).all():
            return self._stop(f"the policy's action is not 7 finite numbers: {raw.tolist()}")
        camera_from_next_camera, score = decode_action(raw)
        self._jumps = self._jumps + 1 if (np.abs(raw[:6]) > ACTION_LIMIT).any() else 0
        goal = self.setpoint @ gripper_from_camera @ camera_from_next_camera @ gripper_from_camera.inverse()
        decision = self.admit_new(goal, surroundings)
        if self._jumps > self._config.max_jumps:
            decision = Decision(Verdict.HOLD, f"{self._jumps} actions in a row beyond the action space")
        self._refusals = 0 if decision.verdict is Verdict.GO else self._refusals + 1
        if self._refusals >= self._config.max_refusals:
            return self._stop(f"{self._refusals} actions in a row were refused; the last: {decision.reason}")
        return Decision(decision.verdict, decision.reason, decision.world_from_gripper, score)

    def admit_new(self, goal: SE3, surroundings: Surroundings) -> Decision:
        """Judges a goal that the controller has not been asked about; at rest, as that may take a while."""
        decision = self.admit(goal, surroundings)
        if decision.world_from_gripper and not surroundings.is_allowed(decision.world_from_gripper):
            return Decision(Verdict.HOLD, "the controller's safety limits forbid the goal")
        return decision

    def admit(self, goal: SE3, surroundings: Surroundings) -> Decision:
        """Judges a goal, `world_from_gripper`; one too far is cut short on the straight way to it."""
        config = self._config
        if self.fault:
            return Decision(Verdict.STOP, self.fault)
        if not np.isfinite(goal.matrix).all():
            return self._stop("a goal is not finite")
        if self._wall(goal.translation) < 0:
            return Decision(Verdict.HOLD, "the goal is outside the workspace")
        goal = self._within_step(goal)
        clearance = surroundings.clearance(goal.translation)
        if clearance < config.clearance_m and clearance < surroundings.clearance(self._position):
            return Decision(Verdict.HOLD, f"the goal is {clearance:.3f} m from hand or object")
        if not surroundings.is_reachable(goal):
            return Decision(Verdict.HOLD, OUT_OF_REACH)
        return Decision(Verdict.GO, world_from_gripper=goal)

    def advance(
        self, goal: SE3 | None, state: RobotState, surroundings: Surroundings, now_s: float, frame_s: float
    ) -> Decision:
        """The next setpoint, one control period on, straight towards a goal; brakes for None.

        Args:
            state: the newest of the arm.
            now_s: the time; frame_s: when the newest frame was exposed.
        """
        if self.fault:
            return Decision(Verdict.STOP, self.fault)
        if fault := self._fault_of(state, now_s, frame_s):
            return self._stop(fault)
        admitted = (
            Decision(Verdict.HOLD, "nothing to move to") if goal is None else self.admit(goal, surroundings)
        )
        if admitted.verdict is Verdict.STOP:
            return admitted
        hold, goal = admitted.reason, admitted.world_from_gripper
        if now_s - frame_s > self._config.frame_hold_s:
            hold = f"the newest frame is {now_s - frame_s:.3f} s old"
        here = surroundings.clearance(self._position)
        speed_scale = surroundings.speed_scale(self.setpoint)
        velocity, turn = self._towards(
            None if hold else goal, surroundings.distance(self._position), here, speed_scale
        )
        there, _ = self._after(velocity, turn)
        limit = self._speed_limit(there, surroundings.distance(there), surroundings.clearance(there), here)
        if np.linalg.norm(velocity) > limit:
            velocity, turn = self._braking()
        if not hold and surroundings.in_the_way(_pose(*self._after(velocity, turn))):
            hold = "hand or object is in the gripper's way"
            velocity, turn = self._braking()
        position, rotation = self._after(velocity, turn)
        setpoint = _pose(position, rotation)
        if not surroundings.is_reachable(setpoint):
            return self._stop("the arm cannot reach the way to the goal; move it by its pendant")
        self._position, self._rotation, self._velocity, self._turn = position, rotation, velocity, turn
        return Decision(Verdict.HOLD if hold else Verdict.GO, hold, setpoint)

    def _stop(self, fault: str) -> Decision:
        self.fault = fault
        return Decision(Verdict.STOP, fault)

    def _fault_of(self, state: RobotState, now_s: float, frame_s: float) -> str:
        config = self._config
        lag = float(np.linalg.norm(state.world_from_gripper.translation - self._position))
        if state.safety is not Safety.NORMAL:
            return f"the arm reports: {state.safety}; acknowledge it at the pendant, then start again"
        if not now_s - state.time_s <= config.state_age_s:
            return f"the arm's state is {now_s - state.time_s:.3f} s old; check its connection"
        if not now_s - frame_s <= config.frame_abort_s:
            return f"the camera's frame is {now_s - frame_s:.3f} s old; check its cable"
        if not lag <= config.following_error_m:
            return f"the arm is {lag:.3f} m from its setpoint; find what holds it"
        return ""

    def _wall(self, position: Array) -> float:
        """Distance to the nearest wall of the workspace, negative outside."""
        return float(min((position - self._low).min(), (self._high - position).min()))

    def _within_step(self, goal: SE3) -> SE3:
        here = self.setpoint
        way = goal.translation - here.translation
        # From the length of the rotations' difference: exact near zero, and faster than a logarithm.
        angle = 2 * math.asin(min(1.0, float(np.linalg.norm(goal.rotation - here.rotation)) / math.sqrt(8)))
        part = min(
            1.0,
            self._config.max_step_m / max(float(np.linalg.norm(way)), 1e-12),
            self._config.max_turn_rad / max(angle, 1e-12),
        )
        if part == 1.0:
            return goal
        return SE3(slerp(here.rotation, goal.rotation, part), here.translation + part * way)

    def _speed_limit(
        self, position: Array, distance: float, clearance: float, here: float, slack_m: float = 0.0
    ) -> float:
        """The law of this module at a position (3,), with `slack_m` taken off every distance.

        Where the clearance `here`, at the last setpoint, is too small already because the hand came, only
        positions of no less clearance may be moved to, and slowly.
        """
        c, twice_a = self._config, 2 * self._config.acceleration_mps2
        gap = distance - FINGERTIP_DEPTH_M - slack_m
        keep = twice_a * max(0.0, clearance - c.clearance_m - slack_m)
        if here < c.clearance_m and clearance >= here:
            keep = c.last_speed_mps**2
        return math.sqrt(
            min(
                c.speed_mps**2,
                c.near_speed_mps**2 + twice_a * max(0.0, gap - c.near_m),
                c.last_speed_mps**2 + twice_a * max(0.0, gap - c.last_m),
                twice_a * max(0.0, self._wall(position) - slack_m),
                keep,
            )
        )

    def _towards(
        self, goal: SE3 | None, distance: float, clearance: float, speed_scale: float
    ) -> tuple[Array, Array]:
        """Velocity and angular velocity of the next period, both (3,), in the world frame."""
        if goal is None:
            return self._braking()
        c, dt = self._config, self._config.control_period_s
        slack = (self.speed + c.acceleration_mps2 * dt) * dt
        limit = self._speed_limit(self._position, distance, clearance, clearance, slack)
        way = goal.translation - self._position
        rest = (Rotation.from_matrix(goal.rotation) * self._rotation.inv()).as_rotvec()
        return self._changed(
            _arriving(way, speed_scale * limit, TRACKING * c.acceleration_mps2, dt),
            _arriving(rest, speed_scale * c.turn_speed_radps, TRACKING * c.turn_acceleration_radps2, dt),
        )

    def _braking(self) -> tuple[Array, Array]:
        return self._changed(np.zeros(3), np.zeros(3))

    def _changed(self, velocity: Array, turn: Array) -> tuple[Array, Array]:
        """Both as near to those wanted as the accelerations allow."""
        c, dt = self._config, self._config.control_period_s
        return (
            _nearer(self._velocity, velocity, c.acceleration_mps2 * dt),
            _nearer(self._turn, turn, c.turn_acceleration_radps2 * dt),
        )

    def _after(self, velocity: Array, turn: Array) -> tuple[Array, Rotation]:
        """Position and rotation one control period on."""
        dt = self._config.control_period_s
        return self._position + velocity * dt, Rotation.from_rotvec(turn * dt) * self._rotation


def _pose(position: Array, rotation: Rotation) -> SE3:
    return SE3(rotation.as_matrix(), position)


def _arriving(way: Array, limit: float, acceleration: float, dt: float) -> Array:
    """Velocity (3,) along a way (3,) from which the end can still be reached without overshoot."""
    length = float(np.linalg.norm(way))
    if length < NEGLIGIBLE:
        return np.zeros(3)
    return way / length * min(limit, math.sqrt(2 * acceleration * length), length / dt)


def _nearer(velocity: Array, wanted: Array, most: float) -> Array:
    """`velocity` moved towards `wanted`, both (3,), by at most `most`."""
    change = wanted - velocity
    size = float(np.linalg.norm(change))
    return wanted if size <= most else velocity + change * (most / size)

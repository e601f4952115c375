"""The motion guard: every pose that is sent to the arm leaves from here.

An action becomes a goal, and a goal is judged anew at every setpoint, in this order: finite, workspace, step,
reachable, allowed by the controller; then age and state of the arm, speed and acceleration (less near a
singularity), distance to the hand, reachable again.

One law bounds the speed v near anything that matters, with a the acceleration of every stop:

    v^2 <= min_i ( v_i^2 + 2 a max(0, d - d_i) )

where d is a distance and v_i the speed allowed within d_i: the zones of the configuration, and v_i = 0 at the
clearance d_min and at the walls of the workspace. Distances shrink no faster than the arm moves, so braking
with a keeps the law: a stop is always within reach, in whatever direction the arm moves.

The walls bound every corner of the open gripper and its camera, and of what it carries. A corner at radius r moves
with the turn w too, so what the turn needs to brake, r w^2 / (2 b) with b its deceleration, is taken off the distance
to the walls.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from h2rh_env.core.action import decode_action
from h2rh_env.core.geometry import SE3, Array, slerp
from h2rh_env.core.gripper import FINGERTIP_DEPTH_M, ROBOTIQ_2F85, GripperGeometry
from h2rh_env.core.spaces import action_space

from ..config import RobotConfig
from ..interfaces import RobotState, Safety
from .camera_body import camera_corners
from .decision import Cause, Decision, Surroundings, Verdict, hold

TRACKING = (
    0.8  # of the acceleration is spent on arriving, so that rounding never asks for more than all of it
)
NEGLIGIBLE = 1e-5  # a path in m or rad not worth moving along
ACTION_LIMIT = np.asarray(action_space().high[:6], np.float64) * (1 + 1e-6)


def corners_of(gripper: GripperGeometry) -> Array:
    """(24, 3) corners of an open gripper's boxes, m, in its frame."""
    low, high = gripper.boxes()[:, :1], gripper.boxes()[:, 1:]
    is_high = np.array(np.meshgrid([0, 1], [0, 1], [0, 1], indexing="ij")).reshape(3, 8).T
    return np.where(is_high, high, low).reshape(-1, 3)


GRIPPER_CORNERS = corners_of(ROBOTIQ_2F85)


def extent_with(gripper_from_camera: SE3) -> Array:
    """(K, 3) corners of the gripper and of the camera on it, m, in its frame: what the workspace bounds."""
    return np.concatenate([GRIPPER_CORNERS, camera_corners(gripper_from_camera)])


class MotionGuard:
    """Bounds motion; holds state: the last setpoint, its velocity, and a fault that stays once met.

    Args:
        extent: (K, 3) points that the workspace bounds, m, in the gripper's frame.
    """

    def __init__(self, config: RobotConfig, extent: Array = GRIPPER_CORNERS) -> None:
        self._config = config
        self._gripper_extent = self._extent = extent
        self._radius = float(np.linalg.norm(extent, axis=1).max())
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

    def is_inside(self, world_from_gripper: SE3) -> bool:
        """Whether the workspace holds all of the gripper there, and what it carries."""
        return self._wall(world_from_gripper) >= 0

    @property
    def speed(self) -> float:
        """Speed of the last setpoint, m/s."""
        return float(np.linalg.norm(self._velocity))

    @property
    def turn_speed(self) -> float:
        """Angular speed of the last setpoint, rad/s."""
        return float(np.linalg.norm(self._turn))

    def begin(self, world_from_gripper: SE3) -> Decision:
        """Starts from a measured pose at rest; the only thing that clears a latched fault."""
        self.fault = ""
        self._velocity, self._turn = np.zeros(3), np.zeros(3)
        self._jumps = self._refusals = 0
        self._carries(np.zeros((0, 3)))
        if not np.isfinite(world_from_gripper.matrix).all():
            return self._stop(Cause.NOT_FINITE, "the arm's pose is not finite; check its driver")
        if (wall := self._wall(world_from_gripper)) < 0:
            return self._stop(
                Cause.OUTSIDE,
                f"the gripper is {-wall:.3f} m outside the workspace; move it inside by the arm's pendant",
            )
        self._position = world_from_gripper.translation.copy()
        self._rotation = Rotation.from_matrix(world_from_gripper.rotation)
        return Decision(Verdict.GO, world_from_gripper=world_from_gripper)

    def carry(self, points_gripper: Array) -> None:
        """From here on the workspace bounds what the fingers hold too, until the guard begins anew.

        Args:
            points_gripper: (P, 3), m, in the gripper's frame; those beyond a wall already are not asked to be inside.
        """
        points_world = self.setpoint.apply(points_gripper)
        inside = ((points_world >= self._low) & (points_world <= self._high)).all(axis=1)
        self._carries(points_gripper[inside])

    def _carries(self, points_gripper: Array) -> None:
        self._extent = np.concatenate([self._gripper_extent, points_gripper])
        self._radius = float(np.linalg.norm(self._extent, axis=1).max())

    def admit_action(
        self, action: npt.ArrayLike, gripper_from_camera: SE3, surroundings: Surroundings
    ) -> Decision:
        """Judges a policy's action (7,), given at the last setpoint, as a goal."""
        if self.fault:
            return Decision(Verdict.STOP, self.fault, cause=Cause.LATCHED)
        raw = np.asarray(action, np.float64)
        if raw.shape != (7,) or not np.isfinite(raw).all():
            return self._stop(
                Cause.NOT_FINITE, f"the policy's action is not 7 finite numbers: {raw.tolist()}"
            )
        camera_from_next_camera, score = decode_action(raw)
        self._jumps = self._jumps + 1 if (np.abs(raw[:6]) > ACTION_LIMIT).any() else 0
        goal = self.setpoint @ gripper_from_camera @ camera_from_next_camera @ gripper_from_camera.inverse()
        decision = self.admit_new(goal, surroundings)
        if self._jumps > self._config.max_jumps:
            decision = hold(Cause.JUMPS, f"{self._jumps} actions in a row beyond the action space")
        self._refusals = 0 if decision.verdict is Verdict.GO else self._refusals + 1
        if self._refusals >= self._config.max_refusals:
            return self._stop(
                Cause.REFUSALS,
                f"{self._refusals} actions in a row were refused; the last: {decision.reason}",
            )
        return replace(decision, score=score)

    def admit_new(self, goal: SE3, surroundings: Surroundings) -> Decision:
        """Judges a goal that the controller has not been asked about; at rest, as that may take a while."""
        decision = self.admit(goal, surroundings)
        if decision.world_from_gripper and not surroundings.is_allowed(decision.world_from_gripper):
            return hold(Cause.FORBIDDEN, "the controller's safety limits forbid the goal")
        return decision

    def admit(self, goal: SE3, surroundings: Surroundings) -> Decision:
        """Judges a goal, `world_from_gripper`; one too far is cut short on the straight path to it."""
        config = self._config
        if self.fault:
            return Decision(Verdict.STOP, self.fault, cause=Cause.LATCHED)
        if not np.isfinite(goal.matrix).all():
            return self._stop(Cause.NOT_FINITE, "a goal is not finite")
        if self._wall(goal) < 0:
            return hold(
                Cause.OUTSIDE, "the goal would put the gripper, or what it holds, outside the workspace"
            )
        goal = self._within_step(goal)
        clearance = surroundings.clearance(goal.translation)
        if clearance < config.clearance_m and clearance < surroundings.clearance(self._position):
            return hold(Cause.TOO_NEAR, f"the goal is {clearance:.3f} m from hand or object")
        if not surroundings.is_reachable(goal):
            return hold(Cause.OUT_OF_REACH, "the arm cannot reach the goal")
        return Decision(Verdict.GO, world_from_gripper=goal)

    def advance(
        self,
        goal: SE3 | None,
        state: RobotState,
        surroundings: Surroundings,
        now_s: float,
        frame_s: float,
        most_mps: float = math.inf,
    ) -> Decision:
        """The next setpoint, one control period on, straight towards a goal; brakes for None.

        Args:
            state: the newest of the arm.
            now_s: the time; frame_s: when the newest frame was exposed.
            most_mps: a speed that is not to be exceeded, where something besides the distances asks for one.
        """
        if self.fault:
            return Decision(Verdict.STOP, self.fault, cause=Cause.LATCHED)
        if fault := self._fault_of(state, now_s, frame_s):
            return self._stop(Cause.ARM_FAULT, fault)
        admitted = (
            hold(Cause.NO_GOAL, "nothing to move to") if goal is None else self.admit(goal, surroundings)
        )
        if admitted.verdict is Verdict.STOP:
            return admitted
        if now_s - frame_s > self._config.frame_hold_s:
            admitted = hold(Cause.STALE_FRAME, f"the newest frame is {now_s - frame_s:.3f} s old")
        here = surroundings.clearance(self._position)
        speed_scale = surroundings.speed_scale(self.setpoint)
        velocity, turn = self._towards(
            admitted.world_from_gripper, surroundings.distance(self._position), here, speed_scale, most_mps
        )
        position, rotation = self._after(velocity, turn)
        wall_gap = self._wall(_pose(position, rotation)) - self._turn_reserve(turn)
        limit = self._speed_limit(
            wall_gap, surroundings.distance(position), surroundings.clearance(position), here
        )
        if np.linalg.norm(velocity) > limit or wall_gap < 0:
            velocity, turn = self._braking()
        if admitted.verdict is Verdict.GO and surroundings.is_blocked(_pose(*self._after(velocity, turn))):
            admitted = hold(Cause.PATH_BLOCKED, "hand or object is in the gripper's way")
            velocity, turn = self._braking()
        position, rotation = self._after(velocity, turn)
        setpoint = _pose(position, rotation)
        if not surroundings.is_reachable(setpoint):
            return self._stop(
                Cause.OUT_OF_REACH, "the arm cannot reach the path to the goal; move it by its pendant"
            )
        self._position, self._rotation, self._velocity, self._turn = position, rotation, velocity, turn
        return replace(admitted, world_from_gripper=setpoint)

    def _stop(self, cause: Cause, fault: str) -> Decision:
        self.fault = fault
        return Decision(Verdict.STOP, fault, cause=cause)

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

    def _wall(self, world_from_gripper: SE3) -> float:
        """Distance of what the workspace bounds to its nearest wall, m, negative outside."""
        corners = world_from_gripper.apply(self._extent)
        return float(min((corners - self._low).min(), (self._high - corners).min()))

    def _turn_reserve(self, turn: Array) -> float:
        """How far any corner still moves while an angular velocity (3,) is braked, m."""
        return self._radius * float(turn @ turn) / (2 * self._config.turn_acceleration_radps2)

    def _within_step(self, goal: SE3) -> SE3:
        here = self.setpoint
        path = goal.translation - here.translation
        # From the length of the rotations' difference: exact near zero, and faster than a logarithm.
        angle = 2 * math.asin(min(1.0, float(np.linalg.norm(goal.rotation - here.rotation)) / math.sqrt(8)))
        part = min(
            1.0,
            self._config.max_step_m / max(float(np.linalg.norm(path)), 1e-12),
            self._config.max_turn_rad / max(angle, 1e-12),
        )
        if part == 1.0:
            return goal
        return SE3(slerp(here.rotation, goal.rotation, part), here.translation + part * path)

    def _speed_limit(
        self, wall_gap: float, distance: float, clearance: float, here: float, slack_m: float = 0.0
    ) -> float:
        """The law of this module, with `slack_m` taken off every distance; `wall_gap` is the one to the walls.

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
                twice_a * max(0.0, wall_gap - slack_m),
                keep,
            )
        )

    def _towards(
        self, goal: SE3 | None, distance: float, clearance: float, speed_scale: float, most_mps: float
    ) -> tuple[Array, Array]:
        """Velocity and angular velocity of the next period, both (3,), in the world frame."""
        if goal is None:
            return self._braking()
        c, dt = self._config, self._config.control_period_s
        slack = (self.speed + c.acceleration_mps2 * dt) * dt
        slack += self._radius * (self.turn_speed + c.turn_acceleration_radps2 * dt) * dt
        wall = self._wall(self.setpoint)
        half = max(0.0, wall - slack) / 2  # the other half is the velocity's
        most_turn = min(c.turn_speed_radps, self._turn_within(half))
        path = goal.translation - self._position
        rest = (Rotation.from_matrix(goal.rotation) * self._rotation.inv()).as_rotvec()
        turn = _arriving(rest, speed_scale * most_turn, TRACKING * c.turn_acceleration_radps2, dt)
        limit = self._speed_limit(wall - self._turn_reserve(turn), distance, clearance, clearance, slack)
        limit = min(speed_scale * limit, most_mps)
        return self._changed(_arriving(path, limit, TRACKING * c.acceleration_mps2, dt), turn)

    def _turn_within(self, room_m: float) -> float:
        """The angular speed, rad/s, that is braked before any corner has moved this far."""
        if self._radius == 0:
            return math.inf
        return math.sqrt(2 * self._config.turn_acceleration_radps2 * room_m / self._radius)

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


def _arriving(path: Array, limit: float, acceleration: float, dt: float) -> Array:
    """Velocity (3,) along a path (3,) from which the end can still be reached without overshoot."""
    length = float(np.linalg.norm(path))
    if length < NEGLIGIBLE:
        return np.zeros(3)
    return path / length * min(limit, math.sqrt(2 * acceleration * length), length / dt)


def _nearer(velocity: Array, wanted: Array, most: float) -> Array:
    """`velocity` moved towards `wanted`, both (3,), by at most `most`."""
    change = wanted - velocity
    size = float(np.linalg.norm(change))
    return wanted if size <= most else velocity + change * (most / size)

"""The laboratory's arm and gripper: the emulated controller's arm without its sockets, on a clock that is stepped."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import numpy as np

from h2rh_env.core.geometry import SE3, Array
from h2rh_env.core.gripper import ROBOTIQ_2F85

from ...drivers.simulated_clock import TICK_S, SimulatedClock
from ...drivers.ur.process import GAIN, LOOKAHEAD_S
from ...drivers.ur.reach import Reach
from ...interfaces import GripperState, ObjectStatus, RobotState, Safety
from ..arm import NORMAL, PROGRAM_STOP, PROTECTIVE, ArmModel
from .contact import LabContact
from .giver import Giver

WATCHDOG_S = 0.1
TICKS_A_STATE = 2  # 125 states a second
COLLISION_N, COLLISION_S = (
    90.0,
    0.02,
)  # at the tool for so long, of which a controller makes a protective stop
FINGERS_MPS = 2 * ROBOTIQ_2F85.finger_speed_mps
STALLED_S, STALLED_M = 0.1, 0.0005  # fingers that came no further than this within that time are held up
AT_POSITION_M = 0.002


class LabGripper:
    """A 2F-85 whose fingers contact holds up; stepped by the arm, which carries it."""

    def __init__(self, clock: SimulatedClock) -> None:
        self._clock = clock
        self._wanted_m = self.driven_m = self.opening_m = ROBOTIQ_2F85.max_width_m
        self._status = ObjectStatus.AT_POSITION
        self._since = (0.0, self.opening_m)  # when it was how far open, for the stall

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        """Opens, unless something is held."""
        if self._status is not ObjectStatus.STOPPED_CLOSING and self._wanted_m < ROBOTIQ_2F85.max_width_m:
            self.move(ROBOTIQ_2F85.max_width_m)
            self._clock.sleep(ROBOTIQ_2F85.max_width_m / FINGERS_MPS + STALLED_S)

    def state(self) -> GripperState:
        return GripperState(self.opening_m, self._status)

    def move(self, opening_m: float) -> None:
        self._wanted_m = float(np.clip(opening_m, 0.0, ROBOTIQ_2F85.max_width_m))
        self._status, self._since = ObjectStatus.MOVING, (self._clock.now(), self.opening_m)

    def stop(self) -> None:
        self._wanted_m = self.driven_m

    def drive(self) -> float:
        """The opening that the fingers are driven to, one tick on, m."""
        step = FINGERS_MPS * TICK_S
        self.driven_m += float(np.clip(self._wanted_m - self.driven_m, -step, step))
        return self.driven_m

    def take(self, opening_m: float) -> None:
        """Takes in how far the fingers came."""
        self.opening_m, now = opening_m, self._clock.now()
        if self._status is not ObjectStatus.MOVING:
            return
        since_s, before_m = self._since
        if abs(opening_m - before_m) > STALLED_M:
            self._since = (now, opening_m)
        elif abs(opening_m - self._wanted_m) < AT_POSITION_M:
            self._status = ObjectStatus.AT_POSITION
        elif now - since_s >= STALLED_S:
            is_closing = self._wanted_m < opening_m
            self._status = ObjectStatus.STOPPED_CLOSING if is_closing else ObjectStatus.STOPPED_OPENING


class LabArm:
    """The arm at the world's origin; each tick moves it, then fingers and contact, then measures."""

    def __init__(
        self,
        clock: SimulatedClock,
        reach: Reach,
        joints: Array,
        gripper: LabGripper,
        contact: LabContact,
        giver: Giver,
        rng: np.random.Generator,
    ) -> None:
        self._clock, self._reach, self._gripper, self._contact = clock, reach, gripper, contact
        self._rng, self._noise_n = rng, giver.config.felt_noise_n
        self._bias = rng.normal(0.0, giver.config.felt_bias_n, 3)
        self.model = ArmModel(reach.geometry, joints, reach.flange_from_tcp)
        self._renewed_s = self._unhindered_s = 0.0
        self._ticks = 0
        self._state = self._measured()
        clock.on_tick.append(self._tick)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    @property
    def world_from_gripper(self) -> SE3:
        """Where the joints have the gripper; contact may push it 2 mm from there."""
        return SE3.from_matrix(self.model.tcp)

    def state(self) -> RobotState:
        return self._state

    def is_reachable(self, world_from_gripper: SE3) -> bool:
        return self.speed_scale(world_from_gripper) > 0

    def can_follow(self, path: Sequence[SE3]) -> bool:
        return self._reach.can_follow(path, self.world_from_gripper, self.model.q)

    def speed_scale(self, world_from_gripper: SE3) -> float:
        return self._reach.speed_scale(world_from_gripper, self.model.q)

    def is_allowed(self, world_from_gripper: SE3) -> bool:
        return self.model.is_within_limits(world_from_gripper.matrix)

    def servo(self, world_from_gripper: SE3) -> None:
        joints = self.model.joints_of(world_from_gripper.matrix)
        if joints is None:
            self.model.stop_for_safety(PROTECTIVE)
            return
        self.model.servo(joints, LOOKAHEAD_S, GAIN)
        self._renewed_s = self._clock.now()

    def stop(self) -> None:
        self.model.halt(PROGRAM_STOP)

    def _tick(self) -> None:
        now = self._clock.now()
        if now - self._renewed_s > WATCHDOG_S:
            self.model.halt(PROGRAM_STOP)
        self.model.step(TICK_S)
        self._contact.step(now, self.world_from_gripper, self._gripper.drive())
        self._gripper.take(self._contact.opening_m)
        if np.linalg.norm(self._contact.force_world) < COLLISION_N:
            self._unhindered_s = now
        elif now - self._unhindered_s >= COLLISION_S:
            self.model.stop_for_safety(PROTECTIVE)
        self._ticks += 1
        if self._ticks % TICKS_A_STATE == 0:
            self._state = self._measured()

    def _measured(self) -> RobotState:
        force = self._contact.force_world + self._bias + self._rng.normal(0.0, self._noise_n, 3)
        safety = Safety.NORMAL if self.model.safety_mode == NORMAL else Safety.PROTECTIVE_STOP
        return RobotState(
            self._clock.now(), self.world_from_gripper, self.model.tcp_speed[:3].copy(), force, safety
        )

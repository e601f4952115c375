"""Arm and gripper over a handover scene, in simulated time: rehearsal and tests without a robot.

The scene stands still and so does the giver. What is grasped is not drawn as it moves; its load is felt.
Faults are set as attributes while a session runs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Self

import numpy as np
from scipy.spatial.transform import Rotation

from h2rh_env.core.clearance import between_fingers
from h2rh_env.core.geometry import SE3, Array
from h2rh_env.core.gripper import ROBOTIQ_2F85
from h2rh_env.rendering.base import Rasteriser
from h2rh_env.scenes.handover_scene import HandoverScene

from ..interfaces import Devices, GripperState, ObjectStatus, RobotState, Safety
from ..segmentation.base import GivenMasks
from .simulated_camera import SimulatedCamera
from .simulated_clock import TICK_S, SimulatedClock

LAG_S = 0.03  # of the servo
MAX_SPEED_MPS = 1.5  # the controller's own limit: a setpoint that asks for more is a protective stop
MAX_ACCELERATION_MPS2 = 10.0
MAX_TURN_RADPS = 3.0
REACH_M = 1.6  # from the start; a scene knows no arm, so this stands for the joints' limits
WATCHDOG_S = 0.1
PAD_SPEED_MPS = 0.1
GIVER_FORCE_N = 22.0
OBJECT_LOAD_N = 3.0


class SimulatedArm:
    """Follows setpoints as a first-order servo with bounded acceleration; halts when they are not renewed.

    Faults: `frozen` (states grow old), `jammed` (does not follow), `safety`.
    """

    def __init__(self, clock: SimulatedClock, world_from_gripper: SE3) -> None:
        self._clock = clock
        self._start = world_from_gripper.translation.copy()
        self._position = world_from_gripper.translation.copy()
        self._rotation = Rotation.from_matrix(world_from_gripper.rotation)
        self._velocity = np.zeros(3)
        self._setpoint: SE3 | None = None
        self._renewed_s = 0.0
        self.force = np.zeros(3)
        self.safety = Safety.NORMAL
        self.frozen = self.jammed = False
        self.stops = 0
        clock.on_tick.append(self._tick)
        self._state = self._measured()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def on_tick(self, see: Callable[[], None]) -> None:
        """Has something called after each of the arm's own ticks."""
        self._clock.on_tick.append(see)

    @property
    def world_from_gripper(self) -> SE3:
        """Where the gripper is."""
        return SE3(self._rotation.as_matrix(), self._position.copy())

    def state(self) -> RobotState:
        return self._state

    def is_reachable(self, world_from_gripper: SE3) -> bool:
        return float(np.linalg.norm(world_from_gripper.translation - self._start)) < REACH_M

    def can_follow(self, path: Sequence[SE3]) -> bool:
        return all(self.is_reachable(pose) for pose in path)

    def speed_scale(self, world_from_gripper: SE3) -> float:
        return 1.0

    def is_allowed(self, world_from_gripper: SE3) -> bool:
        return True

    def servo(self, world_from_gripper: SE3) -> None:
        self._setpoint, self._renewed_s = world_from_gripper, self._clock.now()

    def stop(self) -> None:
        self._setpoint = None
        self.stops += 1

    def _measured(self) -> RobotState:
        return RobotState(
            self._clock.now(), self.world_from_gripper, self._velocity.copy(), self.force.copy(), self.safety
        )

    def _tick(self) -> None:
        if self._clock.now() - self._renewed_s > WATCHDOG_S or self.safety is not Safety.NORMAL:
            self._setpoint = None
        wanted, turn = np.zeros(3), np.zeros(3)
        if self._setpoint is not None and not self.jammed:
            wanted = (self._setpoint.translation - self._position) / LAG_S
            turn = (Rotation.from_matrix(self._setpoint.rotation) * self._rotation.inv()).as_rotvec() / LAG_S
            if np.linalg.norm(wanted) > MAX_SPEED_MPS or np.linalg.norm(turn) > MAX_TURN_RADPS:
                self.safety, self._setpoint, wanted, turn = (
                    Safety.PROTECTIVE_STOP,
                    None,
                    np.zeros(3),
                    np.zeros(3),
                )
        change = wanted - self._velocity
        most = MAX_ACCELERATION_MPS2 * TICK_S
        self._velocity = self._velocity + change * min(1.0, most / max(float(np.linalg.norm(change)), 1e-12))
        self._position = self._position + self._velocity * TICK_S
        self._rotation = Rotation.from_rotvec(turn * TICK_S) * self._rotation
        if not self.frozen:
            self._state = self._measured()


class SimulatedGripper:
    """A 2F-85 that stops on what its fingers hold, and the giver who lets go of it, or does not.

    Faults: `fault` (FLT), `slippery` (closes past whatever is there), `release_after_s` None (never lets go).

    Attributes:
        giver_force: the giver's pull, (3,) N, so long after the fingers closed, s; by default he holds against the
            gripper's weight until `release_after_s`. `noise_n`: of the arm's force estimate, on each axis.
    """

    def __init__(
        self,
        clock: SimulatedClock,
        arm: SimulatedArm,
        scene: HandoverScene,
        release_after_s: float | None = 0.5,
    ) -> None:
        self._clock, self._arm, self._scene = clock, arm, scene
        self._opening_m = self._wanted_m = ROBOTIQ_2F85.max_width_m
        self._status = ObjectStatus.AT_POSITION
        self._held_since_s: float | None = None
        self._rng = np.random.default_rng(0)
        self.release_after_s = release_after_s
        self.giver_force: Callable[[float], Array] = self._scripted_force
        self.noise_n = 0.0
        self.fault = 0
        self.slippery = False
        self.stops = 0
        clock.on_tick.append(self._tick)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        """Opens, unless something is held."""
        if self._status is not ObjectStatus.STOPPED_CLOSING and self._wanted_m < ROBOTIQ_2F85.max_width_m:
            self.move(ROBOTIQ_2F85.max_width_m)
        while self._status is ObjectStatus.MOVING and self._wanted_m == ROBOTIQ_2F85.max_width_m:
            self._clock.sleep(TICK_S)
        self.stop()

    def state(self) -> GripperState:
        return GripperState(self._opening_m, self._status, self.fault)

    def move(self, opening_m: float) -> None:
        self._wanted_m = float(np.clip(opening_m, 0.0, ROBOTIQ_2F85.max_width_m))
        self._status = ObjectStatus.MOVING

    def stop(self) -> None:
        self._wanted_m = self._opening_m
        self.stops += 1

    def _tick(self) -> None:
        if self._status is ObjectStatus.MOVING:
            self._move_pads()
        self._arm.force = self._load()

    def _move_pads(self) -> None:
        step = PAD_SPEED_MPS * TICK_S
        path = self._wanted_m - self._opening_m
        held = 0.0 if self.slippery or path >= 0 else self._width_between()
        if path > 0:
            self._held_since_s = None
        self._opening_m += float(np.clip(path, -step, step))
        if held > 0 and self._opening_m <= held:
            self._status, self._held_since_s = ObjectStatus.STOPPED_CLOSING, self._clock.now()
        elif abs(path) <= step:
            self._status = ObjectStatus.AT_POSITION

    def _width_between(self) -> float:
        """Extent along the closing direction, m, of the object's points between the pads; 0 without any."""
        points = self._arm.world_from_gripper.inverse().apply(self._scene.object_points)
        between = between_fingers(points)
        return float(2 * np.abs(points[between, 0]).max()) if between.any() else 0.0

    def _load(self) -> Array:
        """Force at the tool, N: the giver's pull and the object's weight."""
        noise = self._rng.normal(0.0, self.noise_n, 3) if self.noise_n else np.zeros(3)
        if self._held_since_s is None:
            return noise
        pull = self.giver_force(self._clock.now() - self._held_since_s)
        load: Array = noise + pull + np.array([0.0, 0.0, -OBJECT_LOAD_N])
        return load

    def _scripted_force(self, held_s: float) -> Array:
        released = self.release_after_s is not None and held_s >= self.release_after_s
        return np.array([0.0, 0.0, 0.0 if released else OBJECT_LOAD_N - GIVER_FORCE_N])


def simulated_devices(
    scene: HandoverScene,
    world_from_gripper: SE3,
    rasteriser: Rasteriser,
    gripper_from_camera: SE3 | None = None,
) -> Devices:
    """An arm at an initial pose in the scene, with gripper, camera and segmenter, on one clock."""
    clock = SimulatedClock()
    offset = gripper_from_camera or SE3.identity()
    arm = SimulatedArm(clock, world_from_gripper)
    gripper = SimulatedGripper(clock, arm, scene)
    camera = SimulatedCamera(clock, arm, scene, rasteriser, offset)
    return Devices(arm, gripper, camera, GivenMasks(), clock, offset, "simulated")

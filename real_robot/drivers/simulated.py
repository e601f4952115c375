"""The four devices over a handover scene, in simulated time: rehearsal and tests without a robot.

The scene stands still and so does the giver. What is grasped is not drawn as it moves; its load is felt.
Faults are set as attributes while a session runs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Self

import numpy as np
from scipy.spatial.transform import Rotation

from h2rh_env.core.camera import HAND_EYE_CAMERA, PinholeCamera
from h2rh_env.core.clearance import between_fingers
from h2rh_env.core.errors import RobotError
from h2rh_env.core.geometry import SE3, Array
from h2rh_env.core.gripper import ROBOTIQ_2F85
from h2rh_env.rendering.base import Rasteriser
from h2rh_env.rendering.masks import masks_from_labels, rgb_to_uint8
from h2rh_env.scenes.handover_scene import HandoverScene

from ..interfaces import Devices, Frame, GripperState, ObjectStatus, RobotState, Safety
from ..segmentation.base import GivenMasks

TICK_S = 0.004
LAG_S = 0.03  # of the servo
MAX_SPEED_MPS = 1.5  # the controller's own limit: a setpoint that asks for more is a protective stop
MAX_ACCELERATION_MPS2 = 10.0
MAX_TURN_RADPS = 3.0
REACH_M = 1.6  # from the start; a scene knows no arm, so this stands for the joints' limits
WATCHDOG_S = 0.1
FRAME_PERIOD_S = 1 / 30
FRAME_LATENCY_S = 0.03
PAD_SPEED_MPS = 0.1
GIVER_FORCE_N = 22.0
OBJECT_LOAD_N = 3.0


class SimulatedClock:
    """Time that passes only when somebody sleeps."""

    def __init__(self) -> None:
        self._ticks = 0
        self._rest_s = 0.0
        self.on_tick: list[Callable[[], None]] = []

    def now(self) -> float:
        return self._ticks * TICK_S

    def sleep(self, seconds: float) -> None:
        self._rest_s += seconds
        while self._rest_s >= TICK_S - 1e-9:
            self._rest_s -= TICK_S
            self._ticks += 1
            for tick in self.on_tick:
                tick()


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

    @property
    def world_from_gripper(self) -> SE3:
        """Where the gripper is."""
        return SE3(self._rotation.as_matrix(), self._position.copy())

    def state(self) -> RobotState:
        return self._state

    def is_reachable(self, world_from_gripper: SE3) -> bool:
        return float(np.linalg.norm(world_from_gripper.translation - self._start)) < REACH_M

    def can_follow(self, way: Sequence[SE3]) -> bool:
        return all(self.is_reachable(pose) for pose in way)

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
        self.release_after_s = release_after_s
        self.fault = 0
        self.slippery = False
        self.stops = 0
        clock.on_tick.append(self._tick)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
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
        way = self._wanted_m - self._opening_m
        held = 0.0 if self.slippery or way >= 0 else self._width_between()
        if way > 0:
            self._held_since_s = None
        self._opening_m += float(np.clip(way, -step, step))
        if held > 0 and self._opening_m <= held:
            self._status, self._held_since_s = ObjectStatus.STOPPED_CLOSING, self._clock.now()
        elif abs(way) <= step:
            self._status = ObjectStatus.AT_POSITION

    def _width_between(self) -> float:
        """Extent along the closing direction, m, of the object's points between the pads; 0 without any."""
        points = self._arm.world_from_gripper.inverse().apply(self._scene.object_points)
        between = between_fingers(points)
        return float(2 * np.abs(points[between, 0]).max()) if between.any() else 0.0

    def _load(self) -> Array:
        """Force at the tool, N: the giver's hold, then the object's weight alone."""
        if self._held_since_s is None:
            return np.zeros(3)
        held_s = self._clock.now() - self._held_since_s
        released = self.release_after_s is not None and held_s >= self.release_after_s
        return np.array([0.0, 0.0, -(OBJECT_LOAD_N if released else GIVER_FORCE_N)])


class SimulatedCamera:
    """Renders the scene from where the gripper was at each exposure, 30 times a second, a little late.

    Faults: `dropping` (no new frames), `blind` (frames in which neither object nor hand is found), `hand_hidden`.
    """

    serial = "simulated"

    def __init__(
        self,
        clock: SimulatedClock,
        arm: SimulatedArm,
        scene: HandoverScene,
        rasteriser: Rasteriser,
        gripper_from_camera: SE3,
        camera: PinholeCamera = HAND_EYE_CAMERA,
    ) -> None:
        self._clock, self._arm, self._scene, self._rasteriser = clock, arm, scene, rasteriser
        self._gripper_from_camera, self._camera = gripper_from_camera, camera
        self._exposed: deque[tuple[float, SE3]] = deque(maxlen=8)
        self._next_s = 0.0
        self._frame: Frame | None = None
        self.dropping = self.blind = self.hand_hidden = False
        clock.on_tick.append(self._tick)

    def __enter__(self) -> Self:
        while not self._exposed or self._clock.now() < self._exposed[0][0] + FRAME_LATENCY_S:
            self._clock.sleep(TICK_S)
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    def frame(self) -> Frame:
        arrived = [e for e in self._exposed if e[0] + FRAME_LATENCY_S <= self._clock.now() + 1e-9]
        if not arrived:
            raise RobotError("the simulated camera has no frame yet; enter it first")
        time_s, world_from_gripper = arrived[-1]
        if self._frame is None or self._frame.time_s != time_s:
            self._frame = self._render(time_s, world_from_gripper @ self._gripper_from_camera)
        return self._frame

    def _tick(self) -> None:
        if not self.dropping and self._clock.now() >= self._next_s:
            self._exposed.append((self._clock.now(), self._arm.world_from_gripper))
            self._next_s = self._clock.now() + FRAME_PERIOD_S

    def _render(self, time_s: float, world_from_camera: SE3) -> Frame:
        view = self._rasteriser.render(self._scene.gaussians, self._camera, world_from_camera)
        masks = masks_from_labels(view)
        if self.hand_hidden:
            masks[..., 1] = 0
        if self.blind:
            masks[:] = 0
        return Frame(time_s, self._camera, rgb_to_uint8(view), view.median_depth, masks)


def simulated_devices(
    scene: HandoverScene,
    world_from_gripper: SE3,
    rasteriser: Rasteriser,
    gripper_from_camera: SE3 | None = None,
) -> Devices:
    """An arm at a start pose in the scene, with gripper, camera and segmenter, on one clock."""
    clock = SimulatedClock()
    offset = gripper_from_camera or SE3.identity()
    arm = SimulatedArm(clock, world_from_gripper)
    gripper = SimulatedGripper(clock, arm, scene)
    camera = SimulatedCamera(clock, arm, scene, rasteriser, offset)
    return Devices(arm, gripper, camera, GivenMasks(), clock, offset, "simulated")

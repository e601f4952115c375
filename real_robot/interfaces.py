"""What a handover needs of its devices: an arm, a gripper, a hand-eye camera, a segmenter, and a clock.

Each device is a context manager that stops what it drives when left. Times are seconds on the session's clock.
The world frame is the arm's base frame; the gripper frame is the grasp frame of `h2rh_env.core.gripper`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt

from h2rh_env.core.camera import PinholeCamera
from h2rh_env.core.geometry import SE3, Array


class Safety(StrEnum):
    """What the arm's own safety system reports."""

    NORMAL = "normal"
    PROTECTIVE_STOP = "protective stop"
    EMERGENCY_STOP = "emergency stop"
    FAULT = "fault"


@dataclass(frozen=True, eq=False)
class RobotState:
    """The arm as measured at `time_s`.

    Attributes:
        world_from_gripper: measured pose.
        velocity: (3,) of the gripper frame's origin, m/s, in the world frame.
        force: (3,) at the tool as the controller estimates it, N; +-10 N on a UR5.
        safety: of the controller.
    """

    time_s: float
    world_from_gripper: SE3
    velocity: Array
    force: Array
    safety: Safety = Safety.NORMAL

    @property
    def speed(self) -> float:
        """m/s."""
        return float(np.linalg.norm(self.velocity))


@dataclass(frozen=True, eq=False)
class Frame:
    """One aligned colour and depth image, exposed at `time_s`.

    Attributes:
        camera: intrinsics of both images.
        rgb: (H, W, 3) uint8.
        depth_m: (H, W) float32, m along z; 0 where unknown.
        masks: (H, W, 2) uint8 in {0, 255}, object and hand, of a camera that segments or is simulated; else None.
    """

    time_s: float
    camera: PinholeCamera
    rgb: npt.NDArray[np.uint8]
    depth_m: npt.NDArray[np.float32]
    masks: npt.NDArray[np.uint8] | None = None


class ObjectStatus(IntEnum):
    """OBJ of a Robotiq gripper."""

    MOVING = 0
    STOPPED_OPENING = 1
    STOPPED_CLOSING = 2
    AT_POSITION = 3


@dataclass(frozen=True)
class GripperState:
    """The gripper now: opening between the pads, m; what stopped it; its fault number, 0 for none."""

    opening_m: float
    object_status: ObjectStatus
    fault: int = 0
    activated: bool = True


class Clock(Protocol):
    """Time as a session knows it: the machine's, or a rehearsal's, which runs faster."""

    def now(self) -> float:
        """Seconds since an arbitrary moment; never goes back."""

    def sleep(self, seconds: float) -> None:
        """Lets `seconds` pass."""


class _Device(Protocol):
    def __enter__(self) -> Self:
        """Connects and checks.

        Raises:
            RobotError: the device is missing or not ready.
        """

    def __exit__(self, *exception: object) -> None:
        """Stops what moves and disconnects, whatever happened."""


class Arm(_Device, Protocol):
    """Follows setpoints. A setpoint that is not renewed within the arm's watchdog stops it."""

    def state(self) -> RobotState:
        """The newest measurement; an old one if no newer came."""

    def is_reachable(self, world_from_gripper: SE3) -> bool:
        """Whether joints exist for this pose, on the branch the arm is on and away from singularities."""

    def can_follow(self, path: Sequence[SE3]) -> bool:
        """Whether the arm can go from where it is through all of these poses, near one another, as `is_reachable`,
        and without crawling past a singularity that it isn't already near."""

    def speed_scale(self, world_from_gripper: SE3) -> float:
        """Part of the allowed speed at this pose: 1, less near a singularity, 0 where the arm can't be."""

    def is_allowed(self, world_from_gripper: SE3) -> bool:
        """Whether the controller's own safety limits allow this pose; asked at rest, as it may take a while."""

    def servo(self, world_from_gripper: SE3) -> None:
        """Takes the next setpoint; returns at once."""

    def stop(self) -> None:
        """Halts. Safe to call at any time, more than once."""


class Gripper(_Device, Protocol):
    """A parallel gripper."""

    def state(self) -> GripperState:
        """Measured now."""

    def move(self, opening_m: float) -> None:
        """Starts towards an opening; returns at once."""

    def stop(self) -> None:
        """Halts where it is, without letting go."""


class HandEyeCamera(_Device, Protocol):
    """A colour and depth camera on the gripper."""

    def frame(self) -> Frame:
        """The newest frame; an old one if no newer came.

        Raises:
            RobotError: no frame ever came.
        """


class Segmenter(_Device, Protocol):
    """Finds object and hand in a frame."""

    def segment(self, frame: Frame) -> npt.NDArray[np.uint8]:
        """(H, W, 2) uint8 in {0, 255}, object then hand; all zero where neither is seen."""


@dataclass(frozen=True, eq=False)
class Devices:
    """All that a session is handed; `source` names them in the record: "simulated", "emulator" or "robot".

    `may_move` is asked before every setpoint that would move the arm on: false while a hold-to-run key is released.
    """

    arm: Arm
    gripper: Gripper
    camera: HandEyeCamera
    segmenter: Segmenter
    clock: Clock
    gripper_from_camera: SE3
    source: str
    may_move: Callable[[], bool] = lambda: True

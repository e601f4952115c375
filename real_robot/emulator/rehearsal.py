"""Devices of a rehearsal: the real drivers and clients against an emulated arm, gripper and camera before a scene."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from h2rh_env.core.errors import MissingPackageError, install_line
from h2rh_env.core.geometry import SE3
from h2rh_env.rendering.base import Rasteriser
from h2rh_env.scenes.handover_scene import HandoverScene

from ..config import RobotConfig
from ..drivers.hardware import MachineClock
from ..drivers.realsense import RealSenseCamera
from ..drivers.robotiq import RobotiqGripper
from ..drivers.threaded_camera import ThreadedCamera
from ..drivers.ur5 import UR5Arm
from ..interfaces import Devices, Segmenter
from ..segmentation.base import GivenMasks
from .base_placement import Placement
from .camera import SceneView, SoftwareSource
from .controller import FLANGE_FROM_GRIPPER_M
from .process import EmulatorProcess

FLANGE_FROM_GRIPPER = SE3(np.eye(3), np.array([0.0, 0.0, FLANGE_FROM_GRIPPER_M]))
CLIENTS = ("rtde_control", "pyrealsense2")


def clients_are_installed() -> bool:
    return all(importlib.util.find_spec(name) is not None for name in CLIENTS)


def patient(config: RobotConfig) -> RobotConfig:
    """Ages and deadlines for a machine that also emulates the robot and renders what it sees."""
    return replace(
        config, state_age_s=1.0, frame_hold_s=1.0, frame_abort_s=4.0, act_deadline_s=4.0, move_timeout_s=6.0
    )


@contextmanager
def emulated_devices(
    scene: HandoverScene,
    placement: Placement,
    rasteriser: Rasteriser,
    segmenter: Segmenter | None,
    config: RobotConfig,
    host: str = "127.0.0.2",
    seed: int = 0,
) -> Iterator[Devices]:
    """A UR5 at the start of a placement; the world is the scene's; without a segmenter the true masks are seen.

    Raises:
        MissingPackageError: the clients of the extra "robot" are not installed.
        RobotError: the emulator does not start, or `host` is in use.
    """
    if not clients_are_installed():
        raise MissingPackageError(
            f"the emulator is met through ur-rtde and pyrealsense2: {install_line('robot')}"
        )
    world_from_base = placement.world_from_base
    with EmulatorProcess(host) as emulator, tempfile.TemporaryDirectory() as folder:
        points = Path(folder) / "object.npy"
        np.save(points, world_from_base.inverse().apply(scene.object_points.astype(np.float64)))
        emulator.place(placement.joints)
        emulator.set_object(points)
        base_from_tcp = emulator.tcp_feed()
        view = SceneView(scene, rasteriser, seed)

        def camera_pose() -> tuple[SE3, float]:
            pose, time_s = base_from_tcp()
            return world_from_base @ pose, time_s

        source = SoftwareSource(view.picture, camera_pose)
        camera = ThreadedCamera(RealSenseCamera(source=source), segmenter or view)
        arm = UR5Arm(
            host, config.control_period_s, world_from_base=world_from_base, state_age_s=config.state_age_s
        )
        gripper = RobotiqGripper(host, config.gripper_port, config.gripper_force)
        yield Devices(arm, gripper, camera, GivenMasks(), MachineClock(), SE3.identity(), "emulator")

"""A simulated hand-eye camera over a scene, and a hand that comes in while it looks."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt

from h2rh_env.core.camera import HAND_EYE_CAMERA, PinholeCamera
from h2rh_env.core.errors import RobotError
from h2rh_env.core.geometry import SE3, Array
from h2rh_env.rendering.base import Rasteriser
from h2rh_env.rendering.masks import masks_from_labels, rgb_to_uint8
from h2rh_env.scenes.handover_scene import HandoverScene

from ..interfaces import Frame
from .simulated_clock import TICK_S, SimulatedClock

FRAME_PERIOD_S = 1 / 30
FRAME_LATENCY_S = 0.03
SKIN = (224, 172, 138)


class Carrier(Protocol):
    """What the camera is mounted on."""

    @property
    def world_from_gripper(self) -> SE3: ...


@dataclass(frozen=True, eq=False)
class Intruder:
    """A ball of hand that moves straight from one place (3,) to another, m, in the world, and stays there."""

    begins_s: float
    start: Array
    end: Array
    speed_mps: float
    radius_m: float = 0.03

    def centre(self, time_s: float) -> Array:
        """Where it is, (3,), m."""
        path = self.end - self.start
        length = float(np.linalg.norm(path))
        gone = min(length, max(0.0, time_s - self.begins_s) * self.speed_mps)
        return self.start + path * (gone / max(length, 1e-9))

    def depth(self, time_s: float, camera: PinholeCamera, world_from_camera: SE3) -> npt.NDArray[np.float32]:
        """(H, W) depth of its surface along z, m; 0 where it is not seen."""
        centre = world_from_camera.inverse().apply(self.centre(time_s))
        rays = camera.unproject(np.ones((camera.height, camera.width)))
        squared = (rays**2).sum(axis=-1)
        along = rays @ centre
        under_root = along**2 - squared * (centre @ centre - self.radius_m**2)
        depth = (along - np.sqrt(np.maximum(under_root, 0.0))) / squared
        return np.where((under_root > 0) & (depth > 0), depth, 0.0).astype(np.float32)


class SimulatedCamera:
    """Renders the scene from where the gripper was at each exposure, a little late.

    Faults: `dropping` (no new frames), `blind` (frames in which neither object nor hand is found), `hand_hidden`,
    `least_depth_m` (nearer surfaces have no depth), `intruder` (a hand that comes in).
    """

    serial = "simulated"

    def __init__(
        self,
        clock: SimulatedClock,
        arm: Carrier,
        scene: HandoverScene,
        rasteriser: Rasteriser,
        gripper_from_camera: SE3,
        camera: PinholeCamera = HAND_EYE_CAMERA,
        period_s: float = FRAME_PERIOD_S,
    ) -> None:
        self._period_s = period_s
        self._clock, self._arm, self._scene, self._rasteriser = clock, arm, scene, rasteriser
        self._gripper_from_camera, self._camera = gripper_from_camera, camera
        self._exposed: deque[tuple[float, SE3]] = deque(maxlen=8)
        self._next_s = 0.0
        self._frame: Frame | None = None
        self.dropping = self.blind = self.hand_hidden = False
        self.least_depth_m = 0.0
        self.intruder: Intruder | None = None
        self.intruder_pixels = 0  # of the newest frame
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
            self._next_s = self._clock.now() + self._period_s

    def _render(self, time_s: float, world_from_camera: SE3) -> Frame:
        view = self._rasteriser.render(self._scene.gaussians, self._camera, world_from_camera)
        masks, rgb, depth = masks_from_labels(view), rgb_to_uint8(view), view.median_depth.copy()
        if self.intruder is not None:
            ball = self.intruder.depth(time_s, self._camera, world_from_camera)
            is_before = (ball > 0) & ((depth <= 0) | (ball < depth))
            self.intruder_pixels = int(is_before.sum())
            masks[is_before], rgb[is_before] = (0, 255), SKIN
            depth = np.where(is_before, ball, depth).astype(np.float32)
        if self.hand_hidden:
            masks[..., 1] = 0
        if self.blind:
            masks[:] = 0
        depth[depth < self.least_depth_m] = 0
        return Frame(time_s, self._camera, rgb, depth, masks)

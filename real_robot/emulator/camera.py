"""A D435i that isn't there: the scene, before a room, rendered where the emulated wrist is, through librealsense.

`rs.software_device` takes the images; what comes out are librealsense's own frame sets, synchronised and aligned.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from h2rh_env.core.camera import HAND_EYE_CAMERA, PinholeCamera
from h2rh_env.core.errors import RobotError
from h2rh_env.core.geometry import SE3, Array
from h2rh_env.rendering.base import Rasteriser
from h2rh_env.rendering.masks import masks_from_labels
from h2rh_env.scenes.handover_scene import HandoverScene

from ..drivers.realsense import StreamInfo
from ..interfaces import Frame

SERIAL, RATE_HZ, DEPTH_UNIT_M = "000000000001", 15, 0.001
PATCH_M, TEXTURE_SIDE = 0.15, 64
TABLE_BELOW_M, FLOOR_BELOW_M, TABLE_HALF_M, WALL_M = 0.35, 1.1, 0.6, 2.2
FAR_M = 10.0
PLANES = (
    (2, -FLOOR_BELOW_M),
    (2, -TABLE_BELOW_M),
    (0, -WALL_M),
    (0, WALL_M),
    (1, -WALL_M),
    (1, WALL_M),
)  # axis and offset, m
TABLE = 1  # among them
OPAQUE = 0.5
KEPT_MASKS = 60

Picture = tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]


@lru_cache(maxsize=4)
def _rays(camera: PinholeCamera) -> npt.NDArray[np.float32]:
    """(H, W, 3) through the pixels' centres, 1 along z."""
    return camera.unproject(np.ones((camera.height, camera.width))).astype(np.float32)


class Room:
    """A table, a floor and four walls of mottled colour about a point; ray-cast, so that it has depth."""

    def __init__(self, centre_world: Array, rng: np.random.Generator) -> None:
        self._centre = centre_world
        self._colours = rng.uniform(70, 200, (6, 1)) + rng.uniform(-25, 25, (6, 3))
        self._mottle = rng.normal(0, 1, (TEXTURE_SIDE, TEXTURE_SIDE))

    def picture(self, camera: PinholeCamera, world_from_camera: SE3) -> Picture:
        """Colour (H, W, 3) uint8 and depth along z (H, W), m."""
        rays = _rays(camera) @ world_from_camera.rotation.T.astype(np.float32)
        origin = (world_from_camera.translation - self._centre).astype(np.float32)
        depth = np.full(rays.shape[:2], FAR_M, np.float32)
        colour = np.zeros((*rays.shape[:2], 3), np.float32)
        for number, (axis, offset) in enumerate(PLANES):
            along = rays[..., axis]
            t = (offset - origin[axis]) / np.where(np.abs(along) < 1e-9, np.float32(1e-9), along)
            rows, columns = np.nonzero((t > 0.05) & (t < depth))
            hit = origin + t[rows, columns, None] * rays[rows, columns]
            if number == TABLE:
                on_it = np.abs(hit[:, :2]).max(axis=1) < TABLE_HALF_M
                rows, columns, hit = rows[on_it], columns[on_it], hit[on_it]
            across = [k for k in range(3) if k != axis]
            cell = np.floor(hit[:, across] / PATCH_M).astype(np.int64) % TEXTURE_SIDE
            depth[rows, columns] = t[rows, columns]
            mottle = 7 * self._mottle[cell[:, 0], cell[:, 1]][:, None]
            colour[rows, columns] = self._colours[number] + mottle
        return np.clip(colour, 0, 255).astype(np.uint8), depth


class SceneView:
    """The splat over the room, from any pose; as a `Segmenter`, it knows the true masks of its latest pictures."""

    def __init__(self, scene: HandoverScene, rasteriser: Rasteriser, seed: int) -> None:
        self._scene, self._rasteriser = scene, rasteriser
        self._room = Room(scene.object_centre, np.random.default_rng(seed))
        self._masks: dict[bytes, npt.NDArray[np.uint8]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    def segment(self, frame: Frame) -> npt.NDArray[np.uint8]:
        """Raises: RobotError: the frame is none of the latest pictures."""
        masks = self._masks.get(_key(frame.rgb))
        if masks is None:
            raise RobotError("true masks are known of the emulated camera's latest frames alone")
        return masks

    def picture(self, camera: PinholeCamera, world_from_camera: SE3) -> Picture:
        image, depth, masks = self.look(camera, world_from_camera)
        self._masks[_key(image)] = masks
        while len(self._masks) > KEPT_MASKS:
            self._masks.pop(next(iter(self._masks)))
        return image, depth

    def look(
        self, camera: PinholeCamera, world_from_camera: SE3
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32], npt.NDArray[np.uint8]]:
        """Colour (H, W, 3), depth along z (H, W), m, and true masks (H, W, 2), none of which is kept."""
        view = self._rasteriser.render(self._scene.gaussians, camera, world_from_camera)
        behind, far = self._room.picture(camera, world_from_camera)
        rgb = 255 * view.rgb + (1 - view.alpha[..., None]) * behind
        depth = np.where((view.alpha > OPAQUE) & (view.median_depth > 0), view.median_depth, far)
        image = np.clip(rgb + 0.5, 0, 255).astype(np.uint8)
        return image, depth.astype(np.float32), masks_from_labels(view)


def _key(rgb: npt.NDArray[np.uint8]) -> bytes:
    return hashlib.blake2b(np.ascontiguousarray(rgb).tobytes(), digest_size=8).digest()


class SoftwareSource:
    """A `FrameSource`: a thread renders from `camera_pose()` `RATE_HZ` times a second into a software device.

    Args:
        camera_pose: gives the pose and when it held, s, on the monotonic clock; a frame is stamped with that.
        clock_ahead_s: how far the device's clock is ahead of the machine's; None for one clock that both share.
    """

    def __init__(
        self,
        picture: Callable[[PinholeCamera, SE3], Picture],
        camera_pose: Callable[[], tuple[SE3, float]],
        camera: PinholeCamera = HAND_EYE_CAMERA,
        clock_ahead_s: float | None = None,
        serial: str = SERIAL,
    ) -> None:
        self._serial = serial
        self._shares_clock, self._clock_ahead_s = clock_ahead_s is None, clock_ahead_s or 0.0
        self._picture, self._camera_pose, self._camera = picture, camera_pose, camera
        self._leaving = threading.Event()
        self._thread: threading.Thread | None = None
        self.is_paused = False
        self.fault = ""

    def open(self, rs: Any) -> StreamInfo:
        self._rs = rs
        self._device = rs.software_device()
        self._colour = self._device.add_sensor("Color")
        self._depth = self._device.add_sensor("Depth")
        self._colour_profile = self._colour.add_video_stream(
            self._stream(rs.stream.color, 1, 3, rs.format.rgb8)
        )
        self._depth_profile = self._depth.add_video_stream(self._stream(rs.stream.depth, 2, 2, rs.format.z16))
        self._depth.add_read_only_option(rs.option.depth_units, DEPTH_UNIT_M)
        same_place = rs.extrinsics()
        same_place.rotation, same_place.translation = [1, 0, 0, 0, 1, 0, 0, 0, 1], [0, 0, 0]
        self._depth_profile.register_extrinsics_to(self._colour_profile, same_place)
        self._device.create_matcher(rs.matchers.default)
        self._syncer = rs.syncer()
        for sensor, profile in ((self._colour, self._colour_profile), (self._depth, self._depth_profile)):
            sensor.open(profile)
            sensor.start(self._syncer)
            # Without a rate the syncer gives single frames instead of pairs.
            sensor.set_metadata(rs.frame_metadata_value.actual_fps, 1000 * RATE_HZ)
        self._thread = threading.Thread(target=self._feed, daemon=True)
        self._thread.start()
        return StreamInfo(self._serial, DEPTH_UNIT_M, self._camera, self._shares_clock)

    def wait(self, timeout_ms: int) -> Any:
        try:
            return self._syncer.wait_for_frames(timeout_ms)
        except RuntimeError as error:
            raise RuntimeError(self.fault or str(error)) from None

    def poll(self) -> Any:
        if self.fault:
            raise RuntimeError(self.fault)
        return self._syncer.poll_for_frames()

    def close(self) -> None:
        self._leaving.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
            for sensor in (self._colour, self._depth):
                sensor.stop()
                sensor.close()

    def _stream(self, kind: Any, uid: int, bytes_per_pixel: int, layout: Any) -> Any:
        rs, camera = self._rs, self._camera
        intrinsics = rs.intrinsics()
        intrinsics.width, intrinsics.height = camera.width, camera.height
        intrinsics.fx, intrinsics.fy = camera.fx, camera.fy
        intrinsics.ppx, intrinsics.ppy = camera.cx - 0.5, camera.cy - 0.5
        intrinsics.model, intrinsics.coeffs = rs.distortion.none, [0] * 5
        stream = rs.video_stream()
        stream.type, stream.index, stream.uid, stream.fps = kind, 0, uid, RATE_HZ
        stream.width, stream.height = camera.width, camera.height
        stream.bpp, stream.fmt, stream.intrinsics = bytes_per_pixel, layout, intrinsics
        return stream

    def _feed(self) -> None:
        number, due = 0, time.monotonic()
        try:
            while not self._leaving.wait(max(0.0, due - time.monotonic())):
                due = max(due + 1 / RATE_HZ, time.monotonic())
                if self.is_paused:
                    continue
                pose, taken_s = self._camera_pose()
                number, taken_us = number + 1, round(1e6 * (taken_s + self._clock_ahead_s))
                rgb, depth_m = self._picture(self._camera, pose)
                units = np.clip(np.round(depth_m / DEPTH_UNIT_M), 0, 65535).astype(np.uint16)
                self._push(self._colour, self._colour_profile, rgb, 3, number, taken_us)
                self._push(self._depth, self._depth_profile, units, 2, number, taken_us)
        except Exception as error:
            self.fault = f"the emulated camera broke: {type(error).__name__}: {error}"

    def _push(
        self,
        sensor: Any,
        profile: Any,
        pixels: npt.NDArray[Any],
        bytes_per_pixel: int,
        number: int,
        taken_us: int,
    ) -> None:
        sensor.set_metadata(self._rs.frame_metadata_value.sensor_timestamp, taken_us)
        frame = self._rs.software_video_frame()
        frame.pixels, frame.bpp = np.ascontiguousarray(pixels), bytes_per_pixel
        frame.stride = self._camera.width * bytes_per_pixel
        # The syncer drops what doesn't come in step, so the device's own clock runs evenly, whatever the host's does.
        frame.timestamp, frame.domain = number * 1000 / RATE_HZ, self._rs.timestamp_domain.hardware_clock
        frame.frame_number, frame.profile = number, profile.as_video_stream_profile()
        frame.depth_units = DEPTH_UNIT_M
        sensor.on_video_frame(frame)

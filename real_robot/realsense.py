"""RealSense D435i by pyrealsense2, the only file that imports it: aligned colour and depth with their age.

Written from the library's own interface; not run with a camera or a recorded stream yet.
"""

from __future__ import annotations

import time
from typing import Any, Self

import numpy as np

from h2rh_env.camera import PinholeCamera
from h2rh_env.errors import MissingPackageError, RobotError

from .interfaces import Frame

WIDTH_PX, HEIGHT_PX, RATE_HZ = 640, 480, 30
FIRST_FRAME_MS = 5000


class RealSenseCamera:
    """The first RealSense camera found, or the one with a serial number. Frames are timed by their arrival."""

    def __init__(self, serial: str = "") -> None:
        self.serial = serial
        self._pipeline: Any = None
        self._frame: Frame | None = None

    def __enter__(self) -> Self:
        try:
            import pyrealsense2 as rs
        except ImportError as error:
            raise MissingPackageError(
                f'pyrealsense2 cannot be imported ({error}); type: pip install -e ".[robot]" '
                "and, on Debian or Ubuntu: apt install libusb-1.0-0"
            ) from None
        settings = rs.config()
        if self.serial:
            settings.enable_device(self.serial)
        settings.enable_stream(rs.stream.color, WIDTH_PX, HEIGHT_PX, rs.format.rgb8, RATE_HZ)
        settings.enable_stream(rs.stream.depth, WIDTH_PX, HEIGHT_PX, rs.format.z16, RATE_HZ)
        self._pipeline = rs.pipeline()
        try:
            profile = self._pipeline.start(settings)
            device = profile.get_device()
            self.serial = device.get_info(rs.camera_info.serial_number)
            self._metres = device.first_depth_sensor().get_depth_scale()
            self._align = rs.align(rs.stream.color)
            stream = profile.get_stream(rs.stream.color).as_video_stream_profile()
            self._camera = _pinhole(stream.get_intrinsics())
            self._take(self._pipeline.wait_for_frames(FIRST_FRAME_MS))
        except RuntimeError as error:
            self.__exit__()
            raise RobotError(
                f"no RealSense camera delivers frames ({error}); check its USB 3 cable"
            ) from None
        return self

    def __exit__(self, *exception: object) -> None:
        if self._pipeline is None:
            return
        pipeline, self._pipeline = self._pipeline, None
        try:
            pipeline.stop()
        except RuntimeError:  # it was never started
            return

    def frame(self) -> Frame:
        if self._pipeline is None:
            raise RobotError("the camera is not running; enter it first")
        frames = self._pipeline.poll_for_frames()
        if frames:
            self._take(frames)
        if self._frame is None:
            raise RobotError("the camera never gave an aligned pair of frames")
        return self._frame

    def _take(self, frames: Any) -> None:
        aligned = self._align.process(frames)
        colour, depth = aligned.get_color_frame(), aligned.get_depth_frame()
        if colour and depth:
            self._frame = Frame(
                time.monotonic(),
                self._camera,
                np.array(colour.get_data(), np.uint8),
                np.asarray(depth.get_data()).astype(np.float32) * np.float32(self._metres),
            )


def _pinhole(intrinsics: Any) -> PinholeCamera:
    """librealsense counts from the centre of the first pixel, `PinholeCamera` from the image's corner."""
    return PinholeCamera(
        intrinsics.width,
        intrinsics.height,
        intrinsics.fx,
        intrinsics.fy,
        intrinsics.ppx + 0.5,
        intrinsics.ppy + 0.5,
    )

"""RealSense D435i by pyrealsense2: aligned colour and depth with their age.

Tested with the library's own `software_device`, which `real_robot.emulator.camera` feeds; not run with a camera.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np

from h2rh_env.core.camera import PinholeCamera
from h2rh_env.core.errors import MissingPackageError, RobotError, install_line

from ..interfaces import Frame

WIDTH_PX, HEIGHT_PX, RATE_HZ = 640, 480, 30
FIRST_FRAME_MS = 5000
LONGEST_AGE_S = 60.0  # a stamp further from now is of another clock


@dataclass(frozen=True)
class StreamInfo:
    """What a source of frames says of itself: serial number, metres per depth unit, colour intrinsics."""

    serial: str
    depth_unit_m: float
    camera: PinholeCamera


class FrameSource(Protocol):
    """Gives sets of frames of librealsense: a camera's pipeline, or a software device. Errors are RuntimeError."""

    def open(self, rs: Any) -> StreamInfo: ...

    def wait(self, timeout_ms: int) -> Any:
        """The next set of frames."""

    def poll(self) -> Any:
        """The next set of frames, or something false."""

    def close(self) -> None: ...


class Pipeline:
    """The first RealSense camera found, or the one with a serial number."""

    def __init__(self, serial: str = "") -> None:
        self._serial = serial
        self._pipeline: Any = None
        self._started = False

    def open(self, rs: Any) -> StreamInfo:
        settings = rs.config()
        if self._serial:
            settings.enable_device(self._serial)
        settings.enable_stream(rs.stream.color, WIDTH_PX, HEIGHT_PX, rs.format.rgb8, RATE_HZ)
        settings.enable_stream(rs.stream.depth, WIDTH_PX, HEIGHT_PX, rs.format.z16, RATE_HZ)
        self._pipeline = rs.pipeline()
        profile = self._pipeline.start(settings)
        self._started = True
        device = profile.get_device()
        stream = profile.get_stream(rs.stream.color).as_video_stream_profile()
        return StreamInfo(
            device.get_info(rs.camera_info.serial_number),
            device.first_depth_sensor().get_depth_scale(),
            pinhole_of(stream.get_intrinsics()),
        )

    def wait(self, timeout_ms: int) -> Any:
        return self._pipeline.wait_for_frames(timeout_ms)

    def poll(self) -> Any:
        return self._pipeline.poll_for_frames()

    def close(self) -> None:
        if self._started:
            self._started = False
            self._pipeline.stop()


class RealSenseCamera:
    """Frames of a source, by default the first camera found; timed by their arrival."""

    def __init__(self, serial: str = "", source: FrameSource | None = None) -> None:
        self.serial = serial
        self._source = source or Pipeline(serial)
        self._info: StreamInfo | None = None
        self._frame: Frame | None = None

    def __enter__(self) -> Self:
        try:
            import pyrealsense2 as rs
        except ImportError as error:
            raise MissingPackageError(
                f"pyrealsense2 cannot be imported ({error}); type: {install_line('robot')}"
            ) from None
        self._arrival = rs.frame_metadata_value.time_of_arrival
        try:
            self._info = self._source.open(rs)
            self.serial = self._info.serial
            self._align = rs.align(rs.stream.color)
            while self._frame is None:
                self._take(self._source.wait(FIRST_FRAME_MS))
        except RuntimeError as error:
            self.__exit__()
            raise RobotError(
                f"no RealSense camera delivers frames ({error}); check its USB 3 cable"
            ) from None
        return self

    def __exit__(self, *exception: object) -> None:
        self._info = None
        self._source.close()

    def frame(self) -> Frame:
        if self._info is None:
            raise RobotError("the camera is not running; enter it first")
        try:
            while frames := self._source.poll():
                self._take(frames)
        except RuntimeError as error:
            raise RobotError(f"the RealSense camera delivers no more frames ({error})") from None
        if self._frame is None:
            raise RobotError("the camera never gave an aligned pair of frames")
        return self._frame

    def _take(self, frames: Any) -> None:
        if self._info is None or not (frames.get_color_frame() and frames.get_depth_frame()):
            return
        aligned = self._align.process(frames)
        colour, depth = aligned.get_color_frame(), aligned.get_depth_frame()
        self._frame = Frame(
            self._arrived_s(frames.get_color_frame()),
            self._info.camera,
            np.array(colour.get_data(), np.uint8),
            np.asarray(depth.get_data()).astype(np.float32) * np.float32(self._info.depth_unit_m),
        )

    def _arrived_s(self, colour: Any) -> float:
        """On the monotonic clock: from the frame's metadata, which are on the host's clock, or else now."""
        age_s = 0.0
        if colour.supports_frame_metadata(self._arrival):
            age_s = time.time() - colour.get_frame_metadata(self._arrival) / 1000
        return time.monotonic() - (age_s if 0 <= age_s < LONGEST_AGE_S else 0.0)


def pinhole_of(intrinsics: Any) -> PinholeCamera:
    """librealsense counts as OpenCV does."""
    names = ("width", "height", "fx", "fy", "ppx", "ppy")
    return PinholeCamera.from_opencv(*(getattr(intrinsics, name) for name in names))

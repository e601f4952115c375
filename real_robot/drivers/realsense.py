"""RealSense D435i by pyrealsense2: aligned colour and depth, dated by the sensor's exposure.

Tested with the library's own `software_device`, which `real_robot.emulator.camera` feeds; not run with a camera.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np

from h2rh_env.captures.realsense import librealsense, pinhole_of
from h2rh_env.core.camera import PinholeCamera
from h2rh_env.core.errors import RobotError

from ..interfaces import Frame
from .device_clock import DeviceClock

WIDTH_PX, HEIGHT_PX, RATE_HZ = 640, 480, 30
DEPTH_SIZE_PX = (
    480,
    270,
)  # measures from 0.12 m on (data sheet), 640 x 480 from 0.175 m: fingers end 0.17 m ahead
FIRST_FRAME_MS = 5000


@dataclass(frozen=True)
class StreamInfo:
    """What a source of frames says of itself: serial number, metres per depth unit, colour intrinsics.

    Attributes:
        shares_clock: whether its frames are stamped on this machine's monotonic clock, as an emulated one's may be.
    """

    serial: str
    depth_unit_m: float
    camera: PinholeCamera
    shares_clock: bool = False


class FrameSource(Protocol):
    """Gives sets of frames of librealsense: a camera's pipeline, or a software device. Errors are RuntimeError."""

    def open(self, rs: Any) -> StreamInfo: ...

    def wait(self, timeout_ms: int) -> Any:
        """The next set of frames."""

    def poll(self) -> Any:
        """The next set of frames, or something false."""

    def close(self) -> None: ...


class Pipeline:
    """The first RealSense camera found, or the one with a serial number; depth comes smaller than colour."""

    def __init__(
        self, serial: str = "", width: int = WIDTH_PX, height: int = HEIGHT_PX, rate_hz: int = RATE_HZ
    ) -> None:
        self._serial, self._size, self._rate_hz = serial, (width, height), rate_hz
        self._pipeline: Any = None
        self._started = False

    def open(self, rs: Any) -> StreamInfo:
        settings = rs.config()
        if self._serial:
            settings.enable_device(self._serial)
        settings.enable_stream(rs.stream.color, *self._size, rs.format.rgb8, self._rate_hz)
        settings.enable_stream(rs.stream.depth, *DEPTH_SIZE_PX, rs.format.z16, self._rate_hz)
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
    """Frames of a source, by default the first camera found, dated by the sensor's own clock.

    Args:
        latency_s: what the promptest frame takes from its exposure to this process, which no stamp tells.
    """

    def __init__(self, serial: str = "", source: FrameSource | None = None, latency_s: float = 0.0) -> None:
        self.serial = serial
        self._latency_s, self._clock = latency_s, DeviceClock()
        self._source = source or Pipeline(serial)
        self._info: StreamInfo | None = None
        self._frame: Frame | None = None

    def __enter__(self) -> Self:
        rs = librealsense()
        self._stamps = (rs.frame_metadata_value.sensor_timestamp, rs.frame_metadata_value.frame_timestamp)
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
            self._exposed_s(self._info, frames.get_color_frame()),
            self._info.camera,
            np.array(colour.get_data(), np.uint8),
            np.asarray(depth.get_data()).astype(np.float32) * np.float32(self._info.depth_unit_m),
        )

    def _exposed_s(self, info: StreamInfo, colour: Any) -> float:
        """When a frame was exposed, on the monotonic clock."""
        stamp_s = colour.get_timestamp() / 1e3
        for stamp in self._stamps:  # the middle of the exposure, or else the frame's end, in microseconds
            if colour.supports_frame_metadata(stamp):
                stamp_s = colour.get_frame_metadata(stamp) / 1e6
                break
        if info.shares_clock:
            return float(stamp_s)
        return self._clock.time_s(stamp_s, time.monotonic()) - self._latency_s

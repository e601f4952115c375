"""Several RealSense cameras at once: of what they deliver, the images that lie closest in time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Self

from h2rh_env.captures.realsense import Photograph, librealsense, photograph
from h2rh_env.core.errors import RobotError

from ..drivers.realsense import FIRST_FRAME_MS, FrameSource, StreamInfo

LOOK_S = 0.5  # how long the cameras are watched for images that lie close in time
POLL_S = 0.001
LOST_S = 5.0


@dataclass(frozen=True, eq=False)
class Shot:
    """What all cameras took at one moment.

    Attributes:
        photographs: one of each camera, in the order of the sources.
        times_s: when each was taken, by serial number, on one clock.
        has_one_clock: whether these are the cameras' own stamps; else they are when the images arrived.
    """

    photographs: tuple[Photograph, ...]
    times_s: dict[str, float]
    has_one_clock: bool

    @property
    def spread_s(self) -> float:
        return max(self.times_s.values()) - min(self.times_s.values())


@dataclass(frozen=True, eq=False)
class _Frames:
    """A camera's latest frames, with their stamp, if it is of a clock that all share, and when they arrived."""

    frames: Any
    stamp_s: float | None
    arrived_s: float


class Recorder:
    """Cameras that run until it is left.

    Args:
        sources: one for each camera.
        settled_frames: how many frames of each camera are let pass at first.
        now: gives the time, s.
    """

    def __init__(
        self,
        sources: Sequence[FrameSource],
        settled_frames: int,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sources, self._settled_frames, self._now = sources, settled_frames, now
        self._infos: list[StreamInfo] = []
        self._open = ExitStack()

    @property
    def serials(self) -> list[str]:
        return [info.serial for info in self._infos]

    def __enter__(self) -> Self:
        self._rs = librealsense()
        try:
            for number, source in enumerate(self._sources, 1):
                self._open.callback(source.close)
                self._infos.append(_opened(source, self._rs, number))
            for source, serial in zip(self._sources, self.serials, strict=True):
                _settle(source, serial, self._settled_frames)
        except BaseException:
            self.__exit__()
            raise
        if len(set(self.serials)) < len(self.serials):
            self.__exit__()
            raise RobotError(f"a camera was named twice: {', '.join(self.serials)}")
        return self

    def __exit__(self, *exception: object) -> None:
        self._open.close()

    def take(self) -> Shot:
        """Takes one photograph with each camera, as close in time as they come.

        Raises:
            RobotError: A camera delivers no more images.
            CaptureError: A camera's images have a format that cannot be read.
        """
        for source, serial in zip(self._sources, self.serials, strict=True):
            _latest(source, serial)  # what waited in the queue is old
        best = self._closest()
        has_one_clock = all(frames.stamp_s is not None for frames in best)
        photographs = tuple(
            photograph(self._rs, frames.frames, info.serial, float(f"{info.depth_unit_m:.6g}"))
            for frames, info in zip(best, self._infos, strict=True)
        )
        times_s = (frames.stamp_s if has_one_clock else frames.arrived_s for frames in best)
        return Shot(photographs, dict(zip(self.serials, map(float, times_s), strict=True)), has_one_clock)  # type: ignore[arg-type]

    def _closest(self) -> list[_Frames]:
        """Watches all cameras for a while, and returns the set of images that lie closest in time."""
        latest: dict[int, _Frames] = {}
        best: list[_Frames] = []
        began_s = self._now()
        while self._now() < began_s + LOOK_S or not best:
            for number, (source, info) in enumerate(zip(self._sources, self._infos, strict=True)):
                frames = _latest(source, info.serial)
                if frames is not None:
                    latest[number] = _Frames(frames, self._stamp_s(frames, info), self._now())
            if len(latest) == len(self._sources):
                met = [latest[number] for number in range(len(latest))]
                best = met if not best or _spread_s(met) < _spread_s(best) else best
            if self._now() > began_s + LOST_S:
                lost = [s for number, s in enumerate(self.serials) if number not in latest]
                raise RobotError(
                    f"camera {', '.join(lost)} delivers no images; check its USB 3 cable and hub"
                )
            time.sleep(POLL_S)
        return best

    def _stamp_s(self, frames: Any, info: StreamInfo) -> float | None:
        """Returns when colour was taken, s, on a clock that all cameras share; None where there is none."""
        colour, rs = frames.get_color_frame(), self._rs
        if colour.get_frame_timestamp_domain() == rs.timestamp_domain.global_time:
            return float(colour.get_timestamp()) / 1e3
        stamp = rs.frame_metadata_value.sensor_timestamp
        if info.shares_clock and colour.supports_frame_metadata(stamp):
            return float(colour.get_frame_metadata(stamp)) / 1e6
        return None


def _spread_s(frames: Sequence[_Frames]) -> float:
    stamps = [each.stamp_s for each in frames if each.stamp_s is not None]
    times = stamps if len(stamps) == len(frames) else [each.arrived_s for each in frames]
    return max(times) - min(times)


def _opened(source: FrameSource, rs: Any, number: int) -> StreamInfo:
    try:
        return source.open(rs)
    except RuntimeError as error:
        raise RobotError(
            f"RealSense camera {number} does not start ({error}); check its USB 3 cable, and that no other program "
            "has it open"
        ) from None


def _settle(source: FrameSource, serial: str, count: int) -> None:
    try:
        for _ in range(count):
            source.wait(FIRST_FRAME_MS)
    except RuntimeError as error:
        raise RobotError(
            f"camera {serial} delivers no images ({error}); check its USB 3 cable and hub"
        ) from None


def _latest(source: FrameSource, serial: str) -> Any:
    """Returns the latest set of frames that waits and has both colour and depth; None if there is none."""
    latest = None
    try:
        while frames := source.poll():
            if frames.get_color_frame() and frames.get_depth_frame():
                latest = frames
    except RuntimeError as error:
        raise RobotError(f"camera {serial} delivers no more images ({error})") from None
    return latest

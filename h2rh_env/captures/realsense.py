"""What librealsense gives, as this project has it: cameras, undistorted views of frames, and recordings.

The only file of this package that imports pyrealsense2. Colour and depth come aligned to the colour stream; where
that stream's lens is not free of distortion, both are resampled by the library's own projection.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..core.camera import PinholeCamera
from ..core.errors import CaptureError, MissingPackageError, install_line
from .images import SATURATED, resampled

WAIT_MS, FLUSH_MS = 500, 50
CHANNELS = {"rgb8": (0, 1, 2), "bgr8": (2, 1, 0), "rgba8": (0, 1, 2), "bgra8": (2, 1, 0)}


@dataclass(frozen=True, eq=False)
class Photograph:
    """What one camera took at one moment, free of distortion.

    Attributes:
        rgb: (H, W, 3) uint8.
        depth_m: (H, W) float32, m along z, aligned to colour; 0 where not measured.
        time_s: the camera's own stamp; cameras agree on it only if librealsense has put both on the host's clock.
    """

    serial: str
    camera: PinholeCamera
    rgb: npt.NDArray[np.uint8]
    depth_m: npt.NDArray[np.float32]
    time_s: float
    depth_scale_m: float


def librealsense() -> Any:
    """Imports pyrealsense2.

    Raises:
        MissingPackageError: It is not installed; the message has the line to type.
    """
    try:
        import pyrealsense2
    except ImportError as error:
        raise MissingPackageError(
            f"pyrealsense2 cannot be imported ({error}); type: {install_line('robot')}"
        ) from None
    return pyrealsense2


def pinhole_of(intrinsics: Any) -> PinholeCamera:
    """Makes a camera of librealsense's intrinsics, which count as OpenCV does; distortion is left out."""
    names = ("width", "height", "fx", "fy", "ppx", "ppy")
    return PinholeCamera.from_opencv(*(getattr(intrinsics, name) for name in names))


def photograph(rs: Any, frames: Any, serial: str, depth_scale_m: float) -> Photograph:
    """Makes a photograph of a set of frames with colour and depth.

    Raises:
        CaptureError: The colour stream has no format of colours that can be read.
    """
    aligned = frames if _is_aligned(frames) else rs.align(rs.stream.color).process(frames)
    colour, depth = aligned.get_color_frame(), aligned.get_depth_frame()
    profile = colour.get_profile().as_video_stream_profile()
    intrinsics = profile.get_intrinsics()
    channels = CHANNELS.get(profile.format().name)
    if channels is None:
        raise CaptureError(
            f"camera {serial}: colour has the format {profile.format().name}; expected {', '.join(CHANNELS)}"
        )
    rgb = np.asarray(colour.get_data(), np.uint8)[..., channels]
    counts = np.array(depth.get_data(), np.uint16)
    depth_m = (np.where(counts < SATURATED, counts, 0) * np.float32(depth_scale_m)).astype(np.float32)
    lookup = _distorted(rs, intrinsics)
    if lookup is not None:
        rgb = np.asarray(resampled(rgb, *lookup, smooth=True), np.uint8)
        depth_m = np.asarray(resampled(depth_m, *lookup, smooth=False), np.float32)
    return Photograph(
        serial,
        pinhole_of(intrinsics),
        np.ascontiguousarray(rgb),
        depth_m,
        colour.get_timestamp() / 1e3,
        depth_scale_m,
    )


def _is_aligned(frames: Any) -> bool:
    """Tells whether depth is aligned to colour as it comes: the library's own alignment would smear it then."""
    depth, colour = (
        frame.get_profile().as_video_stream_profile()
        for frame in (frames.get_depth_frame(), frames.get_color_frame())
    )
    moved = depth.get_extrinsics_to(colour)
    in_place = np.allclose(moved.rotation, np.eye(3).ravel(), atol=1e-7) and not np.any(moved.translation)
    return bool(in_place) and str(depth.get_intrinsics()) == str(colour.get_intrinsics())


def _distorted(rs: Any, intrinsics: Any) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]] | None:
    """Returns where (rows, columns) the lens puts each pixel of the camera without distortion; None if there."""
    if not any(intrinsics.coeffs):
        return None
    camera = pinhole_of(intrinsics)
    rays = camera.unproject(np.ones((camera.height, camera.width))).reshape(-1, 3)
    project = rs.rs2_project_point_to_pixel
    seen = np.array([project(intrinsics, ray) for ray in rays.tolist()])
    columns, rows = seen.T.reshape(2, camera.height, camera.width).astype(np.float64)
    return rows, columns


def played(path: Path, frame: int | None) -> Photograph:
    """Takes one set of frames out of a recording.

    Args:
        path: a `.bag` or `.db3` file with colour and depth of one camera.
        frame: the number of the colour image, from 0; if it has no depth, the next one is taken. None takes the last.

    Raises:
        CaptureError: It is no such recording, or it has not so many pairs.
    """
    rs = librealsense()
    settings, pipeline = rs.config(), rs.pipeline()
    try:
        settings.enable_device_from_file(str(path), repeat_playback=False)
        pipeline.start(settings)
    except RuntimeError as error:
        raise CaptureError(f"{path} is no recording that librealsense can play ({error})") from None
    try:
        return _taken(rs, pipeline, path, frame)
    finally:
        pipeline.stop()


def _taken(rs: Any, pipeline: Any, path: Path, frame: int | None) -> Photograph:
    """Plays a recording until the frame; device and frames are let go of before the pipeline stops."""
    device = pipeline.get_active_profile().get_device()
    last, kept = -1, None
    for index, frames in _pairs(rs, pipeline, device.as_playback()):
        last, kept = index, frames
        if frame is not None and index >= frame:
            break
    if kept is None or (frame is not None and last < frame):
        raise CaptureError(
            f"{path} holds pairs of colour and depth up to frame {last}; frame {frame or 0} is none of them; "
            "recordings of less than half a second cannot be read"
        )
    try:
        scale_m = device.first_depth_sensor().get_depth_scale()
    except RuntimeError as error:
        raise CaptureError(f"{path} does not say what a count of depth is ({error})") from None
    serial = device.get_info(rs.camera_info.serial_number)
    # Scales are single floats in the library: 0.001 comes as 0.00100000005.
    return photograph(rs, kept, serial, float(f"{scale_m:.6g}"))


def _pairs(rs: Any, pipeline: Any, playback: Any) -> Iterator[tuple[int, Any]]:
    """Gives the sets of frames with colour and depth from the beginning, none twice, with colour's number from 0."""
    playback.pause()  # it has begun to play in real time, and may have left frames out
    playback.set_real_time(False)
    while pipeline.try_wait_for_frames(FLUSH_MS)[0]:
        pass
    playback.seek(timedelta(0))
    playback.resume()
    first, last = None, -1
    while True:
        good, frames = pipeline.try_wait_for_frames(WAIT_MS)
        if not good and playback.current_status() == rs.playback_status.stopped:
            return
        if not (good and frames.get_color_frame()):
            continue
        number = frames.get_color_frame().get_frame_number()
        first = number if first is None else first
        if number > last and frames.get_depth_frame():
            last = number
            yield number - first, frames

"""Recordings of RealSense cameras that are not there: librealsense's software device, put through its recorder."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from h2rh_env.captures.base import RgbdView
from h2rh_env.core.camera import PinholeCamera
from h2rh_env.core.geometry import SE3

RATE_HZ, UNIT_M = 30, 0.001
HELD_FRAMES = 30  # of the last view: a recording that is over at once cannot be played from its beginning


def record(
    rs: Any,
    views: Iterable[RgbdView],
    path: Path,
    coefficients: tuple[float, ...] = (0.0,) * 5,
    model: str = "none",
) -> Path:
    """Records views of one camera, in this order, and the last one for a second; their name is its serial number."""
    views = list(views)
    device = rs.software_device()
    sensors = [device.add_sensor("Color"), device.add_sensor("Depth")]
    kinds = ((rs.stream.color, 3, rs.format.rgb8), (rs.stream.depth, 2, rs.format.z16))
    intrinsics = _intrinsics(rs, views[0].camera, coefficients, model)
    profiles = []
    for uid, (sensor, (kind, size, layout)) in enumerate(zip(sensors, kinds, strict=True), 1):
        stream = rs.video_stream()
        stream.type, stream.index, stream.uid, stream.fps = kind, 0, uid, RATE_HZ
        stream.width, stream.height, stream.bpp = intrinsics.width, intrinsics.height, size
        stream.fmt, stream.intrinsics = layout, intrinsics
        profiles.append(sensor.add_video_stream(stream))
    sensors[1].add_read_only_option(rs.option.depth_units, UNIT_M)
    same_place = rs.extrinsics()
    same_place.rotation, same_place.translation = SE3.identity().rotation.ravel().tolist(), [0, 0, 0]
    profiles[1].register_extrinsics_to(profiles[0], same_place)
    device.register_info(rs.camera_info.serial_number, views[0].name)
    device.create_matcher(rs.matchers.default)
    recorder = rs.recorder(str(path), device)
    recorded, syncer = recorder.query_sensors(), rs.syncer()
    for sensor, outer, profile in zip(sensors, recorded, profiles, strict=True):
        outer.open(profile)
        outer.start(syncer)
        sensor.set_metadata(rs.frame_metadata_value.actual_fps, 1000 * RATE_HZ)
    for number, view in enumerate([*views, *[views[-1]] * HELD_FRAMES], 1):
        depth = np.round(view.depth_m / UNIT_M).astype(np.uint16)
        for sensor, profile, pixels in zip(sensors, profiles, (view.rgb, depth), strict=True):
            sensor.on_video_frame(_frame(rs, profile, pixels, number))
        time.sleep(0.01)
    for sensor in recorded:
        sensor.stop()
        sensor.close()
    recorder.pause()
    return path


def _intrinsics(rs: Any, camera: PinholeCamera, coefficients: tuple[float, ...], model: str) -> Any:
    intrinsics = rs.intrinsics()
    intrinsics.width, intrinsics.height = camera.width, camera.height
    intrinsics.fx, intrinsics.fy = camera.fx, camera.fy
    intrinsics.ppx, intrinsics.ppy = camera.opencv_matrix[:2, 2]
    intrinsics.model, intrinsics.coeffs = getattr(rs.distortion, model), list(coefficients)
    return intrinsics


def _frame(rs: Any, profile: Any, pixels: np.ndarray, number: int) -> Any:
    frame = rs.software_video_frame()
    frame.pixels, frame.bpp = np.ascontiguousarray(pixels), pixels[0, 0].nbytes
    frame.stride = frame.bpp * pixels.shape[1]
    frame.timestamp, frame.domain = number * 1000 / RATE_HZ, rs.timestamp_domain.hardware_clock
    frame.frame_number, frame.profile = number, profile.as_video_stream_profile()
    frame.depth_units = UNIT_M
    return frame

"""Imports recordings of RealSense cameras: a `.bag` or `.db3` file for each, or a folder of them, and a rig.

Colour and depth are played back by pyrealsense2, aligned and undistorted; intrinsics, the scale of depth and the
serial number are the recording's. A recording does not say where its camera stood: the rig does.
"""

from __future__ import annotations

from pathlib import Path

from ...core.errors import CaptureError
from ..realsense import played
from ..rig import Rig
from .base import NO_MASKS, Imported, make_view

SUFFIXES = (".bag", ".db3")


def recognises(source: Path) -> bool:
    return bool(_recordings(source))


def load(source: Path, frame: int | None = None, rig: Path | None = None) -> Imported:
    """Reads one pair of colour and depth of each recording.

    Args:
        source: a recording, or a folder of recordings of different cameras.
        frame: the number of the colour image to take, from 0; None takes the last.
        rig: the file of the rig.

    Raises:
        CaptureError: A recording cannot be read, or it is not known where its camera stood.
        MissingPackageError: pyrealsense2 is not installed.
    """
    if rig is None:
        raise CaptureError(
            "a recording does not say where its camera stood; give --rig FILE, which `h2rh calibrate rig` writes"
        )
    poses = Rig.load(rig)
    recordings = _recordings(source)
    if not recordings:
        raise CaptureError(f"{source} is no recording and holds none; expected {' or '.join(SUFFIXES)} files")
    photographs = [played(path, frame) for path in recordings]
    serials = [photograph.serial for photograph in photographs]
    if len(set(serials)) < len(serials):
        raise CaptureError(
            f"{source} has two recordings of one camera ({', '.join(serials)}); import one moment at a time"
        )
    views = [make_view(p.serial, p.camera, poses.pose_of(p.serial), p.rgb, p.depth_m) for p in photographs]
    return Imported(tuple(views), {p.depth_scale_m for p in photographs}, frozenset(serials), (NO_MASKS,))


def _recordings(source: Path) -> list[Path]:
    if source.is_file():
        return [source] if source.suffix in SUFFIXES else []
    return sorted(path for path in source.glob("*") if path.suffix in SUFFIXES)

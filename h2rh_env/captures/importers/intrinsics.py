"""Intrinsics of layouts that have none of their own: a text file beside the images, or the user's numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from ...core.camera import PinholeCamera
from ...core.errors import CaptureError
from ..documents import read_lines
from ..lens import pinhole

FILES = ("camera-intrinsics.txt", "intrinsics.txt", "intrinsic.txt", "camera_intrinsics.txt")


def camera_for(
    source: Path, rgb: npt.NDArray[np.uint8], intrinsics: tuple[float, float, float, float] | None
) -> PinholeCamera:
    """Makes the camera of all images of a source.

    Args:
        source: the folder, which or whose parent may hold `camera-intrinsics.txt` with OpenCV's K in three lines.
        rgb: (H, W, 3), one of its images.
        intrinsics: fx, fy, cx, cy as OpenCV has them, px; None reads the file.

    Raises:
        CaptureError: There are no intrinsics, or they are no camera's.
    """
    height, width = rgb.shape[:2]
    if intrinsics is not None:
        fx, fy, cx, cy = intrinsics
        return pinhole([[fx, 0, cx], [0, fy, cy], [0, 0, 1]], width, height, "--intrinsics")
    for path in (folder / name for folder in (source, source.parent) for name in FILES):
        if path.is_file():
            return pinhole(_rows(path), width, height, str(path))
    raise CaptureError(
        f"{source} does not say what its camera is; add {FILES[0]} with OpenCV's K in three lines, or give "
        "--intrinsics FX FY CX CY (7-Scenes: 585 585 320 240; TUM as ROS has it: 525 525 319.5 239.5)"
    )


def _rows(path: Path) -> list[list[float]]:
    try:
        return [[float(word) for word in words[:3]] for words in read_lines(path, str(path))[:3]]
    except ValueError as error:
        raise CaptureError(f"{path} holds no matrix ({error}); expected K in three lines") from None

"""A camera's lens as files describe it: K and the coefficients of its distortion, and images freed of that."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..core.camera import PinholeCamera
from ..core.errors import CaptureError, RenderError
from ..core.geometry import Array
from .documents import read_yaml
from .images import undistorted

LIKE_DISTORTION = re.compile(r"(?i)dist.*|d|(lens_?)?coeff\w*|k[1-6]|p[12]")


def pinhole(matrix: Any, width: int, height: int, where: str) -> PinholeCamera:
    """Makes a camera of OpenCV's K, (3, 3), as a file has it.

    Args:
        where: the place in the file, for the message.

    Raises:
        CaptureError: It is no such matrix, or no camera has it.
    """
    try:
        k = np.array(matrix, np.float64)
    except (ValueError, TypeError):
        k = np.zeros(0)
    if k.shape != (3, 3) or abs(k[0, 1]) > 1e-6 or not np.allclose(k[2], [0, 0, 1]):
        raise CaptureError(
            f"{where}: K is {reprlib.repr(matrix)}; expected [[fx, 0, cx], [0, fy, cy], [0, 0, 1]]"
        )
    try:
        return PinholeCamera.from_opencv(width, height, k[0, 0], k[1, 1], k[0, 2], k[1, 2])
    except RenderError as error:
        raise CaptureError(f"{where}: {error}") from None


def read_pinhole(path: Path, width: int, height: int, layout: str) -> PinholeCamera:
    """Reads a camera of a YAML file with `color: {fx, fy, ppx, ppy}`, as librealsense has them.

    Args:
        layout: where the layout is described.

    Raises:
        CaptureError: The file is missing or malformed, or no camera has these numbers.
    """
    color = read_yaml(path, layout).get("color")
    try:
        fx, fy, ppx, ppy = (float(color[key]) for key in ("fx", "fy", "ppx", "ppy"))  # type: ignore[index]
    except (KeyError, TypeError, ValueError):
        raise CaptureError(
            f"{path}: color is {reprlib.repr(color)}; expected numbers fx, fy, ppx, ppy"
        ) from None
    return pinhole([[fx, 0, ppx], [0, fy, ppy], [0, 0, 1]], width, height, str(path))


def coefficients_of(value: Any, where: str) -> Array:
    """Returns OpenCV's coefficients [k1, k2, p1, p2, k3, ...] as an array of 4, 5 or 8 numbers.

    Raises:
        CaptureError: The value is something else.
    """
    try:
        values = np.array(value, np.float64).ravel()
    except (ValueError, TypeError):
        values = np.zeros(0)
    if len(values) not in {4, 5, 8} or not np.isfinite(values).all():
        raise CaptureError(
            f"{where}: distortion is {reprlib.repr(value)}; expected OpenCV's 4, 5 or 8 numbers"
        )
    return values


def refuse_other_spellings(entry: Mapping[str, Any], where: str) -> None:
    """Refuses coefficients under a name that is not read, so that none is ignored.

    Raises:
        CaptureError: There is one; the message names it.
    """
    unread = sorted(key for key in entry if LIKE_DISTORTION.fullmatch(key) and key != "distortion")
    if unread:
        raise CaptureError(
            f"{where}: {', '.join(unread)} would be ignored; write the coefficients of the lens as "
            '"distortion": [k1, k2, p1, p2, k3], as OpenCV has them, or undistort the images and leave them out'
        )


def straightened(
    camera: PinholeCamera,
    coefficients: Array,
    rgb: npt.NDArray[np.uint8],
    depth_m: npt.NDArray[np.float32],
    labels: npt.NDArray[np.uint8],
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32], npt.NDArray[np.uint8]]:
    """Returns colour (H, W, 3), depth (H, W) and labels (H, W) as the camera takes them without distortion."""
    if not coefficients.any():
        return rgb, depth_m, labels
    k = camera.opencv_matrix
    return (
        np.asarray(undistorted(rgb, k, coefficients, smooth=True), np.uint8),
        np.asarray(undistorted(depth_m, k, coefficients, smooth=False), np.float32),
        np.asarray(undistorted(labels, k, coefficients, smooth=False), np.uint8),
    )

"""The pinhole camera: OpenCV axes (x right, y down, z forward), full intrinsics, no distortion.

Image coordinates are continuous with the origin at the *corner* of the image, so that the centre of pixel
(row i, column j) lies at (u, v) = (j + 0.5, i + 0.5), as in 3DGS and gsplat. Intrinsics that count from the
centre of the first pixel (OpenCV, DexYCB, librealsense) come and go by `from_opencv` and `opencv_matrix`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import RenderError
from .geometry import Array

MAX_SIDE_PX = 8192
PIXEL_CENTRE_PX = 0.5  # of the first pixel, from the image's corner


@dataclass(frozen=True)
class PinholeCamera:
    """A pinhole camera: width and height, px; focal lengths and principal point, px, from the image's corner."""

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float

    def __post_init__(self) -> None:
        if not (0 < self.width <= MAX_SIDE_PX and 0 < self.height <= MAX_SIDE_PX):
            raise RenderError(
                f"a camera of {self.width}x{self.height} px; each side must be 1 to {MAX_SIDE_PX}"
            )
        if not (np.isfinite([self.fx, self.fy, self.cx, self.cy]).all() and self.fx > 0 and self.fy > 0):
            raise RenderError(
                f"intrinsics fx={self.fx}, fy={self.fy}, cx={self.cx}, cy={self.cy}; "
                "all must be finite and the focal lengths positive"
            )

    @classmethod
    def from_opencv(
        cls, width: int, height: int, fx: float, fy: float, cx: float, cy: float
    ) -> PinholeCamera:
        """Makes a camera from intrinsics whose principal point counts from the centre of the first pixel."""
        return cls(width, height, fx, fy, cx + PIXEL_CENTRE_PX, cy + PIXEL_CENTRE_PX)

    @property
    def matrix(self) -> Array:
        """The matrix K, (3, 3)."""
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1.0]])

    @property
    def opencv_matrix(self) -> Array:
        """The matrix K, (3, 3), as OpenCV has it: counted from the centre of the first pixel."""
        matrix = self.matrix
        matrix[:2, 2] -= PIXEL_CENTRE_PX
        return matrix

    def resized(self, width: int, height: int) -> PinholeCamera:
        """Returns the same view sampled on another grid; the field of view does not change."""
        sx, sy = width / self.width, height / self.height
        return PinholeCamera(width, height, self.fx * sx, self.fy * sy, self.cx * sx, self.cy * sy)

    def project(self, points_camera: npt.ArrayLike) -> Array:
        """Projects points (..., 3), m, in the camera's frame to image coordinates (..., 2), px.

        Points at or behind the camera (z <= 0) give NaN.
        """
        points = np.asarray(points_camera, np.float64)
        z = np.where(points[..., 2] > 0, points[..., 2], np.nan)
        return np.stack(
            [self.fx * points[..., 0] / z + self.cx, self.fy * points[..., 1] / z + self.cy], axis=-1
        )

    def unproject(self, depth_m: npt.ArrayLike) -> Array:
        """Maps a depth image (H, W), m along z, to points (H, W, 3) in the camera's frame."""
        depth = np.asarray(depth_m, np.float64)
        if depth.shape != (self.height, self.width):
            raise RenderError(f"depth is {depth.shape}, but the camera is ({self.height}, {self.width})")
        u = (np.arange(self.width) + 0.5 - self.cx) / self.fx
        v = (np.arange(self.height) + 0.5 - self.cy) / self.fy
        return np.stack([depth * u[None, :], depth * v[:, None], depth], axis=-1)

    def to_json(self) -> dict[str, Any]:
        return {k: getattr(self, k) for k in ("width", "height", "fx", "fy", "cx", "cy")}


# Intel RealSense D435i colour stream at 640x480.
D435I = PinholeCamera(640, 480, 615.0, 615.0, 320.0, 240.0)
# What a policy sees: the same 4:3 field of view, not squashed.
HAND_EYE_CAMERA = D435I.resized(224, 168)

"""A printed ChArUco board: what it looks like, where its corners are in an image, and where that puts the camera.

Its frame has x along the longer row of squares, y down the page and z into it, from the corner of the page's first
square. Both calibrations, of the hand's camera and of a rig, see it through this file.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from h2rh_env.core.camera import PIXEL_CENTRE_PX, PinholeCamera
from h2rh_env.core.errors import MissingPackageError, RobotError, install_line
from h2rh_env.core.geometry import SE3, Array

LEAST_CORNERS = 8


@dataclass(frozen=True)
class Board:
    """A printed board; the default is A4. `dictionary` is a name of OpenCV's, without DICT_."""

    squares_x: int = 7
    squares_y: int = 5
    square_m: float = 0.038
    marker_m: float = 0.028
    dictionary: str = "5X5_100"

    @classmethod
    def load(cls, path: Path) -> Board:
        """Reads the board of a `board.json`.

        Raises:
            RobotError: The file is missing, or is no board.
        """
        try:
            return cls(**json.loads(path.read_text()))
        except (OSError, ValueError, TypeError) as error:
            raise RobotError(f"{path} describes no board ({error}); see docs/record.md") from None

    @property
    def size_m(self) -> tuple[float, float]:
        """Width and height of the squares together, m."""
        return self.squares_x * self.square_m, self.squares_y * self.square_m

    def opencv(self) -> Any:
        cv2 = opencv()
        number = getattr(cv2.aruco, f"DICT_{self.dictionary}", None)
        if number is None:
            raise RobotError(f"OpenCV has no dictionary {self.dictionary!r}; one is '5X5_100'")
        size = (self.squares_x, self.squares_y)
        return cv2.aruco.CharucoBoard(
            size, self.square_m, self.marker_m, cv2.aruco.getPredefinedDictionary(number)
        )


@dataclass(frozen=True, eq=False)
class SeenCorners:
    """Corners of the board that an image shows.

    Attributes:
        points_board: (N, 3) where they are on the board, m.
        points_px: (N, 2) where the image has them, px from its corner.
    """

    points_board: Array
    points_px: Array


def find_corners(image: npt.NDArray[np.uint8], board: Board) -> SeenCorners | None:
    """Finds the board in a grey or colour image (H, W[, 3]); None where too little of it is seen."""
    cv2 = opencv()
    printed = board.opencv()
    grey = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    corners, numbers, _, _ = cv2.aruco.CharucoDetector(printed).detectBoard(grey)
    if numbers is None or len(numbers) < LEAST_CORNERS:
        return None
    points_board, points_image = printed.matchImagePoints(corners, numbers)
    return SeenCorners(
        np.asarray(points_board, np.float64).reshape(-1, 3),
        np.asarray(points_image, np.float64).reshape(-1, 2) + PIXEL_CENTRE_PX,
    )


def camera_from_board(seen: SeenCorners, camera: PinholeCamera) -> SE3 | None:
    """Returns where the board is for the camera that saw these corners; None where they do not tell."""
    cv2 = opencv()
    good, turn, shift = cv2.solvePnP(
        seen.points_board, seen.points_px - PIXEL_CENTRE_PX, camera.opencv_matrix, None
    )
    if not good:
        return None
    rotation, _ = cv2.Rodrigues(turn)
    return SE3(rotation, shift.ravel())


def misses_px(seen: SeenCorners, camera: PinholeCamera, camera_from_board: SE3) -> Array:
    """Returns how far (N,) corners are from where they were seen, px; infinite behind the camera."""
    off = camera.project(camera_from_board.apply(seen.points_board)) - seen.points_px
    return np.asarray(np.nan_to_num(np.linalg.norm(off, axis=1), nan=np.inf))


def rms(values: npt.ArrayLike) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def opencv() -> Any:
    try:
        import cv2
    except ImportError as error:
        raise MissingPackageError(
            f"OpenCV cannot be imported ({error}); type: {install_line('robot')}"
        ) from None
    return cv2

"""Photographs of a printed board from known poses."""

from __future__ import annotations

import numpy as np

from h2rh_env.core.camera import D435I, PinholeCamera
from h2rh_env.core.geometry import SE3
from real_robot.calibration.board import Board

BOARD = Board()
PX_PER_M = 4000
SUPERSAMPLED = 4  # along each side, or edges would be jagged and corners off by a quarter of a pixel


def render(camera_from_board: SE3, camera: PinholeCamera = D435I, seed: int = 0) -> np.ndarray:
    """The printed board as the camera sees it, on grey, with a little noise, (H, W)."""
    import cv2

    size = tuple(round(side_m * PX_PER_M) for side_m in BOARD.size_m)
    printed = BOARD.opencv().generateImage(size)
    pose = np.column_stack([camera_from_board.rotation[:, :2], camera_from_board.translation])
    # Pixel centres are whole numbers in OpenCV, corners of the board at -0.5.
    board_from_pixel = np.array(
        [[1 / PX_PER_M, 0, 0.5 / PX_PER_M], [0, 1 / PX_PER_M, 0.5 / PX_PER_M], [0, 0, 1]]
    )
    fine = camera.resized(SUPERSAMPLED * camera.width, SUPERSAMPLED * camera.height)
    homography = fine.opencv_matrix @ pose @ board_from_pixel
    whole = (fine.width, fine.height)
    image = cv2.warpPerspective(printed, homography, whole, flags=cv2.INTER_AREA, borderValue=120)
    image = cv2.resize(image, (camera.width, camera.height), interpolation=cv2.INTER_AREA)
    noise = np.random.default_rng(seed).normal(0, 3, image.shape)
    return np.clip(cv2.GaussianBlur(image, (3, 3), 0.7) + noise, 0, 255).astype(np.uint8)

"""Photographs of a printed board from known poses."""

from __future__ import annotations

from functools import cache

import numpy as np

from h2rh_env.core.camera import D435I, PinholeCamera
from h2rh_env.core.geometry import SE3, look_at, rotation_from_euler_xyz
from real_robot.calibration.board import Board
from real_robot.calibration.rig_corners import WORLD_FROM_BOARD

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


CAMERAS = {
    "0001": D435I,
    "0002": PinholeCamera(640, 480, 610.0, 611.0, 317.0, 243.0),
    "0003": PinholeCamera(640, 480, 622.0, 621.0, 326.0, 236.0),
    "0004": PinholeCamera(640, 480, 605.0, 606.0, 320.0, 241.0),
}
MIDDLE = np.array([0.13, -0.1, 0.0])  # of the board, as it lies on the table
POSES = {
    serial: look_at(MIDDLE + eye, MIDDLE)
    for serial, eye in zip(
        CAMERAS, ([0.0, -0.45, 0.5], [0.45, 0.0, 0.5], [-0.4, -0.1, 0.55], [0.1, 0.42, 0.6]), strict=True
    )
}


def boards(count: int) -> list[SE3]:
    """world_from_board of each shot: first on the table, then lifted and tilted about its middle."""
    rng = np.random.default_rng(3)
    found = [WORLD_FROM_BOARD]
    to_middle = SE3(np.eye(3), np.array([*BOARD.size_m, 0.0]) / 2)
    for _ in range(count - 1):
        tilt = rotation_from_euler_xyz([*rng.uniform(-0.35, 0.35, 2), rng.uniform(-3, 3)])
        lifted = SE3(tilt, MIDDLE + [*rng.uniform(-0.05, 0.05, 2), rng.uniform(0.02, 0.12)])
        found.append(lifted @ WORLD_FROM_BOARD @ to_middle.inverse())
    return found


@cache
def images(count: int = 8) -> list[dict[str, np.ndarray]]:
    return [
        {
            serial: render(POSES[serial].inverse() @ board, camera, seed=10 * k)
            for serial, camera in CAMERAS.items()
        }
        for k, board in enumerate(boards(count))
    ]

"""Hand-eye calibration from images of a ChArUco board, with residuals and views held out to check it.

A folder holds board.json (squares_x, squares_y, square_m, marker_m, dictionary), camera.json (width, height, fx, fy,
cx, cy in px from the image's corner), and for each view NAME.png with NAME.json: {"base_from_gripper": 4x4}.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from h2rh_env.core.camera import PinholeCamera
from h2rh_env.core.errors import RobotError
from h2rh_env.core.geometry import SE3, rotation_angle

from .board import Board, camera_from_board, find_corners, misses_px, opencv, rms
from .hand_eye import HandEyeCalibration

LEAST_VIEWS, LEAST_TURN_RAD = 8, 0.35
HELD_OUT_EVERY = 4
MOST_RESIDUAL_M, MOST_RESIDUAL_RAD, MOST_REPROJECTION_PX = 0.005, 0.02, 1.5


@dataclass(frozen=True, eq=False)
class BoardView:
    """Where the gripper was, and where the board then was for the camera; its corners' RMS reprojection, px."""

    base_from_gripper: SE3
    camera_from_board: SE3
    reprojection_px: float


@dataclass(frozen=True)
class Residuals:
    """RMS scatter of the board's pose in the base frame, as seen by views kept for the fit and by those held out."""

    fit_m: float
    fit_rad: float
    held_out_m: float
    held_out_rad: float
    reprojection_px: float
    views: int

    def __str__(self) -> str:
        return (
            f"{self.views} views: board scatters by {1000 * self.fit_m:.2f} mm, "
            f"{np.degrees(self.fit_rad):.3f} deg where fitted, {1000 * self.held_out_m:.2f} mm, "
            f"{np.degrees(self.held_out_rad):.3f} deg where held out; corners by {self.reprojection_px:.2f} px"
        )


def see_board(
    image: npt.NDArray[np.uint8], board: Board, camera: PinholeCamera, base_from_gripper: SE3
) -> BoardView | None:
    """The board in a grey or colour image (H, W[, 3]); None where too little of it is seen."""
    seen = find_corners(image, board)
    pose = None if seen is None else camera_from_board(seen, camera)
    if seen is None or pose is None:
        return None
    return BoardView(base_from_gripper, pose, rms(misses_px(seen, camera, pose)))


def calibrate(
    views: Sequence[BoardView], camera_serial: str, today: date
) -> tuple[HandEyeCalibration, Residuals]:
    """gripper_from_camera from at least eight views, of which every fourth is held out.

    Raises:
        RobotError: too few views, too little turning between them, or residuals beyond what a grasp can bear.
    """
    if len(views) < LEAST_VIEWS:
        raise RobotError(f"the board was found in {len(views)} views; at least {LEAST_VIEWS} are needed")
    turns = [
        rotation_angle(views[0].base_from_gripper.rotation.T @ v.base_from_gripper.rotation) for v in views
    ]
    if max(turns) < LEAST_TURN_RAD:
        raise RobotError(
            f"the gripper turned by {np.degrees(max(turns)):.0f} degrees at most; turn it by 20 and more, about "
            "different axes"
        )
    held_out = list(views[HELD_OUT_EVERY - 1 :: HELD_OUT_EVERY])
    fitted = [view for k, view in enumerate(views) if k % HELD_OUT_EVERY != HELD_OUT_EVERY - 1]
    gripper_from_camera = _solve(fitted)
    base_from_board = _mean([_board_pose(v, gripper_from_camera) for v in fitted])
    fit_m, fit_rad = _scatter(fitted, gripper_from_camera, base_from_board)
    held_m, held_rad = _scatter(held_out, gripper_from_camera, base_from_board)
    reprojection = rms([v.reprojection_px for v in views])
    residuals = Residuals(fit_m, fit_rad, held_m, held_rad, reprojection, len(views))
    if held_m > MOST_RESIDUAL_M or held_rad > MOST_RESIDUAL_RAD or reprojection > MOST_REPROJECTION_PX:
        raise RobotError(
            f"the calibration is not good enough ({residuals}); check board.json and the arm's TCP"
        )
    return HandEyeCalibration(gripper_from_camera, camera_serial, today), residuals


def calibrate_folder(folder: Path, camera_serial: str) -> tuple[HandEyeCalibration, Residuals]:
    """Raises: RobotError: files missing or malformed, and as `calibrate`."""
    board = Board.load(folder / "board.json")
    try:
        camera = PinholeCamera(**json.loads((folder / "camera.json").read_text()))
        seen = []
        for path in sorted(folder.glob("*.png")):
            pose = json.loads(path.with_suffix(".json").read_text())["base_from_gripper"]
            image = np.asarray(Image.open(path).convert("L"))
            seen.append(see_board(image, board, camera, SE3.from_matrix(pose)))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RobotError(
            f"{folder} is no folder of calibration images ({error}); see docs/robot.md"
        ) from None
    return calibrate([view for view in seen if view is not None], camera_serial, date.today())


def _solve(views: Sequence[BoardView]) -> SE3:
    cv2 = opencv()
    rotation, translation = cv2.calibrateHandEye(
        [v.base_from_gripper.rotation for v in views],
        [v.base_from_gripper.translation for v in views],
        [v.camera_from_board.rotation for v in views],
        [v.camera_from_board.translation for v in views],
        method=cv2.CALIB_HAND_EYE_PARK,
    )
    if not np.isfinite(rotation).all():
        raise RobotError("the views do not determine the calibration; turn the gripper about different axes")
    return SE3(np.asarray(rotation), np.asarray(translation).ravel())


def _board_pose(view: BoardView, gripper_from_camera: SE3) -> SE3:
    return view.base_from_gripper @ gripper_from_camera @ view.camera_from_board


def _mean(poses: Sequence[SE3]) -> SE3:
    u, _, vt = np.linalg.svd(np.mean([pose.rotation for pose in poses], axis=0))
    return SE3(
        u @ np.diag([1, 1, np.linalg.det(u @ vt)]) @ vt, np.mean([p.translation for p in poses], axis=0)
    )


def _scatter(
    views: Sequence[BoardView], gripper_from_camera: SE3, base_from_board: SE3
) -> tuple[float, float]:
    """RMS distance, m, and angle, rad, of the board's pose as each view has it."""
    poses = [_board_pose(view, gripper_from_camera) for view in views]
    metres = [np.linalg.norm(pose.translation - base_from_board.translation) for pose in poses]
    angles = [rotation_angle(base_from_board.rotation.T @ pose.rotation) for pose in poses]
    return rms([float(metre) for metre in metres]), rms(angles)

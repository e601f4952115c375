"""Boards rendered from known poses give back the hand-eye transform they were rendered with."""

import json
from datetime import date

import numpy as np
import pytest
from PIL import Image

from h2rh_env.core.camera import D435I
from h2rh_env.core.errors import RobotError
from h2rh_env.core.geometry import SE3, look_at, rotation_angle, rotation_from_euler_xyz
from real_robot.calibration.charuco import BoardView, calibrate, calibrate_folder, see_board
from real_robot.calibration.hand_eye import HandEyeCalibration

from .boards import BOARD, render

cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed")
TRUE = SE3(rotation_from_euler_xyz([0.05, -0.1, 1.5]), np.array([0.03, -0.06, 0.04]))
BASE_FROM_BOARD = SE3(rotation_from_euler_xyz([np.pi + 0.1, 0.05, 0.3]), np.array([0.5, -0.1, 0.02]))


def gripper_poses(count):
    rng = np.random.default_rng(1)
    middle = BASE_FROM_BOARD.apply([0.13, 0.1, 0.0])
    for _ in range(count):
        eye = middle + np.array([*rng.uniform(-0.2, 0.2, 2), rng.uniform(0.3, 0.45)])
        roll = rotation_from_euler_xyz([0, 0, rng.uniform(-0.8, 0.8)])
        yield look_at(eye, middle) @ SE3(roll, np.zeros(3)) @ TRUE.inverse()


def camera_from_board(base_from_gripper):
    return (base_from_gripper @ TRUE).inverse() @ BASE_FROM_BOARD


@pytest.fixture(scope="module")
def views():
    seen = [see_board(render(camera_from_board(p)), BOARD, D435I, p) for p in gripper_poses(16)]
    return [view for view in seen if view is not None]


def test_rendered_boards_give_back_the_transform(views):
    calibration, residuals = calibrate(views, "1", date.today())
    off = calibration.gripper_from_camera.inverse() @ TRUE
    assert len(views) >= 12
    assert np.linalg.norm(off.translation) < 0.002
    assert rotation_angle(off.rotation) < 0.004
    assert residuals.held_out_m < 0.002


def test_exact_views_give_back_the_transform_exactly():
    views = [BoardView(p, camera_from_board(p), 0.0) for p in gripper_poses(12)]
    calibration, residuals = calibrate(views, "1", date.today())
    assert np.abs(calibration.gripper_from_camera.matrix - TRUE.matrix).max() < 1e-9
    assert residuals.held_out_m < 1e-9


def test_too_few_views_and_too_little_turning_are_refused(views):
    with pytest.raises(RobotError, match="at least 8"):
        calibrate(views[:5], "1", date.today())
    with pytest.raises(RobotError, match="turn"):
        calibrate(views[:1] * 12, "1", date.today())


def test_a_view_that_contradicts_the_others_is_refused(views):
    aside = SE3(np.eye(3), np.array([0.03, 0.0, 0.0]))
    wrong = [
        BoardView(v.base_from_gripper @ aside, v.camera_from_board, 0.1) if k % 4 == 3 else v
        for k, v in enumerate(views)
    ]
    with pytest.raises(RobotError, match="not good enough"):
        calibrate(wrong, "1", date.today())


def test_an_image_without_a_board_is_no_view():
    assert see_board(np.full((480, 640), 120, np.uint8), BOARD, D435I, SE3.identity()) is None


def test_a_folder_becomes_a_dated_file(tmp_path):
    (tmp_path / "board.json").write_text(json.dumps(vars(BOARD)))
    (tmp_path / "camera.json").write_text(json.dumps(D435I.to_json()))
    for k, pose in enumerate(gripper_poses(12)):
        Image.fromarray(render(camera_from_board(pose))).save(tmp_path / f"{k:02d}.png")
        (tmp_path / f"{k:02d}.json").write_text(json.dumps({"base_from_gripper": pose.matrix.tolist()}))
    calibration, _ = calibrate_folder(tmp_path, "7")
    calibration.save(tmp_path / "hand_eye.json")
    loaded = HandEyeCalibration.load(tmp_path / "hand_eye.json")
    loaded.check(date.today(), 90, "7")
    (tmp_path / "board.json").unlink()
    with pytest.raises(RobotError, match=r"board\.json"):
        calibrate_folder(tmp_path, "7")

"""Laws of the rig's calibration: boards rendered from known poses give them back, and who is wrong is named."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from h2rh_env.captures.rig import Rig
from h2rh_env.core.errors import CaptureError, RobotError
from h2rh_env.core.geometry import SE3, rotation_angle
from real_robot.calibration.board import SeenCorners, find_corners
from real_robot.calibration.calibrate_rig import CalibrateRigConfig, calibrate
from real_robot.calibration.rig import fit_rig
from real_robot.calibration.rig_check import check_rig, fit_lenses
from real_robot.calibration.rig_corners import WORLD_FROM_BOARD

from .boards import BOARD, CAMERAS, POSES, boards, images

pytest.importorskip("cv2", reason="OpenCV is not installed")


@pytest.fixture(scope="module")
def shots() -> list[dict[str, SeenCorners]]:
    found = [{serial: find_corners(image, BOARD) for serial, image in shot.items()} for shot in images()]
    return [{serial: seen for serial, seen in shot.items() if seen is not None} for shot in found]


def off(fitted: SE3, true: SE3) -> tuple[float, float]:
    between = fitted.inverse() @ true
    return float(np.linalg.norm(between.translation)), rotation_angle(between.rotation)


def test_rendered_boards_give_back_all_poses(shots):
    fit = fit_rig(shots, CAMERAS)
    check_rig(fit, shots, CAMERAS)
    for serial, true in POSES.items():
        metres, radians = off(fit.world_from_cameras[serial], true)
        assert metres < 0.001
        assert radians < 0.001
    assert fit.worst_px < 0.5


def exact(count: int = 6) -> list[dict[str, SeenCorners]]:
    """Shots without any noise."""
    rows, columns = np.mgrid[1 : BOARD.squares_y, 1 : BOARD.squares_x]
    points = BOARD.square_m * np.stack([columns, rows, 0 * rows], axis=-1).reshape(-1, 3)
    return [
        {
            s: SeenCorners(points, CAMERAS[s].project((POSES[s].inverse() @ board).apply(points)))
            for s in CAMERAS
        }
        for board in boards(count)
    ]


def test_exact_corners_give_back_the_poses_exactly():
    fit = fit_rig(exact(), CAMERAS)
    assert max(off(fit.world_from_cameras[s], POSES[s])[0] for s in POSES) < 1e-6
    assert fit.worst_px < 1e-3


def test_the_first_board_is_the_world_with_z_up():
    fit = fit_rig(exact(), CAMERAS)
    assert all(pose.translation[2] > 0.3 for pose in fit.world_from_cameras.values())
    assert fit.world_from_boards[0] is WORLD_FROM_BOARD


def test_cameras_that_never_share_a_shot_are_joined_by_others():
    pairs = [("0001", "0002"), ("0002", "0003"), ("0003", "0004")]
    shots = exact(9)
    chained = [{s: shot[s] for s in pairs[k % 3]} for k, shot in enumerate(shots)]
    fit = fit_rig([shots[0], *chained[1:]], CAMERAS)
    assert max(off(fit.world_from_cameras[s], POSES[s])[0] for s in POSES) < 1e-5


@pytest.mark.parametrize("factor", [0.97, 1.05, 1.5])
def test_a_camera_with_a_wrong_focal_length_is_named(shots, factor):
    true = CAMERAS["0003"]
    wrong = CAMERAS | {"0003": replace(true, fx=true.fx * factor, fy=true.fy * factor)}
    fit = fit_rig(shots, wrong)
    lenses, _ = fit_lenses(fit, shots, wrong)
    assert lenses["0003"].focal_ratio == pytest.approx(1 / factor, abs=0.005)
    assert all(lens.contradiction < 1 for serial, lens in lenses.items() if serial != "0003")
    with pytest.raises(RobotError, match=r"camera 0003: its corners.*intrinsics"):
        check_rig(fit, shots, wrong)


def test_intrinsics_of_another_resolution_leave_a_large_residual(shots):
    half = CAMERAS["0003"].resized(320, 240)
    wrong = CAMERAS | {"0003": replace(half, width=640, height=480)}
    fit = fit_rig(shots, wrong)
    assert fit.residuals_px["0003"] > 2
    with pytest.raises(RobotError, match=r"camera 0003: .*another camera, resolution or lens"):
        check_rig(fit, shots, wrong)


def test_a_principal_point_that_is_off_is_named(shots):
    wrong = CAMERAS | {"0001": replace(CAMERAS["0001"], cx=CAMERAS["0001"].cx + 15)}
    with pytest.raises(RobotError, match=r"camera 0001: .*principal point \(-1[456], "):
        check_rig(fit_rig(shots, wrong), shots, wrong)


def test_a_camera_that_was_pushed_between_shots_is_named(shots):
    true, pushed = CAMERAS["0002"], SE3(np.eye(3), np.array([0.01, 0, 0]))
    moved = [dict(shot) for shot in shots]
    for shot, board in zip(moved[4:], boards(len(shots))[4:], strict=True):
        if "0002" in shot:
            seen = shot["0002"]
            now = ((POSES["0002"] @ pushed).inverse() @ board).apply(seen.points_board)
            shot["0002"] = SeenCorners(seen.points_board, true.project(now))
    fit = fit_rig(moved, CAMERAS)
    with pytest.raises(RobotError, match=r"camera 0002 does not agree"):
        check_rig(fit, moved, CAMERAS)


def test_too_few_shots_and_a_camera_apart_are_refused():
    shots = exact(6)
    with pytest.raises(RobotError, match="at least 4 shots"):
        fit_rig(shots[:3], CAMERAS)
    apart = [
        {s: seen for s, seen in shot.items() if (s == "0004") == (k > 2)} for k, shot in enumerate(shots)
    ]
    with pytest.raises(RobotError, match="no chain of shots leads from the first one to camera 0004"):
        fit_rig(apart, CAMERAS)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "board.json").write_text(json.dumps(vars(BOARD)))
    (tmp_path / "cameras.json").write_text(json.dumps({s: c.to_json() for s, c in CAMERAS.items()}))
    for number, shot in enumerate(images()[:5]):
        (tmp_path / f"{number:02d}").mkdir()
        for serial, image in shot.items():
            Image.fromarray(image).save(tmp_path / f"{number:02d}" / f"{serial}.png", compress_level=1)
    return tmp_path


def test_a_folder_becomes_a_rig_and_a_drawing(folder, capsys):
    config = CalibrateRigConfig(folder, folder / "rig.json", folder / "check.png")
    calibrate(config)
    rig = Rig.load(config.out)
    assert max(off(rig.pose_of(s), POSES[s])[0] for s in POSES) < 0.0015
    assert all(px < 0.5 for px in rig.residuals_px.values())
    drawn = np.asarray(Image.open(config.drawing))
    assert drawn.shape == (960, 1280, 3)
    tiles = [drawn[top : top + 480, left : left + 640] for top in (0, 480) for left in (0, 640)]
    assert all((tile[40:].max(2) - tile[40:].min(2) > 100).sum() > 200 for tile in tiles)  # lines of colour
    assert "px" in capsys.readouterr().out


def test_a_bad_rig_is_drawn_and_not_saved(folder):
    cameras = json.loads((folder / "cameras.json").read_text())
    cameras["0004"]["fx"] *= 1.08
    cameras["0004"]["fy"] *= 1.08
    (folder / "cameras.json").write_text(json.dumps(cameras))
    config = CalibrateRigConfig(folder, folder / "rig.json", folder / "check.png")
    with pytest.raises(RobotError, match="camera 0004"):
        calibrate(config)
    assert config.drawing.is_file()
    assert not config.out.exists()


@pytest.mark.parametrize("name", ["board.json", "cameras.json"])
def test_a_malformed_folder_is_refused(folder, name):
    (folder / name).write_text('{"0001": 3}')
    config = CalibrateRigConfig(folder, folder / "rig.json", folder / "check.png")
    with pytest.raises((RobotError, CaptureError), match=name):
        calibrate(config)

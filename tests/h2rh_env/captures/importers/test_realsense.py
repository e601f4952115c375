"""Laws of recordings: what a RealSense recorded comes back bit for bit, where the rig says, and free of its lens."""

from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from h2rh_env.captures.base import RgbdView
from h2rh_env.captures.importers.realsense import load, recognises
from h2rh_env.captures.rig import Rig
from h2rh_env.core.camera import PinholeCamera
from h2rh_env.core.errors import CaptureError, install_line
from h2rh_env.core.geometry import look_at

from .recordings import record

rs = pytest.importorskip("pyrealsense2", reason=install_line("robot"))
CAMERA = PinholeCamera(64, 48, 60.0, 61.0, 31.0, 25.0)


def view(name="0001", seed=0):
    rng = np.random.default_rng(seed)
    rgb = rng.integers(0, 256, (48, 64, 3)).astype(np.uint8)
    depth_m = (rng.integers(400, 900, (48, 64)) / 1000).astype(np.float32)
    eye = rng.normal(size=3) + [2, 0, 0]
    return RgbdView(name, CAMERA, look_at(eye, [0, 0, 0]), rgb, depth_m, np.zeros((48, 64), np.uint8))


@pytest.fixture
def rig(tmp_path):
    views = [view("0001"), view("0002", 1)]
    path = tmp_path / "rig.json"
    poses = {v.name: v.world_from_camera for v in views}
    Rig(poses, dict.fromkeys(poses, 0.2), date(2026, 1, 31)).save(path)
    return path


def test_recordings_of_two_cameras_become_one_capture(tmp_path, rig):
    for name, seed in (("0001", 0), ("0002", 1)):
        record(rs, [view(name, 7), view(name, 8), view(name, seed)], tmp_path / f"{name}.db3")
    assert recognises(tmp_path)
    imported = load(tmp_path, rig=rig)
    for got, written in zip(imported.views, (view("0001"), view("0002", 1)), strict=True):
        assert np.array_equal(got.rgb, written.rgb)
        assert np.allclose(got.depth_m, written.depth_m, atol=1e-6)
        assert np.allclose(got.camera.matrix, CAMERA.matrix, atol=1e-4)
        assert np.allclose(got.world_from_camera.matrix, written.world_from_camera.matrix)
    assert imported.depth_scale_m == 0.001
    assert imported.unmasked == {"0001", "0002"}


def test_a_frame_can_be_named(tmp_path, rig):
    path = record(rs, [view(seed=7), view(seed=8), view(seed=9)], tmp_path / "one.db3")
    for k in (1, 2):  # the first pair may be left out: librealsense has nothing yet to be in step with
        assert np.array_equal(load(path, frame=k, rig=rig).views[0].rgb, view(seed=7 + k).rgb)
    with pytest.raises(CaptureError, match="frame 500 is none of them"):
        load(path, frame=500, rig=rig)


@pytest.mark.parametrize("model", ["brown_conrady", "modified_brown_conrady", "inverse_brown_conrady"])
def test_a_lens_is_undone_as_the_library_has_it(tmp_path, rig, model):
    coefficients = (0.9, 0.0, 0.01, -0.01, 0.0)
    dot = np.zeros((48, 64, 3), np.uint8)
    intrinsics = rs.intrinsics()
    intrinsics.width, intrinsics.height, intrinsics.fx, intrinsics.fy = 64, 48, 60.0, 61.0
    intrinsics.ppx, intrinsics.ppy = 30.5, 24.5
    intrinsics.model, intrinsics.coeffs = getattr(rs.distortion, model), list(coefficients)
    point = [0.3, 0.25, 1.0]
    column, row = (round(value) for value in rs.rs2_project_point_to_pixel(intrinsics, point))
    dot[row - 1 : row + 2, column - 1 : column + 2] = 255
    path = record(rs, [replace(view(), rgb=dot)] * 2, tmp_path / "one.db3", coefficients, model)
    straight = load(path, rig=rig).views[0].rgb[..., 0].astype(float)
    rows, columns = np.mgrid[:48, :64]
    seen = np.array([(columns * straight).sum(), (rows * straight).sum()]) / straight.sum()
    assert np.allclose(seen, CAMERA.project(point) - 0.5, atol=0.6)
    assert not np.allclose(seen, [column, row], atol=0.6)  # the lens did move it


def test_what_a_recording_does_not_say_is_asked_for(tmp_path, rig):
    path = record(rs, [view("0009")] * 2, tmp_path / "one.db3")
    with pytest.raises(CaptureError, match="--rig FILE"):
        load(path)
    with pytest.raises(CaptureError, match="no camera 0009; it has 0001, 0002"):
        load(path, rig=rig)
    record(rs, [view("0009")] * 2, tmp_path / "two.db3")
    with pytest.raises(CaptureError, match="two recordings of one camera"):
        load(tmp_path, rig=rig)
    (tmp_path / "broken.bag").write_bytes(b"nothing")
    with pytest.raises(CaptureError, match="no recording that librealsense can play"):
        load(tmp_path / "broken.bag", rig=rig)

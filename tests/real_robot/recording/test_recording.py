"""Laws of recording: what the cameras take is what the folder holds, and a rig and a capture are made by commands."""

from __future__ import annotations

import io
import json
import sys
import time
from datetime import date

import numpy as np
import pytest

from h2rh_env.captures.folder import load_folder, problems
from h2rh_env.captures.rig import Rig
from h2rh_env.core.errors import CaptureError, HandoverError, RobotError, install_line
from h2rh_env.core.geometry import SE3, rotation_angle
from real_robot.calibration.calibrate_rig import CalibrateRigConfig, calibrate
from real_robot.emulator.camera import SoftwareSource
from real_robot.recording import __main__ as command
from real_robot.recording import recorder as recorder_module
from real_robot.recording.__main__ import RecordConfig, record
from real_robot.recording.recorder import Recorder

from ..calibration.boards import CAMERAS, POSES, images

pytest.importorskip("pyrealsense2", reason=install_line("robot"))
pytest.importorskip("cv2", reason=install_line("robot"))


class StandIns:
    """Cameras that show boards, one shot after the other, and then what is held out."""

    def __init__(self, serials=tuple(CAMERAS), **options):
        self.shown = {s: self.held_out(k) for k, s in enumerate(CAMERAS)}
        self._serials, self._options = serials, options

    def sources(self):
        """Sources that have not been opened yet."""
        return [
            SoftwareSource(self._picture_of(s), self.at_rest, CAMERAS[s], serial=s, **self._options)
            for s in self._serials
        ]

    @staticmethod
    def held_out(k):
        rgb = np.random.default_rng(k).integers(0, 256, (480, 640, 3)).astype(np.uint8)
        depth_m = (0.7 + 0.1 * np.sin(np.arange(640) / 50 + k) * np.ones((480, 1))).round(3)
        depth_m[:, :20] = 0
        return rgb, depth_m.astype(np.float32)

    def show_board(self, number):
        for serial, image in images()[number].items():
            self.shown[serial] = (np.repeat(image[..., None], 3, axis=2), self.shown[serial][1])

    def _picture_of(self, serial):
        return lambda camera, pose: self.shown[serial]

    @staticmethod
    def at_rest():
        return SE3.identity(), time.monotonic()


@pytest.fixture
def stand_ins(monkeypatch):
    """Cameras for the command, as `stand_in_cameras:sources`."""
    made = StandIns()
    module = type(sys)("stand_in_cameras")
    module.sources = made.sources
    monkeypatch.setitem(sys.modules, "stand_in_cameras", module)
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    monkeypatch.setattr(command, "SETTLED_FRAMES", 2)
    return made


def saved_rig(path):
    Rig(POSES, dict.fromkeys(POSES, 0.1), date(2026, 1, 31)).save(path)
    return path


def test_a_capture_holds_what_the_cameras_took(stand_ins, tmp_path, capsys):
    rig = saved_rig(tmp_path / "rig.json")
    out = tmp_path / "mine"
    record(RecordConfig(out, rig, cameras="stand_in_cameras:sources", object_name="mug"))
    read = load_folder(out, needs_masks=False)
    assert [view.name for view in read.views] == list(CAMERAS)
    assert read.object_name == "mug"
    for view in read.views:
        rgb, depth_m = stand_ins.shown[view.name]
        assert np.array_equal(view.rgb, rgb)
        assert np.allclose(view.depth_m, depth_m, atol=1e-6)
        assert np.allclose(view.camera.matrix, CAMERAS[view.name].matrix, atol=1e-4)
        assert np.allclose(view.world_from_camera.matrix, POSES[view.name].matrix)
    assert len(problems(out)) == len(CAMERAS)
    assert all("make this mask" in problem for problem in problems(out))
    assert read.provenance["time_spread_s"] < 0.08
    printed = capsys.readouterr().out
    assert "depth on 97 % of the pixels" in printed
    assert "make a mask" in printed


@pytest.mark.nightly
def test_from_the_board_to_a_capture(stand_ins, tmp_path, monkeypatch, capsys):
    take, number = Recorder.take, iter(range(6))

    def board_first(self):
        stand_ins.show_board(next(number))
        time.sleep(0.3)  # until the cameras show it
        return take(self)

    monkeypatch.setattr(Recorder, "take", board_first)
    shots = tmp_path / "rig_images"
    record(RecordConfig(shots, for_rig=True, shots=5, cameras="stand_in_cameras:sources"))
    assert "shot 5: the board is seen by 0001, 0002, 0003, 0004" in capsys.readouterr().out
    calibrate(CalibrateRigConfig(shots, tmp_path / "rig.json", tmp_path / "check.png"))
    rig = Rig.load(tmp_path / "rig.json")
    for serial, true in POSES.items():
        off = rig.pose_of(serial).inverse() @ true
        assert np.linalg.norm(off.translation) < 0.0015
        assert rotation_angle(off.rotation) < 0.0015
    monkeypatch.setattr(Recorder, "take", take)
    record(RecordConfig(tmp_path / "mine", tmp_path / "rig.json", cameras="stand_in_cameras:sources"))
    assert len(load_folder(tmp_path / "mine", needs_masks=False).views) == 4


def test_images_that_lie_closest_in_time_are_taken():
    with Recorder(StandIns(("0001", "0002")).sources(), settled_frames=2) as recorder:
        shot = recorder.take()
    assert shot.has_one_clock
    assert shot.spread_s < 0.5 / 15  # half a period: never an image and the other's next but one


def test_without_a_common_clock_times_are_those_of_arrival():
    sources = StandIns(("0001", "0002"), clock_ahead_s=1e5).sources()
    with Recorder(sources, settled_frames=2) as recorder:
        shot = recorder.take()
    assert not shot.has_one_clock
    assert max(shot.times_s.values()) < 1e5  # not the devices' own clock


def test_a_camera_that_falls_silent_is_named(monkeypatch):
    monkeypatch.setattr(recorder_module, "LOST_S", 1.0)
    sources = StandIns(("0001", "0002")).sources()
    with Recorder(sources, settled_frames=2) as recorder:
        sources[1].is_paused = True
        time.sleep(0.3)
        with pytest.raises(RobotError, match="camera 0002 delivers no images"):
            recorder.take()


class Broken:
    """A camera that another program has open."""

    def __init__(self):
        self.closed = False

    def open(self, rs):
        raise RuntimeError("Device or resource busy")

    def close(self):
        self.closed = True


def test_a_camera_that_does_not_start_leaves_none_running():
    first, broken = StandIns(("0001",)).sources()[0], Broken()
    with pytest.raises(RobotError, match=r"camera 2 does not start.*busy"), Recorder([first, broken], 2):
        pass
    assert broken.closed
    assert first._thread is None


def test_what_is_missing_is_said_before_anybody_holds_something_out(stand_ins, tmp_path):
    with pytest.raises(RobotError, match=r"--rig FILE.*--for-rig"):
        RecordConfig(tmp_path / "mine")
    with pytest.raises(HandoverError, match="--shots has no effect without --for-rig"):
        RecordConfig(tmp_path / "mine", tmp_path / "rig.json", shots=3)
    (tmp_path / "there").mkdir()
    rig = saved_rig(tmp_path / "rig.json")
    with pytest.raises(CaptureError, match="exists and is not overwritten"):
        record(RecordConfig(tmp_path / "there", rig))
    content = json.loads(rig.read_text())
    content["cameras"].pop("0003")
    rig.write_text(json.dumps(content))
    with pytest.raises(CaptureError, match="no camera 0003"):
        record(RecordConfig(tmp_path / "mine", rig, cameras="stand_in_cameras:sources"))
    assert not (tmp_path / "mine").exists()


def test_without_a_camera_the_command_says_so(tmp_path):
    rig = saved_rig(tmp_path / "rig.json")
    with pytest.raises(RobotError, match="a RealSense camera is not connected; connected: none"):
        record(RecordConfig(tmp_path / "mine", rig))
    with pytest.raises(RobotError, match="camera 0815 is not connected"):
        record(RecordConfig(tmp_path / "mine", rig, serials=("0815",)))

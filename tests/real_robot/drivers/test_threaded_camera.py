"""librealsense's own software device, the emulated camera, and sight in a thread; the whole stack, end to end."""

import threading
import time

import numpy as np
import pytest

from h2rh_env.core.camera import HAND_EYE_CAMERA
from h2rh_env.core.errors import RobotError
from h2rh_env.core.geometry import SE3
from h2rh_env.scenes.handover_scene import load_scenes
from policies.registry import make_policy
from real_robot.benchmark.table2 import least_hand_distance, rehearsal_config
from real_robot.config import RobotConfig
from real_robot.control.outcome import Outcome
from real_robot.drivers import threaded_camera
from real_robot.drivers.realsense import RealSenseCamera
from real_robot.drivers.threaded_camera import ThreadedCamera
from real_robot.drivers.ur.kinematics import UR5, forward
from real_robot.emulator.base_placement import START_CONE_RAD, place
from real_robot.emulator.camera import Room, SceneView, SoftwareSource
from real_robot.emulator.rehearsal import FLANGE_FROM_GRIPPER, emulated_devices, patient
from real_robot.interfaces import Frame
from real_robot.safety.replay import replay
from real_robot.segmentation.base import GivenMasks, make_segmenter
from real_robot.session import run_trial


def gradient(camera, pose):
    rgb = np.zeros((camera.height, camera.width, 3), np.uint8)
    rgb[..., 0], rgb[..., 1] = np.arange(camera.width), np.arange(camera.height)[:, None]
    return rgb, np.full((camera.height, camera.width), 0.7, np.float32)


def at_the_origin():
    return SE3.identity(), time.monotonic()


def test_frames_come_through_librealsense_as_they_went_in():
    pytest.importorskip("pyrealsense2", reason="pyrealsense2 or libusb is not installed")
    with RealSenseCamera(source=SoftwareSource(gradient, at_the_origin)) as camera:
        frame = camera.frame()
        rgb, _ = gradient(HAND_EYE_CAMERA, None)
        assert np.array_equal(frame.rgb, rgb)
        assert frame.camera == HAND_EYE_CAMERA
        inner = frame.depth_m[5:-5, 5:-5]
        assert np.allclose(inner[inner > 0], 0.7, atol=1e-3)
        assert (inner > 0).mean() > 0.95
        deadline = time.monotonic() + 5.0
        while camera.frame().time_s == frame.time_s and time.monotonic() < deadline:
            time.sleep(0.01)
        assert camera.frame().time_s > frame.time_s


def test_frames_that_stop_coming_grow_old_and_a_broken_source_is_an_error():
    pytest.importorskip("pyrealsense2", reason="pyrealsense2 or libusb is not installed")
    source = SoftwareSource(gradient, at_the_origin)
    with RealSenseCamera(source=source) as camera:
        source.is_paused = True
        time.sleep(0.4)
        old = camera.frame().time_s
        time.sleep(0.3)
        assert camera.frame().time_s == old
        source.fault = "its cable came off"
        with pytest.raises(RobotError, match="cable came off"):
            camera.frame()


@pytest.mark.parametrize("clock_ahead_s", [None, 5000.0, -5000.0])
def test_a_frame_is_dated_by_its_exposure_and_no_wall_clock_makes_it_fresh(monkeypatch, clock_ahead_s):
    """A picture takes 50 ms here to be taken and to arrive; the setting says so where no clock is shared."""
    pytest.importorskip("pyrealsense2", reason="pyrealsense2 or libusb is not installed")
    exposed = []

    def pose():
        exposed.append(time.monotonic())
        return SE3.identity(), exposed[-1]

    def slow(camera, pose):
        time.sleep(0.05)
        return gradient(camera, pose)

    source = SoftwareSource(slow, pose, clock_ahead_s=clock_ahead_s)
    with RealSenseCamera(source=source, latency_s=0.05) as camera:
        for shift_s in (0.0, 3600.0, -3600.0):
            now = time.time() + shift_s
            monkeypatch.setattr(time, "time", lambda now=now: now)
            time.sleep(0.3)
            off = np.abs(np.array(exposed) - camera.frame().time_s).min()
            assert off < (1e-5 if clock_ahead_s is None else 0.02)
            assert time.monotonic() - camera.frame().time_s < 0.5
        source.is_paused = True
        time.sleep(0.3)
        old = camera.frame().time_s
        monkeypatch.setattr(time, "time", lambda: now + 7200.0)
        assert camera.frame().time_s == old


class Camera:
    """Gives a new frame every time it is asked."""

    def __init__(self):
        self.entered = 0

    def __enter__(self):
        self.entered += 1
        return self

    def __exit__(self, *exception):
        self.entered -= 1

    def frame(self):
        return Frame(time.monotonic(), HAND_EYE_CAMERA, *gradient(HAND_EYE_CAMERA, None))


class Segmenter(Camera):
    fault = absent = False

    def __enter__(self):
        if self.absent:
            raise RobotError("there are no weights")
        return super().__enter__()

    def segment(self, frame):
        if self.fault:
            raise RobotError("the weights are gone")
        return np.full((*frame.depth_m.shape, 2), 255, np.uint8)


def test_frames_come_with_their_own_masks_and_both_devices_are_left():
    camera, segmenter = Camera(), Segmenter()
    with ThreadedCamera(camera, segmenter) as sight:
        frame = sight.frame()
        assert GivenMasks().segment(frame).all()
        assert (camera.entered, segmenter.entered) == (1, 1)
    assert (camera.entered, segmenter.entered) == (0, 0)


def test_a_segmenter_that_fails_is_an_error_of_the_camera_too():
    segmenter = Segmenter()
    sight = ThreadedCamera(Camera(), segmenter)
    with sight:
        segmenter.fault = True
        sight._thread.join(5.0)
        with pytest.raises(RobotError, match="weights are gone"):
            sight.frame()


@pytest.mark.parametrize("attribute", ["absent", "fault"])
def test_a_segmenter_that_fails_on_entering_leaves_no_camera_open(attribute):
    camera, segmenter = Camera(), Segmenter()
    setattr(segmenter, attribute, True)
    with pytest.raises(RobotError, match="weights"), ThreadedCamera(camera, segmenter):
        pass
    assert (camera.entered, segmenter.entered) == (0, 0)


def test_a_segmenter_that_does_not_return_is_left_behind(monkeypatch):
    monkeypatch.setattr(threaded_camera, "JOIN_S", 0.1)
    camera, segmenter, seen = Camera(), Segmenter(), threading.Event()

    def stuck(frame):
        if seen.is_set():
            time.sleep(1.0)
        seen.set()
        return np.zeros((*frame.depth_m.shape, 2), np.uint8)

    segmenter.segment = stuck
    began = time.monotonic()
    with pytest.warns(RuntimeWarning, match="left behind"), ThreadedCamera(camera, segmenter):
        time.sleep(0.05)
    assert time.monotonic() - began < 0.8
    assert camera.entered == 0


def test_a_room_has_depth_and_its_floor_is_where_it_is():
    room = Room(np.zeros(3), np.random.default_rng(0))
    down = SE3(np.diag([1.0, -1.0, -1.0]), np.array([0.0, 0.0, 0.5]))
    _, depth = room.picture(HAND_EYE_CAMERA, down)
    assert np.allclose(depth, 0.85, atol=1e-6)


def test_the_scene_is_seen_before_the_room_with_its_true_masks(scene, rasteriser, start):
    view = SceneView(scene, rasteriser, 0)
    rgb, depth = view.picture(HAND_EYE_CAMERA, start)
    masks = view.segment(Frame(0.0, HAND_EYE_CAMERA, rgb, depth))
    assert masks.any(axis=(0, 1)).all()
    thing = masks[..., 0] > 0
    assert depth[thing].max() < 1.2
    assert np.median(depth[~masks.any(axis=2)]) > np.median(depth[thing])
    with pytest.raises(RobotError, match="latest frames"):
        view.segment(Frame(0.0, HAND_EYE_CAMERA, 255 - rgb, depth))


@pytest.mark.parametrize("position", ["middle", "left", "bottom"])
def test_a_place_is_within_reach_and_its_joints_give_its_start(scene, position):
    placement = place(scene, UR5, FLANGE_FROM_GRIPPER, np.random.default_rng(0), position)
    flange = placement.world_from_base.matrix @ forward(UR5, placement.joints)
    assert np.abs(flange @ FLANGE_FROM_GRIPPER.matrix - placement.world_from_start.matrix).max() < 1e-9
    assert placement.world_from_base.rotation[2, 2] == 1
    back = -scene.grasp.scene_from_grasp.rotation[:, 2]
    away = placement.world_from_start.translation - scene.object_centre
    assert float(back @ away) / np.linalg.norm(away) > np.cos(START_CONE_RAD)


@pytest.mark.nightly
@pytest.mark.parametrize("segmenter", ["labels", "network"])
@pytest.mark.parametrize("policy", ["expert", "ranging"])
def test_what_ships_takes_an_object_on_the_emulated_robot_or_does_no_harm(
    policy, segmenter, rasteriser, tmp_path
):
    """Rendered camera, segmenter, policy, guard, servo, gripper, giver, retreat: all of it, in real time."""
    pytest.importorskip("rtde_control", reason="ur-rtde is not installed")
    pytest.importorskip("pyrealsense2", reason="pyrealsense2 or libusb is not installed")
    scene = next(scene for scene in load_scenes(None) if scene.object_name == "mustard_bottle")
    config, log = patient(rehearsal_config(RobotConfig(), scene)), tmp_path / "trial.jsonl"
    placement = place(scene, UR5, FLANGE_FROM_GRIPPER, np.random.default_rng(0))
    eyes = None if segmenter == "labels" else make_segmenter(segmenter)
    with emulated_devices(scene, placement, rasteriser, eyes, config) as devices:
        result = run_trial(make_policy(policy), policy, devices, config, log, scene=scene)
    assert least_hand_distance(log, scene) >= config.clearance_m
    # The network's weights are too weak for more, and must do no harm.
    assert result.outcome is Outcome.HANDED_OVER or segmenter == "network"
    assert replay(log).differing_lines == ()


@pytest.mark.nightly
def test_a_can_is_taken_by_the_real_clients_from_the_emulated_robot(scene, rasteriser, homing, tmp_path):
    pytest.importorskip("rtde_control", reason="ur-rtde is not installed")
    pytest.importorskip("pyrealsense2", reason="pyrealsense2 or libusb is not installed")
    config = patient(rehearsal_config(RobotConfig(budget_s=120.0, hand_wait_s=20.0), scene))
    placement = place(scene, UR5, FLANGE_FROM_GRIPPER, np.random.default_rng(0))
    log = tmp_path / "trial.jsonl"
    with emulated_devices(scene, placement, rasteriser, None, config, "127.0.4.1") as devices:
        result = run_trial(homing, "homing", devices, config, log, scene=scene)
    assert result.outcome is Outcome.HANDED_OVER, result.reason
    assert least_hand_distance(log, scene) >= config.clearance_m

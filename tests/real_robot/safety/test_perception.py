"""What a frame is turned into agrees with the camera's own projection, on any grid."""

from dataclasses import replace

import numpy as np
import pytest

from h2rh_env.core.camera import D435I, HAND_EYE_CAMERA, PinholeCamera
from h2rh_env.core.errors import RobotError
from h2rh_env.core.geometry import SE3, rotation_from_euler_xyz
from h2rh_env.core.spaces import observation_space
from real_robot.interfaces import Frame
from real_robot.safety.perception import PointMemory, observation_of, points_of, surfaces_of
from real_robot.segmentation.base import GivenMasks, checked_masks, make_segmenter


def frame_of(camera, depth=0.5):
    rgb = np.full((camera.height, camera.width, 3), 200, np.uint8)
    return Frame(0.0, camera, rgb, np.full(rgb.shape[:2], depth, np.float32))


def disc(camera, centre, radius):
    u = (np.arange(camera.width) + 0.5 - camera.cx) / camera.fx
    v = (np.arange(camera.height) + 0.5 - camera.cy) / camera.fy
    return np.hypot(u[None] - centre[0], v[:, None] - centre[1]) < radius


def two_masks(camera):
    masks = np.stack([disc(camera, (0.1, 0.0), 0.1), disc(camera, (-0.15, 0.1), 0.08)], axis=2)
    return masks.astype(np.uint8) * np.uint8(255)


@pytest.mark.parametrize(
    "camera", [HAND_EYE_CAMERA, D435I, PinholeCamera(640, 480, 606.0, 605.0, 327.5, 242.0)]
)
def test_an_observation_shows_the_policys_view_whatever_the_camera(camera):
    observation = observation_of(frame_of(camera), two_masks(camera))
    assert observation_space().contains(observation)
    expected = two_masks(HAND_EYE_CAMERA)
    assert (observation["masks"] != expected).mean() < 0.004
    assert (observation["rgb"][expected.max(axis=2) == 0] > 0).mean() < 0.01
    assert set(np.unique(observation["masks"])) == {0, 255}


@pytest.mark.parametrize("camera", [HAND_EYE_CAMERA, D435I])
def test_depth_is_shown_where_it_is_wanted_and_never_mixed(camera):
    frame, masks = frame_of(camera), two_masks(camera)
    near = disc(camera, (0.1, 0.0), 0.1)
    frame = replace(frame, depth_m=np.where(near, np.float32(0.4), np.float32(0.9)))
    observation = observation_of(frame, masks, with_depth=True)
    assert observation_space(depth=True).contains(observation)
    assert set(np.unique(observation["depth"])) == {np.float32(0.4), np.float32(0.9)}
    expected = disc(HAND_EYE_CAMERA, (0.1, 0.0), 0.1)
    assert ((observation["depth"][..., 0] < 0.5) != expected).mean() < 0.01
    assert "depth" not in observation_of(frame, masks)


def test_a_camera_that_sees_too_little_is_refused():
    tele = PinholeCamera(640, 480, 1200.0, 1200.0, 320.0, 240.0)
    with pytest.raises(RobotError, match="too narrow"):
        observation_of(frame_of(tele), two_masks(tele))


def test_points_project_back_onto_their_mask():
    camera, masks = D435I, two_masks(D435I)
    world_from_camera = SE3(rotation_from_euler_xyz([0.3, -0.2, 0.9]), np.array([0.1, 0.2, 0.3]))
    points = points_of(frame_of(camera), masks[..., 1], world_from_camera)
    pixels = np.floor(camera.project(world_from_camera.inverse().apply(points))).astype(int)
    assert len(points) > 100
    assert (masks[pixels[:, 1], pixels[:, 0], 1] == 255).all()


def test_pixels_without_depth_give_no_points():
    assert len(points_of(frame_of(D435I, 0.0), two_masks(D435I)[..., 0], SE3.identity())) == 0


@pytest.mark.parametrize("camera", [HAND_EYE_CAMERA, D435I])
@pytest.mark.parametrize("off_m", [-0.15, 0.01, 2.5])
def test_a_flying_pixel_is_no_point_and_everything_else_is(camera, off_m):
    masks = two_masks(camera)[..., 1]
    plain = points_of(frame_of(camera), masks, SE3.identity())
    flying = frame_of(camera)
    rows, columns = (int(index.mean()) for index in np.nonzero(masks))
    about = slice(rows - 3, rows + 4), slice(columns - 3, columns + 4)
    flying.depth_m[about] += np.float32(off_m) * (np.add.outer(np.arange(7), np.arange(7)) == 6)
    kept = points_of(flying, masks, SE3.identity())
    assert np.allclose(kept[:, 2], 0.5)
    assert len(plain) - 7 <= len(kept) < len(plain)


def test_fingers_a_few_pixels_wide_are_kept_whatever_is_behind_them():
    masks = np.zeros((HAND_EYE_CAMERA.height, HAND_EYE_CAMERA.width), np.uint8)
    masks[80:96, 100:102] = 255
    frame = frame_of(HAND_EYE_CAMERA, 0.9)
    frame.depth_m[masks > 0] = 0.4
    assert len(points_of(frame, masks, SE3.identity())) == 8


@pytest.mark.parametrize("camera", [HAND_EYE_CAMERA, D435I])
def test_a_strip_of_hand_with_the_depth_of_the_object_beside_it_is_no_hand(camera):
    masks = np.zeros((camera.height, camera.width, 2), np.uint8)
    scale = round(camera.width / HAND_EYE_CAMERA.width)
    masks[30 * scale : 90 * scale, 60 * scale : 100 * scale, 0] = 255
    masks[30 * scale : 90 * scale, 40 * scale : 60 * scale, 1] = 255
    frame = frame_of(camera, 0.5)
    frame.depth_m[:, 59 * scale : 100 * scale] = 0.4
    of_object, of_hand = surfaces_of(frame, masks, SE3.identity())
    assert np.allclose(of_object[:, 2], 0.4)
    assert np.allclose(of_hand[:, 2], 0.5)
    assert len(of_hand) > 250


def test_a_memory_keeps_what_was_seen_lately_once_a_voxel():
    memory = PointMemory(2.0)
    here, there = np.array([[0.1, 0.2, 0.3]]), np.array([[-0.5, 0.2, 0.3]])
    memory.add(np.repeat(here, 5, axis=0), 0.0)
    assert np.array_equal(memory.points, here)
    memory.add(there, 1.5)
    assert len(memory.points) == 2
    memory.add(there, 2.5)
    assert np.array_equal(memory.points, there)
    memory.add(np.zeros((0, 3)), 9.0)
    assert len(memory.points) == 0


def test_no_segmenter_at_all_is_an_error_not_an_empty_mask():
    with pytest.raises(RobotError, match="no segmenter"):
        make_segmenter("none")
    with pytest.raises(RobotError, match="cannot be imported"):
        make_segmenter("no_such_module:Segmenter")
    with pytest.raises(RobotError, match=r"lacks segment and __enter__ and __exit__; .*segment\(frame\)"):
        make_segmenter("builtins:object")
    with GivenMasks() as segmenter, pytest.raises(RobotError, match="no masks"):
        segmenter.segment(frame_of(D435I))


@pytest.mark.parametrize(
    "bad", [np.zeros((480, 640), np.uint8), np.zeros((480, 640, 2), bool), np.ones((480, 640, 2), np.uint8)]
)
def test_masks_of_another_shape_type_or_value_are_refused(bad):
    with pytest.raises(RobotError, match="segmenter must give"):
        checked_masks(bad, frame_of(D435I))

"""What the network is shown: a turned camera sees the same, and planes of depth agree where depth is right."""

import numpy as np
import pytest

from h2rh_env.core.camera import HAND_EYE_CAMERA
from h2rh_env.core.geometry import SE3, rotation_from_euler_xyz
from policies.grasping.inputs import CropView, Frame, GraspInputs

INPUTS = GraspInputs()
FAR_M = 0.5


def frame(world_from_camera=None, masks=None):
    """A frame of a wall 0.5 m away that is painted with waves."""
    pose = world_from_camera or SE3.identity()
    camera = HAND_EYE_CAMERA
    v, u = np.mgrid[: camera.height, : camera.width] + 0.5
    rays = (
        np.stack([(u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy, np.ones_like(u)], -1)
        @ pose.rotation.T
    )
    reach = (FAR_M - pose.translation[2]) / rays[..., 2]
    x, y = (pose.translation[:2] + reach[..., None] * rays[..., :2]).transpose(2, 0, 1)
    grey = 128 + 60 * np.sin(45 * x) + 60 * np.cos(38 * y)
    disc = 255 * (np.hypot(x, y) < 0.06).astype(np.uint8)
    shown = np.stack([disc, np.zeros_like(disc)], -1) if masks is None else masks
    return Frame(np.repeat(grey[..., None], 3, 2).astype(np.uint8), shown, pose)


def test_the_crop_looks_at_the_middle_of_the_object_with_room_about_it():
    masks = np.zeros((HAND_EYE_CAMERA.height, HAND_EYE_CAMERA.width, 2), np.uint8)
    masks[20:60, 150:190, 0] = 255
    (crop, _, geometry), view = INPUTS(frame(masks=masks), None, HAND_EYE_CAMERA)
    rows, columns = np.nonzero(crop[3] > 127)
    assert abs(rows.mean() - 31.5) < 1.5
    assert abs(columns.mean() - 31.5) < 1.5
    assert np.ptp(columns) == pytest.approx(64 / INPUTS.margin, abs=4)
    assert geometry[0] == pytest.approx(np.log(view.half_tangent))
    assert (crop[5] == 255).mean() > 0.9


def test_a_crop_that_does_not_turn_is_the_middle_of_the_image():
    half_tangent = 32 / HAND_EYE_CAMERA.fx  # 64 px of the frame, one to one
    view = CropView(np.eye(3), half_tangent)
    now = frame()
    (crop, _, _), _ = INPUTS(now, None, HAND_EYE_CAMERA, view)
    assert np.abs(crop[0].astype(int) - now.rgb[52:116, 80:144, 0]).max() <= 1


def test_without_an_object_there_is_nothing_to_look_at():
    masks = np.zeros((HAND_EYE_CAMERA.height, HAND_EYE_CAMERA.width, 2), np.uint8)
    assert INPUTS(frame(masks=masks), None, HAND_EYE_CAMERA) is None


def test_planes_agree_at_the_true_depth_and_nowhere_else():
    moved = SE3(rotation_from_euler_xyz([0.02, -0.1, 0.3]), np.array([0.05, 0.02, -0.03]))
    (_, planes, geometry), _ = INPUTS(frame(), frame(moved), HAND_EYE_CAMERA)
    inside = planes[:, 3] > 0
    off = np.abs(planes[:, 0].astype(int) - 128)
    means = np.array([o[i].mean() if i.any() else np.inf for o, i in zip(off, inside, strict=True)])
    assert INPUTS.plane_depths_m[np.argmin(means)] == pytest.approx(FAR_M, rel=0.1)
    assert means.min() < 0.35 * np.median(means[np.isfinite(means)])
    assert geometry[1:4] / 10 == pytest.approx(moved.translation, abs=1e-6)


def test_geometry_tells_of_a_first_look():
    (_, planes, geometry), _ = INPUTS(frame(), None, HAND_EYE_CAMERA)
    assert not planes.any()
    assert geometry[1:].tolist() == [0, 0, 0, 0]


def test_what_is_behind_the_earlier_camera_is_in_no_image():
    behind = SE3(rotation_from_euler_xyz([0, np.pi, 0]), np.zeros(3))
    (_, planes, _), _ = INPUTS(frame(), frame(behind), HAND_EYE_CAMERA)
    assert not planes.any()

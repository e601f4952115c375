"""Driving on: straight, by 0.3 m or by what a depth image shows between the fingers."""

import numpy as np
import pytest

from h2rh_env.core.camera import HAND_EYE_CAMERA
from h2rh_env.core.geometry import SE3
from h2rh_env.core.gripper import FINGERTIP_DEPTH_M
from h2rh_env.core.task import STANDOFF_M
from h2rh_env.envs.drive_on import OVERLAP_M, driven_on, measured_advance_m

SHAPE = (HAND_EYE_CAMERA.height, HAND_EYE_CAMERA.width)


def box_ahead(depth_m, half_px=8):
    """Depth of a wall 0.6 m away and a box before it, and the box's mask."""
    depth, mask = np.full(SHAPE, 0.6, np.float32), np.zeros(SHAPE, bool)
    mask[84 - half_px : 84 + half_px, 112 - half_px : 112 + half_px] = True
    depth[mask] = depth_m
    return depth, mask


def test_the_path_goes_on_straight_in_small_strides():
    start = np.eye(4)
    path = driven_on(start[None], 0.3)
    np.testing.assert_allclose(path[-1][:3, 3], [0, 0, 0.3], atol=1e-12)
    assert np.diff(path[:, 2, 3]).max() <= 0.01 + 1e-9
    np.testing.assert_array_equal(path[0], start)


def test_no_advance_stays():
    assert driven_on(np.eye(4)[None], 0.0)[-1] == pytest.approx(np.eye(4))


@pytest.mark.parametrize("distance", [0.3, 0.37, 0.45])
def test_the_fingertips_go_past_the_nearest_surface_by_the_overlap(distance):
    advance = measured_advance_m(*box_ahead(distance), HAND_EYE_CAMERA, SE3.identity())
    assert advance + FINGERTIP_DEPTH_M == pytest.approx(distance + OVERLAP_M, abs=1e-5)


def test_only_the_object_and_only_what_is_between_the_fingers_counts():
    depth, mask = box_ahead(0.4)
    depth[~mask] = 0.2  # a hand or a cable, nearer
    depth[:, :40] = 0.2
    mask[:, :40] = True  # the object's far end, beside the fingers
    advance = measured_advance_m(depth, mask, HAND_EYE_CAMERA, SE3.identity())
    assert advance == pytest.approx(0.4 + OVERLAP_M - FINGERTIP_DEPTH_M, abs=1e-5)


def test_with_nothing_between_the_fingers_it_is_the_papers_length():
    depth, mask = box_ahead(0.4)
    assert measured_advance_m(depth, np.zeros(SHAPE, bool), HAND_EYE_CAMERA, SE3.identity()) == STANDOFF_M
    assert measured_advance_m(np.zeros_like(depth), mask, HAND_EYE_CAMERA, SE3.identity()) == STANDOFF_M


def test_a_camera_beside_the_gripper_is_reckoned_with():
    depth, mask = box_ahead(0.4)
    behind = SE3(np.eye(3), np.array([0.0, 0.0, -0.05]))
    advance = measured_advance_m(depth, mask, HAND_EYE_CAMERA, behind)
    assert advance == pytest.approx(0.4 - 0.05 + OVERLAP_M - FINGERTIP_DEPTH_M, abs=1e-5)

"""Free is what two cameras look past; a single one, or what lies hardly behind, proves nothing."""

import numpy as np

from h2rh_env.captures.base import RgbdView
from h2rh_env.core.camera import HAND_EYE_CAMERA
from h2rh_env.core.geometry import look_at
from h2rh_env.reconstruction.free_space import seen_free
from h2rh_env.reconstruction.initialisation.fusion import SEEN_THROUGH_M

EYES = ([0.0, -0.6, 0.0], [0.6, 0.0, 0.0])
SHAPE = (HAND_EYE_CAMERA.height, HAND_EYE_CAMERA.width)


def views(*depths_m):
    """Cameras 0.6 m from the origin, each of which sees a wall square to its axis."""
    zeros = np.zeros(SHAPE, np.uint8)
    return [
        RgbdView(f"v{k}", HAND_EYE_CAMERA, look_at(eye, np.zeros(3)), np.zeros((*SHAPE, 3), np.uint8),
                 np.full(SHAPE, depth_m, np.float32), zeros)
        for k, (eye, depth_m) in enumerate(zip(EYES, depths_m, strict=False))
    ]  # fmt: skip


def test_what_two_cameras_look_past_is_free():
    points = np.array([[0.0, 0.0, 0.0], [0.05, 0.02, -0.03]])
    assert seen_free(views(0.9, 0.9), points).all()


def test_one_camera_is_not_enough_and_neither_is_one_that_measures_nothing():
    assert not seen_free(views(0.9), np.zeros((1, 3))).any()
    assert not seen_free(views(0.9, 0.0), np.zeros((1, 3))).any()
    assert not seen_free(views(0.9, 0.5), np.zeros((1, 3))).any()


def test_what_lies_less_behind_than_depth_errs_is_not_free():
    for spare_m, expected in ((-0.001, False), (0.001, True)):
        depth_m = 0.6 + SEEN_THROUGH_M + spare_m
        assert seen_free(views(depth_m, depth_m), np.zeros((1, 3))).all() == expected


def test_what_no_camera_shows_is_not_free():
    behind_both = np.array([[2.0, -2.0, 0.0]])
    assert not seen_free(views(0.9, 0.9), behind_both).any()

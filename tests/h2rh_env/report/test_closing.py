"""The closing is shown as contact had it, and nothing is shown of what never closed."""

import numpy as np
import pytest

from experts.three_phase import ThreePhaseExpert
from h2rh_env.benchmark.evaluation import evaluate
from h2rh_env.contact.conditions import BENCHMARK_CONDITIONS
from h2rh_env.core.camera import HAND_EYE_CAMERA
from h2rh_env.core.geometry import SE3, rotation_from_euler_xyz
from h2rh_env.core.labels import Label
from h2rh_env.rendering.select import make_rasteriser
from h2rh_env.report.closing import bystander_camera, closing_pictures, moved_object
from h2rh_env.report.pictures import Film, cropped, strip

from ..benchmark.test_evaluation import Stands


class ClosesFarAway(Stands):
    """Closes the fingers at the initial pose."""

    task = "grasp"

    def act(self, observation):
        return np.array([0, 0, 0, 0, 0, 0, 1], np.float32)


def pictures(policy, scene):
    (episode,) = evaluate({"p": policy}, [scene], 1, 0)["p"]
    return closing_pictures(scene, episode, BENCHMARK_CONDITIONS, make_rasteriser())


def test_the_object_alone_moves_and_keeps_its_shape(tiny_scene):
    motion = SE3(rotation_from_euler_xyz([0.3, 0.2, -1.0]), np.array([0.1, 0.0, 0.2]))
    before, after = tiny_scene.gaussians, moved_object(tiny_scene.gaussians, motion)
    mine = before.labels == Label.OBJECT
    np.testing.assert_allclose(after.means[mine], motion.apply(before.means[mine]), atol=1e-6)
    np.testing.assert_array_equal(after.means[~mine], before.means[~mine])
    np.testing.assert_array_equal(after.wxyz[~mine], before.wxyz[~mine])
    np.testing.assert_allclose(moved_object(before, SE3.identity()).wxyz, before.wxyz, atol=1e-6)


def test_the_bystander_looks_at_the_gripper_from_where_the_hand_is_not(tiny_scene):
    grasp = tiny_scene.grasp
    eye = bystander_camera(tiny_scene, grasp.scene_from_grasp)
    u, v = HAND_EYE_CAMERA.project(eye.inverse().apply(grasp.contact_scene))
    assert 0 < u < HAND_EYE_CAMERA.width
    assert 0 < v < HAND_EYE_CAMERA.height
    nearer = np.linalg.norm(eye.translation - grasp.contact_scene)
    assert np.linalg.norm(eye.translation - tiny_scene.hand_centre) > nearer - 0.05


def test_nothing_is_shown_of_what_was_not_closed_or_came_near_nothing(tiny_scene):
    assert pictures(Stands(), tiny_scene) == ()
    assert pictures(ClosesFarAway(), tiny_scene) == ()


def test_a_strip_ends_with_the_closing():
    black, white = np.zeros((8, 8, 3), np.uint8), np.full((8, 8, 3), 255, np.uint8)
    row = strip(Film(None, (black,) * 5, (white,) * 9), scale=1.0)
    assert row.shape == (8, 7 * 8, 3)
    assert not row[:, : 4 * 8].any()
    assert (row[:, 4 * 8 :] == 255).all()
    assert not strip(Film(None, (black,) * 5), scale=1.0).any()


def test_an_expert_that_hands_over_is_shown_to_the_end(tiny_scene):
    shown = pictures(ThreePhaseExpert(), tiny_scene)
    assert len(shown) >= 12
    assert all(picture.shape == (HAND_EYE_CAMERA.height, HAND_EYE_CAMERA.width, 3) for picture in shown)
    assert np.abs(shown[0].astype(int) - shown[-1]).mean() > 1


def test_a_picture_is_cropped_to_what_it_shows_in_its_own_proportions():
    picture = np.full((120, 160, 3), 30, np.uint8)
    picture[50:80, 100:150] = 200
    small = cropped(picture)
    assert (small == 200).sum() == (picture == 200).sum()
    assert small.shape[1] / small.shape[0] == pytest.approx(160 / 120, rel=0.03)
    assert small.shape[1] < 0.45 * 160
    dot = np.full((120, 160, 3), 30, np.uint8)
    dot[60, 80] = 200
    assert cropped(dot).shape[:2] == (48, 64)  # far stays far
    assert cropped(picture[:40]).shape == (40, 160, 3)  # an empty one is left alone
    whole = np.random.default_rng(0).integers(0, 255, (120, 160, 3)).astype(np.uint8)
    assert cropped(whole).shape == whole.shape

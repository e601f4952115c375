"""The gripper is drawn where its geometry says, nearer things before farther ones, and outside of the masks."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from h2rh_env.core.camera import HAND_EYE_CAMERA
from h2rh_env.core.geometry import SE3, look_at
from h2rh_env.core.gripper import FINGERTIP_DEPTH_M, PANDA, ROBOTIQ_2F85
from h2rh_env.envs.handover import H2RHandoverEnv
from h2rh_env.rendering.gripper import draw_gripper

BEHIND = SE3(Rotation.from_rotvec([0.05, 0.02, 0.3]).as_matrix(), np.array([0.01, -0.02, -0.4]))


def inside(image, camera, points_camera):
    (u, v) = camera.project(points_camera).T
    return image.alpha[v.astype(int), u.astype(int)]


@pytest.mark.parametrize("gripper", [ROBOTIQ_2F85, PANDA])
def test_each_box_is_drawn_where_it_projects(gripper):
    image = draw_gripper(HAND_EYE_CAMERA, BEHIND, gripper)
    centres = gripper.boxes().mean(axis=1)
    assert (inside(image, HAND_EYE_CAMERA, BEHIND.inverse().apply(centres)) == 1).all()
    between = BEHIND.inverse().apply([[0, 0, FINGERTIP_DEPTH_M], [0.2, 0, 0.05]])
    tips = draw_gripper(HAND_EYE_CAMERA, SE3.identity(), gripper)
    assert inside(tips, HAND_EYE_CAMERA, np.array([[0, 0, 0.1]])) == 0
    assert inside(image, HAND_EYE_CAMERA, between[1:]) == 0


def test_a_camera_in_the_grasp_frame_sees_both_fingers_at_the_images_sides():
    image = draw_gripper(HAND_EYE_CAMERA, SE3.identity(), ROBOTIQ_2F85)
    rows, columns = np.nonzero(image.alpha > 0.5)
    assert (columns < 40).any()
    assert (columns > 184).any()
    assert not ((columns > 60) & (columns < 164)).any()
    assert np.abs(rows - 84).max() < 45
    half = ROBOTIQ_2F85.max_width_m / 2
    edge = HAND_EYE_CAMERA.project(np.array([half, 0, FINGERTIP_DEPTH_M]))[0]
    assert columns[columns > 112].min() == pytest.approx(edge, abs=1)


def test_depth_is_that_of_the_nearest_face():
    straight = SE3(np.eye(3), np.array([0.05, 0, -0.4]))
    low = ROBOTIQ_2F85.boxes()[2, 0, 2]
    image = draw_gripper(HAND_EYE_CAMERA, straight, ROBOTIQ_2F85)
    assert image.depth[84, 112] == pytest.approx(0.4 + low, abs=1e-6)
    assert np.isinf(image.depth[0, 0])


def test_what_is_nearer_hides_the_gripper():
    image = draw_gripper(HAND_EYE_CAMERA, BEHIND, ROBOTIQ_2F85)
    assert (image.in_front_of(np.full_like(image.depth, 0.1)) == 0).all()
    np.testing.assert_array_equal(image.in_front_of(np.full_like(image.depth, np.inf)), image.alpha)


def test_closed_fingers_are_together():
    image = draw_gripper(HAND_EYE_CAMERA, BEHIND, ROBOTIQ_2F85, opening_m=0.0)
    assert inside(image, HAND_EYE_CAMERA, BEHIND.inverse().apply([[0, 0, 0.08]])) == 1


def test_in_an_environment_it_covers_pixels_and_belongs_to_no_mask(tiny_scene):
    offset = look_at(
        np.array([-0.3, -0.2, 0.1]), np.array([0.0, 0, 0.1])
    )  # from the side, in the gripper's frame
    start = tiny_scene.grasp.scene_from_grasp @ offset
    plain, shown = (
        H2RHandoverEnv(tiny_scene, gripper_from_camera=offset, depth=True, show_gripper=show).reset(
            seed=0, options={"scene_from_camera": start}
        )[0]
        for show in (False, True)
    )
    image = draw_gripper(HAND_EYE_CAMERA, offset, ROBOTIQ_2F85)
    differs = (plain["rgb"] != shown["rgb"]).any(axis=2)
    assert differs.sum() > 500
    assert not (differs & (image.alpha == 0)).any()
    covered = (image.alpha == 1) & differs
    assert (plain["masks"][covered] > 0).any()
    assert (shown["masks"][covered] == 0).all()
    np.testing.assert_array_equal(plain["masks"][~differs], shown["masks"][~differs])
    np.testing.assert_allclose(shown["depth"][covered][:, 0], image.depth[covered])
    near = (plain["depth"][..., 0] > 0) & (plain["depth"][..., 0] < image.depth) & (image.alpha > 0)
    assert near.sum() > 20, "somewhere the object must be before the gripper"
    np.testing.assert_array_equal(shown["rgb"][near], plain["rgb"][near])

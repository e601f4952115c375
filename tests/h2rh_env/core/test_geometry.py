"""Laws of rigid motions, rotations and cameras."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from h2rh_env.core.camera import D435I, HAND_EYE_CAMERA, PinholeCamera
from h2rh_env.core.errors import RenderError
from h2rh_env.core.geometry import (
    SE3,
    aim,
    angle_between,
    euler_xyz_from_rotation,
    look_at,
    rotation_about,
    rotation_angle,
    rotation_from_euler_xyz,
    rotation_from_rotvec,
    rotation_from_wxyz,
    rotvec_from_rotation,
    slerp,
    uniform_directions,
    upright_rotation,
)

seeds = st.integers(0, 2**32 - 1)


def random_se3(seed: int) -> SE3:
    rng = np.random.default_rng(seed)
    return SE3(rotation_from_euler_xyz(rng.uniform(-3, 3, 3)), rng.normal(size=3))


@given(seeds)
def test_a_motion_and_its_inverse_cancel(seed):
    motion = random_se3(seed)
    np.testing.assert_allclose((motion @ motion.inverse()).matrix, np.eye(4), atol=1e-12)


@given(seeds, seeds)
def test_composition_is_the_product_of_matrices_and_of_maps(a, b):
    target_from_middle, middle_from_source = random_se3(a), random_se3(b)
    both = target_from_middle @ middle_from_source
    np.testing.assert_allclose(both.matrix, target_from_middle.matrix @ middle_from_source.matrix, atol=1e-12)
    points = np.random.default_rng(a).normal(size=(5, 3))
    np.testing.assert_allclose(
        both.apply(points), target_from_middle.apply(middle_from_source.apply(points)), atol=1e-12
    )


@given(seeds)
def test_a_matrix_round_trips(seed):
    motion = random_se3(seed)
    np.testing.assert_array_equal(SE3.from_matrix(motion.matrix).matrix, motion.matrix)


@pytest.mark.parametrize(
    "matrix", [np.eye(3), np.diag([1, 1, -1, 1.0]), 2 * np.eye(4), np.full((4, 4), np.nan)]
)
def test_what_is_no_rigid_motion_is_refused(matrix):
    with pytest.raises(ValueError, match=r"rigid motion|rotation"):
        SE3.from_matrix(matrix)


def batch(seed: int, *shape: int) -> SE3:
    rng = np.random.default_rng(seed)
    return SE3(rotation_from_euler_xyz(rng.uniform(-3, 3, (*shape, 3))), rng.normal(size=(*shape, 3)))


@given(seeds, st.sampled_from([(), (3,), (2, 3), (1,), (0,)]))
def test_a_batch_does_what_each_of_its_motions_does(seed, shape):
    a, b = batch(seed, *shape), batch(seed + 1, *shape)
    points = np.random.default_rng(seed).normal(size=(*shape, 3))
    assert (a @ b).shape == a.inverse().shape == a.shape == shape
    assert a.matrix.shape == (*shape, 4, 4)
    for where in np.ndindex(shape):
        np.testing.assert_allclose((a @ b)[where].matrix, (a[where] @ b[where]).matrix, atol=1e-12)
        np.testing.assert_allclose(a.inverse()[where].matrix, a[where].inverse().matrix, atol=1e-12)
        np.testing.assert_allclose(a.apply(points)[where], a[where].apply(points[where]), atol=1e-12)
        np.testing.assert_array_equal(a.matrix[where], a[where].matrix)


@given(seeds)
def test_a_batch_and_its_inverse_cancel(seed):
    motions = batch(seed, 2, 3)
    np.testing.assert_allclose((motions @ motions.inverse()).matrix, SE3.identity((2, 3)).matrix, atol=1e-12)


@given(seeds)
def test_batches_broadcast_as_numpy_does(seed):
    one, many, more = batch(seed), batch(seed + 1, 4), batch(seed + 2, 2, 1)
    for left, right in ((one, many), (many, one), (more, many), (one, more)):
        both = left @ right
        assert both.shape == np.broadcast_shapes(left.shape, right.shape)
        np.testing.assert_allclose(both.matrix, left.matrix @ right.matrix, atol=1e-12)
    points = np.random.default_rng(seed).normal(size=(5, 3))
    np.testing.assert_allclose(
        many[:, None].apply(points), np.stack([motion.apply(points) for motion in many]), atol=1e-12
    )


@given(seeds)
def test_a_batch_is_the_stack_of_its_motions_and_round_trips_through_matrices(seed):
    motions = batch(seed, 4)
    np.testing.assert_array_equal(SE3.stack(motions).matrix, motions.matrix)
    np.testing.assert_array_equal(SE3.from_matrix(motions.matrix).matrix, motions.matrix)
    np.testing.assert_array_equal(motions[[2, 0]].matrix, motions.matrix[[2, 0]])
    np.testing.assert_array_equal(motions[np.arange(4) > 1].matrix, motions.matrix[2:])


def test_half_turns_are_their_own_inverse():
    half_turns = SE3(np.stack([2 * np.outer(axis, axis) - np.eye(3) for axis in np.eye(3)]), np.zeros((3, 3)))
    np.testing.assert_array_equal(half_turns.inverse().matrix, half_turns.matrix)
    np.testing.assert_array_equal((half_turns @ half_turns).matrix, SE3.identity((3,)).matrix)


def test_one_wrong_matrix_of_a_batch_is_refused():
    for wrong in (np.diag([1, 1, -1, 1.0]), 2 * np.eye(4), np.full((4, 4), np.nan)):
        with pytest.raises(ValueError, match="rotation"):
            SE3.from_matrix(np.stack([np.eye(4), wrong]))


def test_a_single_motion_is_no_batch():
    with pytest.raises(IndexError):
        SE3.identity()[0]
    with pytest.raises(TypeError, match="single"):
        list(SE3.identity())


@given(seeds)
def test_euler_angles_round_trip(seed):
    rotation = random_se3(seed).rotation
    np.testing.assert_allclose(
        rotation_from_euler_xyz(euler_xyz_from_rotation(rotation)), rotation, atol=1e-9
    )


def test_euler_angles_are_extrinsic_xyz():
    a, b, c = 0.3, -0.2, 0.7
    about = rotation_from_euler_xyz
    np.testing.assert_allclose(
        about([a, b, c]), about([0, 0, c]) @ about([0, b, 0]) @ about([a, 0, 0]), atol=1e-12
    )


@given(seeds, seeds, st.floats(0, 1))
def test_slerp_turns_at_constant_speed_between_its_ends(a, b, fraction):
    start, end = random_se3(a).rotation, random_se3(b).rotation
    np.testing.assert_allclose(slerp(start, end, 0), start, atol=1e-9)
    np.testing.assert_allclose(slerp(start, end, 1), end, atol=1e-9)
    turned = rotation_angle(start.T @ slerp(start, end, fraction))
    assert turned == pytest.approx(fraction * rotation_angle(start.T @ end), abs=1e-7)


@pytest.mark.parametrize("short_of_half_a_turn", [0.0, 1e-12, 1e-8, 1e-4])
@pytest.mark.parametrize("axis", [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, -2, 3], [-3, 1, 1e-9]])
def test_slerp_keeps_its_ends_near_half_a_turn(axis, short_of_half_a_turn):
    start = rotation_from_euler_xyz([0.3, -1.2, 2.0])
    turn = rotation_about(np.array(axis) / np.linalg.norm(axis), np.pi - short_of_half_a_turn)
    np.testing.assert_allclose(slerp(start, start @ turn, 1), start @ turn, atol=1e-12)
    assert rotation_angle(start.T @ slerp(start, start @ turn, 0.5)) == pytest.approx(np.pi / 2, abs=1e-4)


def test_slerp_takes_many_fractions_at_once():
    start, end = rotation_from_euler_xyz([[0.3, -1.2, 2.0], [1.0, 0.4, -2.0]])
    fractions = np.array([0.0, 0.25, 1.0])
    np.testing.assert_allclose(slerp(start, end, fractions), [slerp(start, end, f) for f in fractions])
    assert slerp(start, start, fractions).shape == (3, 3, 3)


def test_quaternions_of_any_length_turn_and_none_of_length_zero():
    wxyz = np.array([[0.3, -0.2, 0.5, 0.7], [2.0, 0.0, 0.0, 0.0]])
    np.testing.assert_allclose(rotation_from_wxyz(wxyz), rotation_from_wxyz(-3 * wxyz), atol=1e-15)
    np.testing.assert_array_equal(rotation_from_wxyz(wxyz[1]), np.eye(3))
    with pytest.raises(ValueError, match="a quaternion is zero"):
        rotation_from_wxyz([[1, 0, 0, 0], [0, 0, 0, 0]])


@given(seeds, st.floats(0, np.pi))
def test_rotation_vectors_round_trip(seed, angle_rad):
    axis = uniform_directions(np.random.default_rng(seed), 1)[0]
    rotation = rotation_from_rotvec(angle_rad * axis)
    np.testing.assert_allclose(rotation, rotation_about(axis, angle_rad), atol=1e-14)
    np.testing.assert_allclose(rotation_from_rotvec(rotvec_from_rotation(rotation)), rotation, atol=1e-12)


@pytest.mark.parametrize("second", [np.pi / 2, -np.pi / 2])
def test_at_gimbal_lock_the_third_angle_is_zero_and_the_rotation_the_same(second):
    rotation = rotation_from_euler_xyz([0.3, second, 0.5])
    angles = euler_xyz_from_rotation(rotation)
    assert angles[2] == 0
    np.testing.assert_allclose(rotation_from_euler_xyz(angles), rotation, atol=1e-8)


def test_slerp_between_equal_rotations_stays():
    rotation = random_se3(3).rotation
    np.testing.assert_allclose(slerp(rotation, rotation, 0.4), rotation, atol=1e-12)


@given(seeds)
def test_aim_points_the_axis_by_the_least_turn(seed):
    rng = np.random.default_rng(seed)
    rotation, direction = random_se3(seed).rotation, rng.normal(size=3)
    aimed = aim(rotation, direction)
    assert angle_between(aimed[:, 2], direction) < 1e-7
    least = float(angle_between(rotation[:, 2], direction))
    assert rotation_angle(rotation.T @ aimed) == pytest.approx(least, abs=1e-7)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_aim_is_a_rotation_for_directions_ahead_and_exactly_behind(sign):
    aimed = aim(np.eye(3), [0, 0, sign])
    np.testing.assert_allclose(aimed[:, 2], [0, 0, sign], atol=1e-12)
    assert np.linalg.det(aimed) == pytest.approx(1)


@given(seeds)
def test_an_upright_camera_has_a_level_horizon_and_the_world_below_it(seed):
    rotation = upright_rotation(uniform_directions(np.random.default_rng(seed), 1)[0])
    assert abs(rotation[2, 0]) < 1e-9  # image right is level
    assert rotation[2, 1] <= 0  # image down points down
    assert np.linalg.det(rotation) == pytest.approx(1)


@pytest.mark.parametrize("forward", [[0, 0, 1], [0, 0, -1]])
def test_looking_along_gravity_is_defined(forward):
    rotation = upright_rotation(forward)
    np.testing.assert_allclose(rotation[:, 2], forward, atol=1e-12)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)


def test_look_at_centres_its_target():
    camera_from_world = look_at([0.3, -1, 0.5], [0.1, 0.2, 0.3]).inverse()
    (u, v) = D435I.project(camera_from_world.apply([0.1, 0.2, 0.3]))
    assert (u, v) == pytest.approx((D435I.cx, D435I.cy))


def test_projection_undoes_unprojection_and_pixel_centres_are_at_half():
    depth = np.random.default_rng(0).uniform(0.2, 2, (D435I.height, D435I.width))
    uv = D435I.project(D435I.unproject(depth))
    np.testing.assert_allclose(uv[..., 0], np.broadcast_to(np.arange(640) + 0.5, (480, 640)), atol=1e-9)
    np.testing.assert_allclose(
        uv[..., 1], np.broadcast_to(np.arange(480)[:, None] + 0.5, (480, 640)), atol=1e-9
    )


def test_points_behind_the_camera_do_not_project():
    assert np.isnan(D435I.project([[0, 0, 0.0], [0, 0, -1.0]])).all()


def test_opencv_counts_from_the_centre_of_the_first_pixel_and_back():
    k = HAND_EYE_CAMERA.opencv_matrix
    again = PinholeCamera.from_opencv(
        HAND_EYE_CAMERA.width, HAND_EYE_CAMERA.height, k[0, 0], k[1, 1], k[0, 2], k[1, 2]
    )
    assert again == HAND_EYE_CAMERA
    first_pixel = HAND_EYE_CAMERA.unproject(np.ones((168, 224)))[0, 0]
    np.testing.assert_allclose(k @ first_pixel, [0, 0, 1], atol=1e-12)


def test_resizing_keeps_the_field_of_view():
    points = np.array([[0.1, -0.2, 0.9], [-0.3, 0.1, 1.5]])
    scale = HAND_EYE_CAMERA.width / D435I.width
    np.testing.assert_allclose(HAND_EYE_CAMERA.project(points), scale * D435I.project(points))


@pytest.mark.parametrize("width", [0, -3, 100_000])
def test_a_camera_of_impossible_size_is_refused(width):
    with pytest.raises(RenderError, match="each side must be"):
        PinholeCamera(width, 480, 615, 615, 320, 240)


@pytest.mark.parametrize("angle_rad", [0.0, 1e-9, 1e-3, 1.0, np.pi - 1e-3, np.pi - 1e-9, np.pi])
def test_a_rotation_about_an_axis_has_its_angle_and_leaves_the_axis(angle_rad):
    for axis in uniform_directions(np.random.default_rng(0), 20):
        rotation = rotation_about(axis, angle_rad)
        np.testing.assert_allclose(rotation @ axis, axis, atol=1e-15)
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-14)
        assert rotation_angle(rotation) == pytest.approx(angle_rad, abs=1e-14)
        turned = Rotation.from_rotvec(angle_rad * axis).as_matrix()
        np.testing.assert_allclose(rotation, turned, atol=1e-14)

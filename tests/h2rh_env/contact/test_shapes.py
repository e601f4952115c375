"""Shapes: boxes cover cells exactly, masses balance, hollows stay hollow, and shipped scenes show what they hold."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from h2rh_env.captures.synthetic.generate import stage, true_shapes
from h2rh_env.contact.config import BENCHMARK_PHYSICS
from h2rh_env.contact.mujoco_model import compile_model
from h2rh_env.contact.shapes import MASS_RANGE_KG, shape_of, shape_of_clouds, true_shape
from h2rh_env.contact.solids import enclosed, greedy_boxes
from h2rh_env.contact.upgrade import remade, surface_gap_m, upgraded
from h2rh_env.core.geometry import uniform_directions
from h2rh_env.core.gripper import ROBOTIQ_2F85
from h2rh_env.scenes.handover_scene import load_scenes


@settings(deadline=None)
@given(arrays(bool, st.tuples(*[st.integers(1, 6)] * 3)))
def test_boxes_cover_every_filled_cell_once_and_no_other(solid):
    covered = np.zeros(solid.shape, int)
    for low, high in greedy_boxes(solid):
        covered[tuple(map(slice, low, high))] += 1
    np.testing.assert_array_equal(covered, solid)


def test_a_box_is_one_box_of_its_own_size_mass_and_inertia(box):
    shape = box(size_m=(0.0405, 0.06, 0.12), mass_kg=0.3)
    assert len(shape.boxes) == 1
    x, y, z = np.diff(shape.box_corners_m[0], axis=0)[0]
    np.testing.assert_allclose((x, y, z), (0.0405, 0.06, 0.12), atol=1e-12)
    np.testing.assert_allclose(
        shape.inertia, 0.3 / 12 * np.diag([y * y + z * z, x * x + z * z, x * x + y * y]), atol=1e-12
    )
    np.testing.assert_allclose(shape.scene_from_shape.apply(shape.centre_m), [0.5, 0.3, 0.4], atol=1e-12)


def test_inertia_does_not_depend_on_how_a_solid_is_cut(box):
    """Two halves of a box have its centre and inertia."""
    whole = box(size_m=(0.04, 0.06, 0.12))
    low, high = whole.boxes[0].astype(int)
    middle = (low[2] + high[2]) // 2
    halves = np.array([[low, [*high[:2], middle]], [[*low[:2], middle], high]], np.uint16)
    cut = replace(whole, boxes=halves)
    np.testing.assert_allclose(cut.centre_m, whole.centre_m, atol=1e-12)
    np.testing.assert_allclose(cut.inertia, whole.inertia, atol=1e-12)
    assert cut.digest != whole.digest


@pytest.mark.parametrize(
    ("size_m", "mass_kg"), [((0.02, 0.02, 0.02), MASS_RANGE_KG[0]), ((0.2, 0.2, 0.2), MASS_RANGE_KG[1])]
)
def test_an_unknown_mass_stays_within_what_a_hand_gives(box, size_m, mass_kg):
    assert box(size_m=size_m, mass_kg=None).mass_kg == mass_kg


def test_a_ball_of_points_is_filled_to_its_volume():
    surface = 0.04 * uniform_directions(np.random.default_rng(0), 6000)
    shape = shape_of_clouds(surface, np.zeros((0, 3)))
    assert shape.source == "cloud"
    assert shape.volume_m3 == pytest.approx(4 / 3 * np.pi * 0.04**3, rel=0.1)
    np.testing.assert_allclose(shape.scene_from_shape.apply(shape.centre_m), 0, atol=0.001)


def test_a_blade_of_points_is_kept():
    rng = np.random.default_rng(0)
    blade = np.column_stack([rng.uniform(0, 0.1, 4000), rng.uniform(0, 0.02, 4000), np.zeros(4000)])
    shape = shape_of_clouds(blade, np.zeros((0, 3)))
    assert shape.volume_m3 == pytest.approx(0.1 * 0.02 * 0.002, rel=0.35)


def test_one_point_is_a_shape_and_an_empty_hand_is_none():
    shape = shape_of_clouds(np.zeros((1, 3)), np.zeros((0, 3)))
    assert len(shape.boxes) >= 1
    assert not len(shape.hand_centres)


def test_only_the_inside_of_a_shell_is_enclosed():
    shell = np.ones((9, 9, 9), bool)
    shell[1:-1, 1:-1, 1:-1] = False
    room = np.pad(shell, 2)
    assert enclosed(room)[3:-3, 3:-3, 3:-3].all()
    assert not enclosed(room)[0].any()


def test_the_hollow_of_a_bowl_of_points_is_free_only_where_that_is_known():
    down = uniform_directions(np.random.default_rng(0), 20000)
    down = down[down[:, 2] < 0]
    bowl = np.concatenate([0.06 * down, 0.057 * down])  # both sides of a wall of 3 mm, open above

    def is_free(points):
        return np.linalg.norm(points, axis=1) < 0.055

    filled, hollow = (shape_of_clouds(bowl, np.zeros((0, 3)), known) for known in (None, is_free))
    half_ball, wall = 2 / 3 * np.pi * 0.06**3, 2 * np.pi * 0.0585**2 * 0.003
    assert filled.volume_m3 > 0.8 * half_ball
    assert hollow.volume_m3 < 0.4 * half_ball
    assert wall < hollow.volume_m3 < 3 * wall


@pytest.mark.parametrize(("name", "share"), [("red_bowl", 0.5), ("blue_kettle", 0.75), ("mug", 0.7)])
def test_what_is_hollow_stays_hollow(name, share):
    truth = true_shapes(stage(3, name))
    shape = true_shape(truth)
    corners = shape.box_corners_m
    inside = ((corners[:, 0] <= shape.centre_m) & (shape.centre_m <= corners[:, 1])).all(axis=1)
    assert not inside.any()  # the centre of mass lies in the hollow
    assert shape.volume_m3 < share * np.prod(np.diff(truth.object_bounds, axis=0))


def test_true_masses_are_those_that_were_weighed():
    assert true_shape(true_shapes(stage(3, "mustard_bottle"))).mass_kg == 0.603
    assert true_shapes(stage(3)).mass_kg is None


def test_gravity_turns_no_free_object_about_its_centre_of_mass(box):
    """The model that is compiled says so itself; a centre of mass elsewhere would be refused."""
    turn = np.array([[0.36, 0.48, -0.8], [-0.8, 0.6, 0], [0.48, 0.64, 0.6]])
    assert compile_model(box(rotation=turn), ROBOTIQ_2F85, BENCHMARK_PHYSICS).model.nbody == 5


@pytest.fixture(scope="module")
def shipped():
    return load_scenes()


def test_every_shipped_scene_holds_the_true_shape_at_the_place_of_its_points(shipped):
    for scene in shipped:
        shape = shape_of(scene)
        assert shape.source == "true"
        points = shape.scene_from_shape.inverse().apply(scene.object_points[::20])[:, None]
        low, high = shape.box_corners_m[:, 0], shape.box_corners_m[:, 1]
        gaps = np.maximum(low - points, points - high).max(axis=2).min(axis=1)
        assert np.median(np.abs(gaps)) < 0.003
        assert np.percentile(gaps, 95) < 0.008


def test_a_shipped_scene_that_lost_its_shape_gets_the_same_again(shipped):
    scene = next(scene for scene in shipped if scene.object_name == "screwdriver")
    bare = type(scene)(
        scene.name,
        scene.object_name,
        scene.gaussians,
        scene.object_points,
        scene.hand_points,
        scene.grasp,
        scene.provenance,
    )
    again, sentence = upgraded(bare)
    assert sentence.startswith("true shape")
    assert again.contact_shape.digest == scene.contact_shape.digest
    assert surface_gap_m(scene, remade(scene)) < 0.002


def test_a_scene_of_no_generator_gets_a_shape_from_its_points(tiny_scene):
    scene, sentence = upgraded(tiny_scene)
    assert scene.contact_shape.source == "cloud"
    assert "generator" in sentence

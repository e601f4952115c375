"""Initial poses keep Eqs. 3-6 and 14, and the sampler says what it turned down."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from h2rh_env.core.errors import SceneError
from h2rh_env.core.geometry import angle_between, uniform_directions, upright_rotation
from h2rh_env.envs.initial_poses import InitialPoseSampler, sample_initial_poses

seeds = st.integers(0, 2**32 - 1)


@settings(max_examples=30, deadline=None)
@given(seed=seeds)
def test_starts_keep_every_equation(tiny_scene, seed):
    scene = tiny_scene
    goal = scene.grasp.pregrasp().translation
    for start in sample_initial_poses(scene, np.random.default_rng(seed), 4):
        position, axis = start.translation, start.rotation[:, 2]
        assert np.linalg.norm(position - scene.grasp.scene_from_grasp.translation) == pytest.approx(0.7)
        hand, back = scene.hand_centre - scene.object_centre, position - scene.object_centre
        assert angle_between(hand, back) > np.radians(60)
        assert axis @ scene.grasp.scene_from_grasp.rotation[:, 2] >= np.cos(np.radians(100))
        way = position + np.linspace(0, 1, 400)[:, None] * (goal - position)
        assert scene.clearance.distance(way).min() > 0.1


@settings(max_examples=30, deadline=None)
@given(seed=seeds)
def test_the_jitter_is_about_the_cameras_own_x_and_y_within_its_bounds(tiny_scene, seed):
    (start,) = sample_initial_poses(tiny_scene, np.random.default_rng(seed), 1)
    upright = upright_rotation(tiny_scene.object_centre - start.translation)
    turned = upright.T @ start.rotation
    about_x, about_y = np.arctan2(turned[2, 1], turned[1, 1]), np.arctan2(turned[0, 2], turned[0, 0])
    cos, sin = np.cos([about_x, about_y]), np.sin([about_x, about_y])
    r_x = np.array([[1, 0, 0], [0, cos[0], -sin[0]], [0, sin[0], cos[0]]])
    r_y = np.array([[cos[1], 0, sin[1]], [0, 1, 0], [-sin[1], 0, cos[1]]])
    np.testing.assert_allclose(turned, r_x @ r_y, atol=1e-9)
    assert np.abs([about_x, about_y]).max() <= np.radians(20)


def test_without_jitter_the_camera_looks_at_the_object_upright(tiny_scene):
    for start in sample_initial_poses(tiny_scene, np.random.default_rng(0), 20, jitter_rad=0.0):
        assert angle_between(start.rotation[:, 2], tiny_scene.object_centre - start.translation) < 1e-6
        assert start.rotation[2, 0] == pytest.approx(0)


def test_the_same_seed_gives_the_same_starts_and_one_more_keeps_the_first(tiny_scene):
    few = sample_initial_poses(tiny_scene, np.random.default_rng(5), 3)
    more = sample_initial_poses(tiny_scene, np.random.default_rng(5), 50)
    for a, b in zip(few, more, strict=False):
        np.testing.assert_array_equal(a.matrix, b.matrix)
    assert len(more) == 50


def test_directions_are_uniform_on_the_sphere_where_nothing_is_turned_down(tiny_scene):
    scene = dataclasses.replace(tiny_scene, hand_points=np.zeros((0, 3), np.float32))
    poses = sample_initial_poses(
        scene, np.random.default_rng(0), 3000, max_angle_to_grasp_rad=np.pi, clearance_m=0.0, jitter_rad=0.0
    )
    directions = np.array([s.translation - scene.grasp.scene_from_grasp.translation for s in poses]) / 0.7
    assert np.abs(directions.mean(axis=0)).max() < 0.05
    np.testing.assert_allclose(directions.T @ directions / len(poses), np.eye(3) / 3, atol=0.03)


def test_statistics_add_up_to_the_tries(tiny_scene):
    sampler = InitialPoseSampler(tiny_scene)
    rotations, positions, statistics = sampler.draw(np.random.default_rng(0), 500)
    assert statistics.tried == 500
    assert statistics.accepted == len(rotations) == len(positions)
    assert statistics.beside_hand > 0
    assert statistics.turned_away > 0
    doubled = statistics + statistics
    assert doubled.accepted == 2 * statistics.accepted


def test_a_way_past_the_object_is_turned_down_whole(tiny_scene):
    wall = (
        tiny_scene.grasp.pregrasp().translation
        + [0.0, 0.0, 0.25]
        + np.random.default_rng(0).uniform([-0.4, -0.4, 0.0], [0.4, 0.4, 0.0], (4000, 3))
    )
    scene = dataclasses.replace(
        tiny_scene, hand_points=np.concatenate([tiny_scene.hand_points, wall]).astype(np.float32)
    )
    sampler = InitialPoseSampler(scene, min_angle_to_hand_rad=0.0)
    _, positions, statistics = sampler.draw(np.random.default_rng(0), 1000)
    assert statistics.too_near > 50
    assert (positions[:, 2] < wall[0, 2]).mean() > 0.9


def test_a_scene_without_a_hand_has_starts_all_round(tiny_scene):
    scene = dataclasses.replace(tiny_scene, hand_points=np.zeros((0, 3), np.float32))
    _, _, statistics = InitialPoseSampler(scene).draw(np.random.default_rng(0), 300)
    assert statistics.beside_hand == 0


def test_a_scene_that_admits_no_start_says_why(tiny_scene, monkeypatch):
    monkeypatch.setattr("h2rh_env.envs.initial_poses.MAX_TRIES", 200)
    with pytest.raises(SceneError, match=r"0 of \d+ tried; \d+ were on the hand's side"):
        sample_initial_poses(tiny_scene, np.random.default_rng(0), 1, min_angle_to_hand_rad=np.pi)


@settings(max_examples=30, deadline=None)
@given(seed=seeds)
def test_what_is_turned_down_is_turned_down_by_an_equation(tiny_scene, seed):
    """Of all directions, drawn again here one by one, those accepted are those that keep Eqs. 4, 6 and 14."""
    sampler = InitialPoseSampler(tiny_scene, jitter_rad=0.0)
    _, positions, statistics = sampler.draw(np.random.default_rng(seed), 40)
    grasp, goal = tiny_scene.grasp.scene_from_grasp, tiny_scene.grasp.pregrasp().translation
    kept, beside, turned = [], 0, 0
    for direction in uniform_directions(np.random.default_rng(seed), 40):
        start = grasp.translation + 0.7 * direction
        back = start - tiny_scene.object_centre
        if angle_between(back, tiny_scene.hand_centre - tiny_scene.object_centre) <= np.radians(60):
            beside += 1
        elif angle_between(-back, grasp.rotation[:, 2]) > np.radians(100):
            turned += 1
        elif (
            tiny_scene.clearance.distance(start + np.linspace(0, 1, 800)[:, None] * (goal - start)).min()
            > 0.102
        ):
            kept.append(start)
    assert (statistics.beside_hand, statistics.turned_away) == (beside, turned)
    assert {tuple(np.round(p, 9)) for p in kept} <= {tuple(np.round(p, 9)) for p in positions}

"""Distances (Eq. 14), straight ways that keep them, and the sweep of the open gripper."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from h2rh_env.core.clearance import Clearance, between_fingers, sweep_gap, swept_hits
from h2rh_env.core.clearance.numba_clearance import SceneClearance
from h2rh_env.core.geometry import SE3
from h2rh_env.core.gripper import FINGERTIP_DEPTH_M, ROBOTIQ_2F85

CLOUD = np.random.default_rng(0).normal(scale=0.1, size=(300, 3))
CLEARANCE = Clearance(CLOUD)
seeds = st.integers(0, 2**32 - 1)


@given(seeds)
def test_distance_is_the_least_over_all_points(seed):
    positions = np.random.default_rng(seed).normal(scale=0.3, size=(2, 4, 3))
    brute = np.linalg.norm(positions[..., None, :] - CLOUD, axis=-1).min(axis=-1)
    np.testing.assert_allclose(CLEARANCE.distance(positions), brute)


@settings(max_examples=50, deadline=None)
@given(seeds, st.integers(1, 400), st.sampled_from([np.float32, np.float64]))
def test_a_scenes_clearance_is_the_same_to_the_last_bit(seed, points, dtype):
    rng = np.random.default_rng(seed)
    cloud = rng.normal(scale=0.1, size=(points, 3)).astype(dtype)
    cloud[: points // 3] = np.round(cloud[: points // 3], 1)  # with points that lie on each other
    plain, fast = Clearance(cloud), SceneClearance(cloud)
    positions = np.concatenate([cloud[:2], rng.normal(scale=0.3, size=(20, 3))])
    np.testing.assert_array_equal(fast.distance(positions), plain.distance(positions))
    assert fast.distance(positions[0]) == 0
    assert fast.distance(positions.reshape(-1, 1, 3)).shape == (len(positions), 1)
    many = rng.normal(size=(5, 20, 3))
    np.testing.assert_array_equal(fast.distance(many), plain.distance(many))


def test_an_empty_scenes_clearance_is_infinite():
    np.testing.assert_array_equal(SceneClearance(np.zeros((0, 3))).distance(np.zeros((2, 3))), np.inf)


def test_an_empty_cloud_is_infinitely_far_and_every_way_is_kept():
    nothing = Clearance(np.zeros((0, 3)))
    assert nothing.distance([0.0, 0, 0]) == np.inf
    assert nothing.keeps([0.0, 0, 0], [1.0, 0, 0], 10.0)
    with pytest.raises(ValueError, match="empty"):
        nothing.nearest([0.0, 0, 0])


@given(seeds)
def test_the_nearest_point_lies_at_the_distance(seed):
    position = np.random.default_rng(seed).normal(size=3)
    assert np.linalg.norm(CLEARANCE.nearest(position) - position) == pytest.approx(
        CLEARANCE.distance(position)
    )


@settings(max_examples=50)
@given(seeds)
def test_a_kept_way_is_what_exact_distances_to_the_segment_say(seed):
    rng = np.random.default_rng(seed)
    starts, ends = rng.normal(scale=0.5, size=(2, 40, 3))
    way = ends - starts
    fraction = ((CLOUD[None] - starts[:, None]) * way[:, None]).sum(axis=2) / (way**2).sum(axis=1)[:, None]
    feet = starts[:, None] + np.clip(fraction, 0, 1)[..., None] * way[:, None]
    least = np.linalg.norm(feet - CLOUD, axis=2).min(axis=1)
    kept = CLEARANCE.keeps(starts, ends, 0.1)
    assert not kept[least <= 0.1].any()
    assert kept[least > 0.1 + 2e-4].all()


def test_a_way_of_no_length_is_its_point():
    far = np.array([1.0, 0, 0])
    assert CLEARANCE.keeps(far, far, 0.1)
    assert not CLEARANCE.keeps(CLOUD[0], CLOUD[0], 0.1)


@given(seeds, st.floats(0, 0.4), st.floats(0, 0.03))
def test_points_that_the_gripper_touches_are_those_within_the_margin_of_its_gap(seed, advance, margin):
    rng = np.random.default_rng(seed)
    points = rng.uniform(-0.2, 0.5, (500, 3))
    gap = sweep_gap(points, advance)
    hits = swept_hits(points, SE3.identity(), advance, margin)
    np.testing.assert_array_equal(hits, gap <= margin)


def test_the_sweep_is_the_union_of_the_gripper_along_its_way():
    rng = np.random.default_rng(1)
    points = rng.uniform([-0.15, -0.1, -0.2], [0.15, 0.1, 0.5], (4000, 3))
    steps = [SE3(np.eye(3), np.array([0.0, 0.0, z])) for z in np.linspace(0, 0.3, 301)]
    union = np.any([swept_hits(points, pose, 0.0) for pose in steps], axis=0)
    swept = swept_hits(points, SE3.identity(), 0.3)
    assert swept[union].all()
    assert (swept & ~union).sum() <= 4
    assert union.sum() > 100


def test_the_gap_is_the_margin_at_which_a_point_is_hit():
    points = np.random.default_rng(2).uniform(-0.3, 0.3, (2000, 3))
    gap = sweep_gap(points, 0.1)
    for margin in (0.0, 0.01, 0.05):
        np.testing.assert_array_equal(swept_hits(points, SE3.identity(), 0.1, margin), gap <= margin)


def test_what_lies_between_the_fingers_is_not_hit():
    middle = np.array([[0.0, 0.0, FINGERTIP_DEPTH_M - 0.02]])
    assert between_fingers(middle)[0]
    assert not swept_hits(middle, SE3.identity(), 0.0, 0.0)[0]
    beside = middle + [ROBOTIQ_2F85.max_width_m / 2 + 0.005, 0, 0]
    assert not between_fingers(beside)[0]
    assert swept_hits(beside, SE3.identity(), 0.0, 0.0)[0]

"""Aligned advances close on what was measured, touch nothing with fingers or palm, and keep off the hand."""

import numpy as np
import pytest

from h2rh_env.core.clearance import swept_hits
from h2rh_env.core.geometry import SE3, rotation_from_euler_xyz, uniform_directions
from h2rh_env.envs.metrics import closes_on
from real_robot.control import grasp_alignment
from real_robot.control.grasp_alignment import ahead

STANDOFF_M, CLEARANCE_M = 0.3, 0.1
NOTHING = np.zeros((0, 3))


def aligned(*arguments):
    search = grasp_alignment.aligned(*arguments)
    try:
        while True:
            next(search)
    except StopIteration as end:
        return end.value


def can_follow(reaches):
    """The `can_follow` of an arm that cares for where an advance leads, not for the path to it."""
    return lambda way: all(map(reaches, way[len(way) // 2 :]))


anywhere, nowhere = can_follow(lambda pose: True), can_follow(lambda pose: False)


def box(size, rng, count=4000):
    """Points (P, 3) on the surface of a box about the origin."""
    faces = rng.uniform(-0.5, 0.5, (count, 3))
    axis = rng.integers(3, size=count)
    faces[np.arange(count), axis] = rng.choice([-0.5, 0.5], count)
    return faces * size


def declared(aside=(0.0, 0.0), far=0.405, turn=0.0):
    """Looking along world z at the origin from `far` away, but for a step aside and a turn."""
    return SE3(rotation_from_euler_xyz(np.array([0.0, 0.0, turn])), np.array([*aside, -far]))


@pytest.mark.parametrize("aside", [(0.0, 0.0), (0.03, 0.0), (-0.02, 0.03)])
@pytest.mark.parametrize("far", [0.36, 0.405, 0.46])
@pytest.mark.parametrize("turn", [0.0, 0.5, 1.4])
def test_the_fingers_end_about_a_box(aside, far, turn):
    points = box(np.array([0.05, 0.14, 0.05]), np.random.default_rng(0))
    advance = aligned(declared(aside, far, turn), points, NOTHING, STANDOFF_M, CLEARANCE_M, anywhere)
    assert closes_on(points, advance.world_from_grasp)
    assert not swept_hits(points, advance.world_from_pregrasp, STANDOFF_M, 0.0).any()


def test_what_is_aligned_stays_where_it_is():
    points = box(np.array([0.05, 0.14, 0.05]), np.random.default_rng(0))
    first = aligned(declared((0.02, 0.0), turn=0.6), points, NOTHING, STANDOFF_M, CLEARANCE_M, anywhere)
    again = aligned(first.world_from_pregrasp, points, NOTHING, STANDOFF_M, CLEARANCE_M, anywhere)
    assert np.abs(again.world_from_pregrasp.matrix - first.world_from_pregrasp.matrix).max() < 3e-3


def test_it_keeps_off_the_hand():
    rng = np.random.default_rng(0)
    points, hand = box(np.array([0.05, 0.05, 0.2]), rng), box(np.full(3, 0.03), rng) + [0.06, 0, 0]
    advance = aligned(declared(), points, hand, STANDOFF_M, CLEARANCE_M, anywhere)
    assert swept_hits(hand, declared(), STANDOFF_M).any()
    assert not swept_hits(hand, advance.world_from_pregrasp, STANDOFF_M).any()
    assert closes_on(points, advance.world_from_grasp)
    assert np.linalg.norm(hand - advance.world_from_grasp.translation, axis=1).min() > CLEARANCE_M


def test_what_cannot_be_approached_as_declared_is_from_a_little_further_around():
    points = box(np.array([0.05, 0.05, 0.05]), np.random.default_rng(0))

    def from_the_side(pose):
        return np.degrees(np.arccos(pose.rotation[2, 2])) > 10

    advance = aligned(declared(), points, NOTHING, STANDOFF_M, CLEARANCE_M, can_follow(from_the_side))
    assert np.degrees(np.arccos(advance.world_from_pregrasp.rotation[2, 2])) == pytest.approx(15)
    assert closes_on(points, advance.world_from_grasp)


def test_all_of_an_advance_is_within_reach():
    points = box(np.array([0.05, 0.14, 0.05]), np.random.default_rng(0))

    def but_half_way(pose):
        return abs(pose.translation[2] + 0.25) > 0.05 or abs(pose.translation[0]) > 0.03

    advance = aligned(declared(), points, NOTHING, STANDOFF_M, CLEARANCE_M, can_follow(but_half_way))
    parts = np.linspace(0, STANDOFF_M, 7)
    assert all(but_half_way(ahead(advance.world_from_pregrasp, part)) for part in parts)


def test_there_is_none_for_what_is_too_wide_or_nothing_or_out_of_reach():
    rng = np.random.default_rng(0)
    ball = 0.1 * uniform_directions(rng, 4000)
    assert aligned(declared(), ball, NOTHING, STANDOFF_M, CLEARANCE_M, anywhere) is None
    assert aligned(declared(), NOTHING, NOTHING, STANDOFF_M, CLEARANCE_M, anywhere) is None
    small = box(np.full(3, 0.05), rng)
    assert aligned(declared(), small, NOTHING, STANDOFF_M, CLEARANCE_M, nowhere) is None


def test_ahead_is_along_the_gripper():
    pose = declared((0.1, 0.2), 0.5, 1.0)
    assert np.allclose(pose.inverse().apply(ahead(pose, 0.25).translation), [0, 0, 0.25])

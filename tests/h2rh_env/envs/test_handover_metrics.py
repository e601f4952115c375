"""What *handed over* means, held to paths whose outcome is known by construction."""

import dataclasses
import math

import numpy as np
import pytest

from h2rh_env.contact.conditions import ContactConditions
from h2rh_env.core.geometry import SE3, rotation_from_euler_xyz
from h2rh_env.core.gripper import half_turned
from h2rh_env.envs.drive_on import driven_on
from h2rh_env.envs.handover_metrics import (
    HANDOVER_FAILURES,
    can_be_handed_over,
    score_handover,
    summarise_handovers,
    to_nearest_grasp,
)

EXACT = ContactConditions.exact()


def judged(scene, *poses, closed=True, advance_m=0.3):
    path = np.stack([pose.matrix for pose in poses])
    return score_handover(driven_on(path, advance_m) if advance_m else path, closed, scene, 0, EXACT)


def moved(pose, *offset_in_its_frame):
    return pose @ SE3(np.eye(3), np.array(offset_in_its_frame, float))


@pytest.fixture(scope="module")
def thin(tiny_scene):
    """The can of the tests with a radius of 20 mm instead of 33, so that the fingers have room."""
    centre = tiny_scene.object_points.mean(axis=0) * [1, 1, 0]
    points = (tiny_scene.object_points - centre) * [0.6, 0.6, 1] + centre
    return dataclasses.replace(tiny_scene, object_points=points.astype(np.float32))


def test_the_chosen_grasp_hands_over(thin):
    result = judged(thin, thin.grasp.pregrasp())
    assert result.handed_over
    assert result.safe
    assert result.grasp_distance_m == pytest.approx(0, abs=1e-9)
    assert result.slip_m < 0.02


def test_a_path_that_never_closes_is_not_closed_in_time(thin):
    result = judged(thin, thin.grasp.pregrasp(), closed=False, advance_m=0)
    assert result.first_failure == "not closed in time"
    assert result.safe


def test_stopping_short_closes_on_nothing(thin):
    result = judged(thin, thin.grasp.pregrasp(), advance_m=0.2)
    assert result.first_failure == "closed on nothing"
    assert result.grasp_distance_m == pytest.approx(0.1)


def test_coming_near_the_object_before_the_final_approach_is_too_near(thin):
    pregrasp = thin.grasp.pregrasp()
    above = thin.object_centre - pregrasp.rotation @ [0.0, 0.12, 0.0]
    result = judged(thin, SE3(pregrasp.rotation, above), pregrasp)
    assert result.first_failure == "too near on the way"
    assert result.safe  # of the hand


def test_going_in_beside_the_object_pushes_it_or_misses(thin):
    result = judged(thin, moved(thin.grasp.pregrasp(), 0.045, 0, 0))
    assert result.first_failure in {"pushed the object", "closed on nothing"}


def test_fingers_through_the_hand_touch_it_and_are_unsafe(thin):
    points = thin.object_points.mean(axis=0) + [[x, 0.0, -0.06] for x in np.linspace(-0.04, 0.04, 200)]
    scene = dataclasses.replace(thin, hand_points=points.astype(np.float32))
    low = moved(scene.grasp.pregrasp(), 0, 0.08, 0)
    result = judged(scene, low, advance_m=0.32)
    assert result.touched_hand
    assert not result.safe
    assert result.first_failure in {"touched the hand", "too near on the way"}


def test_a_scene_without_a_safe_grasp_is_left_out_and_counted(thin):
    wide = dataclasses.replace(thin, grasp=dataclasses.replace(thin.grasp, graspable=False))
    assert can_be_handed_over(thin)
    assert not can_be_handed_over(wide)
    summary = summarise_handovers([judged(thin, thin.grasp.pregrasp()), None], [0.1, 0.1], ["a", "b"])
    assert (str(summary.handed_over), summary.left_out) == ("1/1", 1)


def test_every_handover_has_one_first_failure_or_none(thin):
    rng = np.random.default_rng(0)
    for _ in range(8):
        start = moved(thin.grasp.pregrasp(), *rng.normal(size=3) * 0.02)
        result = judged(thin, start, closed=bool(rng.integers(4)))
        assert result.handed_over == (result.first_failure is None)
        assert result.handed_over or result.first_failure in HANDOVER_FAILURES


def test_the_nearest_grasp_is_told_by_contact_point_and_angle_of_either_half_turn():
    pose = SE3(rotation_from_euler_xyz([0.3, -0.2, 1.0]), np.array([0.1, 0.2, 0.3]))
    assert to_nearest_grasp(pose, [half_turned(pose)]) == pytest.approx((0, 0), abs=1e-7)
    far, near = moved(pose, 0, 0, 0.05), moved(pose, 0.01, 0, 0)
    assert to_nearest_grasp(pose, [far, near]) == pytest.approx((0.01, 0), abs=1e-7)
    rolled = pose @ SE3(rotation_from_euler_xyz([0, 0, math.radians(20)]), np.zeros(3))
    distance, angle = to_nearest_grasp(pose, [rolled])
    assert (distance, math.degrees(angle)) == pytest.approx((0, 20), abs=1e-6)

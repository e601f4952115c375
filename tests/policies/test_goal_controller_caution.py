"""Caution: goals move along their approach only, towards the wanted gap, and away from a hand that is in the way."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from h2rh_env.core.clearance import sweep_gap
from h2rh_env.core.geometry import SE3, rotation_from_euler_xyz
from h2rh_env.core.task import STANDOFF_M
from policies.config import ControlConfig
from policies.goal_controller import act_on, cautious, patience
from policies.tracking.surface_points import NOTHING
from policies.tracking.tracker import AHEAD, Track

CONTROL = ControlConfig()


def seen(
    object_points: np.ndarray, hand_points: np.ndarray = NOTHING, frames: int = 10, late: SE3 | None = None
) -> Track:
    """A track; `late` is the frame's camera before the camera now."""
    nothing = np.zeros((168, 224, 3), np.uint8)
    camera_from_frame = late or SE3.identity()
    return Track(
        nothing, nothing[..., :2], 0.5, 0.03, AHEAD, object_points, hand_points, frames, camera_from_frame
    )


def goal(ahead_m: float = 0.0) -> SE3:
    """Here and now: the camera stands where it would declare, or so far behind."""
    return SE3(np.eye(3)[None], np.array([[0.0, 0, ahead_m]]))


def gap(moved: SE3, points: np.ndarray) -> float:
    return float(np.linalg.norm(points - moved.translation[0], axis=1).min())


@pytest.mark.parametrize("distance_m", [0.345, 0.36, 0.38, 0.4, 0.42])
def test_the_gap_to_the_object_becomes_the_wanted_one(distance_m: float) -> None:
    points = np.array([[0.0, 0, distance_m], [0.02, 0, distance_m + 0.04]])
    moved = cautious(goal(), [seen(points)], CONTROL)
    np.testing.assert_allclose(moved.translation[0, :2], 0, atol=1e-12)
    np.testing.assert_array_equal(moved.rotation[0], np.eye(3))
    assert CONTROL.gap_m[0] - 0.006 <= gap(moved, points) <= CONTROL.gap_m[1] + 0.006


def test_before_anything_is_measured_it_stays_a_little_behind() -> None:
    np.testing.assert_allclose(
        cautious(goal(), [seen(NOTHING)], CONTROL).translation[0], [0, 0, -CONTROL.caution_m]
    )


def test_a_hand_in_the_way_is_given_room_within_the_band() -> None:
    points = np.array([[0.0, 0, 0.395]])
    hand = np.array([[0.045, 0.0, 0.41]])  # in front of a finger
    without, moved = (
        cautious(goal(), [seen(points)], CONTROL),
        cautious(goal(), [seen(points, hand)], CONTROL),
    )
    assert moved.translation[0, 2] < without.translation[0, 2]
    assert gap(moved, points) <= CONTROL.widest_gap_m + 1e-9
    free = [sweep_gap(hand - pose.translation[0], STANDOFF_M).min() for pose in (without, moved)]
    assert free[1] > free[0]


def test_a_hand_out_of_the_way_changes_nothing() -> None:
    points = np.array([[0.0, 0, 0.39]])
    hand = np.array([[0.3, 0.0, 0.39], [0.0, -0.3, 0.3]])
    assert sweep_gap(hand, STANDOFF_M).min() > CONTROL.hand_gap_m + 0.1
    with_hand, without = (cautious(goal(), [each], CONTROL) for each in (seen(points, hand), seen(points)))
    np.testing.assert_array_equal(with_hand.matrix, without.matrix)


def test_patience_grows_late_and_only_where_the_pose_would_do() -> None:
    good, near = np.array([[0.0, 0, 0.4]]), np.array([[0.0, 0, 0.3]])
    growth = [patience(seen(good, frames=frames), CONTROL) for frames in range(1, 32)]
    assert growth == sorted(growth)
    assert growth[0] < growth[CONTROL.hasty_frames] == 1.0
    assert growth[-1] == CONTROL.most_patience
    for frames in (12, 25, 31):
        assert patience(seen(near, frames=frames), CONTROL) == 1
        assert patience(seen(NOTHING, frames=frames), CONTROL) == 1
        assert patience(seen(good, np.array([[0.05, 0, 0.3]]), frames), CONTROL) == 1


def test_it_does_not_declare_before_it_has_seen_enough() -> None:
    here = np.array([[0.0, 0, 0.395]])
    early = act_on(goal(0.008), [seen(here, frames=CONTROL.hasty_frames - 1)], CONTROL)
    enough = act_on(goal(0.008), [seen(here, frames=CONTROL.hasty_frames)], CONTROL)
    assert early[0, 6] < 0.7 <= enough[0, 6]


def test_a_late_frame_is_acted_on_from_where_the_camera_is_now() -> None:
    """As if the goal had been seen from there: the same world, told from either camera, gives one action."""
    now_from_late = SE3(rotation_from_euler_xyz([0.05, -0.1, 0.02]), np.array([0.01, -0.02, -0.04]))
    late_from_goal = SE3(rotation_from_euler_xyz([0.2, 0.1, -0.3]), np.array([0.05, 0.02, 0.12]))
    points = np.array([[0.0, 0.01, 0.55], [0.03, 0, 0.58]])
    sight = np.array([0.1, 0.05, 1.0])
    sight /= np.linalg.norm(sight)
    now_from_goal = now_from_late @ late_from_goal
    sight_now = now_from_late.apply(0.5 * sight)
    from_now = replace(seen(now_from_late.apply(points)), sight=sight_now / np.linalg.norm(sight_now))
    from_late = replace(seen(points, late=now_from_late), sight=sight)
    on_time = act_on(SE3.stack([now_from_goal]), [from_now], CONTROL)
    in_time = act_on(SE3.stack([late_from_goal]), [from_late], CONTROL)
    np.testing.assert_allclose(in_time, on_time, atol=1e-6)

"""A detour keeps what a policy looks at where it was in the image, and is the least that the arm can do."""

import numpy as np
import pytest

from h2rh_env.core.geometry import SE3, look_at, rotation_angle
from real_robot.control.detour import LEAST_SPEED_SCALE, MOST_LEAST_RAD, TILTS_RAD, detour

PIVOT = np.array([0.1, 0.6, 0.3])
HERE = look_at(np.array([0.1, -0.3, 0.4]), PIVOT)
GOAL = look_at(np.array([0.1, 0.1, 0.35]), PIVOT)


def eases_but_near(position, radius_m):
    return lambda pose: float(np.linalg.norm(pose.translation - position) > radius_m)


def can_follow(speed_scale):
    return lambda way: all(speed_scale(pose) for pose in way)


@pytest.mark.parametrize("radius_m", [0.01, 0.1, 0.15])
def test_it_turns_about_the_object_by_the_least_angle_that_leads_out(radius_m):
    speed_scale = eases_but_near(GOAL.translation, radius_m)
    found = detour(HERE, GOAL, PIVOT, speed_scale, can_follow(speed_scale))
    assert speed_scale(found)
    np.testing.assert_allclose(found.inverse().apply(PIVOT), GOAL.inverse().apply(PIVOT), atol=1e-12)
    turn = rotation_angle(found.rotation @ GOAL.rotation.T)
    chord = 2 * np.linalg.norm(GOAL.translation - PIVOT) * np.sin(np.array(TILTS_RAD) / 2)
    assert turn == pytest.approx(TILTS_RAD[np.argmax(chord > radius_m)])


def test_all_of_the_way_is_within_reach():
    between = (HERE.translation + GOAL.translation) / 2

    def speed_scale(pose):
        return eases_but_near(GOAL.translation, 0.05)(pose) * eases_but_near(between, 0.03)(pose)

    found = detour(HERE, GOAL, PIVOT, speed_scale, can_follow(speed_scale))
    way = found.translation - HERE.translation
    assert (
        min(speed_scale(SE3(HERE.rotation, HERE.translation + part * way)) for part in (0.25, 0.5, 0.75, 1))
        > 0
    )


@pytest.mark.parametrize("least", [0.0, LEAST_SPEED_SCALE / 2])
def test_there_is_none_where_the_arm_hardly_moves(least):
    assert detour(HERE, GOAL, PIVOT, lambda pose: least, lambda way: True) is None


@pytest.mark.parametrize("least_rad", [0.0, 0.2, 0.5, 9.0])
def test_a_wider_way_is_found_where_a_smaller_one_led_nowhere(least_rad):
    found = detour(HERE, GOAL, PIVOT, lambda pose: 1.0, lambda way: True, least_rad)
    turn = rotation_angle(found.rotation @ GOAL.rotation.T)
    assert turn == pytest.approx(min(t for t in TILTS_RAD if t >= min(least_rad, MOST_LEAST_RAD)))

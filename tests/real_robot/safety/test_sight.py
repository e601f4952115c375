"""A hand that is lost, too near to be measured, on the move or between the fingers is told from one that is not."""

import numpy as np
import pytest

from h2rh_env.core.camera import HAND_EYE_CAMERA
from h2rh_env.core.clearance import Clearance
from h2rh_env.core.geometry import SE3, uniform_directions
from h2rh_env.core.gripper import FINGERTIP_DEPTH_M
from real_robot.drivers.simulated_camera import Intruder
from real_robot.interfaces import Frame
from real_robot.safety.sight import (
    SightBefore,
    has_hand_moved,
    is_hand_in_gripper,
    is_hand_lost,
    is_hand_unmeasured,
)

HERE = SE3.identity()
CENTRE, RADIUS_M = np.array([0.03, 0.0, 0.4]), 0.04
NONE = np.zeros((0, 3))


def ball(centre, radius=RADIUS_M):
    return np.asarray(centre) + radius * uniform_directions(np.random.default_rng(0), 500)


def view(*centres, least_depth_m=0.0, unseen=False):
    """Balls of hand before a wall at 1 m: the frame, its masks, and the hand's points."""
    depth = np.full((HAND_EYE_CAMERA.height, HAND_EYE_CAMERA.width), 1.0, np.float32)
    masks = np.zeros((*depth.shape, 2), np.uint8)
    for centre in centres:
        seen = Intruder(0.0, np.array(centre), np.array(centre), 1.0, RADIUS_M).depth(
            0.0, HAND_EYE_CAMERA, HERE
        )
        depth = np.where(seen > 0, seen, depth)
        masks[seen > 0, 1] = 0 if unseen else 255
    depth[depth < least_depth_m] = 0
    return Frame(0.0, HAND_EYE_CAMERA, np.zeros((*depth.shape, 3), np.uint8), depth, masks), masks


def test_a_hand_whose_mask_is_gone_is_lost():
    assert not is_hand_lost(*view(CENTRE), ball(CENTRE), HERE)
    assert is_hand_lost(*view(CENTRE, unseen=True), ball(CENTRE), HERE)
    assert is_hand_lost(*view(), ball(CENTRE), HERE)


@pytest.mark.parametrize("centre", [(0.5, 0.0, 0.4), (0.0, 0.0, -0.4), (0.0, 0.0, 1.5)])
def test_a_hand_beside_or_behind_the_view_or_hidden_is_not_lost(centre):
    assert not is_hand_lost(*view(), ball(centre), HERE)


def test_nothing_is_lost_where_nothing_is_remembered():
    assert not is_hand_lost(*view(), NONE, HERE)
    assert not is_hand_unmeasured(*view(), NONE, HERE)


def test_a_hand_nearer_than_is_measured_is_not_overlooked():
    near = (0.0, 0.0, 0.15)
    assert is_hand_unmeasured(*view(near, least_depth_m=0.25), NONE, HERE)
    assert is_hand_unmeasured(*view(near, least_depth_m=0.25), ball(CENTRE), HERE)
    assert not is_hand_unmeasured(*view(near), NONE, HERE)


def test_a_hand_that_is_known_from_further_away_may_be_nearer_than_is_measured():
    near = (0.0, 0.0, 0.15)
    assert not is_hand_unmeasured(*view(near, least_depth_m=0.25), ball(near), HERE)


@pytest.mark.parametrize(("shift_m", "moved"), [(0.0, False), (0.01, False), (0.05, True), (0.3, True)])
def test_a_hand_that_moved_is_told_from_one_that_trembles(shift_m, moved):
    before = SightBefore(Clearance(ball([0.0, 0.15, 0.3])), view((0.0, 0.15, 0.3))[0], HERE)
    now = ball([0.0, 0.15 - shift_m, 0.3])
    assert has_hand_moved(now, before, HERE, 0.2, 0.03) == moved


def test_a_hand_that_moves_far_from_the_path_is_let_be():
    before, now = SightBefore(Clearance(ball([0.6, 0.0, 0.3])), view()[0], HERE), ball([0.5, 0.0, 0.3])
    assert not has_hand_moved(now, before, HERE, 0.2, 0.03)
    assert not has_hand_moved(NONE, before, HERE, 0.2, 0.03)


@pytest.mark.parametrize(
    ("point", "inside"),
    [
        ((0.0, 0.0, FINGERTIP_DEPTH_M - 0.01), True),
        ((0.0, 0.0, FINGERTIP_DEPTH_M + 0.005), True),
        ((0.05, 0.0, FINGERTIP_DEPTH_M - 0.01), True),
        ((0.0, 0.05, FINGERTIP_DEPTH_M - 0.01), False),
        ((0.0, 0.0, FINGERTIP_DEPTH_M + 0.05), False),
    ],
)
def test_a_hand_between_or_at_the_fingers_is_in_the_gripper(point, inside):
    assert is_hand_in_gripper(np.array([point]), HERE) == inside
    assert not is_hand_in_gripper(NONE, HERE)


def test_a_part_of_the_hand_that_was_hidden_has_not_moved():
    """What is seen from nearer, beside what stood before it, was there all the time."""
    behind, screen = (0.0, 0.0, 0.4), (0.0, 0.0, 0.2)
    hidden = SightBefore(Clearance(ball([0.0, 0.2, 0.4])), view(screen)[0], HERE)
    free = SightBefore(Clearance(ball([0.0, 0.2, 0.4])), view()[0], HERE)
    assert not has_hand_moved(ball(behind, 0.02), hidden, HERE, 0.2, 0.03)
    assert has_hand_moved(ball(behind, 0.02), free, HERE, 0.2, 0.03)

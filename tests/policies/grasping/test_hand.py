"""The hand as it was seen: where its pixels are, and danger for what comes too near, frame by frame."""

import numpy as np
import pytest
import torch

from h2rh_env.core.clearance import SWEEP_MARGIN_M, sweep_gap
from h2rh_env.core.geometry import SE3
from h2rh_env.core.gripper import FINGERTIP_DEPTH_M
from h2rh_env.core.task import CLEARANCE_M, STANDOFF_M
from policies.grasping.hand import SeenHand, hand_room_m, seen_points

AHEAD = np.array([[0.0, 0.0, 0.4]]), np.array([[0.0, 0.0, 1.0]]), np.array([[1.0, 0.0, 0.0]])


def room_m(hand, contact=(0, 0, 0.4)):
    rows = (torch.tensor([[list(map(float, v))]]) for v in (contact, (0, 0, 1), (1, 0, 0), hand))
    return float(hand_room_m(*rows))


@pytest.mark.parametrize(
    ("hand", "expected_m"),
    [
        ((0, 0, 0.385), -0.01),  # d_min from the origin of the grasp frame counts between the fingers too
        ((0.0565 + 0.015, 0, 0.39), 0.005),  # 15 mm beside a finger, of which 10 are asked for
        ((0, 0, 0.5), 0.09),  # behind the object, where the gripper does not go
        ((0.5, 0, 0.0), 0.5 - 0.0745 - 0.01),  # beside the palm as it comes
    ],
)
def test_room_is_what_the_open_gripper_leaves_on_its_way_in(hand, expected_m):
    assert room_m(hand) == pytest.approx(expected_m, abs=1e-4)


def test_room_is_that_of_the_swept_gripper():
    rng = np.random.default_rng(0)
    for _ in range(20):
        points = rng.normal(size=(40, 3)) * 0.1 + [0, 0, 0.4]
        before = SE3(np.eye(3), np.array([0, 0, 0.4 - FINGERTIP_DEPTH_M - STANDOFF_M]))
        gap = sweep_gap(before.inverse().apply(points), STANDOFF_M).min() - SWEEP_MARGIN_M
        apart = np.linalg.norm(points - [0, 0, 0.4 - FINGERTIP_DEPTH_M], axis=1).min() - CLEARANCE_M
        rows = [torch.tensor([[v]]).float() for v in ((0, 0, 0.4), (0, 0, 1), (1, 0, 0))]
        found = hand_room_m(*rows, torch.from_numpy(points)[None].float())
        assert float(found) == pytest.approx(min(gap, apart), abs=1e-4)


def crop_with(hand=(), objects=()):
    """A crop of 64 px whose masks show rows and columns (top, bottom, left, right)."""
    crop = np.zeros((6, 64, 64), np.uint8)
    for channel, boxes in ((4, hand), (3, objects)):
        for top, bottom, left, right in boxes:
            crop[channel, top:bottom, left:right] = 255
    return crop


def test_a_hand_is_seen_where_its_pixels_are_at_the_depth_of_their_cell():
    depth_m = np.full((8, 8), 0.5)
    depth_m[:, 6:] = 0.6
    points = seen_points(crop_with(hand=[(0, 8, 48, 64)]), depth_m, 0.2, SE3.identity())
    assert len(points) == 8  # two cells of two by two
    np.testing.assert_allclose(points[:, 2], 0.6)
    np.testing.assert_allclose(
        sorted(set(points[:, 0].round(4))),
        [0.6 * 0.2 * x for x in (0.5625, 0.6875, 0.8125, 0.9375)],
        atol=1e-4,
    )
    moved = SE3(np.eye(3), np.array([1.0, 2.0, 3.0]))
    again = seen_points(crop_with(hand=[(0, 8, 48, 64)]), depth_m, 0.2, moved)
    np.testing.assert_allclose(again, points + [1, 2, 3])


def test_beside_the_object_the_depth_of_the_nearest_cell_of_the_hand_alone_counts():
    depth_m = np.full((8, 8), 0.4)
    depth_m[0, 7] = 0.6  # the only cell that shows no object
    points = seen_points(
        crop_with(hand=[(0, 8, 44, 64)], objects=[(0, 64, 0, 56)]), depth_m, 0.2, SE3.identity()
    )
    assert len(points) == 10
    np.testing.assert_allclose(points[:, 2], 0.6)


@pytest.mark.parametrize("objects", [[], [(0, 64, 0, 64)]])
def test_without_a_hand_or_with_none_beside_the_object_there_is_no_point(objects):
    hand = [(0, 64, 0, 64)] if objects else []
    assert seen_points(crop_with(hand, objects), np.full((8, 8), 0.5), 0.2, SE3.identity()).shape == (0, 3)


def test_what_was_not_seen_is_no_danger():
    assert SeenHand(8, 0.01).danger(*AHEAD) == [0]


def test_a_hand_in_the_way_is_danger_and_one_elsewhere_is_not():
    in_the_way, elsewhere = SeenHand(8, 0.01), SeenHand(8, 0.01)
    in_the_way.add(np.array([[0.02, 0.0, 0.30], [0.5, 0.5, 0.5]]))
    elsewhere.add(np.array([[0.5, 0.5, 0.5]]))
    assert in_the_way.danger(*AHEAD) > 0.95
    assert elsewhere.danger(*AHEAD) < 0.01


def test_every_frame_has_a_vote_and_old_ones_are_forgotten():
    seen = SeenHand(2, 0.01)
    near, far = np.array([[0.02, 0.0, 0.30]]), np.array([[0.5, 0.5, 0.5]])
    seen.add(near)
    seen.add(far)
    assert seen.danger(*AHEAD) == pytest.approx(0.5, abs=0.05)
    seen.add(np.zeros((0, 3)))  # a frame without a hand tells nothing
    assert seen.danger(*AHEAD) == pytest.approx(0.5, abs=0.05)
    seen.add(far)
    assert seen.danger(*AHEAD) < 0.01

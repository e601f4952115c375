"""Fusion: agreement counts, equals don't alternate, and a turn of the world changes nothing."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from h2rh_env.core.geometry import SE3
from policies.grasping.fusion import Fusion, FusionConfig, Predictions

CAMERA = np.array([0.0, 0.0, -0.5])


def grasps(contacts, qualities, rotations=None, danger=0.0):
    count = len(contacts)
    r = np.tile(np.eye(3), (count, 1, 1)) if rotations is None else np.array(rotations)
    quality = np.array(qualities, float)
    return Predictions(np.array(contacts, float), r[:, :, 2], r[:, :, 0], quality, danger * np.ones(count))


def test_nothing_is_chosen_before_anything_is_seen():
    assert Fusion(FusionConfig()).goal is None


def test_two_that_agree_outweigh_one_that_is_a_little_better():
    fusion = Fusion(FusionConfig())
    fusion.add(grasps([[0, 0, 0], [0.002, 0, 0], [0.2, 0, 0]], [0.4, 0.4, 0.6]), CAMERA)
    assert fusion.goal.contact == pytest.approx([0.001, 0, 0], abs=1e-3)


def test_the_goal_is_the_mean_of_what_agrees_and_its_support_their_sum():
    fusion = Fusion(FusionConfig())
    fusion.add(grasps([[0, 0, 0], [0.004, 0, 0]], [0.5, 0.5]), CAMERA)
    assert fusion.goal.contact == pytest.approx([0.002, 0, 0], abs=1e-3)
    assert fusion.goal.support == pytest.approx(1, abs=0.05)


def test_exchanged_fingers_agree():
    turned = np.diag([-1.0, -1.0, 1.0])
    fusion = Fusion(FusionConfig())
    fusion.add(grasps([[0, 0, 0]] * 2, [0.5, 0.5], [np.eye(3), turned]), CAMERA)
    assert fusion.goal.support == pytest.approx(1, abs=1e-6)
    assert abs(fusion.goal.rotation[0, 0]) == pytest.approx(1)


def test_the_goal_does_not_alternate_between_equals():
    fusion = Fusion(FusionConfig())
    places = [[-0.1, 0, 0], [0.1, 0, 0]]
    fusion.add(grasps(places, [0.5, 0.49]), CAMERA)
    first = fusion.goal.contact
    for k in range(10):
        fusion.add(grasps(places, [0.45, 0.5] if k % 2 else [0.5, 0.45]), CAMERA)
        assert fusion.goal.contact == pytest.approx(first, abs=1e-6)


def test_what_is_much_better_wins_all_the_same():
    fusion = Fusion(FusionConfig())
    fusion.add(grasps([[-0.1, 0, 0]], [0.05]), CAMERA)
    for _ in range(3):
        fusion.add(grasps([[0.1, 0, 0]], [0.9]), CAMERA)
    assert fusion.goal.contact[0] == pytest.approx(0.1, abs=1e-3)


def test_a_frame_that_shows_nothing_keeps_the_goal():
    fusion = Fusion(FusionConfig())
    fusion.add(grasps([[0, 0, 0]], [0.5]), CAMERA)
    fusion.add(grasps(np.zeros((0, 3)), []), CAMERA)
    assert fusion.goal.contact == pytest.approx([0, 0, 0], abs=1e-9)


def test_a_turn_of_the_world_turns_the_goal():
    world = SE3(Rotation.random(random_state=4).as_matrix(), np.array([1.0, -2.0, 0.5]))
    rng = np.random.default_rng(0)
    seen = grasps(
        rng.normal(size=(6, 3)) * 0.03, rng.uniform(size=6), Rotation.random(6, random_state=1).as_matrix()
    )
    plain, turned = Fusion(FusionConfig()), Fusion(FusionConfig())
    plain.add(seen, CAMERA)
    turned.add(seen.moved(world), world.apply(CAMERA))
    assert turned.goal.contact == pytest.approx(world.apply(plain.goal.contact), abs=1e-9)
    assert np.abs(turned.goal.rotation) == pytest.approx(
        np.abs(world.rotation @ plain.goal.rotation), abs=1e-9
    )


def test_a_gripper_that_goes_in_refines_its_goal_and_keeps_it():
    fusion, near = Fusion(FusionConfig()), np.array([0.0, 0.0, -0.2])
    fusion.add(grasps([[0, 0, 0]], [0.2]), CAMERA)
    for _ in range(5):
        fusion.add(grasps([[0.1, 0, 0], [0.01, 0, 0]], [0.9, 0.3]), near)
    assert fusion.goal.contact == pytest.approx([0.008, 0, 0], abs=3e-3)
    for _ in range(20):
        fusion.add(grasps([[0.1, 0, 0]], [0.9]), near)
    assert fusion.goal.contact[0] < 0.02
    for _ in range(10):
        fusion.add(grasps([[0.1, 0, 0]], [0.9]), CAMERA)
    assert fusion.goal.contact[0] == pytest.approx(0.1, abs=1e-3)


def test_what_endangers_the_hand_is_not_chosen_however_good_it_is():
    places, qualities, danger = [[-0.1, 0, 0], [0.1, 0, 0]], [0.9, 0.3], np.array([0.95, 0.05])
    for caution, expected in ((1.0, 0.1), (0.0, -0.1)):
        fusion = Fusion(FusionConfig(caution=caution))
        fusion.add(grasps(places, qualities, danger=danger), CAMERA)
        assert fusion.goal.contact[0] == pytest.approx(expected, abs=1e-6)


def test_a_grasp_past_the_hand_as_it_was_seen_is_no_goal_while_there_is_another():
    hand = np.array([[-0.1, 0.0, -0.1]])  # in the way of the left one
    places = [[-0.1, 0, 0], [0.1, 0, 0]]
    blind, sighted = Fusion(FusionConfig()), Fusion(FusionConfig())
    for fusion, seen in ((blind, None), (sighted, hand)):
        fusion.add(grasps(places, [0.9, 0.3]), CAMERA, seen)
    assert blind.goal.contact[0] == pytest.approx(-0.1, abs=1e-3)
    assert sighted.goal.contact[0] == pytest.approx(0.1, abs=1e-3)
    assert sighted.goal.danger < 0.01


def test_a_goal_that_turns_out_to_lie_past_the_hand_says_so():
    fusion = Fusion(FusionConfig())
    fusion.add(grasps([[0, 0, 0]], [0.9]), CAMERA)
    assert fusion.goal.danger == 0
    fusion.add(grasps([[0, 0, 0]], [0.9]), CAMERA, np.array([[0.0, 0.0, -0.1]]))
    assert fusion.goal.danger > 0.9


def test_a_grasp_that_no_arm_reaches_gives_way_to_one_that_it_does_however_little_it_promises():
    """And where none is reached, the best stays the goal."""
    places, qualities = [[-0.1, 0, 0]] * 8 + [[0.1, 0, 0]], [0.9] * 8 + [0.05]
    for can_reach, chosen in (
        (None, -0.1),
        (lambda goal: goal.contact[0] > 0, 0.1),
        (lambda goal: False, -0.1),
    ):
        fusion = Fusion(FusionConfig())
        for _ in range(3):
            fusion.add(grasps(places, qualities), CAMERA, None, can_reach)
        assert fusion.goal.contact == pytest.approx([chosen, 0, 0], abs=1e-3)

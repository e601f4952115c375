"""The chosen grasp is safe for the hand (Eq. 1 and the sweep), sees the object (Eq. 7), and does not jump."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from h2rh_env.core.clearance import Clearance, between_fingers, swept_hits
from h2rh_env.core.errors import GraspError
from h2rh_env.core.geometry import SE3, angle_between, rotation_angle, uniform_directions, upright_rotation
from h2rh_env.core.gripper import FINGERTIP_DEPTH_M, PANDA, half_turned
from h2rh_env.grasps.antipodal import AntipodalProposer
from h2rh_env.grasps.base import GraspCandidate
from h2rh_env.grasps.density import BLUR_M, BLUR_RAD, SPREADS, Density
from h2rh_env.grasps.fallback import even_directions
from h2rh_env.grasps.preferences import Preferences, Situation
from h2rh_env.grasps.refinement import CHANGES
from h2rh_env.grasps.safety import FAULTS, Limits, hand_is_near, judge
from h2rh_env.grasps.selection import select_grasp

CENTRE = np.array([0.6, 0.1, 0.4])
NO_HAND = np.zeros((0, 3))
PROPOSER = AntipodalProposer(seeds=200)


def held_can(radius: float = 0.033, height: float = 0.12, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A closed can on end and a hand about the +y side of its lower third."""
    rng = np.random.default_rng(seed)
    angle, z = rng.uniform(0, 2 * np.pi, 7000), rng.uniform(-height / 2, height / 2, 7000)
    reach = np.where(rng.random(7000) < 0.75, radius, radius * np.sqrt(rng.uniform(size=7000)))
    z = np.where(reach < radius, np.sign(z) * height / 2, z)
    points = CENTRE + np.stack([reach * np.cos(angle), reach * np.sin(angle), z], axis=1)
    turn, rise = rng.uniform(0.1, np.pi - 0.1, 3000), rng.uniform(-height / 2, -height / 6, 3000)
    thick = radius + rng.uniform(0.002, 0.02, 3000)
    fingers = np.stack([thick * np.cos(turn), thick * np.sin(turn), rise], axis=1)
    palm = rng.normal(size=(2000, 3)) * [0.02, 0.012, 0.015] + [0, radius + 0.03, -height / 3]
    return points, CENTRE + np.concatenate([fingers, palm])


POINTS, HAND = held_can()
SITUATION = Situation.of(POINTS, HAND)


@pytest.fixture(scope="module")
def candidates() -> list[GraspCandidate]:
    return PROPOSER.propose(POINTS, np.random.default_rng(0))


@pytest.fixture(scope="module")
def chosen(candidates) -> tuple[GraspCandidate, np.ndarray, np.ndarray]:
    return select_grasp(candidates, POINTS, HAND), POINTS, HAND


def test_the_hand_stays_out_of_the_sphere_about_the_grasp_and_out_of_the_sweep(chosen):
    grasp, _, hand = chosen
    assert np.linalg.norm(hand - grasp.scene_from_grasp.translation, axis=1).min() > 0.1
    assert not swept_hits(hand, grasp.pregrasp(), 0.3).any()
    assert not between_fingers(grasp.scene_from_grasp.inverse().apply(hand), margin_m=0.01).any()


def test_the_gripper_closes_on_the_object_and_hits_nothing_of_it_while_approaching(chosen):
    grasp, points, _ = chosen
    assert grasp.graspable
    assert grasp.width_m == pytest.approx(0.066, abs=0.006)
    assert not swept_hits(points, grasp.pregrasp(), 0.3, 0.0).any()
    assert between_fingers(grasp.scene_from_grasp.inverse().apply(points)).sum() > 50


def test_the_pregrasp_pose_is_a_standoff_behind_the_grasp_in_the_band_and_sees_the_object(chosen):
    grasp, points, _ = chosen
    pregrasp = grasp.pregrasp(0.3)
    np.testing.assert_allclose(
        pregrasp.translation, grasp.scene_from_grasp.translation - 0.3 * pregrasp.rotation[:, 2]
    )
    seen = pregrasp.inverse().apply(points)
    assert 0.36 <= np.linalg.norm(seen, axis=1).min() <= 0.44
    assert np.linalg.norm(seen[:, :2], axis=1).min() < 0.006
    np.testing.assert_allclose(pregrasp.inverse().apply(grasp.contact_scene), [0, 0, 0.405], atol=1e-9)


def test_the_gripper_comes_from_the_side_away_from_the_hand_upright_and_not_from_below(chosen):
    grasp, points, hand = chosen
    approach = grasp.scene_from_grasp.rotation[:, 2]
    assert angle_between(approach, hand.mean(axis=0) - points.mean(axis=0)) < np.radians(60)
    assert -np.sin(np.radians(60)) < approach[2] < 0.1
    assert abs(grasp.scene_from_grasp.rotation[2, 0]) < 0.2
    assert grasp.contact_scene[2] > CENTRE[2]


def test_the_choice_hardly_moves_when_the_cloud_is_measured_again(chosen):
    grasp, points, hand = chosen
    for seed in range(3):
        rng = np.random.default_rng(seed)
        noisy, noisy_hand = (cloud + rng.normal(scale=0.001, size=cloud.shape) for cloud in (points, hand))
        noisy, noisy_hand = noisy[rng.random(len(noisy)) < 0.8], noisy_hand[rng.random(len(hand)) < 0.8]
        again = select_grasp(PROPOSER.propose(noisy, rng), noisy, noisy_hand)
        turn = angle_between(again.scene_from_grasp.rotation[:, 2], grasp.scene_from_grasp.rotation[:, 2])
        assert np.degrees(turn) < 20
        assert np.linalg.norm(again.contact_scene - grasp.contact_scene) < 0.025


def test_the_choice_does_not_depend_on_the_order_of_the_candidates(chosen, candidates):
    grasp, points, hand = chosen
    again = select_grasp(candidates[::-1], points, hand)
    np.testing.assert_allclose(again.scene_from_grasp.matrix, grasp.scene_from_grasp.matrix, atol=0.02)


def test_the_choice_turns_with_the_scene_about_the_vertical(chosen, candidates):
    grasp, points, hand = chosen
    turn = SE3(Rotation.from_euler("z", 100, degrees=True).as_matrix(), np.array([0.2, -0.1, 0.05]))
    moved = [GraspCandidate(turn @ c.scene_from_grasp, c.width_m, c.score) for c in candidates]
    turned = select_grasp(moved, turn.apply(points), turn.apply(hand))
    expected = turn @ grasp.scene_from_grasp
    assert np.degrees(angle_between(turned.scene_from_grasp.rotation[:, 2], expected.rotation[:, 2])) < 10
    assert np.linalg.norm(turned.contact_scene - turn.apply(grasp.contact_scene)) < 0.015


def test_the_mirrored_scene_gets_the_mirrored_grasp(chosen):
    grasp, points, hand = chosen
    mirror = np.diag([-1.0, 1.0, 1.0])
    there = points @ mirror
    other = select_grasp(PROPOSER.propose(there, np.random.default_rng(0)), there, hand @ mirror)
    assert np.degrees(angle_between(other.scene_from_grasp.rotation[:, 2], mirror @ approach_of(grasp))) < 10
    assert np.linalg.norm(other.contact_scene - mirror @ grasp.contact_scene) < 0.01


def test_arriving_two_centimetres_and_four_degrees_off_is_still_safe_for_the_hand(chosen):
    grasp, _, hand = chosen
    rng = np.random.default_rng(0)
    for shift, axis in zip(uniform_directions(rng, 60), uniform_directions(rng, 60), strict=True):
        off = SE3(Rotation.from_rotvec(np.radians(4) * axis).as_matrix(), 0.02 * shift)
        assert not swept_hits(hand, grasp.pregrasp() @ off, 0.3).any()


def test_for_the_panda_the_pandas_own_boxes_stay_clear():
    candidates = AntipodalProposer(PANDA, seeds=200).propose(POINTS, np.random.default_rng(0))
    grasp = select_grasp(candidates, POINTS, HAND, PANDA)
    assert grasp.graspable
    assert not swept_hits(HAND, grasp.pregrasp(), 0.3, gripper=PANDA).any()
    assert not swept_hits(POINTS, grasp.pregrasp(), 0.3, 0.0, PANDA).any()
    assert between_fingers(grasp.scene_from_grasp.inverse().apply(POINTS), PANDA).sum() > 50


def test_of_two_free_ends_the_upper_one_is_taken():
    rng = np.random.default_rng(0)
    points, _ = held_can(radius=0.03, height=0.3)
    turn, rise = rng.uniform(0.1, np.pi - 0.1, 4000), rng.uniform(-0.03, 0.03, 4000)
    hand = CENTRE + np.stack([0.045 * np.cos(turn), 0.045 * np.sin(turn), rise], axis=1)
    grasp = select_grasp(PROPOSER.propose(points, rng), points, hand)
    assert grasp.contact_scene[2] > CENTRE[2] + 0.03


def approach_of(grasp: GraspCandidate) -> np.ndarray:
    return grasp.scene_from_grasp.rotation[:, 2]


@given(st.integers(0, 2**32 - 1))
def test_the_density_has_its_first_mode_where_most_are_and_fingers_exchanged_are_the_same_grasp(seed):
    rng = np.random.default_rng(seed)
    few, many = Rotation.random(2, rng=rng).as_matrix()
    rotations = np.concatenate([np.tile(few, (5, 1, 1)), np.tile(many, (20, 1, 1))])
    rotations = rotations @ Rotation.from_rotvec(rng.normal(scale=0.02, size=(25, 3))).as_matrix()
    rotations[rng.random(25) < 0.5] @= np.diag([-1.0, -1.0, 1.0])
    contacts = np.concatenate([np.tile([0.0, 0, 0], (5, 1)), np.tile([0.2, 0, 0], (20, 1))])
    order = rng.permutation(25)
    first, second = Density.of(rotations[order], contacts[order], np.zeros(25)).modes(2)
    for mode, rotation, contact in ((first, many, [0.2, 0, 0]), (second, few, [0.0, 0, 0])):
        np.testing.assert_allclose(mode.apply([0, 0, FINGERTIP_DEPTH_M]), contact, atol=1e-6)
        assert min(rotation_angle(pose.rotation.T @ rotation) for pose in (mode, half_turned(mode))) < 0.05


def test_a_spread_covers_all_grasps_apart_from_each_other_and_from_the_chosen_one(candidates):
    rotations = np.array([c.scene_from_grasp.rotation for c in candidates])
    contacts = np.array([c.contact_scene for c in candidates])
    density = Density.of(rotations, contacts, np.arange(len(candidates), dtype=float))
    chosen = candidates[0].scene_from_grasp
    spread = [chosen, *density.spread(chosen)]
    tips = np.array([pose.apply([0, 0, FINGERTIP_DEPTH_M]) for pose in spread])
    axes = np.array([pose.rotation for pose in spread])
    squares = ((tips[:, None] - tips) ** 2).sum(axis=2) / BLUR_M**2
    squares += 2 * (1 - axes[:, :, 2] @ axes[:, :, 2].T) / BLUR_RAD**2
    squares += (1 - (axes[:, :, 0] @ axes[:, :, 0].T) ** 2) / BLUR_RAD**2
    assert np.sqrt(squares[~np.eye(len(spread), dtype=bool)].min()) >= SPREADS[-1] - 1e-6
    assert 10 < len(spread) < len(density.weights)


def test_the_density_of_nothing_has_no_modes():
    nobody = Density.of(np.zeros((0, 3, 3)), np.zeros((0, 3)), np.zeros(0))
    assert list(nobody.modes(3)) == []
    assert list(nobody.spread()) == []


def test_the_changes_of_the_climb_prefer_no_side():
    mirrored = CHANGES * [1, -1, -1, -1, 1, 1]
    np.testing.assert_allclose(CHANGES.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(np.sort(mirrored, axis=0), np.sort(CHANGES, axis=0), atol=1e-12)


def test_an_object_too_wide_for_the_gripper_gets_a_safe_approach_that_says_so():
    points, hand = held_can(radius=0.051, height=0.14)
    assert PROPOSER.propose(points, np.random.default_rng(0)) == []
    grasp = select_grasp([], points, hand)
    assert not grasp.graspable
    assert not swept_hits(hand, grasp.pregrasp(), 0.3).any()
    assert not swept_hits(points, grasp.pregrasp(), 0.3, 0.0).any()
    assert 0.36 <= Clearance(points).distance(grasp.pregrasp().translation) <= 0.44


def test_without_a_hand_there_is_a_grasp_too(candidates):
    assert select_grasp(candidates, POINTS, NO_HAND).graspable
    assert Situation.of(POINTS, NO_HAND).towards_hand is None


def test_a_hand_all_round_leaves_no_safe_approach_and_the_error_counts_why(candidates):
    points, _ = held_can()
    shell = CENTRE + 0.12 * even_directions(4000)
    with pytest.raises(GraspError, match="no safe approach") as refused:
        select_grasp(candidates, points, shell)
    grasps, approaches = str(refused.value).split(": ")[1].split("; ")
    for message, kind, count in ((grasps, "grasps", len(candidates)), (approaches, "approaches", None)):
        tried, *reasons = re.findall(r"\d+", message)
        assert f"{kind} tried" in message
        assert "have the hand within the safety distance" in message
        assert sum(map(int, reasons)) == int(tried) == (count or int(tried)) > 0
    with pytest.raises(GraspError, match="of 0 grasps tried, none to judge; of"):
        select_grasp([], points, shell)


def test_hand_points_that_are_not_finite_are_refused():
    points, hand = held_can()
    hand[3] = np.nan
    with pytest.raises(GraspError, match="1 hand points are not finite"):
        select_grasp([], points, hand)


@given(st.integers(0, 2**32 - 1))
def test_eq_1_is_the_distance_to_the_grasp_frames_origin(seed):
    rng = np.random.default_rng(seed)
    pose = SE3(Rotation.random(rng=rng).as_matrix(), rng.normal(size=3))
    hand = pose.translation + rng.normal(scale=0.1, size=(20, 3))
    inside = hand_is_near(pose.inverse().apply(hand), 0.1)
    np.testing.assert_array_equal(inside, np.linalg.norm(hand - pose.translation, axis=1) < 0.1)


@given(seed=st.integers(0, 2**32 - 1), standoff_m=st.floats(0, 1))
def test_eq_7_is_the_standoff_back_along_the_grasps_z_without_turning(seed, standoff_m):
    rng = np.random.default_rng(seed)
    pose = SE3(Rotation.random(rng=rng).as_matrix(), rng.normal(size=3))
    pregrasp = GraspCandidate(pose, 0.05, 1.0).pregrasp(standoff_m)
    np.testing.assert_array_equal(pregrasp.rotation, pose.rotation)
    np.testing.assert_allclose(pose.inverse().apply(pregrasp.translation), [0, 0, -standoff_m], atol=1e-12)


def faults_of(points: np.ndarray, hand: np.ndarray, grasp: SE3, closes: bool = True) -> str:
    (number,) = judge(grasp.rotation[None], grasp.translation[None], points, hand, Limits(), closes).faults
    return FAULTS[number - 1] if number else ""


def test_each_fault_is_found_where_it_is_made(chosen):
    grasp, points, _ = chosen
    pose = grasp.scene_from_grasp

    def speck(x: float, y: float, z: float) -> np.ndarray:
        return pose.apply([[x, y, z]])

    def advanced(x: float, z: float) -> SE3:
        return pose @ SE3(np.eye(3), np.array([x, 0.0, z]))

    assert faults_of(points, NO_HAND, pose) == ""
    assert faults_of(points, speck(0.0, 0.06, 0.07), pose) == "have the hand within the safety distance"
    assert faults_of(points, speck(0.08, 0.045, -0.15), pose) == "would sweep the hand"
    assert faults_of(points, speck(0.0, 0.0, 0.11), pose) == "would sweep the hand"
    assert faults_of(points, speck(0.0, 0.05, -0.35), pose) == "begin too near to the hand"
    assert faults_of(points, NO_HAND, advanced(0.0, 0.03)) == "would hit the object"
    assert faults_of(points, NO_HAND, advanced(0.0, -0.06)) == "close on nothing"
    assert faults_of(points, NO_HAND, advanced(0.0, -0.1), closes=False) == "begin outside the distance band"
    assert (
        faults_of(points, NO_HAND, advanced(0.15, -0.03), closes=False)
        == "do not see the object in the middle"
    )


@given(st.integers(0, 2**32 - 1))
def test_costs_change_smoothly_with_the_pose(seed):
    rng = np.random.default_rng(seed)
    forward = rng.normal(size=3) * [1, 1, 0.5]
    rotation = upright_rotation(forward)
    near = rotation @ Rotation.from_rotvec(rng.normal(scale=1e-5, size=3)).as_matrix()
    contacts = CENTRE + rng.normal(scale=0.03, size=(1, 3)) + np.array([[0, 0, 0], [1e-6, 0, 0]])
    costs = Preferences().costs(
        np.stack([rotation, near]), contacts, np.full(2, 0.5), np.full(2, 0.02), SITUATION
    )
    assert abs(costs[0] - costs[1]) < 5e-3


def test_even_directions_are_units_that_balance():
    directions = even_directions(500)
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1)
    assert np.abs(directions.mean(axis=0)).max() < 0.01


def test_the_fingertips_of_an_approach_stop_before_the_front():
    points, hand = held_can(radius=0.051, height=0.14)
    grasp = select_grasp([], points, hand)
    depth = grasp.scene_from_grasp.inverse().apply(points)
    ahead = depth[np.linalg.norm(depth[:, :2], axis=1) < 0.02]
    assert ahead[:, 2].min() > FINGERTIP_DEPTH_M - 0.005

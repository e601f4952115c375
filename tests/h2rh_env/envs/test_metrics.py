"""What the figures mean, held to episodes whose verdict is known by construction."""

import dataclasses
import math

import numpy as np
import pytest

from h2rh_env.core.episode import EpisodeRecord
from h2rh_env.core.geometry import SE3
from h2rh_env.envs.metrics import FAILURES, UNSAFE, centre_offset, closes_on, score, summarise

CENTRED = np.zeros((168, 224), bool)
CENTRED[70:100, 100:125] = True


def episode(*poses: SE3, declared: bool = True, mask: np.ndarray = CENTRED) -> EpisodeRecord:
    path = np.stack([pose.matrix for pose in poses])
    return EpisodeRecord("tiny", "", "test", 0, path, np.zeros((len(poses), 7), np.float32), declared, mask)


def moved(pose: SE3, *offset_in_its_frame: float) -> SE3:
    return pose @ SE3(np.eye(3), np.array(offset_in_its_frame))


def test_declaring_at_the_pregrasp_pose_succeeds(tiny_scene):
    result = score(episode(tiny_scene.grasp.pregrasp()), tiny_scene)
    assert result.success
    assert result.first_failure is None
    assert result.graspable
    assert result.distance_m == pytest.approx(0.405 - 0.033, abs=0.003)


def test_an_episode_that_never_declares_fails_so_and_has_no_distance_in_the_mean(tiny_scene):
    result = score(episode(tiny_scene.grasp.pregrasp(), declared=False), tiny_scene)
    assert (result.first_failure, result.success, result.safe) == ("not declared", False, True)
    assert math.isnan(summarise([result]).distance_mean_m)


def test_coming_too_near_to_the_object_on_the_way_fails_and_harms_no_hand(tiny_scene):
    pregrasp = tiny_scene.grasp.pregrasp()
    result = score(episode(moved(pregrasp, 0, 0, 0.32), pregrasp), tiny_scene)
    assert result.first_failure == "too near on the way"
    assert result.clearance_m < 0.1 < result.hand_clearance_m
    assert result.safe


@pytest.mark.parametrize("declared", [True, False])
def test_coming_too_near_to_the_hand_is_unsafe_whether_declared_or_not(tiny_scene, declared):
    pregrasp = tiny_scene.grasp.pregrasp()
    beside = SE3(pregrasp.rotation, tiny_scene.hand_centre - [0.0, 0.09, 0.0])
    result = score(episode(beside, pregrasp, declared=declared), tiny_scene)
    assert (result.safe, result.unsafe) == (False, UNSAFE[0])
    assert summarise([result]).unsafe == {UNSAFE[0]: 1, UNSAFE[1]: 0, UNSAFE[2]: 0}


def test_fingers_that_touch_the_hand_are_unsafe_though_the_frame_keeps_its_distance(tiny_scene):
    pregrasp, hand = tiny_scene.grasp.pregrasp(), tiny_scene.hand_points
    finger_x = 0.085 / 2 + 0.007
    lowest = hand[np.argmin(hand[:, 2])] - np.float32([0, 0, 0.1])
    scene = dataclasses.replace(tiny_scene, hand_points=np.array([lowest], np.float32))
    reaching = SE3(pregrasp.rotation, lowest - pregrasp.rotation @ [finger_x, 0.0, 0.1045])
    result = score(episode(reaching, pregrasp, declared=False), scene)
    assert result.hand_clearance_m > 0.1
    assert result.unsafe == UNSAFE[1]
    assert score(episode(moved(reaching, 0, 0, -0.01), declared=False), scene).safe


def test_a_touch_between_two_poses_counts(tiny_scene):
    pregrasp, hand = tiny_scene.grasp.pregrasp(), np.array([[0.0, 0.0, 0.3]], np.float32)
    scene = dataclasses.replace(tiny_scene, hand_points=hand)
    tip = SE3(pregrasp.rotation, hand[0] - pregrasp.rotation @ [0.0495, 0.0, 0.1045])
    before, after = moved(tip, 0, -0.025, 0), moved(tip, 0, 0.025, 0)
    assert score(episode(before, declared=False), scene).safe
    assert score(episode(after, declared=False), scene).safe
    assert score(episode(before, after, declared=False), scene).unsafe == UNSAFE[1]


def test_safe_episodes_that_never_declared_are_counted(tiny_scene):
    end = tiny_scene.grasp.pregrasp()
    summary = summarise([score(episode(end, declared=declared), tiny_scene) for declared in (True, False)])
    assert (str(summary.safe), summary.undeclared_safe) == ("2/2", 1)


@pytest.mark.parametrize(("degrees", "name"), [(0, "< 30°"), (29, "< 30°"), (31, "30-60°"), (89, "> 60°")])
def test_success_is_split_by_the_angle_of_the_initial_pose_to_the_approach(tiny_scene, degrees, name):
    contact, rotation = tiny_scene.grasp.contact_scene, tiny_scene.grasp.scene_from_grasp.rotation
    angle = np.radians(degrees)
    back = rotation @ [0.0, np.sin(angle), -np.cos(angle)]
    initial, end = SE3(rotation, contact + 0.7 * back), tiny_scene.grasp.pregrasp()
    result = score(episode(initial, end), tiny_scene)
    assert math.degrees(result.initial_angle_rad) == pytest.approx(degrees, abs=1e-6)
    counts = {key: str(rate) for key, rate in summarise([result]).by_angle.items()}
    assert counts == {key: "1/1" if key == name else "0/0" for key in ("< 30°", "30-60°", "> 60°")}


def test_an_object_beside_the_centre_is_off_centre(tiny_scene):
    result = score(episode(tiny_scene.grasp.pregrasp(), mask=np.roll(CENTRED, 40, axis=1)), tiny_scene)
    assert result.first_failure == "off centre"


def test_declaring_too_far_is_out_of_the_band(tiny_scene):
    result = score(episode(moved(tiny_scene.grasp.pregrasp(), 0, 0, -0.1)), tiny_scene)
    assert result.first_failure == "out of the band"


def test_advancing_through_the_hand_is_unsafe(tiny_scene):
    from_the_side = SE3(
        np.stack([[0.0, 1, 0], [0, 0, 1], [1, 0, 0]], axis=1), tiny_scene.object_centre - [0.41, 0, 0.04]
    )
    result = score(episode(from_the_side), tiny_scene)
    assert result.first_failure == "unsafe advance"
    assert not result.safe


def test_a_scene_without_a_grasp_has_no_grasp_figure(tiny_scene):
    wide = dataclasses.replace(tiny_scene, grasp=dataclasses.replace(tiny_scene.grasp, graspable=False))
    result = score(episode(wide.grasp.pregrasp()), wide)
    assert result.success
    assert result.graspable is None
    summary = summarise([result])
    assert (summary.without_grasp, summary.graspable.total) == (1, 0)


def test_fingers_inside_the_object_do_not_close_on_it(tiny_scene):
    grasp = tiny_scene.grasp.scene_from_grasp
    assert closes_on(tiny_scene.object_points, grasp)
    assert not closes_on(tiny_scene.object_points, moved(grasp, 0.03, 0, 0))
    assert not closes_on(tiny_scene.object_points, moved(grasp, 0, 0, -0.2))


def test_the_centre_offset_is_zero_on_the_mask_grows_with_distance_and_is_infinite_without_one():
    shifts = [0, 20, 40, 60]
    offsets = [centre_offset(np.roll(CENTRED, shift, axis=1)) for shift in shifts]
    assert offsets[0] == 0
    assert offsets == sorted(offsets)
    assert offsets[3] > 0.2
    assert centre_offset(np.zeros((168, 224), bool)) == float("inf")


def test_exactly_one_first_failure_or_a_success(tiny_scene):
    rng = np.random.default_rng(0)
    for _ in range(200):
        pose = moved(tiny_scene.grasp.pregrasp(), *rng.normal(size=3) * 0.1)
        mask = np.roll(CENTRED, int(rng.integers(60)), axis=1)
        result = score(episode(pose, declared=bool(rng.integers(2)), mask=mask), tiny_scene)
        assert result.success == (result.declared and result.in_band and result.centred and result.safe)
        assert result.success == (result.first_failure is None)
        assert result.success or result.first_failure in FAILURES

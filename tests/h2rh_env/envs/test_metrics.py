"""What the figures mean, held to episodes whose verdict is known by construction."""

import dataclasses
import math

import numpy as np
import pytest

from h2rh_env.core.episode import EpisodeRecord
from h2rh_env.core.geometry import SE3
from h2rh_env.envs.metrics import FAILURES, centre_offset, closes_on, score, summarise

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


def test_coming_too_near_on_the_way_is_unsafe_even_if_the_end_is_right(tiny_scene):
    pregrasp = tiny_scene.grasp.pregrasp()
    result = score(episode(moved(pregrasp, 0, 0, 0.32), pregrasp), tiny_scene)
    assert result.first_failure == "too near on the way"
    assert not result.safe
    assert result.clearance_m < 0.1


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

"""The repeatability study's own parts: a jump is what was turned, and a rebuilt capture is the same handover."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from benchmarks.repeatability import CHANGES, MIRROR, jump, mirrored_grasp, rebuilt
from h2rh_env.build import build_scene
from h2rh_env.captures.synthetic.generate import generate_capture
from h2rh_env.core.errors import HandoverError
from h2rh_env.core.geometry import SE3
from h2rh_env.core.gripper import half_turned
from h2rh_env.grasps.base import GraspCandidate

seeds = st.integers(0, 2**32 - 1)


def grasp_of(rng: np.random.Generator) -> GraspCandidate:
    return GraspCandidate(SE3(Rotation.random(rng=rng).as_matrix(), rng.normal(size=3)), 0.05, 0.5)


@settings(deadline=None)
@given(seed=seeds, angle=st.floats(0, 1.5))
def test_a_turn_about_the_contact_is_a_jump_of_that_angle_whichever_finger_is_left(seed, angle):
    rng = np.random.default_rng(seed)
    before = grasp_of(rng)
    axis = rng.normal(size=3)
    turn = Rotation.from_rotvec(angle * axis / np.linalg.norm(axis)).as_matrix()
    contact_from_turned = SE3(np.eye(3), np.array([0, 0, 0.105]))
    pose = (
        before.scene_from_grasp @ contact_from_turned @ SE3(turn, np.zeros(3)) @ contact_from_turned.inverse()
    )
    for after in (pose, half_turned(pose)):
        turned, _, contact_m = jump(before, replace(before, scene_from_grasp=after))
        assert turned == pytest.approx(angle, abs=1e-6)
        assert contact_m == pytest.approx(0, abs=1e-12)


@given(seed=seeds)
def test_mirroring_twice_is_nothing_and_the_contact_is_mirrored(seed):
    grasp = grasp_of(np.random.default_rng(seed))
    once = mirrored_grasp(grasp)
    np.testing.assert_allclose(once.contact_scene, MIRROR @ grasp.contact_scene, atol=1e-12)
    assert jump(grasp, mirrored_grasp(once)) == pytest.approx((0, 0, 0), abs=1e-6)


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_the_same_for_the_same_seed_and_leaves_the_clouds_alone(name):
    rng = np.random.default_rng(0)
    clouds = rng.uniform(-0.05, 0.05, (3000, 3)), rng.uniform(-0.05, 0.05, (2000, 3)) + [0, 0.08, 0]
    kept = [cloud.copy() for cloud in clouds]
    first, second = (CHANGES[name](clouds, np.random.default_rng(1)) for _ in range(2))
    for a, b, cloud, before in zip(first, second, clouds, kept, strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(cloud, before)


def test_a_rebuilt_capture_is_the_same_object_in_the_same_place():
    capture = generate_capture(3, "mustard_bottle")
    scene = build_scene(capture, voxel_m=0.004)
    points, hand = rebuilt(scene, np.random.default_rng(0))
    assert 0.8 < len(points) / len(scene.object_points) < 1.2
    assert not np.array_equal(points, scene.object_points)
    np.testing.assert_allclose(points.mean(axis=0), scene.object_centre, atol=0.004)
    np.testing.assert_allclose(hand.mean(axis=0), scene.hand_centre, atol=0.008)
    with pytest.raises(HandoverError, match="leave --rebuild out"):
        rebuilt(replace(scene, provenance={}), np.random.default_rng(0))

"""One bounded step of lerp (Eq. 10) and SLERP (Eqs. 11, 13)."""

from itertools import pairwise
from math import ceil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from experts.trajectory import advance, remaining
from h2rh_env.core.geometry import SE3, rotation_angle, slerp
from h2rh_env.core.motion_limits import STEP_M, STEP_RAD

seeds = st.integers(0, 2**32 - 1)


def two_poses(seed: int) -> tuple[SE3, SE3]:
    rng = np.random.default_rng(seed)
    first, second = Rotation.random(2, rng=rng).as_matrix()
    return SE3(first, rng.normal(scale=0.4, size=3)), SE3(second, rng.normal(scale=0.4, size=3))


def way(start: SE3, target: SE3) -> list[SE3]:
    poses = [start]
    while poses[-1] is not target:
        poses.append(advance(poses[-1], target))
    return poses


@given(seeds)
def test_a_step_exceeds_neither_bound(seed):
    start, target = two_poses(seed)
    distance, angle = remaining(start, advance(start, target))
    assert distance <= STEP_M * (1 + 1e-6)
    assert angle <= STEP_RAD * (1 + 1e-6)


@given(seeds)
def test_position_and_rotation_arrive_together_in_as_many_steps_as_the_longer_of_both_takes(seed):
    start, target = two_poses(seed)
    distance, angle = remaining(start, target)
    assert len(way(start, target)) - 1 == ceil(max(distance / STEP_M, angle / STEP_RAD) - 1e-6)


@given(seeds)
def test_every_pose_lies_on_the_lerp_and_the_slerp_of_the_ends(seed):
    start, target = two_poses(seed)
    length, _ = remaining(start, target)
    for pose in way(start, target):
        fraction = float(np.linalg.norm(pose.translation - start.translation) / length)
        lerp = (1 - fraction) * start.translation + fraction * target.translation
        np.testing.assert_allclose(pose.translation, lerp, atol=1e-9)
        np.testing.assert_allclose(pose.rotation, slerp(start.rotation, target.rotation, fraction), atol=1e-6)


@given(seeds)
def test_all_steps_but_the_last_are_alike(seed):
    start, target = two_poses(seed)
    poses = way(start, target)
    moves = [remaining(a, b) for a, b in pairwise(poses[:-1])]
    np.testing.assert_allclose(moves, moves[:1] * len(moves), atol=1e-6)


def test_at_the_target_nothing_is_left_to_do():
    pose, _ = two_poses(0)
    assert advance(pose, pose) is pose


@pytest.mark.parametrize("angle", [np.pi, np.pi - 1e-9])
def test_a_half_turn_is_made_in_steps_too(angle):
    target = SE3(Rotation.from_rotvec([0, 0, angle]).as_matrix(), np.zeros(3))
    step = advance(SE3.identity(), target)
    assert rotation_angle(step.rotation) == pytest.approx(0.12)
    assert len(way(SE3.identity(), target)) - 1 == 27

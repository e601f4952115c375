"""The gripper's boxes, and the half turn that exchanges its fingers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from h2rh_env.core.geometry import SE3
from h2rh_env.core.gripper import FINGERTIP_DEPTH_M, PANDA, ROBOTIQ_2F85, half_turned, upright_half_turn

poses = st.integers(0, 2**32 - 1).map(
    lambda seed: SE3(Rotation.random(rng=np.random.default_rng(seed)).as_matrix(), np.array([0.1, -0.2, 0.3]))
)


@pytest.mark.parametrize("gripper", [ROBOTIQ_2F85, PANDA])
def test_fingers_end_at_the_contact_depth_and_leave_the_opening_free(gripper):
    left, right, palm = gripper.boxes(0.06)
    assert left[1, 0] == -0.03
    assert right[0, 0] == 0.03
    assert left[1, 2] == right[1, 2] == FINGERTIP_DEPTH_M
    assert palm[1, 2] == left[0, 2] == gripper.palm_depth_m


def test_closed_fingers_touch():
    left, right, _ = ROBOTIQ_2F85.boxes(0.0)
    assert left[1, 0] == right[0, 0] == 0


@given(poses)
def test_half_turning_twice_changes_nothing(pose):
    np.testing.assert_array_equal(half_turned(half_turned(pose)).matrix, pose.matrix)


@given(poses)
def test_a_half_turn_maps_the_gripper_onto_itself(pose):
    corners = ROBOTIQ_2F85.boxes().reshape(-1, 3)
    there = pose.apply(corners[:, :])
    back = half_turned(pose).inverse().apply(there)
    np.testing.assert_allclose(np.sort(np.abs(back), axis=0), np.sort(np.abs(corners), axis=0), atol=1e-12)


@given(poses)
def test_the_upright_half_turn_is_one_of_the_two_and_sees_up_as_up(pose):
    upright = upright_half_turn(pose)
    assert upright.rotation[2, 1] <= 0
    assert upright is pose or np.array_equal(upright.matrix, half_turned(pose).matrix)
    np.testing.assert_array_equal(upright_half_turn(half_turned(pose)).matrix, upright.matrix)

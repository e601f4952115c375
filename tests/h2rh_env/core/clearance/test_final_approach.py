"""The final approach is told from the path alone, and only on it may the gripper come near the object."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from h2rh_env.core.clearance import Clearance
from h2rh_env.core.clearance.final_approach import CORRIDOR_M, final_approach_begin, kept_away
from h2rh_env.core.geometry import SE3

CLOSING = SE3(Rotation.from_rotvec([0.3, -0.5, 0.2]).as_matrix(), np.array([0.4, -0.1, 0.7]))
NOTHING = Clearance(np.zeros((0, 3)))


def path(*offsets, turned=0.0):
    """Poses (T, 4, 4) at offsets (3,) in the closing pose's frame; the closing pose comes last."""
    turn = Rotation.from_rotvec([turned, 0, 0]).as_matrix()
    poses = [CLOSING @ SE3(turn, np.array(offset, float)) for offset in offsets]
    return np.stack([pose.matrix for pose in [*poses, CLOSING]])


def test_a_straight_advance_is_all_final_approach():
    assert final_approach_begin(path(*[(0, 0, z) for z in np.linspace(-0.3, 0, 20)])) == 0


def test_the_closing_pose_alone_is_one_too():
    assert final_approach_begin(path()) == 0
    assert final_approach_begin(path((0.5, 0, 0))) == 1


@pytest.mark.parametrize("offset", [(CORRIDOR_M + 1e-6, 0, -0.1), (0, 0, -0.33), (0, 0, 0.03)])
def test_whoever_leaves_the_corridor_begins_anew(offset):
    assert final_approach_begin(path((0, 0, -0.2), offset, (0, 0, -0.1), (0, 0, -0.05))) == 2


@pytest.mark.parametrize(("turned", "begin"), [(0.5, 0), (0.55, 1)])
def test_a_gripper_that_points_elsewhere_is_not_on_it(turned, begin):
    assert final_approach_begin(path((0, 0, -0.1), turned=turned)) == begin


def test_near_the_object_is_allowed_on_the_final_approach_alone():
    held = Clearance(CLOSING.apply([[0.0, 0.0, 0.09]]))
    straight = path((0, 0, -0.3), (0, 0, -0.1), (0, 0, -0.005))
    assert kept_away(straight, NOTHING, held).all()
    sideways = path((0, 0.06, 0.05), (0, 0, -0.05))
    np.testing.assert_array_equal(kept_away(sideways, NOTHING, held), [False, True, True])


def test_near_the_hand_is_allowed_nowhere():
    hand = Clearance(CLOSING.apply([[0.0, 0.0, 0.09]]))
    np.testing.assert_array_equal(
        kept_away(path((0, 0, -0.3), (0, 0, -0.2)), hand, NOTHING), [True, True, False]
    )

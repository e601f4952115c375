"""The loss: nothing for a grasp that is there, the same for exchanged fingers, and least over all that would do."""

import numpy as np
import pytest
import torch

from policies.grasping.training.losses import losses

from .conftest import DEPTHS_M, HALF_TANGENT, grid_of, targets_of

CONTACT = (0.01, -0.02, 0.4)


def pose_loss(grid, targets):
    return float(losses(grid, targets, HALF_TANGENT, DEPTHS_M).pose)


def test_a_grasp_that_is_there_costs_nothing():
    assert pose_loss(grid_of(CONTACT), targets_of(CONTACT)) == pytest.approx(0, abs=1e-3)


def test_fingers_that_are_exchanged_are_the_same_grasp():
    assert pose_loss(grid_of(CONTACT, closing=(-1, 0, 0)), targets_of(CONTACT)) == pytest.approx(0, abs=1e-3)


def test_an_approach_from_behind_is_another_grasp():
    assert pose_loss(grid_of(CONTACT, approach=(0, 0, -1)), targets_of(CONTACT)) > 5


@pytest.mark.parametrize("axis", range(3))
def test_the_farther_off_the_more_it_costs(axis):
    costs = []
    for off_m in (0, 0.005, 0.02, 0.05):
        contact = np.array(CONTACT)
        contact[axis] += off_m
        costs.append(pose_loss(grid_of(contact), targets_of(CONTACT)))
    assert costs == sorted(costs)
    assert costs[-1] > costs[1] + 1


def test_the_nearest_of_several_grasps_counts():
    both = targets_of(CONTACT)
    both.contact[0, 1] = torch.tensor([0.03, -0.02, 0.4])
    both.approach[0, 1], both.closing[0, 1] = torch.tensor([1.0, 0, 0]), torch.tensor([0, 1.0, 0])
    both = both._replace(valid=torch.tensor([[True, True]]))
    found = losses(grid_of(CONTACT), both, HALF_TANGENT, DEPTHS_M)
    assert found.error[0] < 0.035
    assert float(found.pose) < pose_loss(grid_of(CONTACT, approach=(0, 1, 0)), both)


def test_quality_is_asked_for_where_the_grasp_holds_and_nowhere_else():
    sure, unsure = (
        losses(grid_of(CONTACT, quality=q), targets_of(CONTACT), HALF_TANGENT, DEPTHS_M).quality
        for q in (3.0, -3.0)
    )
    far = (0.01, -0.02, 0.6)
    sure_far, unsure_far = (
        losses(grid_of(far, quality=q), targets_of(CONTACT), HALF_TANGENT, DEPTHS_M).quality
        for q in (3.0, -3.0)
    )
    assert sure_far > unsure_far
    assert sure_far - unsure_far > sure - unsure


def test_depth_is_asked_for_only_where_something_is_seen():
    near, far = (
        losses(grid_of(CONTACT), targets_of(CONTACT, depth_m=d), HALF_TANGENT, DEPTHS_M) for d in (0.4, 0.8)
    )
    nothing = losses(grid_of(CONTACT), targets_of(CONTACT), HALF_TANGENT, DEPTHS_M)
    assert float(nothing.depth) == 0
    assert 0 < float(near.depth) < float(far.depth)


def test_a_crop_without_grasps_teaches_no_pose():
    nothing = targets_of(CONTACT)._replace(valid=torch.tensor([[False, False]]))
    assert pose_loss(grid_of((0.1, 0.1, 0.2)), nothing) == 0


def test_danger_is_asked_for_where_the_hand_is_in_the_way():
    in_the_way, free = targets_of(CONTACT, hand=(0.01, 0.01, 0.3)), targets_of(CONTACT, hand=(0, 0, 2))
    for targets, right, wrong in ((in_the_way, 4.0, -4.0), (free, -4.0, 4.0)):
        found = [
            float(losses(grid_of(CONTACT, danger=d), targets, HALF_TANGENT, DEPTHS_M).danger)
            for d in (right, wrong)
        ]
        assert found[0] < 0.1
        assert found[1] > 3

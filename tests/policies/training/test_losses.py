import numpy as np
import torch

from h2rh_env.core.geometry import SE3, rotation_from_euler_xyz
from h2rh_env.core.gripper import half_turned
from policies.training.losses import goal_loss, handover_loss


def test_the_loss_of_the_truth_is_zero() -> None:
    actions = torch.rand(5, 7)
    assert handover_loss(actions, actions)["total"] == 0


def test_terms_are_mean_squares_weighted_as_in_equation_17() -> None:
    target = torch.zeros(2, 7)
    predicted = torch.tensor([[0.1, 0, 0, 0.02, 0, 0, 0.5], [0, 0, 0, 0, 0, 0, 0]])
    loss = handover_loss(predicted, target)
    torch.testing.assert_close(loss["rotation"], torch.tensor(0.01 / 6))
    torch.testing.assert_close(loss["translation"], torch.tensor(0.0004 / 6))
    torch.testing.assert_close(loss["score"], torch.tensor(0.125))
    torch.testing.assert_close(
        loss["total"], 100 * loss["rotation"] + 100 * loss["translation"] + loss["score"]
    )


def test_a_positive_weighs_as_much_as_that_many_negatives() -> None:
    target = torch.zeros(4, 7)
    target[0, 6] = 1
    predicted = torch.full((4, 7), 0.5)
    predicted[0, 6] = 0.0
    repeated = torch.tensor([0, 0, 0, 1, 2, 3])
    once = handover_loss(predicted, target, positive_weight=3.0)
    thrice = handover_loss(predicted[repeated], target[repeated])
    torch.testing.assert_close(once["score"], thrice["score"])


def goals(*motions: SE3) -> torch.Tensor:
    return torch.from_numpy(np.stack([motion.matrix[:3] for motion in motions]))


def test_the_loss_of_the_true_goal_is_zero_whichever_way_round_the_gripper_is() -> None:
    goal = SE3(rotation_from_euler_xyz([0.3, -0.2, 0.5]), np.array([0.1, -0.05, 0.3]))
    assert goal_loss(goals(goal), goals(goal))["total"] < 1e-6
    assert goal_loss(goals(half_turned(goal)), goals(goal))["total"] < 1e-6


def test_an_error_costs_more_near_the_goal() -> None:
    near = SE3(rotation_from_euler_xyz([0.02, 0, 0]), np.array([0.01, 0, 0]))
    far = SE3(rotation_from_euler_xyz([0.8, 0, 0]), np.array([0.5, 0, 0.3]))
    error = SE3(rotation_from_euler_xyz([0, 0.05, 0]), np.array([0, 0.01, 0]))
    losses = [goal_loss(goals(goal @ error), goals(goal)) for goal in (near, far)]
    for term in ("translation", "rotation"):
        assert losses[0][term] > 2 * losses[1][term]


def test_the_goal_loss_has_a_gradient_everywhere() -> None:
    identity = goals(SE3.identity())
    for target in (identity, goals(SE3(np.diag([1.0, -1, -1]), np.zeros(3)))):
        predicted = identity.clone().requires_grad_()
        goal_loss(predicted, target)["total"].backward()
        assert torch.isfinite(predicted.grad).all()

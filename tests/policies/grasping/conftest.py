"""Grids and targets that are known to be right."""

import pytest
import torch

from policies.grasping.network import DEPTH_BINS, GraspGrid, GraspNetwork
from policies.grasping.training.losses import Targets

HALF_TANGENT = torch.tensor([0.2])
DEPTHS_M = (0.1, 0.9)


def targets_of(contact, approach=(0, 0, 1.0), closing=(1.0, 0, 0), depth_m=0.0, hand=(0, 0, 9.0)):
    """One crop with one grasp in the first of two places, and one point of a hand."""
    rows = [torch.tensor([[list(map(float, v)), [0, 0, 1.0]]]) for v in (contact, approach, closing)]
    hand_points = torch.tensor([[list(map(float, hand))]])
    return Targets(*rows, torch.tensor([[True, False]]), torch.full((1, 8, 8), depth_m), hand_points)


def grid_of(contact, approach=(0, 0, 1.0), closing=(1.0, 0, 0), quality=0.0, danger=0.0):
    """Every cell says the same."""

    def everywhere(v):
        return torch.tensor(list(map(float, v))).expand(1, 1, 8, 8, 3)

    logits = torch.zeros(1, DEPTH_BINS, 8, 8)
    flat = torch.ones(1, 8, 8)
    return GraspGrid(
        everywhere(contact), everywhere(approach), everywhere(closing), torch.full((1, 1, 8, 8), quality),
        torch.full((1, 1, 8, 8), danger), logits, 0.4 * flat, 0.1 * flat,
    )  # fmt: skip


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return GraspNetwork(width=40).eval()

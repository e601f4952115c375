"""The network: grasps are rigid and lie where cells look, and its settings make it again."""

import numpy as np
import pytest
import torch

from policies.grasping.network import MAX_BEYOND_M, GraspNetwork, folded
from policies.grasping.policy import predictions
from policies.grasping.training.augmentation import augmented, rolled
from policies.grasping.training.dataset import Batch
from policies.grasping.training.losses import Targets


def batch_of(count=2, seed=0):
    rng = torch.Generator().manual_seed(seed)
    unit = torch.nn.functional.normalize
    contact = torch.randn(count, 4, 3, generator=rng) * 0.02 + torch.tensor([0, 0, 0.4])
    approach = unit(torch.randn(count, 4, 3, generator=rng), dim=-1)
    closing = unit(torch.linalg.cross(approach, torch.randn(count, 4, 3, generator=rng)), dim=-1)
    valid, hand = torch.ones(count, 4, dtype=torch.bool), contact.clone()
    targets = Targets(contact, approach, closing, valid, torch.rand(count, 8, 8), hand)
    geometry = torch.tensor([[np.log(0.2), 0.3, -0.2, 0.1, 1.0]], dtype=torch.float32).repeat(count, 1)
    images = torch.rand(count, 6, 64, 64, generator=rng), torch.rand(count, 16, 4, 32, 32, generator=rng)
    return Batch(*images, geometry, targets)


@torch.inference_mode()
def test_axes_are_unit_and_at_right_angles(network):
    grid = network(*batch_of()[:3])
    for axis in (grid.approach, grid.closing):
        assert torch.allclose(axis.norm(dim=-1), torch.ones(()), atol=1e-5)
    assert (grid.approach * grid.closing).sum(-1).abs().max() < 1e-5


@torch.inference_mode()
def test_contacts_lie_about_the_rays_of_their_cells_near_the_surface(network):
    grid = network(*batch_of()[:3])
    middles = ((torch.arange(8) + 0.5) / 4 - 1) * 0.2
    x = grid.contact[..., 0] / grid.contact[..., 2]
    assert (x - middles).abs().max() <= 1.5 * 0.4 / 8 + 1e-5
    assert (grid.contact[..., 2] - grid.depth_m[:, None]).abs().max() <= MAX_BEYOND_M


@torch.inference_mode()
def test_settings_make_the_same_network_again(network):
    again = GraspNetwork.from_settings(network.settings).eval()
    again.load_state_dict(network.state_dict())
    batch = batch_of()
    assert torch.equal(again(*batch[:3]).quality, network(*batch[:3]).quality)


@torch.inference_mode()
def test_a_folded_network_says_the_same(network):
    shown = batch_of()[:3]
    acting, learning = folded(network), network
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in acting.modules())
    for found, expected in zip(acting(*shown), learning(*shown), strict=True):
        assert torch.allclose(found, expected, atol=1e-4)


@torch.inference_mode()
def test_predictions_are_all_grasps_of_the_grid(network):
    grid = network(*batch_of(1)[:3])
    found = predictions(grid)
    assert found.contact.shape == (network.hypotheses * 64, 3)
    assert ((found.quality > 0) & (found.quality < 1)).all()


def test_four_quarter_turns_are_none():
    batch = batch_of()
    turned = batch
    for _ in range(4):
        turned = rolled(turned, 1)
    assert torch.equal(turned.crop, batch.crop)
    assert torch.allclose(turned.targets.contact, batch.targets.contact)


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_the_hand_turns_with_the_grasps(quarters):
    turned = rolled(batch_of(), quarters).targets
    assert torch.equal(turned.hand, turned.contact)
    mirrored = augmented(batch_of(8), torch.Generator().manual_seed(quarters)).targets
    assert torch.equal(mirrored.hand, mirrored.contact)


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_grasps_turn_with_the_picture(quarters):
    """A bright pixel in the crop and a contact on its ray stay together."""
    batch = batch_of(1)
    batch.crop.zero_()
    row, column = 10, 40
    batch.crop[0, 0, row, column] = 1
    ray = torch.tensor([(column + 0.5) / 32 - 1, (row + 0.5) / 32 - 1]) * 0.2
    batch.targets.contact[0, 0] = torch.tensor([*ray, 1.0]) * 0.4
    turned = rolled(batch, quarters)
    (_, new_row, new_column) = (turned.crop[0] == 1).nonzero()[0].tolist()
    x, y, z = turned.targets.contact[0, 0].tolist()
    assert (x / z / 0.2 + 1) * 32 == pytest.approx(new_column + 0.5, abs=1e-4)
    assert (y / z / 0.2 + 1) * 32 == pytest.approx(new_row + 0.5, abs=1e-4)


def test_augmentation_keeps_grasps_rigid_and_black_black():
    batch = batch_of(16)
    batch.crop[:, :, :20] = 0
    changed = augmented(batch, torch.Generator().manual_seed(1))
    t = changed.targets
    assert torch.allclose(
        (t.approach * t.closing).sum(-1), (batch.targets.approach * batch.targets.closing).sum(-1), atol=1e-5
    )
    assert torch.allclose(t.contact.norm(dim=-1), batch.targets.contact.norm(dim=-1), atol=1e-5)
    black = changed.crop[:, 3:].amax(1, keepdim=True) == 0
    assert (changed.crop[:, :3] * black).max() == 0

"""Augmentation: batches of frames changed as another camera, light or segmenter would change them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Generator, Tensor
from torch.nn import functional

from ..networks.base import HandoverNetwork
from .dataset import Batch, mirrored

MIXED = 0.5  # part of the frames whose colours are mixed: shape tells where to grasp, colour only which scene it is
MAX_ROLL_RAD = 0.3


def augmented(batch: Batch, network: HandoverNetwork, generator: Generator, strength: float) -> Batch:
    """Mirrors every other frame, then varies the camera's roll, colour, outline of masks and geometry.

    Args:
        batch: its images are in [0, 1], the first five rgb, object, hand.
        network: knows how its inputs mirror and roll.
        strength: 0 mirrors only; 1 rolls by up to 0.3 rad, mixes the colour channels of half the frames, varies
            gain and contrast by 20 %, hue by 10 %, noise by 2 %, masks by one pixel for a third of the frames,
            geometry by 1 %.
    """
    images, geometry, actions, goals = _mirror_half(batch, network.geometry_signs, generator)
    if strength > 0:
        angles_rad = MAX_ROLL_RAD * strength * (2 * torch.rand(len(images), generator=generator) - 1)
        images, geometry, goals = network.rolled(images, geometry, goals, angles_rad)
        rgb = _varied_colour(images[:, :3], strength, generator)
        masks = _varied_masks(images[:, 3:5], strength, generator)
        images = torch.cat([rgb, masks, images[:, 5:]], dim=1)
        geometry = geometry + 0.01 * strength * torch.randn(geometry.shape, generator=generator)
    return images, geometry, actions, goals


def _mirror_half(batch: Batch, signs: Sequence[int], generator: Generator) -> Batch:
    pick = torch.rand(len(batch[0]), generator=generator) < 0.5
    images, geometry, actions, goals = (tensor.clone() for tensor in batch)
    images[pick], geometry[pick], actions[pick], goals[pick] = mirrored(
        (images[pick], geometry[pick], actions[pick], goals[pick]), signs
    )
    return images, geometry, actions, goals


def _varied_colour(rgb: Tensor, strength: float, generator: Generator) -> Tensor:
    """Mixed channels, gain, contrast, gain per channel, noise. What is black, the removed background, stays black."""
    count = len(rgb)

    def around_one(spread: float, channels: int) -> Tensor:
        return 1 + spread * strength * (2 * torch.rand(count, channels, 1, 1, generator=generator) - 1)

    seen = (rgb.amax(1, keepdim=True) > 0).float()
    mixes = torch.rand(count, 3, 3, generator=generator)
    mixes = mixes / mixes.sum(2, keepdim=True)
    plain = torch.rand(count, generator=generator) >= MIXED * min(strength, 1.0)
    mixes[plain] = torch.eye(3)
    rgb = torch.einsum("bij,bjhw->bihw", mixes, rgb)
    gain = around_one(0.2, 1) * around_one(0.1, 3)
    contrast = around_one(0.2, 1)
    noise = 0.02 * strength * torch.randn(rgb.shape, generator=generator)
    return (((rgb * gain - 0.4) * contrast + 0.4 + noise) * seen).clamp(0, 1)


def _varied_masks(masks: Tensor, strength: float, generator: Generator) -> Tensor:
    """A sixth of the frames with masks a pixel fatter, a sixth a pixel thinner."""
    pick = torch.rand(len(masks), 1, 1, 1, generator=generator)
    fatter = functional.max_pool2d(masks, 3, 1, 1)
    thinner = -functional.max_pool2d(-masks, 3, 1, 1)
    varied = torch.where(pick < strength / 6, fatter, masks)
    return torch.where(pick > 1 - strength / 6, thinner, varied)

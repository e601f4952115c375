"""Tensors: arithmetic that networks share: turns of the camera, moments of masks, means over parts of an image."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def area_weights(low: Tensor, width: Tensor, count: int, pixels: int) -> Tensor:
    """Rows that average intervals of a line of pixels exactly.

    Args:
        low, width: (B,) start and width of each interval's stretch, px; it is cut into `count` equal bins.

    Returns:
        (B, count, pixels); what lies outside of the line counts as 0.
    """
    bin_width = (width / count)[:, None, None]
    start = low[:, None, None] + bin_width * torch.arange(count)[None, :, None]
    pixel = torch.arange(pixels)[None, None, :]
    overlap = torch.minimum(start + bin_width, pixel + 1.0) - torch.maximum(start, pixel + 0.0)
    return overlap.clamp_min(0) / bin_width


def mask_moments(masks: Tensor) -> Tensor:
    """Of masks (B, M, H, W) in [0, 1]: (B, M, 6) area, mean x, mean y, variances xx, yy, xy.

    Lengths are fractions of the image's width from the image's centre; an empty mask gives zeros.
    """
    height, width = masks.shape[-2:]
    x = (torch.arange(width) + 0.5) / width - 0.5
    y = (torch.arange(height) + 0.5 - height / 2) / width
    powers_x = torch.stack([torch.ones_like(x), x, x * x], dim=1)
    powers_y = torch.stack([torch.ones_like(y), y, y * y])
    sums = powers_y @ (masks @ powers_x)  # (B, M, 3, 3), of y^i x^j
    mass = sums[..., 0, 0]
    means = sums / mass.clamp_min(1e-6)[..., None, None]
    mean_x, mean_y, mean_xy = means[..., 0, 1], means[..., 1, 0], means[..., 1, 1]
    mean_xx, mean_yy = means[..., 0, 2], means[..., 2, 0]
    moments = [
        mass / width**2, mean_x, mean_y,
        mean_xx - mean_x**2, mean_yy - mean_y**2, mean_xy - mean_x * mean_y,
    ]  # fmt: skip
    return torch.stack(moments, dim=-1)


def rotation_from_columns(columns: Tensor) -> Tensor:
    """Rotations (B, 3, 3) from (B, 6): what is added to the first two columns of the identity, made orthonormal.

    Continuous, as no three numbers are (Zhou et al. 2019).
    """
    x = functional.normalize(columns[:, :3] + columns.new_tensor([1.0, 0, 0]), dim=1)
    y = columns[:, 3:] + columns.new_tensor([0, 1.0, 0])
    y = functional.normalize(y - x * (x * y).sum(1, keepdim=True), dim=1)
    return torch.stack([x, y, torch.linalg.cross(x, y)], dim=2)


def rotation_about(axis: Tensor, angles_rad: Tensor) -> Tensor:
    """Rotations (B, 3, 3) about unit axes (B, 3) by angles (B,), right-handed (Rodrigues)."""
    x, y, z = axis.unbind(1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=1).view(-1, 3, 3)
    sin, cos = angles_rad.sin()[:, None, None], angles_rad.cos()[:, None, None]
    return torch.eye(3) + sin * cross + (1 - cos) * (cross @ cross)


def looking_along(direction: Tensor) -> Tensor:
    """Rotations (B, 3, 3) that turn z to a unit direction (B, 3) before the camera, by the least angle."""
    x, y, z = direction.unbind(1)
    share = 1 / (1 + z)
    rows = [1 - x * x * share, -x * y * share, x, -x * y * share, 1 - y * y * share, y, -x, -y, z]
    return torch.stack(rows, dim=1).view(-1, 3, 3)

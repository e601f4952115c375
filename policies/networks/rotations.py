"""Rotations as tensors, differentiable."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def rotation_from_columns(columns: Tensor) -> Tensor:
    """Rotations (B, 3, 3) from (B, 6): what is added to the first two columns of the identity, made orthonormal.

    The map is continuous, which no map from three numbers is (Zhou et al. 2019).
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
    """Rotations (B, 3, 3) that turn z to a unit direction (B, 3) before the camera, by the least angle.

    Each is half a turn about z, then half a turn about what lies midway between z and the direction.
    """
    midway = direction + direction.new_tensor([0, 0, 1.0])
    half_turn = midway[:, :, None] * (midway / midway[:, 2:])[:, None] - torch.eye(3)
    return half_turn * direction.new_tensor([-1.0, -1, 1])

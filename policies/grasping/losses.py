"""Losses: the least cost over all grasps that would do, at the scale of contact."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from .network import DEPTH_BINS, GraspGrid

LATERAL_M, DEPTH_M, TURN_RAD = 0.006, 0.008, 0.12  # errors that cost about one
FAR_LATERAL, FAR_DEPTH = 0.015, 0.02  # more is forgiven from afar, as fractions of the distance
HELD_LATERAL_M, HELD_DEPTH_M, HELD_TURN_RAD = 0.010, 0.012, 0.20  # errors at which a grasp begins to fail
REACH_CELLS = 1.25  # how far from a cell's middle a contact may be that the cell should find
OTHER = 0.1  # weight of the hypothesis of a cell that is not the nearest


class Targets(NamedTuple):
    """What is right, in the crop's frame.

    Attributes:
        contact: (B, G, 3), m. approach, closing: (B, G, 3) unit vectors; closing without sign.
        valid: (B, G) bool, which of the G places hold a grasp.
        depth_m: (B, C, C), of the surface that is seen in each cell; 0 where there is none.
    """

    contact: Tensor
    approach: Tensor
    closing: Tensor
    valid: Tensor
    depth_m: Tensor


class Losses(NamedTuple):
    """Parts of the loss, each a scalar; `error` are medians for the log: lateral m, depth m, turn rad."""

    total: Tensor
    pose: Tensor
    quality: Tensor
    depth: Tensor
    error: tuple[float, float, float]


def _length(vectors: Tensor) -> Tensor:
    return (vectors.square().sum(-1) + 1e-12).sqrt()


def _pseudo_huber(x: Tensor) -> Tensor:
    return (1 + x.square()).sqrt() - 1


def losses(grid: GraspGrid, targets: Targets, half_tangent: Tensor, depths_m: tuple[float, float]) -> Losses:
    """Pose, quality and depth of a batch.

    Args:
        half_tangent: (B,), of the crops. depths_m: of the first and the last bin.
    """
    lateral, depth, turn, reached = _errors(grid, targets, half_tangent)
    distance = targets.contact[..., 2][:, None, None, None].clamp_min(0.05)
    cost = (
        _pseudo_huber(lateral / (LATERAL_M + FAR_LATERAL * distance))
        + _pseudo_huber(depth / (DEPTH_M + FAR_DEPTH * distance))
        + _pseudo_huber(turn / TURN_RAD)
    )
    cost = cost.masked_fill(~reached, 1e4)
    cost, nearest = cost.min(dim=-1)  # over grasps: (B, K, C, C)
    positive = reached.any(-1)[:, 0]  # (B, C, C)
    weight = positive / positive.sum(dim=(1, 2), keepdim=True).clamp_min(1)  # each crop counts the same
    best, winner = cost.min(dim=1)
    others = (cost.sum(1) - best) / max(cost.shape[1] - 1, 1)
    pose = (weight * torch.where(positive, best + OTHER * others, 0.0)).sum() / len(cost)

    off = [torch.gather(e, -1, nearest[..., None])[..., 0].detach() for e in (lateral, depth, turn)]
    scales = HELD_LATERAL_M, HELD_DEPTH_M, HELD_TURN_RAD
    holds = torch.exp(-0.5 * sum((e / s) ** 2 for e, s in zip(off, scales, strict=True)))  # type: ignore[arg-type]
    holds = torch.where(positive[:, None], holds, 0.0)
    quality = functional.binary_cross_entropy_with_logits(grid.quality, holds, reduction="none")
    quality = quality.sum(dim=(2, 3)).mean()

    surface = _depth_loss(grid, targets.depth_m, depths_m)
    total = pose + 0.5 * quality + surface
    won = [torch.gather(e, 1, winner[:, None])[:, 0][positive] for e in off]
    error = tuple(float(e.median()) if len(e) else float("nan") for e in won)
    return Losses(total, pose.detach(), quality.detach(), surface.detach(), error)  # type: ignore[arg-type]


def _errors(grid: GraspGrid, targets: Targets, half_tangent: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Lateral, m, in depth, m, and turn, rad, of each cell's hypotheses to each grasp (B, K, C, C, G); and which
    grasps each cell should find (B, 1, C, C, G)."""
    contact = targets.contact[:, None, None, None]
    apart = grid.contact[..., None, :] - contact
    ray = functional.normalize(contact, dim=-1)
    depth = (apart * ray).sum(-1)
    lateral = _length(apart - depth[..., None] * ray)
    approach = (grid.approach[..., None, :] * targets.approach[:, None, None, None]).sum(-1)
    closing = (grid.closing[..., None, :] * targets.closing[:, None, None, None]).sum(-1).abs()
    # For small turns, twice what is missing of the two cosines is the square of the angle about each axis.
    turn = (2 * (1 - approach) + 2 * (1 - closing) + 1e-8).sqrt()
    cells = grid.contact.shape[2]
    place = targets.contact[..., :2] / targets.contact[..., 2:].clamp_min(0.02)
    place = (place / half_tangent[:, None, None] + 1) * cells / 2  # in cells from the corner
    middles = torch.arange(cells, device=place.device) + 0.5
    near_x = (place[:, None, None, :, 0] - middles[None, None, :, None]).abs() <= REACH_CELLS
    near_y = (place[:, None, None, :, 1] - middles[None, :, None, None]).abs() <= REACH_CELLS
    reached = near_x & near_y & targets.valid[:, None, None]
    return lateral, depth.abs(), turn, reached[:, None]


def _depth_loss(grid: GraspGrid, depth_m: Tensor, depths_m: tuple[float, float]) -> Tensor:
    """Cross-entropy with the true bin, shared between the two about it, and the error of the mean in per cent / 3."""
    seen = depth_m > 0
    near, far = (math.log(depth) for depth in depths_m)
    log_depth = depth_m.clamp_min(depths_m[0]).log()
    place = ((log_depth - near) / (far - near) * (DEPTH_BINS - 1)).clamp(0, DEPTH_BINS - 1 - 1e-4)
    lower = place.floor().long()
    log_share = grid.depth_logits.log_softmax(dim=1)
    upper_weight = place - lower
    entropy = -(
        (1 - upper_weight) * torch.gather(log_share, 1, lower[:, None])[:, 0]
        + upper_weight * torch.gather(log_share, 1, lower[:, None] + 1)[:, 0]
    )
    off = _pseudo_huber((grid.depth_m.log() - log_depth) / 0.03)
    each = torch.where(seen, 0.3 * entropy + 0.3 * off, 0.0)
    return each.sum() / seen.sum().clamp_min(1)

"""Losses: the least cost over all grasps that would do, at the scale of contact."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from ..hand import hand_room_m
from ..network import DEPTH_BINS, GraspGrid

LATERAL_M, DEPTH_M, TURN_RAD = 0.006, 0.008, 0.12  # errors that cost about one
FAR_LATERAL, FAR_DEPTH = 0.015, 0.02  # more is forgiven from afar, as fractions of the distance
HELD_LATERAL_M, HELD_DEPTH_M, HELD_TURN_RAD = 0.010, 0.012, 0.20  # errors at which a grasp begins to fail
REACH_CELLS = 1.25  # how far from a cell's middle a contact may be that the cell should find
LISTED = 24  # grasps that each cell is compared with, at most
TRIED, EVERY = 16, 32  # grasps whose danger is learnt: the most promising, and each so manieth
DANGER = 4.0  # weight
ROOM_M = 0.003  # room to the hand over which danger goes from three in four to one in four
OTHER = 0.1  # weight of the hypothesis of a cell that is not the nearest


class Targets(NamedTuple):
    """What is right, in the crop's frame.

    Attributes:
        contact: (B, G, 3), m. approach, closing: (B, G, 3) unit vectors; closing without sign.
        valid: (B, G) bool, which of the G places hold a grasp.
        depth_m: (B, C, C), of the surface that is seen in each cell; 0 where there is none.
        hand: (B, P, 3), m, points of the hand; far away where there is none.
    """

    contact: Tensor
    approach: Tensor
    closing: Tensor
    valid: Tensor
    depth_m: Tensor
    hand: Tensor


class Losses(NamedTuple):
    """Parts of the loss, each a scalar; `error` are medians for the log: lateral m, depth m, turn rad."""

    total: Tensor
    pose: Tensor
    quality: Tensor
    danger: Tensor
    depth: Tensor
    error: tuple[float, float, float]


def _length(vectors: Tensor) -> Tensor:
    return (vectors.square().sum(-1) + 1e-12).sqrt()


def _pseudo_huber(x: Tensor) -> Tensor:
    return (1 + x.square()).sqrt() - 1


def losses(grid: GraspGrid, targets: Targets, half_tangent: Tensor, depths_m: tuple[float, float]) -> Losses:
    """Pose, quality, danger and depth of a batch.

    Args:
        half_tangent: (B,), of the crops. depths_m: of the first and the last bin.
    """
    reached = _reached(targets, half_tangent, grid.contact.shape[2])
    nearest = _nearest(grid, targets, reached)
    lateral, depth, turn, ahead_m = _errors(grid, targets, nearest)
    cost = _cost(lateral, depth, turn, ahead_m)
    positive = reached.any(-1)  # (B, C, C)
    weight = positive / positive.sum(dim=(1, 2), keepdim=True).clamp_min(1)  # each crop counts the same
    best, winner = cost.min(dim=1)
    others = (cost.sum(1) - best) / max(cost.shape[1] - 1, 1)
    pose = (weight * torch.where(positive, best + OTHER * others, 0.0)).sum() / len(cost)

    off = [error.detach() for error in (lateral, depth, turn)]
    scales = HELD_LATERAL_M, HELD_DEPTH_M, HELD_TURN_RAD
    holds = torch.exp(-0.5 * sum((e / s) ** 2 for e, s in zip(off, scales, strict=True)))  # type: ignore[arg-type]
    holds = torch.where(positive[:, None], holds, 0.0)
    quality = functional.binary_cross_entropy_with_logits(grid.quality, holds, reduction="none")
    quality = quality.sum(dim=(2, 3)).mean()

    danger = _danger_loss(grid, targets)
    surface = _depth_loss(grid, targets.depth_m, depths_m)
    total = pose + 0.5 * quality + DANGER * danger + surface
    won = [torch.gather(e, 1, winner[:, None])[:, 0][positive] for e in off]
    error = tuple(float(e.median()) if len(e) else float("nan") for e in won)
    return Losses(total, pose.detach(), quality.detach(), danger.detach(), surface.detach(), error)  # type: ignore[arg-type]


def _reached(targets: Targets, half_tangent: Tensor, cells: int) -> Tensor:
    """Which grasps each cell should find (B, C, C, G)."""
    place = targets.contact[..., :2] / targets.contact[..., 2:].clamp_min(0.02)
    place = (place / half_tangent[:, None, None] + 1) * cells / 2  # in cells from the corner
    middles = torch.arange(cells, device=place.device) + 0.5
    near_x = (place[:, None, None, :, 0] - middles[None, None, :, None]).abs() <= REACH_CELLS
    near_y = (place[:, None, None, :, 1] - middles[None, :, None, None]).abs() <= REACH_CELLS
    return near_x & near_y & targets.valid[:, None, None]


def _cost(lateral: Tensor, depth: Tensor, turn: Tensor, ahead_m: Tensor) -> Tensor:
    distance = ahead_m.clamp_min(0.05)
    return (
        _pseudo_huber(lateral / (LATERAL_M + FAR_LATERAL * distance))
        + _pseudo_huber(depth / (DEPTH_M + FAR_DEPTH * distance))
        + _pseudo_huber(turn / TURN_RAD)
    )


@torch.no_grad()
def _nearest(grid: GraspGrid, targets: Targets, reached: Tensor) -> Tensor:
    """The index (B, K, C, C) of the grasp that costs each hypothesis least, of those its cell should find.

    A cell should find few of all grasps, so these are listed first; of more than `LISTED` some are left out.
    """
    count = min(LISTED, targets.contact.shape[1])
    found, listed = reached.to(torch.bfloat16).topk(count, dim=-1, sorted=False)  # (B, C, C, L)

    def of(values: Tensor) -> Tensor:  # (B, 1, C, C, L, 3)
        rows = listed.flatten(1)[..., None].expand(-1, -1, 3)
        return torch.gather(values, 1, rows).view(*listed.shape, 3)[:, None]

    contact = of(targets.contact)
    lateral, depth = _apart(grid.contact[..., None, :] - contact, contact)
    turn = _turn(
        grid.approach[..., None, :], grid.closing[..., None, :], of(targets.approach), of(targets.closing)
    )
    cost = _cost(lateral, depth, turn, contact[..., 2]).masked_fill(found[:, None] == 0, 1e4)
    best = cost.argmin(dim=-1, keepdim=True)
    return torch.gather(listed[:, None].expand(*cost.shape), -1, best)[..., 0]


def _errors(grid: GraspGrid, targets: Targets, nearest: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Lateral, m, in depth, m, and turn, rad, of each hypothesis to its nearest grasp, and how far ahead that one is,
    m, each (B, K, C, C)."""

    def of(values: Tensor) -> Tensor:
        rows = nearest.flatten(1)[..., None].expand(-1, -1, 3)
        return torch.gather(values, 1, rows).view(*nearest.shape, 3)

    contact = of(targets.contact)
    lateral, depth = _apart(grid.contact - contact, contact)
    turn = _turn(grid.approach, grid.closing, of(targets.approach), of(targets.closing))
    return lateral, depth, turn, contact[..., 2]


def _apart(apart: Tensor, contact: Tensor) -> tuple[Tensor, Tensor]:
    """Differences (..., 3) from contacts, beside their line of sight and along it."""
    ray = functional.normalize(contact, dim=-1)
    depth = (apart * ray).sum(-1)
    return _length(apart - depth[..., None] * ray), depth.abs()


def _turn(approach: Tensor, closing: Tensor, true_approach: Tensor, true_closing: Tensor) -> Tensor:
    """The angle between two grasps, rad; the sign of a closing axis does not count."""
    along, across = (approach * true_approach).sum(-1), (closing * true_closing).sum(-1).abs()
    # For small turns, twice what is missing of the two cosines is the square of the angle about each axis.
    return (2 * (1 - along) + 2 * (1 - across)).clamp_min(0).add(1e-8).sqrt()


def _danger_loss(grid: GraspGrid, targets: Targets) -> Tensor:
    """Cross-entropy with whether the gripper would come too near to the hand on its straight way in, of the grasps
    that promise most and some of the others."""
    promising = grid.quality.detach().flatten(1).topk(TRIED, dim=1).indices
    spread = torch.arange(0, grid.quality[0].numel(), EVERY, device=promising.device).expand(
        len(promising), -1
    )
    tried = torch.cat([promising, spread], dim=1)
    rows = tried[..., None].expand(-1, -1, 3)
    contact, z, x = (
        torch.gather(v.detach().flatten(1, 3), 1, rows) for v in (grid.contact, grid.approach, grid.closing)
    )
    risk = torch.sigmoid(-hand_room_m(contact, z, x, targets.hand) / ROOM_M)
    said = torch.gather(grid.danger.flatten(1), 1, tried)
    return functional.binary_cross_entropy_with_logits(said, risk)


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

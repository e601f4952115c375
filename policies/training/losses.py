"""Losses: how far a predicted action is from the expert's (Eq. 17), and a predicted goal from the true one."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ..networks.base import SCORE

LAMBDA_TRANSLATION = 100.0  # lambda_T, Sec. IV-A
LAMBDA_ROTATION = 100.0  # lambda_R


Terms = dict[str, Tensor]


def handover_loss(
    predicted: Tensor,
    target: Tensor,
    lambda_translation: float = LAMBDA_TRANSLATION,
    lambda_rotation: float = LAMBDA_ROTATION,
    positive_weight: float = 1.0,
) -> Terms:
    """L = lambda_T L_T + lambda_R L_R + L_C of actions (B, 7), each the mean squared error.

    Args:
        positive_weight: frames at the pre-grasp pose (Cls = 1) count this much more in L_C, which stays a
            weighted mean; the paper's value is 1.

    Returns:
        Scalars `translation` (L_T, m^2), `rotation` (L_R, rad^2), `score` (L_C) and their sum `total` (L).
    """
    rotation = functional.mse_loss(predicted[:, :3], target[:, :3])
    translation = functional.mse_loss(predicted[:, 3:SCORE], target[:, 3:SCORE])
    weight = 1 + (positive_weight - 1) * target[:, SCORE]
    score = (weight * (predicted[:, SCORE] - target[:, SCORE]).square()).sum() / weight.sum()
    total = lambda_translation * translation + lambda_rotation * rotation + score
    return {"translation": translation, "rotation": rotation, "score": score, "total": total}


def goal_loss(predicted: Tensor, target: Tensor) -> Terms:
    """Mean error of goals `camera_from_goal` (B, 3, 4), in units that grow with what remains to the goal.

    Errors matter most near the end. At the goal the units are 1 cm and 2 degrees, about what a safe advance
    forgives. Large errors count linearly: from afar some goals cannot be told. The better of the gripper's two half
    turns counts.

    Returns:
        Scalars `translation` and `rotation` (without unit) and their sum `total`.
    """
    remaining_m = target[:, :, 3].norm(dim=1)
    off_m = (predicted[:, :, 3] - target[:, :, 3]).norm(dim=1)
    translation = _robust(off_m / (0.01 + 0.1 * remaining_m))

    half_turn = target.new_tensor([-1.0, -1, 1])
    chords = [(predicted[:, :, :3] - target[:, :, :3] * turn).square().sum((1, 2)) for turn in (1, half_turn)]
    off_rad = (torch.minimum(*chords) / 2 + 1e-12).sqrt()
    cosine = (target[:, 0, 0] + target[:, 1, 1] + target[:, 2, 2] - 1) / 2
    remaining_rad = cosine.clamp(-0.9999999, 0.9999999).arccos()
    rotation = _robust(off_rad / (0.035 + 0.1 * remaining_rad))
    return {"translation": translation, "rotation": rotation, "total": translation + rotation}


def _robust(error: Tensor) -> Tensor:
    """Charbonnier: half the square for small errors, linear for large ones."""
    return ((1 + error.square()).sqrt() - 1).mean()

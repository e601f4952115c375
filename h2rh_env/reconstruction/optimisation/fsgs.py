"""What FSGS (Zhu et al., ECCV 2024) adds for few views: growth by proximity, correlated depth, pseudo views.

Measured depth stands in for the monocular estimate of the original, and the first surface for the estimate in
pseudo views.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from ...core.camera import PinholeCamera
from ...core.geometry import SE3, look_at
from .rig import RigCorrection
from .targets import Target

NEIGHBOURS = 3
GROWN_QUANTILE = 0.95  # Gaussians whose neighbours are farther than those of so many grow new ones
PSEUDO_NOISE_M = 0.02
PSEUDO_PX = 256


def unpooled(
    means: npt.NDArray[np.float32], limit: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Returns new means (M, 3) midway between loosely connected Gaussians (N, 3) and their neighbours.

    The proximity score of a Gaussian is the mean distance to its three nearest neighbours (Sec. 3.1 of FSGS); the
    loosest come first, and no more than `limit` are there in the end.

    Returns:
        The means, and the index (M,) of the neighbour that each takes its other values from.
    """
    room = limit - len(means)
    if len(means) <= NEIGHBOURS or room <= 0:
        return np.empty((0, 3), np.float32), np.empty(0, np.int64)
    distance, index = cKDTree(means).query(means, NEIGHBOURS + 1)
    score = distance[:, 1:].mean(axis=1)
    loose = np.flatnonzero(score > np.quantile(score, GROWN_QUANTILE))
    loose = loose[np.argsort(-score[loose], kind="stable")]
    source = index[loose, 1:].reshape(-1)[:room]
    from_ = np.repeat(loose, NEIGHBOURS)[:room]
    return ((means[from_] + means[source]) / 2).astype(np.float32), source.astype(np.int64)


def decorrelation(depth: Tensor, wanted: Tensor, where: Tensor) -> Tensor:
    """Returns 1 - Pearson's correlation of two depth images (H, W) over a mask; 0 where it is not defined."""
    a, b = depth[where], wanted[where]
    if a.numel() < 2:
        return torch.zeros(())
    a, b = a - a.mean(), b - b.mean()
    norm = torch.sqrt(a.square().sum() * b.square().sum())
    return torch.where(norm > 1e-12, 1 - (a * b).sum() / norm.clamp_min(1e-12), torch.zeros(()))


def pseudo_view(
    targets: Sequence[Target],
    rig: RigCorrection,
    points_world: npt.NDArray[np.float32],
    rng: np.random.Generator,
) -> tuple[PinholeCamera, SE3]:
    """Draws a camera that looks at the points, between a random one and its nearest neighbour."""
    eyes = np.stack([rig.world_from_camera(t.index).detach().numpy()[:3, 3] for t in targets])
    first = int(rng.integers(len(eyes)))
    nearest = np.argsort(np.linalg.norm(eyes - eyes[first], axis=1), kind="stable")[:2]
    eye = eyes[nearest].mean(axis=0) + rng.normal(0, PSEUDO_NOISE_M, 3)
    focal = targets[first].camera.fx
    camera = PinholeCamera(PSEUDO_PX, PSEUDO_PX, focal, focal, PSEUDO_PX / 2, PSEUDO_PX / 2)
    return camera, look_at(eye, points_world.mean(axis=0))

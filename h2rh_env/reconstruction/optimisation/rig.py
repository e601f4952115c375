"""Corrections of the poses of a rig's cameras, learnt along with the scene."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ...captures.base import HandoverCapture


class RigCorrection:
    """Small motions of the cameras about the scene, which are zero at first.

    Only differences between cameras can be seen, so the first one's pose stays as it is.

    Attributes:
        twists: (V, 6) float64: rotation vector, rad, about the scene's centre, and translation, m, in the world.
    """

    def __init__(self, capture: HandoverCapture, centre_world: npt.ArrayLike) -> None:
        count = len(capture.views)
        self._poses = torch.tensor(np.stack([view.world_from_camera.matrix for view in capture.views]))
        self._centre = torch.tensor(np.asarray(centre_world, np.float64))
        self.twists = torch.zeros(count, 6, dtype=torch.float64, requires_grad=True)

    def world_from_camera(self, index: int) -> Tensor:
        """Returns the corrected pose (4, 4), float64; the first camera keeps the pose it came with."""
        pose = self._poses[index]
        if index == 0:
            return pose
        x, y, z, *_ = twist = self.twists[index]
        zero = torch.zeros_like(x)
        generator = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero]).reshape(3, 3)
        turn = torch.linalg.matrix_exp(generator)
        eye = turn @ (pose[:3, 3] - self._centre) + self._centre + twist[3:]
        return torch.cat([torch.cat([turn @ pose[:3, :3], eye[:, None]], 1), pose[3:]], 0)

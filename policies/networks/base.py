"""Network: what every one of them does: images and masks -> one-step motion and grasp score (Eq. 15).

Tracks are turned into actions in two steps. `inputs` is fixed arithmetic; its results are small and can be cached.
`forward` is what is learnt: either the action itself, or the goal, from which `act` makes the action.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ..config import PolicyConfig
from ..tracking.tracker import Track
from .inputs import NetworkInputs

SCORE = 6  # index of the grasp score in an action


class HandoverNetwork(nn.Module):
    """Base of all networks.

    Attributes:
        inputs: what the network is given of a track.
        config: everything else that decides what the policy does.
        settings: JSON values of the network's own arguments.
        predicts_goal: whether `forward` answers with goals rather than actions.
    """

    inputs: NetworkInputs
    config: PolicyConfig
    settings: dict[str, Any]
    predicts_goal = False

    @property
    def geometry_signs(self) -> tuple[int, ...]:
        """What each number of the geometry is multiplied by in a mirror."""
        return self.inputs.signs

    def preprocess(self, tracks: Sequence[Track]) -> tuple[Tensor, Tensor]:
        """Images uint8 (B, C, h, w) and geometry float32 (B, G), see `NetworkInputs`."""
        images = np.empty((len(tracks), self.inputs.channels, *self.inputs.size), np.uint8)
        geometry = np.empty((len(tracks), len(self.inputs.signs)), np.float32)
        for i, seen in enumerate(tracks):
            images[i], geometry[i] = self.inputs(seen)
        return torch.from_numpy(images), torch.from_numpy(geometry)

    def rolled(
        self, images: Tensor, geometry: Tensor, goals: Tensor, angles_rad: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Inputs and goals (B, 3, 4) as if the camera were rolled about its line of sight to the object.

        Args:
            angles_rad: (B,); what the camera sees turns from image right to image down.

        Returns:
            The inputs as they are where a network cannot tell.
        """
        return images, geometry, goals

    def forward(self, images: Tensor, geometry: Tensor) -> Tensor:
        """Actions (B, 7) from images float32 (B, C, h, w) in [0, 1] and geometry (B, G).

        A network that `predicts_goal` gives the pre-grasp poses `camera_from_goal` (B, 3, 4) instead.
        """
        raise NotImplementedError

    def act(self, images: Tensor, geometry: Tensor, tracks: Sequence[Track]) -> npt.NDArray[np.float32]:
        """Actions (B, 7), not yet clipped to the action space, from what `preprocess` gave of tracks."""
        actions: npt.NDArray[np.float32] = self(images, geometry).numpy()
        return actions

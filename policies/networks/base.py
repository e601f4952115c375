"""Network: what every one of them does: images and masks -> one-step motion and grasp score (Eq. 15).

Frames are read in two steps. `reading` is fixed arithmetic on raw frames; its results are small and can be cached.
`forward` is what is learnt: either the action itself, or the goal, from which `act` makes the action.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ..tracking.depth import Track
from .inputs import Reading

SCORE = 6  # index of the grasp score in an action


class HandoverNetwork(nn.Module):
    """Base of all networks."""

    reading: Reading
    settings: dict[str, Any]
    predicts_goal = False

    @property
    def geometry_signs(self) -> tuple[int, ...]:
        """Of the numbers that are read, in a mirror."""
        return self.reading.signs

    def read(self, tracks: Sequence[Track]) -> tuple[Tensor, Tensor]:
        """Images uint8 (B, C, h, w) and geometry float32 (B, G), see `Reading`."""
        images = np.empty((len(tracks), self.reading.channels, *self.reading.size), np.uint8)
        numbers = np.empty((len(tracks), len(self.reading.signs)), np.float32)
        for i, seen in enumerate(tracks):
            images[i], numbers[i] = self.reading(seen)
        return torch.from_numpy(images), torch.from_numpy(numbers)

    def rolled(
        self, images: Tensor, geometry: Tensor, goals: Tensor, angles_rad: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Inputs and goals (B, 3, 4) as if the camera were rolled about its sight of the object by angles (B,), so
        that what it sees turns from image right to image down; unchanged where a network cannot tell."""
        return images, geometry, goals

    def forward(self, images: Tensor, geometry: Tensor) -> Tensor:
        """Images float32 (B, C, h, w) in [0, 1] and geometry (B, G) to actions (B, 7).

        A network that `predicts_goal` gives `camera_from_goal` (B, 3, 4) instead, the pre-grasp pose.
        """
        raise NotImplementedError

    def act(self, images: Tensor, geometry: Tensor, tracks: Sequence[Track]) -> npt.NDArray[np.float32]:
        """Actions (B, 7), not yet clipped to the action space, by what `read` gave of tracks."""
        actions: npt.NDArray[np.float32] = self(images, geometry).numpy()
        return actions

"""Network: what every one of them does: images and masks -> one-step motion and grasp score (Eq. 15).

A network reads a frame in two steps. `prepare` is fixed arithmetic on raw frames; its results are small and can
be cached. `forward` is what is learnt: either the action itself, or the goal, from which `act` makes the action.
Mirroring a frame left to right mirrors what `prepare` gives: images flip, and geometry changes sign where
`geometry_signs` is -1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from .ranging import Sighting

SCORE = 6  # index of the grasp score in an action


class HandoverNetwork(nn.Module):
    """Base of all networks. `channels` images of `size` (height, width) px, and `len(geometry_signs)` numbers."""

    channels: int
    size: tuple[int, int]
    geometry_signs: tuple[int, ...]
    settings: dict[str, Any]
    predicts_goal = False

    def prepare(self, rgb: Tensor, masks: Tensor, ranges: Tensor) -> tuple[Tensor, Tensor]:
        """Frames, rgb uint8 (B, H, W, 3) and masks uint8 (B, H, W, 2), with `ranges` (B, 2), to what `forward` reads.

        Ranges are distances to the object, m, and standard deviations of their logarithm, see `Sighting`.

        Returns:
            images uint8 (B, channels, *size), the first five rgb, object and hand; geometry float32 (B, G).
        """
        raise NotImplementedError

    def read(self, sightings: Sequence[Sighting]) -> tuple[Tensor, Tensor]:
        """`prepare` on what was sighted."""
        rgb, masks, ranges = (
            torch.from_numpy(np.stack([getattr(seen, part) for seen in sightings]))
            for part in ("rgb", "masks", "range")
        )
        return self.prepare(rgb, masks, ranges)

    def rolled(
        self, images: Tensor, geometry: Tensor, goals: Tensor, angles_rad: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Inputs and goals (B, 3, 4) as if the camera were rolled about its sight of the object by angles (B,), so
        that what it sees turns from image right to image down; unchanged where a network cannot tell."""
        return images, geometry, goals

    def forward(self, images: Tensor, geometry: Tensor) -> Tensor:
        """Images float32 (B, channels, *size) in [0, 1] and geometry (B, G) to actions (B, 7).

        A network that `predicts_goal` gives `camera_from_goal` (B, 3, 4) instead, the pre-grasp pose.
        """
        raise NotImplementedError

    def act(self, images: Tensor, geometry: Tensor, sightings: Sequence[Sighting]) -> npt.NDArray[np.float32]:
        """Actions (B, 7), not yet clipped to the action space, by what `read` gave of sightings."""
        actions: npt.NDArray[np.float32] = self(images, geometry).numpy()
        return actions

"""Compact: the network that ships; it trains on a laptop and acts in milliseconds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from h2rh_env.core.gripper import FINGERTIP_DEPTH_M
from h2rh_env.core.task import STANDOFF_M

from ..goal_controller import act_on
from ..tracking.depth import Track
from ..tracking.keyframes import FOCAL
from .base import HandoverNetwork
from .inputs import CENTRE_SCALE, TYPICAL_SIDE, WIDTH, WINDOW_M, Window
from .rotations import looking_along, rotation_about, rotation_from_columns

CONTACT_DEPTH_M = STANDOFF_M + FINGERTIP_DEPTH_M  # of the contact point before the pre-grasp pose
OFFSET_M = 0.1  # of the contact from the object's middle
SEES = {"all": (0, 1, 2, 3, 4, 5), "masks": (3, 4, 5), "rgb": (0, 1, 2, 5)}  # channels


class CompactNetwork(HandoverNetwork):
    """A small CNN that finds the pre-grasp pose in a square window about object and hand.

    The window follows them, so that the convolutions see shapes at one scale from 0.7 m and from 0.3 m, and always
    the whole hand, which tells how large things are. They answer in the frame of a virtual camera that looks at the
    window's middle: where in the image the window lies is then exact arithmetic and need not be learnt. The answer is
    the contact point and the gripper's rotation; the pre-grasp pose follows by Eq. 7.
    """

    predicts_goal = True
    grid: Tensor
    shown: Tensor

    def __init__(
        self,
        window: int = 80,
        widths: tuple[int, ...] = (24, 48, 96, 128),
        hidden: int = 128,
        sees: Literal["all", "masks", "rgb"] = "all",
    ) -> None:
        """Args: sees: what of the window reaches the convolutions; masks place the window in any case."""
        super().__init__()
        self.settings = {"window": window, "widths": list(widths), "hidden": hidden, "sees": sees}
        self.reading = Window(window)
        first, second, third, last = widths
        self.convolutions = nn.Sequential(
            nn.Conv2d(Window.channels + 2, first, 5, 2, 2), nn.SiLU(),
            nn.Conv2d(first, second, 3, 2, 1), nn.SiLU(),
            nn.Conv2d(second, third, 3, 2, 1), nn.SiLU(),
            nn.Conv2d(third, third, 3, 1, 1), nn.SiLU(),
            nn.Conv2d(third, last, 3, 2, 1), nn.SiLU(),
            nn.Flatten(),
        )  # fmt: skip
        cells = (window // 16) ** 2
        self.shape = nn.Sequential(nn.Linear(last * cells, hidden), nn.SiLU())
        self.head = nn.Sequential(
            nn.Linear(hidden + len(self.geometry_signs) - 2, hidden), nn.SiLU(),
            nn.Linear(hidden, hidden), nn.SiLU(), nn.Linear(hidden, 9),
        )  # fmt: skip
        ramp = (torch.arange(window) + 0.5) / window * 2 - 1
        grid = torch.stack([ramp.expand(window, window), ramp[:, None].expand(window, window)])
        self.register_buffer("grid", grid[None], persistent=False)
        shown = torch.zeros(1, Window.channels, 1, 1)
        shown[:, SEES[sees]] = 1
        self.register_buffer("shown", shown, persistent=False)

    def forward(self, images: Tensor, geometry: Tensor) -> Tensor:
        grid = self.grid.expand(len(images), -1, -1, -1)
        shape = self.shape(self.convolutions(torch.cat([images * self.shown, grid], dim=1)))
        raw = self.head(torch.cat([shape, geometry[:, 2:]], dim=1))
        rotation = rotation_from_columns(raw[:, 3:] / 2)
        position = raw[:, :3] * OFFSET_M - CONTACT_DEPTH_M * rotation[:, :, 2]
        virtual_from_goal = torch.cat([rotation, position[:, :, None]], dim=2)
        camera_from_goal = looking_along(self.sight(geometry)) @ virtual_from_goal
        # All of it is about the object's middle, which lies in its sight at the measured range.
        middle = self._object_sight(geometry) * self._range_m(geometry)
        return camera_from_goal + functional.pad(middle[:, :, None], (3, 0))

    def rolled(
        self, images: Tensor, geometry: Tensor, goals: Tensor, angles_rad: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        cos, sin = angles_rad.cos(), angles_rad.sin()
        zero = torch.zeros_like(cos)
        sampling = torch.stack([cos, sin, zero, -sin, cos, zero], dim=1).view(-1, 2, 3)
        grid = functional.affine_grid(sampling, list(images.shape), align_corners=False)
        images = functional.grid_sample(images, grid, align_corners=False)
        geometry = geometry.clone()
        for first in (3, 9):  # object and hand: offset x y, size, variances xx yy xy
            x, y, _, xx, yy, xy = geometry[:, first : first + 6].unbind(1)
            geometry[:, first], geometry[:, first + 1] = cos * x - sin * y, sin * x + cos * y
            across, mean = (xx - yy) / 2, (xx + yy) / 2
            turned = across * (cos**2 - sin**2) - 2 * xy * sin * cos
            geometry[:, first + 3], geometry[:, first + 4] = mean + turned, mean - turned
            geometry[:, first + 5] = 2 * across * sin * cos + xy * (cos**2 - sin**2)
        return images, geometry, rotation_about(self.sight(geometry), angles_rad) @ goals

    @staticmethod
    def sight(geometry: Tensor) -> Tensor:
        """Direction (B, 3) of the window's middle in the camera's frame."""
        return _direction(geometry[:, :2] / CENTRE_SCALE)

    def act(self, images: Tensor, geometry: Tensor, tracks: Sequence[Track]) -> npt.NDArray[np.float32]:
        return act_on(self(images, geometry).double().numpy(), tracks)

    @staticmethod
    def _object_sight(geometry: Tensor) -> Tensor:
        """Direction (B, 3) of the object's middle in the camera's frame."""
        side = geometry[:, 2:3].exp() * TYPICAL_SIDE
        return _direction(geometry[:, :2] / CENTRE_SCALE + geometry[:, 3:5] * side)

    @staticmethod
    def _range_m(geometry: Tensor) -> Tensor:
        """Distances (B, 1), m, of what was sighted."""
        return (geometry[:, WIDTH : WIDTH + 1] - geometry[:, 2:3]).exp() * WINDOW_M * FOCAL / TYPICAL_SIDE


def _direction(place: Tensor) -> Tensor:
    """Unit directions (B, 3) of places (B, 2) in the image, in widths from its centre."""
    return functional.normalize(functional.pad(place / FOCAL, (0, 1), value=1.0), dim=1)

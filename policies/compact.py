"""Compact: the network that ships; it trains on a laptop and acts in milliseconds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from h2rh_env.camera import HAND_EYE_CAMERA
from h2rh_env.gripper import FINGERTIP_DEPTH_M
from h2rh_env.interface import STANDOFF_M

from .network import HandoverNetwork
from .ranging import Sighting
from .servo import act_on
from .tensors import area_weights, looking_along, mask_moments, rotation_about, rotation_from_columns

FOCAL = HAND_EYE_CAMERA.fx / HAND_EYE_CAMERA.width  # in widths of the image
CONTACT_DEPTH_M = STANDOFF_M + FINGERTIP_DEPTH_M  # of the contact point before the pre-grasp pose
WINDOW_M = 0.2  # a window is about this wide at the object
SIDE_PER_SPREAD = 4.3  # of a window, so that it holds a disc or a bar with a margin
SIDES = (0.12, 1.2)  # least and largest, in widths of the image
TYPICAL_SIDE = 0.4
TYPICAL_SIGMA = 0.05  # of a range
OFFSET_M = 0.1  # of the contact from the object's middle
WIDTH = 17  # where a compact network's geometry tells how wide the window is
CENTRE_SCALE = 4.0  # of a window's place in what the network reads
SEES = {"all": (0, 1, 2, 3, 4, 5), "masks": (3, 4, 5), "rgb": (0, 1, 2, 5)}  # channels


class CompactNetwork(HandoverNetwork):
    """A small CNN that finds the pre-grasp pose in a square window about object and hand.

    The window follows them, so that the convolutions see shapes at one scale from 0.7 m and from 0.3 m, and always
    the whole hand, which tells how large things are. They answer in the frame of a virtual camera that looks at the
    window's middle: where in the image the window lies is then exact arithmetic and need not be learnt. The answer is
    the contact point and the gripper's rotation; the pre-grasp pose follows by Eq. 7. The sixth image tells what of
    the window lies inside the camera's image.
    """

    channels = 6
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
        self.size = (window, window)
        self.geometry_signs = (-1, 1, 1) + (-1, 1, 1, 1, 1, -1) * 2 + (1, 1, 1, 1)
        first, second, third, last = widths
        self.convolutions = nn.Sequential(
            nn.Conv2d(self.channels + 2, first, 5, 2, 2), nn.SiLU(),
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
        shown = torch.zeros(1, self.channels, 1, 1)
        shown[:, SEES[sees]] = 1
        self.register_buffer("shown", shown, persistent=False)

    def prepare(self, rgb: Tensor, masks: Tensor, ranges: Tensor) -> tuple[Tensor, Tensor]:
        height, width = masks.shape[1:3]
        frames = torch.cat([rgb, masks], dim=-1).permute(0, 3, 1, 2).float()  # (B, 5, H, W)
        whole = frames[:, 3:].amax(1, keepdim=True)
        moments = mask_moments(torch.cat([frames[:, 3:], whole], dim=1) / 255)
        centre, spread = moments[:, 2, 1:3], moments[:, 2, 3] + moments[:, 2, 4]
        side = (SIDE_PER_SPREAD * spread.clamp_min(0).sqrt()).clamp(*SIDES)
        low_x = (centre[:, 0] - side / 2 + 0.5) * width
        low_y = (centre[:, 1] - side / 2) * width + height / 2
        across = area_weights(low_x, side * width, self.size[1], width)
        down = area_weights(low_y, side * width, self.size[0], height)
        window = down[:, None] @ frames @ across[:, None].transpose(-1, -2)
        inside = down.sum(-1)[:, None, :, None] * across.sum(-1)[:, None, None, :] * 255
        images = torch.cat([window, inside], dim=1).add_(0.5).clamp_(0, 255).to(torch.uint8)
        return images, self._geometry(moments[:, :2], centre, side, ranges)

    @staticmethod
    def _geometry(moments: Tensor, centre: Tensor, side: Tensor, ranges: Tensor) -> Tensor:
        parts = [centre * CENTRE_SCALE, (side / TYPICAL_SIDE).log()[:, None]]
        for part in (0, 1):
            area, mean, variance = moments[:, part, :1], moments[:, part, 1:3], moments[:, part, 3:]
            seen = (area > 0).float()
            offset = seen * (mean - centre) / side[:, None]
            size = seen * ((area / side[:, None] ** 2).clamp_min(1e-4).log() / 2 + 1)
            parts += [offset[:, :1], offset[:, 1:], size, variance / side[:, None] ** 2 * 20]
        seen_parts = (moments[..., 0] > 0).float()
        width_m = side * ranges[:, 0] / FOCAL  # of the window, at the object
        parts += [seen_parts, (width_m / WINDOW_M).log()[:, None], (ranges[:, 1:] / TYPICAL_SIGMA).log() / 2]
        return torch.cat(parts, dim=1)

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

    def act(self, images: Tensor, geometry: Tensor, sightings: Sequence[Sighting]) -> npt.NDArray[np.float32]:
        goals, sight = self(images, geometry), self._object_sight(geometry)
        return act_on(goals.double().numpy(), sight.double().numpy(), sightings)

    @staticmethod
    def _object_sight(geometry: Tensor) -> Tensor:
        """Direction (B, 3) of the object's middle in the camera's frame."""
        side = geometry[:, 2:3].exp() * TYPICAL_SIDE
        return _direction(geometry[:, :2] / CENTRE_SCALE + geometry[:, 3:5] * side)

    @staticmethod
    def _range_m(geometry: Tensor) -> Tensor:
        """Distances (B, 1), m, as `prepare` was given them."""
        return (geometry[:, WIDTH : WIDTH + 1] - geometry[:, 2:3]).exp() * WINDOW_M * FOCAL / TYPICAL_SIDE


def _direction(place: Tensor) -> Tensor:
    """Unit directions (B, 3) of places (B, 2) in the image, in widths from its centre."""
    return functional.normalize(functional.pad(place / FOCAL, (0, 1), value=1.0), dim=1)

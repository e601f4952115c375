"""Compact: the network that ships; it trains on a laptop and acts in milliseconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from h2rh_env.core.geometry import SE3
from h2rh_env.core.gripper import FINGERTIP_DEPTH_M
from h2rh_env.core.task import STANDOFF_M

from ..config import PolicyConfig
from ..goal_controller import act_on
from ..tracking.tracker import Track
from .base import HandoverNetwork
from .crop_geometry import PLACE, CropGeometry, MaskShape
from .inputs import CropInputs
from .rotations import looking_along, rotation_about, rotation_from_columns

SEES = {"all": (0, 1, 2, 3, 4, 5), "masks": (3, 4, 5), "rgb": (0, 1, 2, 5)}  # channels


class CompactNetwork(HandoverNetwork):
    """A small CNN that finds the pre-grasp pose in a square crop about object and hand.

    The crop follows them, so that the convolutions see shapes at one scale from 0.7 m and from 0.3 m, and always the
    whole hand, which tells how large things are. They answer in the frame of a virtual camera that looks at the
    crop's middle: where in the image the crop lies is then exact arithmetic and need not be learnt. The answer is the
    contact point and the gripper's rotation; the pre-grasp pose follows by Eq. 7.
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
        offset_m: float = 0.1,
        contact_depth_m: float = STANDOFF_M + FINGERTIP_DEPTH_M,
        config: PolicyConfig | None = None,
    ) -> None:
        """Makes a network with random weights.

        Args:
            window: side of the crop, px.
            widths: channels of the convolutions.
            hidden: width of the linear layers.
            sees: what of the crop reaches the convolutions; masks place the crop in any case.
            offset_m: unit of the contact's offset from the object's middle, so that outputs are near 1.
            contact_depth_m: distance from the pre-grasp pose to the contact point.
            config: by default a new policy's.
        """
        super().__init__()
        self.config = config or PolicyConfig()
        self.settings = {
            "window": window, "widths": list(widths), "hidden": hidden, "sees": sees, "offset_m": offset_m,
            "contact_depth_m": contact_depth_m,
        }  # fmt: skip
        self.inputs = CropInputs(window, self.config)
        self._offset_m, self._contact_depth_m = offset_m, contact_depth_m
        self._focal = self.config.camera.fx / self.config.camera.width
        first, second, third, last = widths
        self.convolutions = nn.Sequential(
            nn.Conv2d(CropInputs.channels + 2, first, 5, 2, 2),
            nn.SiLU(),
            nn.Conv2d(first, second, 3, 2, 1),
            nn.SiLU(),
            nn.Conv2d(second, third, 3, 2, 1),
            nn.SiLU(),
            nn.Conv2d(third, third, 3, 1, 1),
            nn.SiLU(),
            nn.Conv2d(third, last, 3, 2, 1),
            nn.SiLU(),
            nn.Flatten(),
        )
        cells = (window // 16) ** 2
        self.shape = nn.Sequential(nn.Linear(last * cells, hidden), nn.SiLU())
        self.head = nn.Sequential(
            nn.Linear(hidden + len(self.geometry_signs) - PLACE, hidden),
            nn.SiLU(),
            nn.Linear(hidden, hidden),
            nn.SiLU(),
            nn.Linear(hidden, 9),
        )
        ramp = (torch.arange(window) + 0.5) / window * 2 - 1
        grid = torch.stack([ramp.expand(window, window), ramp[:, None].expand(window, window)])
        self.register_buffer("grid", grid[None], persistent=False)
        shown = torch.zeros(1, CropInputs.channels, 1, 1)
        shown[:, SEES[sees]] = 1
        self.register_buffer("shown", shown, persistent=False)

    def forward(self, images: Tensor, geometry: Tensor) -> Tensor:
        grid = self.grid.expand(len(images), -1, -1, -1)
        shape = self.shape(self.convolutions(torch.cat([images * self.shown, grid], dim=1)))
        raw = self.head(torch.cat([shape, geometry[:, PLACE:]], dim=1))
        rotation = rotation_from_columns(raw[:, 3:] / 2)
        position = raw[:, :3] * self._offset_m - self._contact_depth_m * rotation[:, :, 2]
        virtual_from_goal = torch.cat([rotation, position[:, :, None]], dim=2)
        numbers = CropGeometry.unpack(geometry)
        camera_from_goal = looking_along(self._sight(self._place(numbers))) @ virtual_from_goal
        # All of it is about the object's middle, which lies on its line of sight at the measured distance.
        middle = self._object_sight(numbers) * self._distance_m(numbers)
        return camera_from_goal + functional.pad(middle[:, :, None], (3, 0))

    def rolled(
        self, images: Tensor, geometry: Tensor, goals: Tensor, angles_rad: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        cos, sin = angles_rad.cos(), angles_rad.sin()
        zero = torch.zeros_like(cos)
        sampling = torch.stack([cos, sin, zero, -sin, cos, zero], dim=1).view(-1, 2, 3)
        grid = functional.affine_grid(sampling, list(images.shape), align_corners=False)
        images = functional.grid_sample(images, grid, align_corners=False)
        numbers = CropGeometry.unpack(geometry)
        turned = replace(
            numbers, object=_turned(numbers.object, cos, sin), hand=_turned(numbers.hand, cos, sin)
        )
        goals = rotation_about(self.sight(geometry), angles_rad) @ goals
        return images, torch.stack(turned.pack(), dim=1), goals

    def sight(self, geometry: Tensor) -> Tensor:
        """Lines of sight (B, 3) through the crop's middle in the camera's frame."""
        return self._sight(self._place(CropGeometry.unpack(geometry)))

    def act(self, images: Tensor, geometry: Tensor, tracks: Sequence[Track]) -> npt.NDArray[np.float32]:
        goals = self(images, geometry).double().numpy()
        return act_on(SE3(goals[:, :, :3], goals[:, :, 3]), tracks, self.config.control)

    def _place(self, numbers: CropGeometry[Tensor]) -> Tensor:
        """The crop's middle (B, 2), in widths of the image from its centre."""
        return torch.stack([numbers.x, numbers.y], dim=1) / self.config.crop.centre_scale

    def _object_sight(self, numbers: CropGeometry[Tensor]) -> Tensor:
        """Lines of sight (B, 3) to the object's middle in the camera's frame."""
        side = numbers.log_side[:, None].exp() * self.config.crop.typical_side
        offset = torch.stack([numbers.object.x, numbers.object.y], dim=1)
        return self._sight(self._place(numbers) + offset * side)

    def _distance_m(self, numbers: CropGeometry[Tensor]) -> Tensor:
        """Distances (B, 1), m, that were measured to the object."""
        crop, width = self.config.crop, (numbers.log_width - numbers.log_side)[:, None].exp()
        return width * crop.typical_width_m * self._focal / crop.typical_side

    def _sight(self, place: Tensor) -> Tensor:
        """Lines of sight (B, 3) through places (B, 2) of the image, in widths from its centre."""
        return functional.normalize(functional.pad(place / self._focal, (0, 1), value=1.0), dim=1)


def _turned(mask: MaskShape[Any], cos: Tensor, sin: Tensor) -> MaskShape[Any]:
    """The shape of a mask that turns about the crop's middle."""
    across, mean = (mask.xx - mask.yy) / 2, (mask.xx + mask.yy) / 2
    turned = across * (cos**2 - sin**2) - 2 * mask.xy * sin * cos
    return MaskShape(
        x=cos * mask.x - sin * mask.y,
        y=sin * mask.x + cos * mask.y,
        log_size=mask.log_size,
        xx=mean + turned,
        yy=mean - turned,
        xy=2 * across * sin * cos + mask.xy * (cos**2 - sin**2),
    )

"""Networks: images and masks -> one-step motion and grasp score (Eq. 15), by name.

A network reads a frame in two steps. `prepare` is fixed arithmetic on raw frames; its results are small and can
be cached. `forward` is what is learnt: either the action itself, or the goal, from which `act` makes the action.
Mirroring a frame left to right mirrors what `prepare` gives: images flip, and geometry changes sign where
`geometry_signs` is -1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from h2rh_env.camera import HAND_EYE_CAMERA
from h2rh_env.errors import CheckpointError
from h2rh_env.gripper import FINGERTIP_DEPTH_M
from h2rh_env.interface import STANDOFF_M

from .ranging import Sighting
from .servo import act_on

SCORE = 6  # index of the grasp score in an action
TYPICAL_STEP = (0.1, 0.1, 0.1, 0.03, 0.03, 0.03)  # rad, rad, rad, m, m, m: puts the outputs near 1
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


def _as_action(raw: Tensor) -> Tensor:
    motion = raw[:, :SCORE] * raw.new_tensor(TYPICAL_STEP)
    return torch.cat([motion, torch.sigmoid(raw[:, SCORE:])], dim=1)


def area_weights(low: Tensor, width: Tensor, count: int, pixels: int) -> Tensor:
    """Rows that average intervals of a line of pixels exactly.

    Args:
        low, width: (B,) start and width of each interval's stretch, px; it is cut into `count` equal bins.

    Returns:
        (B, count, pixels); what lies outside of the line counts as 0.
    """
    bin_width = (width / count)[:, None, None]
    start = low[:, None, None] + bin_width * torch.arange(count)[None, :, None]
    pixel = torch.arange(pixels)[None, None, :]
    overlap = torch.minimum(start + bin_width, pixel + 1.0) - torch.maximum(start, pixel + 0.0)
    return overlap.clamp_min(0) / bin_width


def mask_moments(masks: Tensor) -> Tensor:
    """Of masks (B, M, H, W) in [0, 1]: (B, M, 6) area, mean x, mean y, variances xx, yy, xy.

    Lengths are fractions of the image's width from the image's centre; an empty mask gives zeros.
    """
    height, width = masks.shape[-2:]
    x = (torch.arange(width) + 0.5) / width - 0.5
    y = (torch.arange(height) + 0.5 - height / 2) / width
    powers_x = torch.stack([torch.ones_like(x), x, x * x], dim=1)
    powers_y = torch.stack([torch.ones_like(y), y, y * y])
    sums = powers_y @ (masks @ powers_x)  # (B, M, 3, 3), of y^i x^j
    mass = sums[..., 0, 0]
    means = sums / mass.clamp_min(1e-6)[..., None, None]
    mean_x, mean_y, mean_xy = means[..., 0, 1], means[..., 1, 0], means[..., 1, 1]
    mean_xx, mean_yy = means[..., 0, 2], means[..., 2, 0]
    moments = [
        mass / width**2, mean_x, mean_y,
        mean_xx - mean_x**2, mean_yy - mean_y**2, mean_xy - mean_x * mean_y,
    ]  # fmt: skip
    return torch.stack(moments, dim=-1)


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

    def __init__(
        self, window: int = 80, widths: tuple[int, ...] = (24, 48, 96, 128), hidden: int = 128
    ) -> None:
        super().__init__()
        self.settings = {"window": window, "widths": list(widths), "hidden": hidden}
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
        shape = self.shape(self.convolutions(torch.cat([images, grid], dim=1)))
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


def rotation_from_columns(columns: Tensor) -> Tensor:
    """Rotations (B, 3, 3) from (B, 6): what is added to the first two columns of the identity, made orthonormal.

    Continuous, as no three numbers are (Zhou et al. 2019).
    """
    x = functional.normalize(columns[:, :3] + columns.new_tensor([1.0, 0, 0]), dim=1)
    y = columns[:, 3:] + columns.new_tensor([0, 1.0, 0])
    y = functional.normalize(y - x * (x * y).sum(1, keepdim=True), dim=1)
    return torch.stack([x, y, torch.linalg.cross(x, y)], dim=2)


def rotation_about(axis: Tensor, angles_rad: Tensor) -> Tensor:
    """Rotations (B, 3, 3) about unit axes (B, 3) by angles (B,), right-handed (Rodrigues)."""
    x, y, z = axis.unbind(1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=1).view(-1, 3, 3)
    sin, cos = angles_rad.sin()[:, None, None], angles_rad.cos()[:, None, None]
    return torch.eye(3) + sin * cross + (1 - cos) * (cross @ cross)


def looking_along(direction: Tensor) -> Tensor:
    """Rotations (B, 3, 3) that turn z to a unit direction (B, 3) before the camera, by the least angle."""
    x, y, z = direction.unbind(1)
    share = 1 / (1 + z)
    rows = [1 - x * x * share, -x * y * share, x, -x * y * share, 1 - y * y * share, y, -x, -y, z]
    return torch.stack(rows, dim=1).view(-1, 3, 3)


class _BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut (He et al. 2016)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs),
        )  # fmt: skip
        same = stride == 1 and inputs == outputs
        self.shortcut = nn.Identity() if same else nn.Sequential(
            nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.body(x) + self.shortcut(x))


class ResNet18Network(HandoverNetwork):
    """The paper's: a 1x1 convolution from five channels to three, then ResNet-18, not pretrained."""

    channels = 5
    geometry_signs = ()

    def __init__(self, height: int = 168, width: int = 224) -> None:
        super().__init__()
        self.settings = {"height": height, "width": width}
        self.size = (height, width)
        layers: list[nn.Module] = [
            nn.Conv2d(5, 3, 1), nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(),
            nn.MaxPool2d(3, 2, 1),
        ]  # fmt: skip
        inputs = 64
        for outputs, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
            layers += [_BasicBlock(inputs, outputs, stride), _BasicBlock(outputs, outputs, 1)]
            inputs = outputs
        self.layers = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 7))

    def prepare(self, rgb: Tensor, masks: Tensor, ranges: Tensor) -> tuple[Tensor, Tensor]:
        frames = torch.cat([rgb, masks], dim=-1).permute(0, 3, 1, 2)
        if frames.shape[-2:] != self.size:
            frames = functional.interpolate(frames.float(), self.size, mode="area").add_(0.5).to(torch.uint8)
        return frames.contiguous(), torch.zeros(len(frames), 0)

    def forward(self, images: Tensor, geometry: Tensor) -> Tensor:
        return _as_action(self.layers(images))


NETWORKS: dict[str, type[HandoverNetwork]] = {"compact": CompactNetwork, "resnet18": ResNet18Network}


def make_network(name: str, settings: Mapping[str, Any] | None = None) -> HandoverNetwork:
    """A network by name, with random weights.

    Raises:
        CheckpointError: an unknown name, or settings that the network does not take.
    """
    if name not in NETWORKS:
        raise CheckpointError(f"no network is named {name!r}; known are {', '.join(NETWORKS)}")
    try:
        network = NETWORKS[name](**(settings or {}))
    except (TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"network {name!r} does not take the settings {settings} ({error})") from None
    return network

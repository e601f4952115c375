"""GraspNetwork: for each cell of the crop, the depth of what stands there, and grasps with their quality."""

from __future__ import annotations

import math
from copy import deepcopy
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from .inputs import CHANNELS, PLANE_CHANNELS, GraspInputs

DEPTH_BINS = 24
MATCHED = 6  # channels that tell how well two frames agree on a plane
MAX_BEYOND_M = 0.06  # how far before or behind the surface a contact may lie
MAX_ANSWER = 30.0  # keeps axes apart that a network says which is hardly trained
POSE = 9  # x, y, beyond, approach (3), closing (3)
SCORES = 2  # quality, danger


class GraspGrid(NamedTuple):
    """What the network says of B crops with C x C cells and K hypotheses in each, in the crop's frame.

    Attributes:
        contact: (B, K, C, C, 3), m. approach, closing: (B, K, C, C, 3) unit vectors at right angles.
        quality, danger: (B, K, C, C) logits of the probabilities that the fingers would hold, and that the gripper
            would come too near to the hand on its straight way in.
        depth_logits: (B, 24, C, C), over bins of log depth. depth_m, spread: (B, C, C), their mean, and their
            standard deviation as a fraction of it.
    """

    contact: Tensor
    approach: Tensor
    closing: Tensor
    quality: Tensor
    danger: Tensor
    depth_logits: Tensor
    depth_m: Tensor
    spread: Tensor


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first, self.second = _conv(channels, channels), _conv(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(x + self.second(functional.relu(self.first(x))))


def _conv(before: int, after: int, size: int = 3, stride: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(before, after, size, stride, size // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(after))


class GraspNetwork(nn.Module):
    """A convolutional network of about 1.1 million weights.

    Planes of depth go through one small network each, the same for all, so that it learns what it looks like when
    the two frames agree; what it finds on them joins the crop's own features.
    """

    log_bins: Tensor
    pixel_rays: Tensor
    cell_rays: Tensor

    def __init__(self, inputs: GraspInputs | None = None, hypotheses: int = 4, width: int = 56) -> None:
        """Makes a network.

        Args:
            hypotheses: in each cell. width: channels at a quarter of the crop's side; deeper ones grow with it.
        """
        super().__init__()
        self.inputs, self.hypotheses, self.width = inputs or GraspInputs(), hypotheses, width
        deep, deepest = width * 7 // 4, width * 9 // 4
        relu = nn.ReLU()
        self.crop = nn.Sequential(_conv(CHANNELS, 32, 5, 2), relu, _conv(32, 48, 3, 2), relu)
        self.plane = nn.Sequential(_conv(PLANE_CHANNELS, 10, 3, 2), relu, nn.Conv2d(10, MATCHED, 1), relu)
        self.geometry = nn.Sequential(nn.Linear(5, 64), nn.ReLU(), nn.Linear(64, width))
        self.join = _conv(48 + MATCHED * self.inputs.plane_count + 2, width, 1)
        self.middle = nn.Sequential(_Residual(width), _Residual(width))
        self.cells = nn.Sequential(_conv(width, deep, stride=2), relu, _Residual(deep), _Residual(deep))
        self.context = nn.Sequential(_conv(deep, deepest, stride=2), relu, _Residual(deepest))
        self.all = nn.Sequential(nn.Linear(deepest, deep), nn.ReLU())
        self.spread_out = _conv(deepest, deep, 1)
        self.last = nn.Sequential(_Residual(deep), nn.Conv2d(deep, deep, 1), nn.ReLU())
        self.head = nn.Conv2d(deep, DEPTH_BINS + hypotheses * (POSE + SCORES), 1)
        quarter = self.inputs.side_px // 4
        near, far = (math.log(depth) for depth in self.inputs.depths_m)
        log_bins = torch.linspace(near, far, DEPTH_BINS).view(1, -1, 1, 1)
        self.register_buffer("log_bins", log_bins, persistent=False)
        self.register_buffer("pixel_rays", _rays(quarter), persistent=False)
        self.register_buffer("cell_rays", _rays(quarter // 2), persistent=False)
        nn.init.normal_(self.head.weight, std=0.01)
        assert self.head.bias is not None
        nn.init.zeros_(self.head.bias)

    @property
    def settings(self) -> dict[str, Any]:
        """The arguments that make this network again, as JSON values."""
        return {"inputs": self.inputs.to_json(), "hypotheses": self.hypotheses, "width": self.width}

    @classmethod
    def from_settings(cls, settings: dict[str, Any]) -> GraspNetwork:
        """Makes the network that `settings` tells of."""
        inputs = dict(settings["inputs"])
        inputs["depths_m"] = tuple(inputs["depths_m"])
        return cls(GraspInputs(**inputs), settings["hypotheses"], settings["width"])

    def forward(self, crop: Tensor, planes: Tensor, geometry: Tensor) -> GraspGrid:
        """Crops (B, 6, S, S) and planes (B, D, 4, P, P) in [0, 1], and geometry (B, 5), to grasps."""
        if not torch.is_autocast_enabled("cpu"):
            planes = planes.to(crop)
        count, depths = planes.shape[:2]
        seen_in_both = planes[:, :, 3:]
        centred = torch.cat([(4 * planes[:, :, :3] - 2) * seen_in_both, seen_in_both], dim=2)
        matched = self.plane(centred.flatten(0, 1))
        matched = matched.reshape(count, depths * matched.shape[1], *matched.shape[2:])
        features = self.crop(crop)
        half_tangent = geometry[:, 0].exp()
        rays = self.pixel_rays * half_tangent.view(-1, 1, 1, 1)
        joined = torch.cat([features, matched.to(features), rays.to(features)], dim=1)
        x = self.join(joined) + self.geometry(geometry)[:, :, None, None]
        x = self.cells(self.middle(functional.relu(x)))
        around = self.context(x)
        wide = functional.interpolate(self.spread_out(around), scale_factor=2.0, mode="nearest")
        x = x + wide + self.all(around.mean(dim=(2, 3)))[:, :, None, None]
        return self._grid(self.head(self.last(functional.relu(x))).float(), half_tangent.float())

    def _grid(self, answer: Tensor, half_tangent: Tensor) -> GraspGrid:
        count, cells = len(answer), answer.shape[-1]
        logits = answer[:, :DEPTH_BINS]
        share = logits.softmax(dim=1)
        log_depth = (share * self.log_bins).sum(1)
        spread = (share * (self.log_bins - log_depth[:, None]) ** 2).sum(1).clamp_min(1e-8).sqrt()
        rest = (
            answer[:, DEPTH_BINS:]
            .clamp(-MAX_ANSWER, MAX_ANSWER)
            .view(count, self.hypotheses, POSE + SCORES, cells, cells)
            .movedim(2, -1)
        )
        scale = half_tangent.view(-1, 1, 1, 1, 1)
        rays, cell = self.cell_rays[:, None].movedim(2, -1) * scale, 2 / cells * scale
        place = rays + 1.5 * cell * torch.tanh(rest[..., :2])
        depth = log_depth.exp()[:, None, ..., None] + MAX_BEYOND_M * torch.tanh(rest[..., 2:3])
        contact = torch.cat([place, torch.ones_like(depth)], dim=-1) * depth
        approach = functional.normalize(rest[..., 3:6] + rest.new_tensor([0, 0, 0.5]), dim=-1)
        closing = rest[..., 6:9] + rest.new_tensor([0.3, 0.1, 0])
        closing = functional.normalize(
            closing - approach * (approach * closing).sum(-1, keepdim=True), dim=-1
        )
        return GraspGrid(
            contact, approach, closing, rest[..., 9] - 2, rest[..., 10], logits, log_depth.exp(), spread
        )


def folded(network: GraspNetwork) -> GraspNetwork:
    """A copy that acts but does not learn: normalisation has become part of the convolutions before it."""
    copied = deepcopy(network).eval()
    for module in list(copied.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.Sequential) and isinstance(child[-1], nn.BatchNorm2d):
                setattr(module, name, fuse_conv_bn_eval(*child))
    return copied.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def _rays(cells: int) -> Tensor:
    """(1, 2, C, C): x / z and y / z of the rays through the cells' middles, for a half tangent of one."""
    middles = (torch.arange(cells) + 0.5) * 2 / cells - 1
    return torch.stack(torch.meshgrid(middles, middles, indexing="xy"))[None]

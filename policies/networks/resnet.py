"""ResNet: the paper's network (Sec. III-C), which answers with actions."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..config import PolicyConfig
from .base import SCORE, HandoverNetwork
from .inputs import FrameInputs


class _BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut (He et al. 2016)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        same = stride == 1 and inputs == outputs
        self.shortcut = (
            nn.Identity()
            if same
            else nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        )

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.body(x) + self.shortcut(x))


class ResNet18Network(HandoverNetwork):
    """The paper's network: a 1x1 convolution from five channels to three, then ResNet-18, not pretrained."""

    def __init__(
        self,
        height: int = 168,
        width: int = 224,
        typical_step: tuple[float, ...] = (0.1, 0.1, 0.1, 0.03, 0.03, 0.03),
        config: PolicyConfig | None = None,
    ) -> None:
        """Makes a network with random weights.

        Args:
            height, width: of the frames it is given, px.
            typical_step: unit of each number of a motion, rad and m, so that outputs are near 1.
            config: by default a new policy's.
        """
        super().__init__()
        self.config = config or PolicyConfig()
        self.settings = {"height": height, "width": width, "typical_step": list(typical_step)}
        self.inputs = FrameInputs(height, width)
        self._typical_step = tuple(typical_step)
        layers: list[nn.Module] = [
            nn.Conv2d(5, 3, 1), nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(),
            nn.MaxPool2d(3, 2, 1),
        ]  # fmt: skip
        inputs = 64
        for outputs, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
            layers += [_BasicBlock(inputs, outputs, stride), _BasicBlock(outputs, outputs, 1)]
            inputs = outputs
        self.layers = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 7))

    def forward(self, images: Tensor, geometry: Tensor) -> Tensor:
        raw = self.layers(images)
        motion = raw[:, :SCORE] * raw.new_tensor(self._typical_step)
        return torch.cat([motion, torch.sigmoid(raw[:, SCORE:])], dim=1)

"""The segmenter that works out of the box: colour and depth to object in the hand, hand, and the rest.

A small U-net that sees 224x168 and decides at half of that. Its weights come with the package and were trained by
`python -m real_robot.train_segmenter` on invented captures alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from h2rh_env.errors import RobotError
from h2rh_env.interface import Label

from .interfaces import Frame

WEIGHTS = Path(__file__).parent / "assets" / "segmenter.safetensors"
WIDTH_PX, HEIGHT_PX = 224, 168
WIDTHS = (16, 32, 64, 80)
NEAR_M = 0.5  # depth enters as this over itself, so that what is near counts
LEAST_AREA = 3e-4  # of the image; smaller specks of object or hand are taken for noise


class SegmenterNetwork(nn.Module):
    """(B, 4, 168, 224) in [0, 1] and inverse depth to class scores (B, 3, 84, 112)."""

    def __init__(self) -> None:
        super().__init__()
        before = (4, *WIDTHS[:-1])
        self.down = nn.ModuleList(_Block(i, o, 2) for i, o in zip(before, WIDTHS, strict=True))
        self.deep = nn.Sequential(*(_Block(WIDTHS[-1], WIDTHS[-1], 1, spread) for spread in (1, 2, 4)))
        coarse = WIDTHS[:0:-1]
        fine = WIDTHS[-2::-1]
        self.up = nn.ModuleList(_Block(i + o, o, 1) for i, o in zip(coarse, fine, strict=True))
        self.classes = nn.Conv2d(WIDTHS[0], len(Label), 1)

    def forward(self, images: Tensor) -> Tensor:
        kept = []
        for block in self.down:
            images = block(images)
            kept.append(images)
        images = self.deep(images) + functional.adaptive_avg_pool2d(images, 1)
        for block, beside in zip(self.up, kept[-2::-1], strict=True):
            images = functional.interpolate(images, size=beside.shape[2:], mode="nearest")
            images = block(torch.cat([images, beside], dim=1))
        return self.classes(images)


class _Block(nn.Module):
    """Two convolutions, the first with a stride."""

    def __init__(self, inputs: int, outputs: int, stride: int, spread: int = 1) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, spread, spread, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, 1, 1, groups=max(1, outputs // 16), bias=False),
            nn.BatchNorm2d(outputs), nn.ReLU(),
        )  # fmt: skip

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images)


class NetworkSegmenter:
    """A `Segmenter` by the network; depth is used where the frame has some."""

    def __init__(self, weights: Path | str = WEIGHTS) -> None:
        try:
            state = load_file(weights)
        except (OSError, ValueError) as error:
            raise RobotError(
                f"{weights} holds no segmenter ({error}); train one: python -m real_robot.train_segmenter"
            ) from None
        self._network = SegmenterNetwork().eval()
        try:
            self._network.load_state_dict(state)
        except RuntimeError as error:
            raise RobotError(f"{weights} is of another network: {str(error).splitlines()[0]}") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    def segment(self, frame: Frame) -> npt.NDArray[np.uint8]:
        labels = self.labels(frame.rgb, frame.depth_m)
        return np.stack([np.uint8(255) * (labels == part) for part in (Label.OBJECT, Label.HAND)], axis=2)

    def labels(self, rgb: npt.NDArray[np.uint8], depth_m: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
        """(H, W) `Label` of an image (H, W, 3) and its depth (H, W), m, 0 where unknown."""
        with torch.inference_mode():
            scores = self._network(network_input(rgb, depth_m)[None])
            fine = functional.interpolate(scores, size=depth_m.shape, mode="bilinear", align_corners=False)
        labels = fine[0].argmax(0).numpy().astype(np.uint8)
        for part in (Label.OBJECT, Label.HAND):
            if (labels == part).mean() < LEAST_AREA:
                labels[labels == part] = Label.BACKGROUND
        return labels


def network_input(rgb: npt.NDArray[np.uint8], depth_m: npt.NDArray[np.float32]) -> Tensor:
    """(4, 168, 224) float32 of an image (H, W, 3) and its depth (H, W)."""
    size = (WIDTH_PX, HEIGHT_PX)
    if rgb.shape[:2] != size[::-1]:
        rgb = np.asarray(Image.fromarray(rgb).resize(size, Image.Resampling.BOX))
        depth_m = np.asarray(
            Image.fromarray(depth_m.astype(np.float32)).resize(size, Image.Resampling.NEAREST)
        )
    near = np.where(depth_m > 0, np.minimum(NEAR_M / np.maximum(depth_m, 1e-3), 3.0), 0.0)
    stacked = np.concatenate([rgb.astype(np.float32) / 255, near[..., None].astype(np.float32)], axis=2)
    return torch.from_numpy(np.ascontiguousarray(stacked.transpose(2, 0, 1)))

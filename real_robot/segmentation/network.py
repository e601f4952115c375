"""The segmenter that works out of the box: colour and depth to object in the hand, hand, and the rest.

Two small U-nets. The first sees the whole image, coarsely, and finds where something is held; the second sees a
window about that, with depth measured from what is held, and tells object from hand; then it looks once more, about
what it found. Their weights come with the package and were trained by `python -m real_robot.segmentation.train` on
invented captures alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from safetensors.torch import load_file
from scipy import ndimage
from torch import Tensor, nn
from torch.nn import functional

from h2rh_env.core.errors import RobotError
from h2rh_env.core.labels import Label

from ..interfaces import Frame

WEIGHTS = Path(__file__).parents[1] / "assets" / "segmenter.safetensors"
WIDTH_PX, HEIGHT_PX = 224, 168
WHERE_PX, WHERE_WIDTHS = (112, 84), (16, 32, 64, 80)
WHAT_PX, WHAT_WIDTHS = (192, 144), (24, 48, 96, 128)
CHANNELS = 5  # red, green, blue, depth, whether depth is known
NEAR_M = 0.5  # depth enters the first net as this over itself, so that what is near counts
RELIEF_M, MOST_RELIEF = 0.15, 2.0  # and the second in these from what is held, at most so many of them
LOOKS = 2  # of the second net, each about what the one before found
SAME = 0.75  # least ratio of the heights of two windows for the later one not to be worth a look
HELD_SHARE = 0.4  # least probability of being held that counts for the window
SURE_HAND, LEAST_SURE = 0.995, 5e-5  # probability, and share of a window that has it where there is a hand
MARGIN, LEAST_WINDOW = 1.7, 0.12  # of what is held, and of the image
REACH_M = 0.3  # no pixel of object or hand lies further from their middle along the view
LEAST_AREA = 3e-4  # of the image; smaller specks of object or hand are taken for noise
LEAST_PART = 0.06  # of the largest connected piece; smaller pieces are dropped

Depth = npt.NDArray[np.float32]
Rgb = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.uint8]
Window = tuple[slice, slice]


class UNet(nn.Module):
    """(B, 5, H, W) to class scores (B, 3, H/2, W/2); H and W multiples of 2."""

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        before = (CHANNELS, *widths[:-1])
        self.down = nn.ModuleList(_Block(i, o, 2) for i, o in zip(before, widths, strict=True))
        self.deep = nn.Sequential(*(_Block(widths[-1], widths[-1], 1, spread) for spread in (1, 2, 4)))
        coarse, fine = widths[:0:-1], widths[-2::-1]
        self.up = nn.ModuleList(_Block(i + o, o, 1) for i, o in zip(coarse, fine, strict=True))
        self.classes = nn.Conv2d(widths[0], len(Label), 1)

    def forward(self, images: Tensor) -> Tensor:
        kept = []
        for block in self.down:
            images = block(images)
            kept.append(images)
        images = self.deep(images) + functional.adaptive_avg_pool2d(images, 1)
        for block, beside in zip(self.up, kept[-2::-1], strict=True):
            images = functional.interpolate(images, size=beside.shape[2:], mode="nearest")
            images = block(torch.cat([images, beside], dim=1))
        classes: Tensor = self.classes(images)
        return classes


class _Block(nn.Module):
    """Two convolutions, the first with a stride."""

    def __init__(self, inputs: int, outputs: int, stride: int, spread: int = 1) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, spread, spread, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
        )

    def forward(self, images: Tensor) -> Tensor:
        blocked: Tensor = self.layers(images)
        return blocked


class SegmenterNetwork(nn.Module):
    """Both nets, as they are saved."""

    def __init__(self) -> None:
        super().__init__()
        self.where, self.what = UNet(WHERE_WIDTHS), UNet(WHAT_WIDTHS)


class NetworkSegmenter:
    """A `Segmenter` by the network; depth is used where the frame has some."""

    def __init__(self, weights: Path | str = WEIGHTS) -> None:
        try:
            state: Mapping[str, Tensor] = load_file(weights)
        except (OSError, ValueError) as error:
            raise RobotError(
                f"{weights} holds no segmenter ({error}); train one: python -m real_robot.segmentation.train"
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

    def labels(self, rgb: Rgb, depth_m: Depth) -> Labels:
        """(H, W) `Label` of an image (H, W, 3) and its depth (H, W), m, 0 where unknown."""
        found = np.zeros(depth_m.shape, np.uint8)
        held = 1 - self._scores("where", where_input(rgb, depth_m)).softmax(0)[Label.BACKGROUND].numpy()
        seen: list[Window] = []
        while len(seen) < LOOKS:
            window = window_about(held, depth_m.shape)
            if window is None:
                return found
            if seen and SAME < _height(window) / _height(seen[-1]) < 1 / SAME:
                break
            seen.append(window)
            middle_m = middle_of(held, depth_m)
            look = what_input(rgb[window], depth_m[window], middle_m)
            scores = self._scores("what", look, depth_m[window].shape)
            held = np.zeros(depth_m.shape, np.float32)
            held[window] = 1 - scores.softmax(0)[Label.BACKGROUND].numpy()
        if depth_m.any() and not _shows_a_hand(scores):
            return found  # what nobody's hand holds is not held
        found[seen[-1]] = scores.argmax(0).numpy()
        return cleaned(found, depth_m, middle_m)

    def _scores(self, net: str, image: Tensor, size: tuple[int, ...] | None = None) -> Tensor:
        """(3, h, w) of an image (5, H, W); enlarged to `size`, where there is one."""
        with torch.inference_mode():
            scores: Tensor = getattr(self._network, net)(image[None])
            if size is not None:
                scores = functional.interpolate(scores, size=size, mode="bilinear", align_corners=False)
        return scores[0]


def _shows_a_hand(scores: Tensor) -> bool:
    """Tells whether enough of a window (3, h, w) is surely hand."""
    return float((scores.softmax(0)[Label.HAND] > SURE_HAND).float().mean()) > LEAST_SURE


def window_about(held: npt.NDArray[np.float32], size: tuple[int, ...]) -> Window | None:
    """Rows and columns, of an image of `size`, about the piece of a coarse (h, w) that is held most probably.

    None where nothing is held.
    """
    pieces, count = ndimage.label(held > HELD_SHARE, np.ones((3, 3)))
    if not count:
        return None
    surest = int(np.argmax(ndimage.sum_labels(held, pieces, np.arange(1, count + 1))))
    sides = ndimage.find_objects(pieces)[surest]
    shares = [(side.stop - side.start) / whole for side, whole in zip(sides, held.shape, strict=True)]
    part = min(1.0, max(LEAST_WINDOW, MARGIN * max(shares)))
    window = []
    for side, whole, pixels in zip(sides, held.shape, size, strict=True):
        middle = min(max((side.start + side.stop) / 2 / whole, part / 2), 1 - part / 2)
        window.append(slice(round((middle - part / 2) * pixels), round((middle + part / 2) * pixels)))
    return window[0], window[1]


def _height(window: Window) -> int:
    return int(window[0].stop - window[0].start)


def middle_of(held: npt.NDArray[np.float32], depth_m: Depth) -> float:
    """Median depth, m, of what is probably held by a coarse (h, w); 0 where none is known."""
    shape = held.shape
    rows = (np.arange(shape[0]) + 0.5) * depth_m.shape[0] / shape[0]
    columns = (np.arange(shape[1]) + 0.5) * depth_m.shape[1] / shape[1]
    there = depth_m[rows.astype(np.int64)[:, None], columns.astype(np.int64)][held > HELD_SHARE]
    there = there[there > 0]
    return float(np.median(there)) if len(there) else 0.0


def cleaned(labels: Labels, depth_m: Depth, middle_m: float) -> Labels:
    """Without what is too far from the middle, small pieces off the largest, and specks."""
    if middle_m > 0:
        labels = np.where((depth_m > 0) & (np.abs(depth_m - middle_m) > REACH_M), np.uint8(0), labels)
    pieces, count = ndimage.label(labels > 0, np.ones((3, 3)))
    areas = np.bincount(pieces.ravel(), minlength=count + 1)
    areas[0] = 0
    labels[areas[pieces] < LEAST_PART * areas.max()] = Label.BACKGROUND
    for part in (Label.OBJECT, Label.HAND):
        if (labels == part).mean() < LEAST_AREA:
            labels[labels == part] = Label.BACKGROUND
    return labels


def where_input(rgb: Rgb, depth_m: Depth) -> Tensor:
    """(5, 84, 112) float32 of an image (H, W, 3) and its depth (H, W), m."""
    rgb, depth_m = _resized(rgb, depth_m, WHERE_PX)
    known = depth_m > 0
    near = np.where(known, np.minimum(NEAR_M / np.maximum(depth_m, 1e-3), 3.0), 0.0)
    return _stacked(rgb, near, known)


def what_input(rgb: Rgb, depth_m: Depth, middle_m: float) -> Tensor:
    """(5, 144, 192) float32 of a window and its depth, m, from that of what is held; 0 says that nobody knows it."""
    rgb, depth_m = _resized(rgb, depth_m, WHAT_PX)
    known = (depth_m > 0) & (middle_m > 0)
    relief = np.where(known, np.clip((depth_m - middle_m) / RELIEF_M, -MOST_RELIEF, MOST_RELIEF), 0.0)
    return _stacked(rgb, relief, known)


def _resized(rgb: Rgb, depth_m: Depth, size: tuple[int, int]) -> tuple[Rgb, Depth]:
    if rgb.shape[:2] == size[::-1]:
        return rgb, depth_m
    shown = np.asarray(Image.fromarray(rgb).resize(size, Image.Resampling.BILINEAR))
    depth = Image.fromarray(depth_m.astype(np.float32)).resize(size, Image.Resampling.NEAREST)
    return shown, np.asarray(depth)


def _stacked(rgb: Rgb, depth: npt.NDArray[np.floating], known: npt.NDArray[np.bool_]) -> Tensor:
    colours = rgb.astype(np.float32).transpose(2, 0, 1) / 255
    return torch.from_numpy(np.concatenate([colours, depth[None], known[None]], dtype=np.float32))

"""Augmentation: batches mirrored, rolled by quarter turns, and in other colours."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Generator, Tensor
from torch.nn import functional

from .dataset import Batch
from .losses import Targets

Map = Callable[[Tensor], Tensor]
NO_DIFFERENCE = 128 / 255  # what planes hold where two frames agree
MIXED = 0.5  # part of the samples whose colours are mixed: shape tells where to grasp, colour only which scene it is
GREY, SHADED, GLOSSY = (
    0.15,
    0.5,
    0.25,
)  # parts of the samples without colour, in uneven light, and with highlights
COARSE = 5  # patches of light along a crop's side


def augmented(batch: Batch, generator: Generator) -> Batch:
    """Mirrors half of the batch, rolls it as a whole by a quarter turn or several, and varies colours."""
    mirror = torch.rand(len(batch.crop), generator=generator) < 0.5
    batch = _mirrored(batch, mirror)
    batch = rolled(batch, int(torch.randint(4, (1,), generator=generator)))
    return _recoloured(batch, generator)


def _mirrored(batch: Batch, pick: Tensor) -> Batch:
    """Left and right exchanged where `pick` (B,) says."""
    sign = torch.where(pick, -1.0, 1.0)

    def images(x: Tensor) -> Tensor:
        x = x.clone()
        x[pick] = x[pick].flip(-1)
        return x

    def vectors(v: Tensor) -> Tensor:
        return torch.cat([v[..., :1] * sign.view(-1, *[1] * (v.dim() - 1)), v[..., 1:]], dim=-1)

    return _changed(batch, images, vectors)


def rolled(batch: Batch, quarters: int) -> Batch:
    """The camera rolled clockwise by so many quarter turns, so that what it sees turns against the clock."""
    if quarters % 4 == 0:
        return batch

    def images(x: Tensor) -> Tensor:
        return torch.rot90(x, quarters, (-2, -1)).contiguous()

    def vectors(v: Tensor) -> Tensor:
        for _ in range(quarters % 4):
            v = torch.stack([v[..., 1], -v[..., 0], v[..., 2]], dim=-1)
        return v

    return _changed(batch, images, vectors)


def _changed(batch: Batch, images: Map, vectors: Map) -> Batch:
    """The batch as another camera has it: what is laid out in its image, and directions and places in its frame."""
    geometry = torch.cat([batch.geometry[:, :1], vectors(batch.geometry[:, 1:4]), batch.geometry[:, 4:]], 1)
    t = batch.targets
    contact, approach, closing, hand = map(vectors, (t.contact, t.approach, t.closing, t.hand))
    targets = Targets(contact, approach, closing, t.valid, images(t.depth_m), hand)
    return Batch(images(batch.crop), images(batch.planes), geometry, targets)


def _recoloured(batch: Batch, generator: Generator) -> Batch:
    """Mixed channels, gain, contrast, light and noise; what is black, the removed background, stays black."""
    count = len(batch.crop)
    rgb = batch.crop[:, :3]
    seen = (rgb.amax(1, keepdim=True) > 0).float()
    mixes = torch.rand(count, 3, 3, generator=generator)
    mixes = mixes / mixes.sum(2, keepdim=True)
    plain = torch.rand(count, generator=generator) >= MIXED
    mixes[plain] = torch.eye(3)
    mixes[torch.rand(count, generator=generator) < GREY] = 1 / 3
    rgb = _lit(torch.einsum("bij,bjhw->bihw", mixes, rgb), generator)
    gain = 1 + 0.5 * (torch.rand(count, 1, 1, 1, generator=generator) - 0.5)
    hue = 1 + 0.2 * (torch.rand(count, 3, 1, 1, generator=generator) - 0.5)
    contrast = 1 + 0.4 * (torch.rand(count, 1, 1, 1, generator=generator) - 0.5)
    noise = 0.02 * torch.randn(rgb.shape, generator=generator)
    rgb = (((rgb * gain * hue - 0.4) * contrast + 0.4 + noise) * seen).clamp(0, 1)
    crop = torch.cat([rgb, batch.crop[:, 3:]], dim=1)
    planes = batch.planes.clone()
    difference = planes[:, :, :1]
    difference.add_(-NO_DIFFERENCE * (planes[:, :, 3:] > 0)).mul_((gain * contrast)[:, None].to(planes))
    difference.add_(NO_DIFFERENCE * (planes[:, :, 3:] > 0))
    return Batch(crop, planes, batch.geometry, batch.targets)


def _lit(rgb: Tensor, generator: Generator) -> Tensor:
    """Another gamma, light that is uneven over the crop, and highlights, as on what is glossy."""
    count = len(rgb)

    def some(share: float) -> Tensor:
        return (torch.rand(count, 1, 1, 1, generator=generator) < share).float()

    def patches() -> Tensor:
        coarse = torch.randn(count, 1, COARSE, COARSE, generator=generator)
        return functional.interpolate(coarse, size=rgb.shape[-2:], mode="bilinear")

    gamma = torch.exp(0.25 * torch.randn(count, 1, 1, 1, generator=generator))
    shade = (1 + 0.3 * some(SHADED) * patches()).clamp_min(0.2)
    shine = some(GLOSSY) * (0.6 * (patches() - 0.6)).clamp_min(0)
    return rgb.clamp_min(1e-4) ** gamma * shade + shine

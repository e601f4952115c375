"""The photometric loss: absolute difference and structural dissimilarity, as in 3DGS."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...core.errors import RenderError
from .numba_ssim import MAPS, RADIUS, WINDOW, padded_shape, similarity

SSIM_WEIGHT = 0.2  # lambda of 3DGS
Crop = tuple[int, int, int, int]  # top, left, bottom, right; px


def photometric_loss(
    image: Tensor, target: Tensor, ssim_weight: float = SSIM_WEIGHT, crop: Crop | None = None
) -> Tensor:
    """Returns (1 - w) mean |image - target| + w (1 - mean SSIM), a scalar; its gradient is by `image` alone.

    The gradient is computed along with the value, in a few milliseconds where convolutions of torch take a
    hundred. SSIM has an 11x11 Gaussian window of 1.5 px and zeros beyond the crop's border.

    Args:
        image: (H, W, C), in [0, 1].
        target: (H, W, C), in [0, 1].
        ssim_weight: w, in [0, 1].
        crop: the part of both images that counts; all by default.

    Raises:
        RenderError: The images differ in shape, or the crop is empty.
    """
    if image.ndim != 3 or image.shape != target.shape:
        raise RenderError(f"an image {tuple(image.shape)} cannot be compared with {tuple(target.shape)}")
    height, width = image.shape[:2]
    top, left, bottom, right = crop or (0, 0, height, width)
    if not (0 <= top < bottom <= height and 0 <= left < right <= width):
        raise RenderError(
            f"the crop {crop} is empty or leaves the image of {height} rows and {width} columns"
        )
    loss: Tensor = _PhotometricLoss.apply(  # type: ignore[no-untyped-call]
        image, target, ssim_weight, (top, left, bottom, right)
    )
    return loss


class _PhotometricLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, image: Tensor, target: Tensor, ssim_weight: float, crop: Crop) -> Tensor:
        top, left, bottom, right = crop
        height, width, channels = bottom - top, right - left, image.shape[2]
        count = height * width * channels
        rows, stride = padded_shape(height, width)
        inner = slice(RADIUS, RADIUS + height), slice(RADIUS, RADIUS + width)
        x, y = np.zeros((2, rows, stride), np.float32)
        g_x = np.empty((rows, stride), np.float32)
        blurred, slopes = np.empty((MAPS, rows, stride), np.float32), np.zeros((3, rows, stride), np.float32)
        gradient = np.zeros((channels, *image.shape[:2]), np.float32)
        total = 0.0
        for channel in range(channels):
            x[inner] = image.detach()[top:bottom, left:right, channel].numpy()
            y[inner] = target.detach()[top:bottom, left:right, channel].numpy()
            ssim = similarity(
                x.reshape(-1),
                y.reshape(-1),
                width,
                WINDOW,
                blurred,
                slopes.reshape(-1),
                -ssim_weight / count,
                g_x.reshape(-1),
            )
            difference = x[inner] - y[inner]
            total += (1 - ssim_weight) * float(np.abs(difference).sum()) - ssim_weight * float(ssim)
            part = gradient[channel, top:bottom, left:right]
            np.sign(difference, out=part)
            part *= np.float32((1 - ssim_weight) / count)
            part += g_x[inner]
        ctx.gradient = torch.from_numpy(gradient).permute(1, 2, 0)
        return torch.tensor(total / count + ssim_weight, dtype=torch.float32)

    @staticmethod
    def backward(ctx: Any, received: Tensor) -> tuple[Tensor, None, None, None]:
        return ctx.gradient * received, None, None, None

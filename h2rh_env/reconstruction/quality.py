"""Measures how close a scene's renders come to images that it was not made from: the one definition of these figures.

All figures but the overlap are over the pixels of object and hand in the true image; a render is premultiplied, so
that a hole there is black.

figure       definition
PSNR, dB     10 log10 (1 / mean squared error), mean over views; the scene's brightness is fitted first
SSIM         structural similarity, Gaussian window of 1.5 px, background black in both; mean
GMSD         gradient magnitude similarity deviation (Xue et al. 2014): perceptual, without weights; 0 is equal
depth, mm    mean absolute difference of median depth where both have some
IoU          of object and hand together, against the render's masks
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ..captures.base import RgbdView
from ..core.errors import CaptureError
from ..core.labels import Label
from ..rendering.base import Rasteriser, RenderedView
from ..rendering.masks import masks_from_labels
from ..scenes.gaussians import GaussianScene
from .initialisation.fusion import around

Float = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Gain = Literal["view", "scene"]

MAX_PSNR_DB = 99.0  # of equal images, so that means stay finite
GMSD_C = 170 / 255**2
LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)
MIN_PIXELS = 200  # a view that shows less of object and hand says nothing


@dataclass(frozen=True)
class Quality:
    """Figures of a scene, means over views; NaN where no view could measure one."""

    psnr_db: float
    ssim: float
    gmsd: float
    depth_mae_mm: float
    iou: float

    @classmethod
    def mean(cls, parts: Sequence[Quality]) -> Quality:
        """Returns the mean of several figures; NaN is left out."""
        columns = np.array([list(asdict(part).values()) for part in parts])
        counts = np.isfinite(columns).sum(axis=0)
        means = np.where(counts > 0, np.nansum(columns, axis=0) / np.maximum(counts, 1), np.nan)
        return cls(**{f.name: float(v) for f, v in zip(fields(cls), means, strict=True)})


def measure(
    scene: GaussianScene, views: Sequence[RgbdView], rasteriser: Rasteriser, gain: Gain = "view"
) -> Quality:
    """Compares a scene with true views and returns the mean figures.

    Args:
        scene: what is rendered.
        views: true images; those that show less than 200 px of object and hand are left out.
        gain: brightness is fitted for each view (cameras whose exposure differs), or once for all.

    Raises:
        CaptureError: No view shows enough of object and hand.
    """
    shown = [view for view in views if (view.labels != Label.BACKGROUND).sum() >= MIN_PIXELS]
    if not shown:
        raise CaptureError(f"none of {len(views)} views shows object or hand; quality cannot be measured")
    renders = [rasteriser.render(scene, view.camera, view.world_from_camera) for view in shown]
    sums = np.array([_gain_sums(r, v) for r, v in zip(renders, shown, strict=True)])
    if gain == "scene":
        sums[:] = sums.sum(axis=0)
    gains = sums[:, 0] / np.maximum(sums[:, 1], 1e-12)
    return Quality.mean([compare(r, v, g) for r, v, g in zip(renders, shown, gains, strict=True)])


def compare(render: RenderedView, view: RgbdView, gain: float = 1.0) -> Quality:
    """Returns one view's figures; the render's colours are multiplied by `gain`."""
    mask = view.labels != Label.BACKGROUND
    true, seen = _colours(view), np.clip(render.rgb * np.float32(gain), 0, 1)
    box = around(mask)
    true, seen, inside = (
        np.where(mask[..., None], true, 0)[box],
        np.where(mask[..., None], seen, 0)[box],
        mask[box],
    )
    drawn = masks_from_labels(render).any(axis=2)
    union = (mask | drawn).sum()
    measured = mask & (view.depth_m > 0) & (render.median_depth > 0)
    off = np.abs(render.median_depth - view.depth_m)[measured]
    return Quality(
        psnr_db=psnr(true[inside], seen[inside]),
        ssim=float(ssim_map(true, seen)[inside].mean()),
        gmsd=gmsd(true, seen, inside),
        depth_mae_mm=1e3 * float(off.mean()) if len(off) else float("nan"),
        iou=float((mask & drawn).sum() / union) if union else 1.0,
    )


def psnr(true: Float, seen: Float) -> float:
    """Returns the peak signal-to-noise ratio of values in [0, 1], dB; 99 if they are equal."""
    error = float(np.mean((true.astype(np.float64) - seen) ** 2))
    return float(min(-10 * np.log10(max(error, 1e-30)), MAX_PSNR_DB))


def ssim_map(true: Float, seen: Float) -> Float:
    """Returns the structural similarity (H, W) of images (H, W, 3) in [0, 1], the mean over channels."""

    def blur(image: Float) -> Float:
        blurred: Float = ndimage.gaussian_filter(image, (1.5, 1.5, 0), truncate=3.34)
        return blurred

    mx, my = blur(true), blur(seen)
    vx, vy, vxy = blur(true * true) - mx * mx, blur(seen * seen) - my * my, blur(true * seen) - mx * my
    c1, c2 = 0.01**2, 0.03**2
    similarity = (2 * mx * my + c1) * (2 * vxy + c2) / ((mx * mx + my * my + c1) * (vx + vy + c2))
    mean: Float = similarity.mean(axis=2)
    return mean


def gmsd(true: Float, seen: Float, mask: Mask) -> float:
    """Returns the standard deviation, over the mask, of the similarity of luminance gradients at half resolution."""
    if min(mask.shape) < 4:
        return float("nan")
    inside = _halved(mask.astype(np.float32)) > 0.5
    if not inside.any():
        return float("nan")
    a, b = (_gradient(_halved(image @ LUMINANCE)) for image in (true, seen))
    similarity = (2 * a * b + GMSD_C) / (a * a + b * b + GMSD_C)
    return float(similarity[inside].std())


def _halved(image: Float) -> Float:
    h, w = (side // 2 * 2 for side in image.shape)
    halved: Float = image[:h, :w].reshape(h // 2, 2, w // 2, 2).mean(axis=(1, 3))
    return halved


def _gradient(image: Float) -> Float:
    magnitude: Float = np.hypot(ndimage.prewitt(image, 0), ndimage.prewitt(image, 1)) / 3
    return magnitude


def _colours(view: RgbdView) -> Float:
    return view.rgb.astype(np.float32) / np.float32(255)


def _gain_sums(render: RenderedView, view: RgbdView) -> tuple[float, float]:
    """Returns sums over the mask: of true times rendered colours, and of rendered colours squared."""
    mask = view.labels != Label.BACKGROUND
    true, seen = _colours(view)[mask].astype(np.float64), render.rgb[mask].astype(np.float64)
    return float((true * seen).sum()), float((seen * seen).sum())

"""What is done at random to a picture each time the segmenter is trained with it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage
from scipy.spatial.transform import Rotation

from h2rh_env.core.labels import Label

from .training_images import Pictures

Floats = npt.NDArray[np.float32]
GREY = np.full(3, 1 / np.sqrt(3))


@dataclass(eq=False)
class Sample:
    """One picture as it changes: rgb (H, W, 3) in [0, 255] and depth (H, W), m, float32; labels (H, W) uint8."""

    rgb: Floats
    depth: Floats
    labels: npt.NDArray[np.uint8]


def changed(pictures: Pictures, number: int, size: tuple[int, int], rng: np.random.Generator) -> Sample:
    """A picture of another size (width, height), px: turned, recoloured, before other things, seen badly."""
    sample = _seen(pictures, number, size, rng)
    if rng.random() < 0.4:
        _recolour(sample, sample.labels == Label.OBJECT, rng, turn=np.pi, spread=0.3)
    if rng.random() < 0.4:
        _recolour(sample, sample.labels == Label.HAND, rng, turn=0.12, spread=0.3)
    if rng.random() < 0.2:
        _recolour(sample, sample.labels == Label.BACKGROUND, rng, turn=np.pi, spread=0.3)
    if pictures.cut[number] or rng.random() < 0.3:
        _change_background(sample, _seen(pictures, int(rng.integers(len(pictures))), size, rng), rng)
    _change_light(sample, rng)
    _change_depth(sample, rng)
    if rng.random() < 0.5:
        sample = Sample(sample.rgb[:, ::-1], sample.depth[:, ::-1], sample.labels[:, ::-1])
    return sample


def _seen(pictures: Pictures, number: int, size: tuple[int, int], rng: np.random.Generator) -> Sample:
    """Turned about the middle and enlarged, what the picture does not show repeated from its edge."""
    rgb, labels = pictures.rgb[number], pictures.labels[number]
    height, width = labels.shape
    angle, scale = rng.normal(0, 0.25), np.exp(rng.uniform(-0.35, 0.05))
    c, s = scale * np.cos(angle) * width / size[0], scale * np.sin(angle) * width / size[0]
    off = rng.normal(0, 0.03, 2) * width
    x = width / 2 + off[0] - c * size[0] / 2 + s * size[1] / 2
    y = height / 2 + off[1] - s * size[0] / 2 - c * size[1] / 2
    matrix = (c, -s, x, s, c, y)

    def warped(image: npt.NDArray[np.generic], smooth: bool) -> npt.NDArray[np.generic]:
        how = Image.Resampling.BILINEAR if smooth else Image.Resampling.NEAREST
        return np.array(Image.fromarray(image).transform(size, Image.Transform.AFFINE, matrix, how))

    return Sample(
        warped(rgb, True).astype(np.float32),
        warped(pictures.depth_m[number].astype(np.float32), False).astype(np.float32),
        warped(labels, False).astype(np.uint8),
    )


def _recolour(
    sample: Sample, where: npt.NDArray[np.bool_], rng: np.random.Generator, turn: float, spread: float
) -> None:
    """Turns the hue by at most an angle, rad, and changes saturation and brightness."""
    hue = Rotation.from_rotvec(rng.uniform(-turn, turn) * GREY).as_matrix()
    grey = np.full((3, 3), 1 / 3)
    matrix = grey + rng.uniform(0.4, 1.4) * (hue - grey)
    pixels = sample.rgb[where] @ matrix.T.astype(np.float32)
    sample.rgb[where] = pixels * np.float32(np.exp(rng.normal(0, spread)))


def _change_background(sample: Sample, other: Sample, rng: np.random.Generator) -> None:
    """Another picture's, mottled colour, or black without depth; what the hand came with goes."""
    held = sample.labels > 0
    known = held & (sample.depth > 0)
    far = float(np.median(sample.depth[known])) if known.any() else 0.6
    kind = rng.random()
    if kind < 0.1:
        rgb, depth = np.zeros_like(sample.rgb), np.zeros_like(sample.depth)
    else:
        rgb, depth = _mottled(held.shape, far, rng)
        usable = other.labels == Label.BACKGROUND
        if kind < 0.7 and usable.mean() > 0.2:
            behind = other.depth[usable & (other.depth > 0)]
            shift = far - float(np.percentile(behind, 10)) if len(behind) else 0.0
            pushed = np.where(other.depth > 0, other.depth + max(0.0, shift) + rng.uniform(0, 0.3), 0)
            rgb = np.where(usable[..., None], other.rgb, rgb)
            depth = np.where(usable, pushed, depth).astype(np.float32)
    edge = ndimage.gaussian_filter(held.astype(np.float32), rng.uniform(0.3, 0.8))[..., None]
    sample.rgb = edge * sample.rgb + (1 - edge) * rgb
    sample.depth = np.where(held, sample.depth, depth)


def _mottled(shape: tuple[int, ...], far: float, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Two tilted planes of mottled colour, somewhere behind `far`, m."""
    rows, columns = np.mgrid[: shape[0], : shape[1]].astype(np.float32) / shape[1]
    angle, cut = rng.uniform(0, 2 * np.pi), rng.uniform(-0.4, 0.4)
    side = np.cos(angle) * (columns - 0.5) + np.sin(angle) * (rows - 0.4) > cut
    rgb = np.zeros((*shape, 3), np.float32)
    depth = np.zeros(shape, np.float32)
    for on in (side, ~side):
        coarse = rng.normal(0, 1, (int(rng.integers(4, 30)), int(rng.integers(4, 40)))).astype(np.float32)
        how = Image.Resampling.NEAREST if rng.random() < 0.5 else Image.Resampling.BICUBIC
        mottle = np.asarray(Image.fromarray(coarse).resize((shape[1], shape[0]), how))
        colour = rng.uniform(20, 235) + rng.uniform(-50, 50, 3) + mottle[..., None] * rng.uniform(-30, 30, 3)
        tilt = rng.uniform(-0.8, 0.8, 2)
        plane = far + rng.exponential(0.5) + np.abs(tilt[0] * columns + tilt[1] * rows)
        rgb[on], depth[on] = colour[on], plane[on]
    return rgb, depth


def _change_light(sample: Sample, rng: np.random.Generator) -> None:
    """A shadow, white balance, exposure, contrast, saturation, blur and noise."""
    rgb = sample.rgb
    if rng.random() < 0.3:
        coarse = rng.normal(0, rng.uniform(0.1, 0.4), (4, 5)).astype(np.float32)
        shade = np.asarray(Image.fromarray(coarse).resize(rgb.shape[1::-1], Image.Resampling.BICUBIC))
        rgb = rgb * np.exp(shade, dtype=np.float32)[..., None]
    gains = np.exp(rng.normal(0, 0.3) + rng.normal(0, 0.1, 3)).astype(np.float32)
    gamma = np.float32(np.exp(rng.normal(0, 0.2)))
    rgb = (255 * np.clip(rgb * gains / 255, 0, 1) ** gamma).astype(np.float32)
    grey = rgb.mean(axis=2, keepdims=True)
    rgb = grey + (rgb - grey) * np.float32(rng.uniform(0.5, 1.4)) + np.float32(rng.normal(0, 8))
    if rng.random() < 0.4:
        rgb = ndimage.gaussian_filter(rgb, (*[rng.uniform(0.3, 1.6)] * 2, 0), truncate=2.5)
    noise = rng.standard_normal(rgb.shape, np.float32) * np.float32(rng.uniform(0, 6))
    sample.rgb = np.clip(rgb + noise, 0, 255).astype(np.float32)


def _change_depth(sample: Sample, rng: np.random.Generator) -> None:
    """Often none at all; else a little off, sometimes with a large hole."""
    if rng.random() < 0.3:
        sample.depth = np.zeros_like(sample.depth)
        return
    sample.depth = (sample.depth * np.exp(rng.normal(0, 0.05))).astype(np.float32)
    if rng.random() < 0.2:
        height, width = sample.depth.shape
        top, left = int(rng.integers(height)), int(rng.integers(width))
        sample.depth[
            top : top + int(rng.integers(height // 10, height // 3)),
            left : left + int(rng.integers(width // 10, width // 3)),
        ] = 0

"""Textures: printed labels drawn with Pillow, and smooth noise. Colours are sRGB in [0, 1]."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

Array = npt.NDArray[np.float64]
Rgb = tuple[float, float, float]

PIXELS_PER_M = 1200  # of printed labels: about one texel per camera pixel at arm's length
SYLLABLES = (
    "ba",
    "co",
    "dri",
    "el",
    "fa",
    "go",
    "hu",
    "is",
    "ja",
    "ki",
    "lo",
    "mi",
    "na",
    "or",
    "pe",
    "ro",
    "sa",
    "zen",
)
SMALL_PRINT = "NET WT   INGREDIENTS  water salt starch   KEEP DRY   best before see lid   made with care  "


def word(rng: np.random.Generator) -> str:
    """Makes up a brand name that nobody owns."""
    return "".join(rng.choice(SYLLABLES, rng.integers(2, 4))).upper()


def vivid(rng: np.random.Generator) -> Rgb:
    """Draws a saturated colour, as of packaging."""
    return colorsys.hsv_to_rgb(rng.uniform(), rng.uniform(0.45, 0.88), rng.uniform(0.35, 0.85))


def muted(rng: np.random.Generator) -> Rgb:
    """Draws a quiet colour, as of walls, cloth and plastic."""
    return colorsys.hsv_to_rgb(rng.uniform(), rng.uniform(0.02, 0.35), rng.uniform(0.25, 0.85))


def contrasting(colour: Rgb) -> Rgb:
    """Returns a colour to write with: white on dark, near black on light."""
    dark = float(np.dot(colour, (0.3, 0.6, 0.1))) < 0.5
    return (0.97, 0.96, 0.93) if dark else (0.08, 0.07, 0.1)


def print_label(
    rng: np.random.Generator,
    size_m: tuple[float, float],
    ground: Rgb,
    accent: Rgb,
    title: str,
    repeats: int = 1,
) -> Array:
    """Draws a printed label (H, W, 3), sRGB: ground, accent band or disc, title, stripes, small print, bar code.

    Args:
        size_m: width and height of the printed area, m.
        repeats: how often front and back panels follow each other along the width.
    """
    width, height = (max(32, round(side * PIXELS_PER_M)) for side in size_m)
    image = Image.new("RGB", (width, height), _bytes(ground))
    panel = width // repeats
    style = int(rng.integers(0, 4))
    for k in range(repeats):
        _front(image, rng, (k * panel, 0, (k + 1) * panel, height), accent, title, style, k % 2 == 1)
    noise = 1 + 0.02 * rng.normal(size=(height, width, 1))
    return np.clip(np.asarray(image, np.float64) / 255 * noise, 0, 1)


def _front(
    image: Image.Image,
    rng: np.random.Generator,
    box: tuple[int, int, int, int],
    accent: Rgb,
    title: str,
    style: int,
    is_back: bool,
) -> None:
    draw = ImageDraw.Draw(image)
    x0, y0, x1, y1 = box
    w, h = x1 - x0, y1 - y0
    third = colorsys.hsv_to_rgb(rng.uniform(), 0.8, 0.8)
    if style == 0:
        draw.rectangle((x0, y0, x1, y0 + int(0.45 * h)), fill=_bytes(accent))
    elif style == 1:
        draw.ellipse((x0 + 0.1 * w, y0 + 0.2 * h, x0 + 0.9 * w, y0 + 0.75 * h), fill=_bytes(accent))
    elif style == 2:
        draw.polygon([(x0, y0 + 0.6 * h), (x1, y0 + 0.3 * h), (x1, y1), (x0, y1)], fill=_bytes(accent))
    else:
        for i in range(5):
            draw.rectangle(
                (x0, y0 + (0.1 + 0.18 * i) * h, x1, y0 + (0.16 + 0.18 * i) * h), fill=_bytes(accent)
            )
    if is_back:
        _small_print(draw, rng, (x0 + 0.1 * w, y0 + 0.25 * h, x0 + 0.9 * w, y0 + 0.9 * h))
        return
    middle = image.getpixel((min(x0 + w // 2, x1 - 1), y0 + int(0.4 * h)))
    ink = contrasting(tuple(np.array(middle) / 255))
    _text(draw, title, (x0 + w / 2, y0 + 0.38 * h), 0.86 * w, 0.2 * h, ink)
    _text(draw, word(rng).lower(), (x0 + w / 2, y0 + 0.58 * h), 0.5 * w, 0.09 * h, third)
    for _ in range(int(rng.integers(2, 5))):
        cx, cy, r = (
            rng.uniform(x0 + 0.2 * w, x1 - 0.2 * w),
            y0 + rng.uniform(0.68, 0.88) * h,
            0.08 * min(w, h),
        )
        colour = _bytes(colorsys.hsv_to_rgb(rng.uniform(0, 0.2), 0.8, rng.uniform(0.5, 0.95)))
        draw.ellipse((cx - r, cy - r, cx + r, cy + r), fill=colour, outline=_bytes(ink))
    draw.rectangle((x0, y0, x1, y0 + 0.03 * h), fill=_bytes(third))
    draw.rectangle((x0, y1 - 0.05 * h, x1, y1), fill=_bytes(third))


def _small_print(draw: ImageDraw.ImageDraw, rng: np.random.Generator, box: Sequence[float]) -> None:
    x0, y0, x1, y1 = box
    draw.rectangle((x0, y0, x1, y1), fill=(245, 243, 238))
    font = ImageFont.load_default(max(6, 0.04 * (y1 - y0)))
    for i in range(9):
        start = int(rng.integers(0, 40))
        line = (SMALL_PRINT * 2)[start : start + 22]
        draw.text(
            (x0 + 0.05 * (x1 - x0), y0 + (0.05 + 0.07 * i) * (y1 - y0)), line, fill=(40, 40, 45), font=font
        )
    x = x0 + 0.15 * (x1 - x0)
    while x < x0 + 0.7 * (x1 - x0):
        bar = float(rng.uniform(1, 3))
        draw.rectangle((x, y0 + 0.74 * (y1 - y0), x + bar, y0 + 0.94 * (y1 - y0)), fill=(20, 20, 20))
        x += bar + float(rng.uniform(1, 3))


def _text(
    draw: ImageDraw.ImageDraw, text: str, centre: tuple[float, float], width: float, height: float, ink: Rgb
) -> None:
    """Writes text as large as fits a box, centred."""
    size = max(6.0, height)
    font = ImageFont.load_default(size)
    length = max(draw.textlength(text, font=font), 1.0)
    if length > width:
        font = ImageFont.load_default(max(6.0, size * width / length))
    draw.text(centre, text, fill=_bytes(ink), font=font, anchor="mm")


def _bytes(colour: Sequence[float]) -> tuple[int, int, int]:
    r, g, b = (round(255 * min(max(c, 0.0), 1.0)) for c in colour)
    return r, g, b


def noise_image(rng: np.random.Generator, shape: tuple[int, int], scales_px: Sequence[float]) -> Array:
    """Makes smooth periodic noise (H, W), zero mean and unit deviation: a sum over scales, coarse ones strongest."""
    total = np.zeros(shape)
    for scale in scales_px:
        layer = ndimage.gaussian_filter(rng.normal(size=shape), scale, mode="wrap")
        total += layer / max(float(layer.std()), 1e-9) * np.sqrt(scale)
    normalised: Array = (total - total.mean()) / max(float(total.std()), 1e-9)
    return normalised


def sample(image: Array, u: Array, v: Array) -> Array:
    """Interpolates an image (H, W, 3) bilinearly at u to the right and v downwards, in [0, 1], wrapping along u."""
    h, w = image.shape[:2]
    x, y = u * w - 0.5, np.clip(v * h - 0.5, 0, h - 1)
    x0, y0 = np.floor(x).astype(int), np.minimum(y.astype(int), max(h - 2, 0))
    fx, fy = (x - x0)[:, None], (y - y0)[:, None]
    left, right, below = x0 % w, (x0 + 1) % w, np.minimum(y0 + 1, h - 1)
    top = image[y0, left] * (1 - fx) + image[y0, right] * fx
    bottom = image[below, left] * (1 - fx) + image[below, right] * fx
    srgb: Array = top * (1 - fy) + bottom * fy
    return srgb

"""Perturbations: how a real camera, segmenter and calibration differ from the rendered world, by seed and strength.

Training draws them at load (`augment`); a benchmark applies one at a time at a fixed strength (`perturb`). A strength
of 0 changes nothing; at 1 comes what `PERTURBATIONS` describes. The strength is the size of the change, and chance
decides its direction and place only, so that equal strengths are equally hard.

As on the robot, what the masks leave out is black in rgb, and what they wrongly take in shows some background.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.ndimage import distance_transform_edt, gaussian_filter
from scipy.spatial.transform import Rotation

from ..core.errors import HandoverError
from ..core.geometry import SE3, uniform_directions
from ..core.policy import Observation

Bytes = npt.NDArray[np.uint8]
FramePerturbation = Callable[[float, Bytes, Bytes, np.random.Generator], tuple[Bytes, Bytes]]

EXPOSURE_STOPS = 1.0
WHITE_BALANCE_GAIN = 1.4  # red up and blue down by this, or the reverse
COLOUR_MIX, COLOUR_SHIFT = 0.3, 25.0
READ_NOISE, SHOT_NOISE = 10.0, 1.0  # 8-bit levels; the latter times the square root of the level
BLUR_SIGMA_PX = 2.0
JPEG_QUALITIES = (95, 10)
OUTLINE_PX = 4.0
HOLE_FRACTION, HOLE_SIGMA_PX = 0.3, 4.0
BLOBS, BLOB_RADIUS_PX = 3, 16.0
HAND_EYE_M, HAND_EYE_RAD = 0.01, float(np.radians(2))


@dataclass(frozen=True)
class Perturbation:
    """One difference between the real and the rendered world.

    Attributes:
        kind: what it acts on: a frame's rgb and masks, the hand-eye pose, or the stream of observations.
        at_full_strength: what happens at strength 1.
        apply: of kind "image": (strength, rgb (H, W, 3), masks (H, W, 2), rng) to new rgb and masks.
    """

    kind: Literal["image", "pose", "stream"]
    at_full_strength: str
    apply: FramePerturbation | None = None


def perturb(
    name: str, strength: float, rgb: Bytes, masks: Bytes, rng: np.random.Generator
) -> tuple[Bytes, Bytes]:
    """Returns frames with one perturbation; the inputs are left as they are.

    Args:
        name: one of `IMAGE_PERTURBATIONS`.
        strength: how strong it is, in [0, 1].
        rgb: (..., H, W, 3) uint8.
        masks: (..., H, W, 2) uint8 in {0, 255}, object and hand.
        rng: draws anew for each frame, in order. To hold one change through an episode, seed it anew for each step.

    Raises:
        HandoverError: The name is unknown, the strength is outside of [0, 1], or the frames have other shapes.
    """
    apply = _named(name).apply
    if apply is None:
        raise HandoverError(
            f"{name!r} does not change images; those that do are {', '.join(IMAGE_PERTURBATIONS)}"
        )
    _check(strength, rgb, masks)
    new_rgb, new_masks = rgb.copy(), masks.copy()
    frames = new_rgb.reshape(-1, *rgb.shape[-3:]), new_masks.reshape(-1, *masks.shape[-3:])
    for colours, outlines in zip(*frames, strict=True) if strength else ():
        colours[...], outlines[...] = apply(strength, colours, outlines, rng)
    return new_rgb, new_masks


def augment(
    rgb: Bytes, masks: Bytes, rng: np.random.Generator, strength: float = 1.0, chance: float = 0.3
) -> tuple[Bytes, Bytes]:
    """Perturbs frames (N, H, W, 3) and (N, H, W, 2) for training: each perturbation comes to each frame by `chance`.

    Args:
        strength: the most of what is drawn, evenly from 0, for each.

    Raises:
        HandoverError: as `perturb`.
    """
    _check(strength, rgb, masks)
    rgb, masks = rgb.copy(), masks.copy()
    for i in range(len(rgb)):
        for name in IMAGE_PERTURBATIONS:
            if rng.random() < chance:
                rgb[i], masks[i] = perturb(name, rng.uniform(0, strength), rgb[i], masks[i], rng)
    return rgb, masks


def hand_eye_offset(strength: float, rng: np.random.Generator) -> SE3:
    """Draws `believed_camera_from_camera` of a wrong calibration: 10 mm and 2 degrees at strength 1.

    Raises:
        HandoverError: a strength outside of [0, 1].
    """
    _check_strength(strength)
    shift, axis = uniform_directions(rng, 2)
    turn = Rotation.from_rotvec(strength * HAND_EYE_RAD * axis).as_matrix()
    return SE3(turn, strength * HAND_EYE_M * shift)


class LateObservations:
    """A stream of observations of which some come one step late; the first of an episode can't."""

    def __init__(self, strength: float, rng: np.random.Generator) -> None:
        """Args: strength: the chance of each to be late.

        Raises:
            HandoverError: a strength outside of [0, 1].
        """
        _check_strength(strength)
        self._strength, self._rng = strength, rng
        self._last: Observation | None = None

    def reset(self) -> None:
        """Forgets the last episode; to be called before each episode."""
        self._last = None

    def __call__(self, observation: Observation) -> Observation:
        """Returns what arrives when `observation` is what there is to see."""
        last, self._last = self._last, observation
        return last if last is not None and self._rng.random() < self._strength else observation


def _check(strength: float, rgb: Bytes, masks: Bytes) -> None:
    _check_strength(strength)
    shapes_fit = rgb.ndim >= 3 and masks.shape == (*rgb.shape[:-1], 2) and rgb.shape[-1] == 3
    if not shapes_fit or rgb.dtype != np.uint8 or masks.dtype != np.uint8:
        raise HandoverError(
            f"frames are uint8 rgb (..., H, W, 3) and masks (..., H, W, 2); got {rgb.dtype} {rgb.shape} and "
            f"{masks.dtype} {masks.shape}"
        )


def _check_strength(strength: float) -> None:
    if not 0 <= strength <= 1:
        raise HandoverError(f"a perturbation's strength is {strength}; it must be in [0, 1]")


def _named(name: str) -> Perturbation:
    if name not in PERTURBATIONS:
        raise HandoverError(f"there is no perturbation {name!r}; there are {', '.join(PERTURBATIONS)}")
    return PERTURBATIONS[name]


def _coloured(rgb: Bytes, changed: npt.NDArray[np.floating]) -> Bytes:
    """Returns changed colours as bytes; what is black, the removed background, stays black."""
    rounded = np.clip(np.rint(changed), 0, 255).astype(np.uint8)
    return np.where(rgb.any(axis=2, keepdims=True), rounded, np.uint8(0))


def _sign(rng: np.random.Generator) -> float:
    return float(rng.choice([-1.0, 1.0]))


def _exposure(strength: float, rgb: Bytes, masks: Bytes, rng: np.random.Generator) -> tuple[Bytes, Bytes]:
    return _coloured(rgb, rgb * 2.0 ** (EXPOSURE_STOPS * strength * _sign(rng))), masks


def _white_balance(
    strength: float, rgb: Bytes, masks: Bytes, rng: np.random.Generator
) -> tuple[Bytes, Bytes]:
    warmer = WHITE_BALANCE_GAIN ** (strength * _sign(rng))
    return _coloured(rgb, rgb * np.array([warmer, 1.0, 1 / warmer])), masks


def _colour(strength: float, rgb: Bytes, masks: Bytes, rng: np.random.Generator) -> tuple[Bytes, Bytes]:
    mix = np.eye(3) + COLOUR_MIX * strength * rng.uniform(-1, 1, (3, 3))
    return _coloured(rgb, rgb @ mix + COLOUR_SHIFT * strength * rng.uniform(-1, 1, 3)), masks


def _noise(strength: float, rgb: Bytes, masks: Bytes, rng: np.random.Generator) -> tuple[Bytes, Bytes]:
    sigma = strength * np.sqrt(READ_NOISE**2 + SHOT_NOISE**2 * rgb.astype(np.float32))
    return _coloured(rgb, rgb + sigma * rng.standard_normal(rgb.shape, np.float32)), masks


def _blur(strength: float, rgb: Bytes, masks: Bytes, rng: np.random.Generator) -> tuple[Bytes, Bytes]:
    """The background was removed after the camera blurred, so black must not bleed in."""
    seen = rgb.any(axis=2).astype(np.float32)
    sigma = BLUR_SIGMA_PX * strength
    weight = np.maximum(gaussian_filter(seen, sigma), 1e-6)
    blurred = gaussian_filter(rgb.astype(np.float32), (sigma, sigma, 0))
    return _coloured(rgb, blurred / weight[..., None]), masks


def _jpeg(strength: float, rgb: Bytes, masks: Bytes, rng: np.random.Generator) -> tuple[Bytes, Bytes]:
    best, worst = JPEG_QUALITIES
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "JPEG", quality=round(best + strength * (worst - best)))
    return _coloured(rgb, np.asarray(Image.open(buffer), np.float32)), masks


def _erosion(strength: float, rgb: Bytes, masks: Bytes, rng: np.random.Generator) -> tuple[Bytes, Bytes]:
    seen = masks > 0
    kept = np.stack([_apart(~seen[..., k]) > OUTLINE_PX * strength for k in (0, 1)], axis=2)
    return _remasked(rgb, masks, kept, rng)


def _dilation(strength: float, rgb: Bytes, masks: Bytes, rng: np.random.Generator) -> tuple[Bytes, Bytes]:
    seen = masks > 0
    to_object, to_hand = _apart(seen[..., 0]), _apart(seen[..., 1])
    free = ~seen.any(axis=2) & (np.minimum(to_object, to_hand) <= OUTLINE_PX * strength)
    nearer = np.stack([free & (to_object <= to_hand), free & (to_object > to_hand)], axis=2)
    return _remasked(rgb, masks, seen | nearer, rng)


def _apart(region: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Returns how far each pixel (H, W) is from a region, px; infinite if the region is empty."""
    return np.asarray(distance_transform_edt(~region)) if region.any() else np.full(region.shape, np.inf)


def _holes(strength: float, rgb: Bytes, masks: Bytes, rng: np.random.Generator) -> tuple[Bytes, Bytes]:
    seen = masks.any(axis=2)
    if not seen.any():
        return rgb, masks
    field = gaussian_filter(rng.standard_normal(seen.shape), HOLE_SIGMA_PX)
    kept = field >= np.quantile(field[seen], HOLE_FRACTION * strength)
    return _remasked(rgb, masks, (masks > 0) & kept[..., None], rng)


def _blobs(strength: float, rgb: Bytes, masks: Bytes, rng: np.random.Generator) -> tuple[Bytes, Bytes]:
    height, width = masks.shape[:2]
    rows, columns = np.mgrid[:height, :width]
    seen: npt.NDArray[np.bool_] = masks > 0
    for _ in range(BLOBS):
        row, column, label = rng.uniform(0, height), rng.uniform(0, width), rng.integers(2)
        inside = np.hypot(rows - row, columns - column) <= BLOB_RADIUS_PX * strength
        seen[inside & ~seen.any(axis=2), label] = True
    return _remasked(rgb, masks, seen, rng)


def _no_hand(strength: float, rgb: Bytes, masks: Bytes, rng: np.random.Generator) -> tuple[Bytes, Bytes]:
    seen: npt.NDArray[np.bool_] = masks > 0
    if rng.random() < strength:
        seen[..., 1] = False
    return _remasked(rgb, masks, seen, rng)


def _remasked(
    rgb: Bytes, masks: Bytes, seen: npt.NDArray[np.bool_], rng: np.random.Generator
) -> tuple[Bytes, Bytes]:
    """Returns rgb as other masks would cut it out of an image whose background has some colour."""
    background = rng.uniform(20, 235) + rng.uniform(-20, 20, 3) + rng.normal(0, 8, rgb.shape)
    new = (
        seen.any(axis=2, keepdims=True) & ~masks.any(axis=2, keepdims=True) & ~rgb.any(axis=2, keepdims=True)
    )
    shown = np.where(new, np.clip(background, 1, 255).astype(np.uint8), rgb)
    cut = np.where(seen.any(axis=2, keepdims=True), shown, np.uint8(0))
    return cut, seen.astype(np.uint8) * np.uint8(255)


PERTURBATIONS: Mapping[str, Perturbation] = MappingProxyType(
    {
        "exposure": Perturbation("image", "one stop brighter or darker", _exposure),
        "white_balance": Perturbation(
            "image", "red times 1.4 and blue by 1.4, or the reverse", _white_balance
        ),
        "colour": Perturbation("image", "channels mixed by up to 0.3, shifted by up to 25 levels", _colour),
        "noise": Perturbation("image", "10 levels of read noise and the square root of the level", _noise),
        "blur": Perturbation("image", "a Gaussian of 2 px", _blur),
        "jpeg": Perturbation("image", "JPEG of quality 10", _jpeg),
        "erosion": Perturbation("image", "masks 4 px smaller all round", _erosion),
        "dilation": Perturbation("image", "masks 4 px larger all round, showing background", _dilation),
        "holes": Perturbation("image", "holes in the masks, 30 % of their area", _holes),
        "blobs": Perturbation("image", "three false blobs of 16 px radius, each object or hand", _blobs),
        "no_hand": Perturbation("image", "no hand in any frame; below 1, in this part of them", _no_hand),
        "hand_eye": Perturbation("pose", "calibration off by 10 mm and 2 degrees, see hand_eye_offset"),
        "latency": Perturbation("stream", "every frame one step late, see LateObservations"),
    }
)
IMAGE_PERTURBATIONS: tuple[str, ...] = tuple(n for n, p in PERTURBATIONS.items() if p.kind == "image")

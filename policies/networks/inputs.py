"""Reading: what of a frame, and of what is known about it, a network is given; fixed arithmetic without torch.

Mirroring a frame left to right mirrors what is read: images flip, and numbers change sign where `signs` is -1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from h2rh_env.core.camera import HAND_EYE_CAMERA
from h2rh_env.core.errors import PolicyError

from ..tracking.depth import Track
from ..tracking.keyframes import FOCAL
from .numba_crop import cell_means, mask_sums

WINDOW_M = 0.2  # a window is about this wide at the object
SIDE_PER_SPREAD = 4.3  # of a window, so that it holds a disc or a bar with a margin
SIDES = (0.12, 1.2)  # least and largest, in widths of the image
TYPICAL_SIDE = 0.4
TYPICAL_SIGMA = 0.05  # of a range
CENTRE_SCALE = 4.0  # of a window's place in what the network reads
WIDTH = 17  # where a window's numbers tell how wide it is

Images = npt.NDArray[np.uint8]
Numbers = npt.NDArray[np.float32]


class Reading(Protocol):
    """Attributes: channels, size: of the images, (height, width) px; signs: of the numbers in a mirror."""

    channels: ClassVar[int]
    signs: ClassVar[tuple[int, ...]]

    @property
    def size(self) -> tuple[int, int]: ...

    def __call__(self, seen: Track) -> tuple[Images, Numbers]:
        """Images uint8 (channels, *size), the first five rgb, object and hand; numbers float32 (len(signs),)."""
        ...


@dataclass(frozen=True)
class Window:
    """A square window about object and hand, where it lies, and the moments of both masks in it.

    The sixth image tells what of the window lies inside the camera's image. Numbers: the window's middle (2) and
    side; for object and hand offset (2), size, variances xx, yy, xy; whether each is seen (2); the window's width, m,
    at the object; the range's uncertainty. Most are logarithms or scaled to be near 1.
    """

    channels: ClassVar[int] = 6
    signs: ClassVar[tuple[int, ...]] = (-1, 1, 1) + (-1, 1, 1, 1, 1, -1) * 2 + (1, 1, 1, 1)
    side_px: int = 80

    @property
    def size(self) -> tuple[int, int]:
        return self.side_px, self.side_px

    def __call__(self, seen: Track) -> tuple[Images, Numbers]:
        height, width = seen.masks.shape[:2]
        moments = mask_moments(seen.masks)
        _, x, y, xx, yy, _ = moments[2].tolist()
        side = min(max(SIDE_PER_SPREAD * math.sqrt(max(xx + yy, 0.0)), SIDES[0]), SIDES[1])
        images = np.empty((self.channels, *self.size), np.uint8)
        left, top = (x - side / 2 + 0.5) * width, (y - side / 2) * width + height / 2
        cell_means(seen.rgb, seen.masks, left, top, side * width, side * width, images)
        return images, _numbers(moments, side, seen)


@dataclass(frozen=True)
class WholeFrame:
    """The frame as it is, or smaller, and no numbers: what the paper's network reads."""

    channels: ClassVar[int] = 5
    signs: ClassVar[tuple[int, ...]] = ()
    height: int = HAND_EYE_CAMERA.height
    width: int = HAND_EYE_CAMERA.width

    @property
    def size(self) -> tuple[int, int]:
        return self.height, self.width

    def __call__(self, seen: Track) -> tuple[Images, Numbers]:
        images = np.empty((self.channels + 1, *self.size), np.uint8)
        height, width = seen.masks.shape[:2]
        cell_means(seen.rgb, seen.masks, 0.0, 0.0, width, height, images)
        return images[: self.channels], np.zeros(0, np.float32)


READINGS: dict[str, type[Window] | type[WholeFrame]] = {"window": Window, "frame": WholeFrame}


def described(reading: Reading) -> dict[str, Any]:
    """What `reading_of` makes it from again."""
    (kind,) = (name for name, known in READINGS.items() if isinstance(reading, known))
    return {"kind": kind, **asdict(reading)}  # type: ignore[call-overload]


def reading_of(description: Mapping[str, Any]) -> Reading:
    """Raises: PolicyError: of no kind that is known."""
    settings = dict(description)
    kind = settings.pop("kind", None)
    if kind not in READINGS:
        raise PolicyError(f"a network that reads {kind!r} is not known; known are {', '.join(READINGS)}")
    return READINGS[kind](**settings)


def mask_moments(masks: Images) -> npt.NDArray[np.float64]:
    """Of masks (H, W, 2), object and hand, and both together: (3, 6) area, mean x, mean y, variances xx, yy, xy.

    Lengths are fractions of the image's width from the image's centre; an empty mask gives zeros.
    """
    height, width = masks.shape[:2]
    sums = np.empty((3, 6))
    mask_sums(masks, sums)
    mass, x, y, xx, yy, xy = (sums / np.maximum(sums[:, :1], 1)).T
    variances = xx - x * x, yy - y * y, xy - x * y
    centred = x + 0.5 - width / 2, y + 0.5 - height / 2
    area = sums[:, 0] / 255
    moments = np.stack([area / width, *centred, *(v / width for v in variances)], axis=1) / width
    return np.where(mass[:, None] > 0, moments, 0.0)


def _numbers(moments: npt.NDArray[np.float64], side: float, seen: Track) -> Numbers:
    x, y = moments[2, 1:3].tolist()
    numbers = [x * CENTRE_SCALE, y * CENTRE_SCALE, math.log(side / TYPICAL_SIDE)]
    for area, mean_x, mean_y, xx, yy, xy in moments[:2].tolist():
        offset = ((mean_x - x) / side, (mean_y - y) / side) if area else (0.0, 0.0)
        size = math.log(max(area / side**2, 1e-4)) / 2 + 1 if area else 0.0
        numbers += [*offset, size, *(20 / side**2 * variance for variance in (xx, yy, xy))]
    numbers += [float(area > 0) for area in moments[:2, 0].tolist()]
    width_m = side * seen.distance_m / FOCAL  # of the window, at the object
    numbers += [math.log(width_m / WINDOW_M), math.log(seen.sigma / TYPICAL_SIGMA) / 2]
    return np.array(numbers, np.float32)

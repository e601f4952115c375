"""Network inputs: what a network is given of a track; fixed arithmetic without torch.

Mirroring a frame left to right mirrors the inputs: images flip, and numbers change sign where `signs` is -1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from h2rh_env.core.errors import PolicyError

from ..config import PolicyConfig
from ..tracking.tracker import Track
from . import crop_geometry
from .crop_geometry import CropGeometry, MaskShape
from .numba_crop import cell_means, mask_sums

Images = npt.NDArray[np.uint8]
Numbers = npt.NDArray[np.float32]


class NetworkInputs(Protocol):
    """Turns a track into what a network is given.

    Attributes:
        channels: of the images, the first five rgb, object and hand.
        signs: what each number is multiplied by in a mirror.
        size: of the images, (height, width), px.
    """

    channels: ClassVar[int]
    signs: ClassVar[tuple[int, ...]]

    @property
    def size(self) -> tuple[int, int]: ...

    def __call__(self, seen: Track) -> tuple[Images, Numbers]:
        """Images uint8 (channels, *size) and numbers float32 (len(signs),)."""
        ...


@dataclass(frozen=True)
class CropInputs:
    """A square crop about object and hand, and `CropGeometry`.

    The sixth image tells what of the crop lies inside the camera's image.
    """

    channels: ClassVar[int] = 6
    signs: ClassVar[tuple[int, ...]] = crop_geometry.SIGNS
    side_px: int
    config: PolicyConfig

    @property
    def size(self) -> tuple[int, int]:
        return self.side_px, self.side_px

    def __call__(self, seen: Track) -> tuple[Images, Numbers]:
        crop = self.config.crop
        height, width = seen.masks.shape[:2]
        moments = mask_moments(seen.masks)
        _, x, y, xx, yy, _ = moments[2].tolist()
        spread = math.sqrt(max(xx + yy, 0.0))
        side = min(max(crop.side_per_spread * spread, crop.least_side), crop.most_side)
        images = np.empty((self.channels, *self.size), np.uint8)
        left, top = (x - side / 2 + 0.5) * width, (y - side / 2) * width + height / 2
        cell_means(seen.rgb, seen.masks, left, top, side * width, side * width, images)
        return images, np.array(self._geometry(moments, side, seen).pack(), np.float32)

    def _geometry(self, moments: npt.NDArray[np.float64], side: float, seen: Track) -> CropGeometry[float]:
        crop, focal = self.config.crop, self.config.camera.fx / self.config.camera.width
        x, y = moments[2, 1:3].tolist()
        shapes = [self._shape(each, x, y, side) for each in moments[:2].tolist()]
        object_area, hand_area = moments[:2, 0].tolist()
        width_m = side * seen.distance_m / focal  # of the crop, at the object
        return CropGeometry(
            x=x * crop.centre_scale,
            y=y * crop.centre_scale,
            log_side=math.log(side / crop.typical_side),
            object=shapes[0],
            hand=shapes[1],
            object_seen=float(object_area > 0),
            hand_seen=float(hand_area > 0),
            log_width=math.log(width_m / crop.typical_width_m),
            log_sigma=math.log(seen.sigma / crop.typical_sigma) / 2,
        )

    def _shape(self, moments: list[float], x: float, y: float, side: float) -> MaskShape[float]:
        area, mean_x, mean_y, *variances = moments
        crop = self.config.crop
        xx, yy, xy = (crop.variance_scale / side**2 * variance for variance in variances)
        if not area:
            return MaskShape(0.0, 0.0, 0.0, xx, yy, xy)
        log_size = math.log(max(area / side**2, crop.least_area)) / 2 + 1
        return MaskShape((mean_x - x) / side, (mean_y - y) / side, log_size, xx, yy, xy)


@dataclass(frozen=True)
class FrameInputs:
    """The frame as it is, or smaller, and no numbers: what the paper's network is given."""

    channels: ClassVar[int] = 5
    signs: ClassVar[tuple[int, ...]] = ()
    height: int
    width: int

    @property
    def size(self) -> tuple[int, int]:
        return self.height, self.width

    def __call__(self, seen: Track) -> tuple[Images, Numbers]:
        images = np.empty((self.channels + 1, *self.size), np.uint8)
        height, width = seen.masks.shape[:2]
        cell_means(seen.rgb, seen.masks, 0.0, 0.0, width, height, images)
        return images[: self.channels], np.zeros(0, np.float32)


def inputs_to_json(inputs: NetworkInputs) -> dict[str, Any]:
    """JSON values from which, with the policy's configuration, `inputs_from_json` makes the same inputs."""
    if isinstance(inputs, CropInputs):
        return {"kind": "crop", "side_px": inputs.side_px}
    if isinstance(inputs, FrameInputs):
        return {"kind": "frame", "height": inputs.height, "width": inputs.width}
    raise PolicyError(
        f"inputs of kind {type(inputs).__name__} cannot be saved; CropInputs and FrameInputs can"
    )


def inputs_from_json(values: Mapping[str, Any], config: PolicyConfig) -> NetworkInputs:
    """Reads what `inputs_to_json` gave.

    Raises:
        PolicyError: The kind is not known.
    """
    kind = values.get("kind")
    if kind == "crop":
        return CropInputs(int(values["side_px"]), config)
    if kind == "frame":
        return FrameInputs(int(values["height"]), int(values["width"]))
    raise PolicyError(f"a network with inputs of kind {kind!r} is not known; known are crop, frame")


def mask_moments(masks: Images) -> npt.NDArray[np.float64]:
    """Moments (3, 6) of masks (H, W, 2), object and hand, and of both together.

    A row is: area, mean x, mean y, variances xx, yy, xy. Lengths are fractions of the image's width from the image's
    centre; an empty mask gives zeros.
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

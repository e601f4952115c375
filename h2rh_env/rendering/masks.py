"""Turns a rendered view into what a policy sees: 8-bit colour and the two masks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ..core.camera import PinholeCamera
from ..core.geometry import SE3
from ..scenes.gaussians import GaussianScene
from .base import ObservationRasteriser, ObservedImages, Rasteriser, RenderedView

MASK_ALPHA_MIN = 0.5


def masks_from_labels(view: RenderedView) -> npt.NDArray[np.uint8]:
    """Returns masks (H, W, 2) in {0, 255}, object then hand, with true occlusion between them.

    A pixel at least half covered belongs to the label of larger weight (object, if equal), where that is not zero.
    """
    covered = view.alpha >= MASK_ALPHA_MIN
    object_weight, hand_weight = view.labels[..., 0], view.labels[..., 1]
    is_object = covered & (object_weight >= hand_weight) & (object_weight > 0)
    is_hand = covered & (hand_weight > object_weight)
    return np.stack([is_object, is_hand], axis=-1).astype(np.uint8) * np.uint8(255)


def rgb_to_uint8(view: RenderedView) -> npt.NDArray[np.uint8]:
    """Returns rounded 8-bit colours (H, W, 3); values above one become 255."""
    return (np.clip(view.rgb, 0, 1) * np.float32(255) + np.float32(0.5)).astype(np.uint8)


def observe(
    rasteriser: Rasteriser,
    scenes: Sequence[GaussianScene],
    camera: PinholeCamera,
    world_from_cameras: Sequence[SE3],
) -> ObservedImages:
    """Returns rgb (B, H, W, 3) and masks (B, H, W, 2) of many views; an `ObservationRasteriser` is faster."""
    if isinstance(rasteriser, ObservationRasteriser):
        return rasteriser.render_observations(scenes, camera, world_from_cameras)
    views = rasteriser.render_batch(scenes, camera, world_from_cameras)
    return np.stack([rgb_to_uint8(view) for view in views]), np.stack(
        [masks_from_labels(view) for view in views]
    )

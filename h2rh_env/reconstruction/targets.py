"""Target: what a render should look like; one view of a capture cropped to object and hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from ..camera import PinholeCamera
from ..captures.base import RgbdView
from ..interface import Label
from ..rendering.base import Rasteriser, RenderedView
from ..scenes.gaussians import GaussianScene
from .fusion import around, clean_depth

BORDER_PX = 12
OCCLUDER_M = 0.02  # what is this far in front of the first surface hides it
EDGE_PX = 2  # depth this near to a silhouette belongs to either side


@dataclass(frozen=True, eq=False)
class Target:
    """Images (h, w), cropped.

    Attributes:
        index: of the view in its capture.
        camera: of the crop.
        rgb: (h, w, 3) in [0, 1]; mask: (h, w) bool, object and hand; labels: (h, w, 2), 1 on object and on hand.
        hidden: (h, w) bool, where something else stands in front of object or hand.
        rim: (h, w) bool, just outside the silhouette.
        depth_m: (h, w), 0 where unknown or beside a silhouette.
    """

    index: int
    camera: PinholeCamera
    rgb: Tensor
    mask: Tensor
    labels: Tensor
    hidden: Tensor
    rim: Tensor
    depth_m: Tensor


def targets_of(
    views: Sequence[RgbdView], scene: GaussianScene, rasteriser: Rasteriser, rim_px: int
) -> list[Target]:
    """Of all views that see object or hand.

    Args:
        scene: tells where they would be seen if nothing stood in front.
        rim_px: width of the rim outside a silhouette.
    """
    return [
        _target(i, view, rasteriser.render(scene, view.camera, view.world_from_camera), rim_px)
        for i, view in enumerate(views)
        if (view.labels != Label.BACKGROUND).any()
    ]


def _target(index: int, view: RgbdView, render: RenderedView, rim_px: int) -> Target:
    mask = view.labels != Label.BACKGROUND
    rows, columns = box = around(mask | (render.alpha > 0.05), BORDER_PX)
    camera = PinholeCamera(
        len(range(*columns.indices(view.camera.width))), len(range(*rows.indices(view.camera.height))),
        view.camera.fx, view.camera.fy, view.camera.cx - columns.start, view.camera.cy - rows.start,
    )  # fmt: skip
    front = (
        ~mask & (render.alpha > 0.5) & (view.depth_m > 0) & (view.depth_m < render.median_depth - OCCLUDER_M)
    )
    front = ndimage.binary_dilation(front, iterations=2) & ~mask
    inside = ndimage.binary_erosion(mask, iterations=EDGE_PX)
    labels = np.stack([view.labels == Label.OBJECT, view.labels == Label.HAND], axis=2)
    depth_m = np.where(inside, clean_depth(view).depth_m, 0)
    rim = ndimage.binary_dilation(mask, iterations=rim_px) & ~mask & ~front if rim_px else mask & ~mask
    floats = [
        torch.from_numpy(i[box].astype(np.float32)) for i in (view.rgb / np.float32(255), labels, depth_m)
    ]
    bools = [torch.from_numpy(np.ascontiguousarray(image[box])) for image in (mask, front, rim)]
    return Target(index, camera, floats[0], bools[0], floats[1], bools[1], bools[2], floats[2])

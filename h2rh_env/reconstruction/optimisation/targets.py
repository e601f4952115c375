"""Target: what a render should look like, one view of a capture cropped to object and hand, or half its size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage
from torch import Tensor
from torch.nn.functional import pad

from ...captures.base import RgbdView
from ...core.camera import PinholeCamera
from ...core.labels import Label
from ...rendering.base import Rasteriser, RenderedView
from ...scenes.gaussians import GaussianScene
from ..initialisation.fusion import around, clean_depth

BORDER_PX = 12
OCCLUDER_M = 0.02  # what is this far in front of the first surface hides it
EDGE_PX = 2  # depth this near to a silhouette belongs to either side


@dataclass(frozen=True, eq=False)
class Target:
    """The cropped images (h, w) of one view.

    Attributes:
        index: the number of the view in its capture.
        camera: the camera of the crop.
        rgb: (h, w, 3) in [0, 1], 0 but on object and hand.
        labels: (h, w, 2) in [0, 1]: how much of a pixel is object, and hand.
        hidden: (h, w) bool, where something else stands in front of object or hand.
        rim: (h, w) bool, just outside the silhouette.
        depth_m: (h, w), 0 where unknown or beside a silhouette.
    """

    index: int
    camera: PinholeCamera
    rgb: Tensor
    labels: Tensor
    hidden: Tensor
    rim: Tensor
    depth_m: Tensor

    @property
    def coverage(self) -> Tensor:
        """How much of each pixel object and hand cover together, (h, w), in [0, 1]."""
        return self.labels.sum(dim=2)

    @property
    def mask(self) -> Tensor:
        """Where object or hand is, (h, w) bool."""
        return self.coverage > 0

    def brightened(self, log_gains: npt.NDArray[np.float64]) -> Target:
        """Returns the target with its colour channels multiplied by exp(log_gains), (3,)."""
        return replace(self, rgb=self.rgb * torch.from_numpy(np.exp(log_gains).astype(np.float32)))

    def halved(self) -> Target:
        """Returns the target at half the resolution, without a rim: its pixels say how much of them is covered."""
        height, width = self.mask.shape
        edge = (0, 0, 0, width % 2, 0, height % 2)

        def halved(image: Tensor) -> Tensor:
            """Returns means (h / 2, w / 2, C) of an image (h, w, C) or (h, w), which is 0 beyond its border."""
            padded = pad(image.float().reshape(height, width, -1), edge)
            h, w, channels = padded.shape
            return padded.reshape(h // 2, 2, w // 2, 2, channels).mean(dim=(1, 3))

        hidden = halved(self.hidden)[..., 0] > 0
        known = halved(self.depth_m > 0)[..., 0] == 1
        c = self.camera
        return Target(
            self.index,
            PinholeCamera(hidden.shape[1], hidden.shape[0], c.fx / 2, c.fy / 2, c.cx / 2, c.cy / 2),
            halved(self.rgb),
            halved(self.labels),
            hidden,
            torch.zeros_like(hidden),
            torch.where(known, halved(self.depth_m)[..., 0], 0),
        )


def targets_of(
    views: Sequence[RgbdView], scene: GaussianScene, rasteriser: Rasteriser, rim_px: int
) -> list[Target]:
    """Makes a target of every view that sees object or hand.

    Args:
        views: all views of the capture.
        scene: the first Gaussians; its renders show what would be seen if nothing stood in front.
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
        len(range(*columns.indices(view.camera.width))),
        len(range(*rows.indices(view.camera.height))),
        view.camera.fx,
        view.camera.fy,
        view.camera.cx - columns.start,
        view.camera.cy - rows.start,
    )
    front = (
        ~mask & (render.alpha > 0.5) & (view.depth_m > 0) & (view.depth_m < render.median_depth - OCCLUDER_M)
    )
    front = ndimage.binary_dilation(front, iterations=2) & ~mask
    inside = ndimage.binary_erosion(mask, iterations=EDGE_PX)
    labels = np.stack([view.labels == Label.OBJECT, view.labels == Label.HAND], axis=2)
    depth_m = np.where(inside, clean_depth(view).depth_m, 0)
    rim = ndimage.binary_dilation(mask, iterations=rim_px) & ~mask & ~front if rim_px else mask & ~mask
    rgb = np.where(mask[..., None], view.rgb / np.float32(255), 0)
    floats = [torch.from_numpy(image[box].astype(np.float32)) for image in (rgb, labels, depth_m)]
    bools = [torch.from_numpy(np.ascontiguousarray(image[box])) for image in (front, rim)]
    return Target(index, camera, floats[0], floats[1], bools[0], bools[1], floats[2])

"""The CUDA backend: gsplat 1.5, held to the image model of `base`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from gsplat.cuda._wrapper import rasterize_to_indices_in_range
from gsplat.rendering import rasterization
from torch import Tensor

from ..core.camera import PinholeCamera
from ..core.geometry import SE3
from ..core.labels import Label
from ..scenes.gaussians import GaussianScene
from .activation import opacities
from .base import (
    ALPHA_MAX,
    ALPHA_MIN,
    DILATION_PX2,
    FAR_M,
    MAX_COLOUR,
    MAX_SCALE_M,
    NEAR_M,
    RenderedView,
    camera_from_world,
)
from .gradients.render import RenderedTensors
from .spherical_harmonics import sh_basis


@dataclass(frozen=True, eq=False)
class _Tensors:
    """A scene on the device, activated but for its colours."""

    means: Tensor
    wxyz: Tensor
    scales: Tensor
    opacities: Tensor
    sh: Tensor
    labels: Tensor


class GsplatRasteriser:
    """Renders on a CUDA device; all views of one scene in one call."""

    name = "gsplat"

    def __init__(self, device: str = "cuda") -> None:
        self.device = torch.device(device)
        self._scenes: WeakKeyDictionary[GaussianScene, _Tensors] = WeakKeyDictionary()

    def render(self, scene: GaussianScene, camera: PinholeCamera, world_from_camera: SE3) -> RenderedView:
        """See `Rasteriser.render`."""
        return self.render_batch([scene], camera, [world_from_camera])[0]

    def render_batch(
        self, scenes: Sequence[GaussianScene], camera: PinholeCamera, world_from_cameras: Sequence[SE3]
    ) -> list[RenderedView]:
        """See `Rasteriser.render_batch`."""
        views: dict[int, RenderedView] = {}
        poses = [camera_from_world(pose) for pose in world_from_cameras]
        for scene in dict.fromkeys(scenes):
            places = [i for i, (s, _) in enumerate(zip(scenes, poses, strict=True)) if s is scene]
            views |= dict(zip(places, self._render(scene, camera, [poses[i] for i in places]), strict=True))
        return [views[i] for i in range(len(poses))]

    @torch.no_grad()
    def _render(
        self, scene: GaussianScene, camera: PinholeCamera, poses: Sequence[SE3]
    ) -> list[RenderedView]:
        """Views of one scene; `poses` are camera_from_world."""
        if len(scene) == 0:
            h, w = camera.height, camera.width
            shapes = (h, w, 3), (h, w), (h, w, 2), (h, w), (h, w)
            return [RenderedView(*(np.zeros(shape, np.float32) for shape in shapes)) for _ in poses]
        tensors = self._tensors(scene)
        eyes = self._to_device(np.stack([pose.inverse().translation for pose in poses]))
        matrices = self._to_device(np.stack([pose.matrix for pose in poses]))
        channels, alphas, median = _draw(tensors, camera, eyes, matrices, scene.antialiased)
        images = torch.cat([channels, alphas, median[..., None]], dim=-1).cpu().numpy()
        return [
            RenderedView(image[..., :3], image[..., 6], image[..., 3:5], image[..., 5], image[..., 7])
            for image in images
        ]

    def _tensors(self, scene: GaussianScene) -> _Tensors:
        tensors = self._scenes.get(scene)
        if tensors is None:
            turned = (scene.wxyz != 0).any(axis=1, keepdims=True)
            wxyz = np.where(
                turned, scene.wxyz / np.maximum(np.abs(scene.wxyz).max(axis=1, keepdims=True), 1e-38), 0
            )
            wxyz[~turned[:, 0], 0] = 1
            is_label = scene.labels[:, None] == [Label.OBJECT, Label.HAND]
            tensors = self._scenes[scene] = _Tensors(
                self._to_device(scene.means),
                self._to_device(wxyz),
                self._to_device(np.exp(np.clip(scene.log_scales, -60, np.log(MAX_SCALE_M)))),
                self._to_device(opacities(scene)),
                self._to_device(scene.sh),
                self._to_device(is_label),
            )
        return tensors

    def _to_device(self, array: Any) -> Tensor:
        return torch.from_numpy(np.array(array, np.float32)).to(self.device)


def render_gaussians(
    means: Tensor,
    wxyz: Tensor,
    log_scales: Tensor,
    opacity_logits: Tensor,
    sh: Tensor,
    labels: Tensor,
    camera: PinholeCamera,
    world_from_camera: Tensor,
    antialiased: bool = False,
    device: str = "cuda",
) -> RenderedTensors:
    """Renders like `gradients.render.render_gaussians`, on the CUDA device where the means are."""
    on_device = [t.to(device) for t in (means, wxyz, log_scales, opacity_logits, sh, labels)]
    centres, quaternions, sizes, logits, colours, kinds = on_device
    is_label = torch.stack([kinds == Label.OBJECT, kinds == Label.HAND], dim=1).to(centres)
    scales = sizes.clamp(-60, float(np.log(MAX_SCALE_M))).exp()
    scene = _Tensors(centres, quaternions, scales, logits.sigmoid(), colours, is_label)
    rotation, eye = world_from_camera[:3, :3], world_from_camera[:3, 3]
    matrix = torch.cat([torch.cat([rotation.T, -(rotation.T @ eye)[:, None]], 1), world_from_camera[3:]], 0)
    channels, alphas, median = _draw(
        scene, camera, eye[None].to(centres), matrix[None].to(centres), antialiased
    )
    image, alpha, median_depth = channels[0].to(means), alphas[0, ..., 0].to(means), median[0].to(means)
    return RenderedTensors(image[..., :3], alpha, image[..., 3:5], image[..., 5], median_depth)


def _draw(
    scene: _Tensors, camera: PinholeCamera, eyes: Tensor, camera_from_world: Tensor, antialiased: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Colour, labels and expected depth (C, H, W, 6), alpha (C, H, W, 1) and median depth (C, H, W) of C views."""
    count = len(eyes)
    channels, alphas, meta = rasterization(
        scene.means,
        scene.wxyz,
        scene.scales,
        scene.opacities,
        torch.cat([_colours(scene, eyes), scene.labels.expand(count, -1, -1)], dim=-1),
        camera_from_world,
        torch.from_numpy(camera.matrix).to(scene.means).expand(count, 3, 3).contiguous(),
        camera.width,
        camera.height,
        near_plane=NEAR_M,
        far_plane=FAR_M,
        radius_clip=0.0,
        eps2d=DILATION_PX2,
        packed=False,
        render_mode="RGB+ED",
        rasterize_mode="antialiased" if antialiased else "classic",
    )
    with torch.no_grad():
        return channels, alphas, _median_depth(meta, camera)


def _colours(scene: _Tensors, eyes: Tensor) -> Tensor:
    """(C, N, 3) as seen from eyes (C, 3): evaluated here, so that one call carries any number of channels."""
    rays = torch.nn.functional.normalize(scene.means[None] - eyes[:, None], dim=-1)
    degree = round(scene.sh.shape[1] ** 0.5) - 1
    basis = torch.stack(sh_basis(degree, *rays.unbind(-1)), dim=-1)  # (C, N, K)
    colours = 0.5 + torch.einsum("cnk,nkd->cnd", basis, scene.sh)
    return colours.nan_to_num(0.0).clamp(0.0, MAX_COLOUR)


def _median_depth(meta: dict[str, Any], camera: PinholeCamera) -> Tensor:
    """(C, H, W): gsplat draws none, but lists which Gaussians each pixel meets, front to back."""
    offsets, listed, tile = meta["isect_offsets"], meta["flatten_ids"], meta["tile_size"]
    views, h, w = offsets.shape[0], camera.height, camera.width
    median = torch.zeros(views * h * w, device=offsets.device)
    ends = torch.cat([offsets.flatten()[1:], offsets.new_tensor([len(listed)])])
    longest = int((ends - offsets.flatten()).max())
    gaussians, pixels, images = rasterize_to_indices_in_range(
        0,
        -(-longest // tile**2),
        torch.ones(views, h, w, device=offsets.device),
        meta["means2d"],
        meta["conics"],
        meta["opacities"],
        w,
        h,
        tile,
        offsets,
        listed,
    )
    if len(gaussians) == 0:
        return median.view(views, h, w)
    centre = torch.stack([pixels % w, pixels // w], dim=-1) + 0.5
    dx, dy = (centre - meta["means2d"][images, gaussians]).unbind(-1)
    a, b, c = meta["conics"][images, gaussians].unbind(-1)
    alpha = meta["opacities"][images, gaussians] * torch.exp(-0.5 * (a * dx * dx + c * dy * dy) - b * dx * dy)
    alpha = torch.where(alpha >= ALPHA_MIN, alpha.clamp(max=ALPHA_MAX), 0.0)
    # Transmittance behind each entry: a running sum of logarithms, begun anew at each pixel.
    place = images * (h * w) + pixels
    logs = torch.log1p(-alpha.double())
    total = torch.cumsum(logs, dim=0)
    first = torch.ones_like(place, dtype=torch.bool)
    first[1:] = place[1:] != place[:-1]
    start = (total - logs)[first][torch.cumsum(first, dim=0) - 1]
    half = float(np.log(0.5))
    crossing = (total - start <= half) & (total - logs - start > half)
    median[place[crossing]] = meta["depths"][images[crossing], gaussians[crossing]]
    return median.view(views, h, w)

"""The slow and obvious rasteriser, float64 numpy: the truth that faster ones are held to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..core.camera import PinholeCamera
from ..core.geometry import SE3, Array
from ..core.labels import Label
from ..scenes.gaussians import GaussianScene
from .activation import opacities, scaled_axes
from .base import (
    ALPHA_MAX,
    ALPHA_MIN,
    DILATION_PX2,
    EDGE_MARGIN,
    FAR_M,
    MAX_COLOUR,
    NEAR_M,
    TRANSMITTANCE_MIN,
    RenderedView,
    camera_from_world,
)
from .spherical_harmonics import sh_basis


@dataclass(frozen=True, eq=False)
class Splats:
    """Projected Gaussians, front to back.

    Attributes:
        centres_px: (M, 2).
        deviations_px: (M, 2), standard deviations along x and y.
        conics: (M, 3), xx, xy, yy of the inverse covariance, 1 / px^2.
        opacities: (M,).
        channels: (M, 6): rgb, object, hand, depth.
    """

    centres_px: Array
    deviations_px: Array
    conics: Array
    opacities: Array
    channels: Array


def project(scene: GaussianScene, camera: PinholeCamera, camera_from_world: SE3) -> Splats:
    """Projects Gaussians in front of the camera to ellipses in the image."""
    points = camera_from_world.apply(scene.means)
    near_to_far = np.argsort(points[:, 2], kind="stable")
    z = points[near_to_far, 2]
    seen = near_to_far[(z >= NEAR_M) & (z <= FAR_M)]
    points = points[seen]
    x, y, z = points.T

    low, high = edge_directions(camera)
    u, v = np.clip(points[:, :2] / z[:, None], low, high).T
    jacobian = np.zeros((len(seen), 2, 3))
    jacobian[:, 0, 0], jacobian[:, 0, 2] = camera.fx / z, -camera.fx * u / z
    jacobian[:, 1, 1], jacobian[:, 1, 2] = camera.fy / z, -camera.fy * v / z
    axes_px = jacobian @ camera_from_world.rotation @ scaled_axes(scene)[seen]
    # The determinant of A A^T as a sum of squares: exact for needles, where a c - b^2 is all rounding.
    first, second = axes_px[:, 0], axes_px[:, 1]
    xx, yy = (first**2).sum(axis=1), (second**2).sum(axis=1)
    determinant = (np.cross(first, second) ** 2).sum(axis=1)
    dilated = determinant + DILATION_PX2 * (xx + yy) + DILATION_PX2**2
    xx, xy, yy = xx + DILATION_PX2, (first * second).sum(axis=1), yy + DILATION_PX2
    alpha = opacities(scene)[seen]
    if scene.antialiased:
        alpha = alpha * np.sqrt(determinant / dilated)

    eye = camera_from_world.inverse().translation
    channels = np.concatenate(
        [
            colours(scene, eye)[seen],
            (scene.labels[seen, None] == [Label.OBJECT, Label.HAND]).astype(np.float64),
            z[:, None],
        ],
        axis=1,
    )
    centres = np.stack([camera.fx * x / z + camera.cx, camera.fy * y / z + camera.cy], axis=1)
    conics = np.stack([yy, -xy, xx], axis=1) / dilated[:, None]
    return Splats(centres, np.sqrt(np.stack([xx, yy], axis=1)), conics, alpha, channels)


def edge_directions(camera: PinholeCamera) -> tuple[Array, Array]:
    """Returns the least and greatest (x / z, y / z) about which the projection is linearised."""
    size, focal = np.array([camera.width, camera.height]), np.array([camera.fx, camera.fy])
    centre = np.array([camera.cx, camera.cy])
    return (-centre - EDGE_MARGIN * size) / focal, (size - centre + EDGE_MARGIN * size) / focal


def colours(scene: GaussianScene, eye: Array) -> Array:
    """Returns the colours (N, 3) as seen from `eye` (3,), m, in the scene."""
    rays = scene.means - eye
    length = np.linalg.norm(rays, axis=1, keepdims=True)
    x, y, z = (rays / np.where(length > 0, length, 1)).T
    basis = np.stack(sh_basis(scene.sh_degree, x, y, z), axis=1)
    rgb: Array = np.clip(0.5 + (basis[:, :, None] * scene.sh).sum(axis=1), 0, MAX_COLOUR)
    return rgb


def blend(splats: Splats, camera: PinholeCamera) -> RenderedView:
    """Blends front to back over each pixel, one Gaussian after another."""
    h, w = camera.height, camera.width
    transmittance, ended = np.ones((h, w)), np.zeros((h, w), bool)
    image, median = np.zeros((h, w, 6)), np.zeros((h, w))
    for centre, deviation, (a, b, c), opacity, channel in zip(
        splats.centres_px, splats.deviations_px, splats.conics, splats.opacities, splats.channels, strict=True
    ):
        if opacity < ALPHA_MIN:
            continue
        reach = np.sqrt(2 * np.log(opacity / ALPHA_MIN)) * deviation
        left, top = np.clip(np.floor(centre - reach - 1), 0, [w, h]).astype(int)
        right, bottom = np.clip(np.ceil(centre + reach + 1), 0, [w, h]).astype(int)
        if left >= right or top >= bottom:
            continue
        here = slice(top, bottom), slice(left, right)
        dx = np.arange(left, right) + 0.5 - centre[0]
        dy = (np.arange(top, bottom) + 0.5 - centre[1])[:, None]
        alpha = np.minimum(ALPHA_MAX, opacity * np.exp(-0.5 * (a * dx**2 + 2 * b * dx * dy + c * dy**2)))
        alpha[alpha < ALPHA_MIN] = 0
        before = transmittance[here]
        after = before * (1 - alpha)
        ended[here] |= after <= TRANSMITTANCE_MIN
        weight = np.where(ended[here], 0, before * alpha)
        median[here] = np.where((before > 0.5) & (after <= 0.5), channel[5], median[here])
        transmittance[here] = np.where(ended[here], before, after)
        image[here] += weight[..., None] * channel

    alpha = 1 - transmittance
    depth = np.divide(image[..., 5], alpha, out=np.zeros((h, w)), where=alpha > 0)
    return RenderedView(
        rgb=image[..., :3].astype(np.float32),
        alpha=alpha.astype(np.float32),
        labels=image[..., 3:5].astype(np.float32),
        expected_depth=depth.astype(np.float32),
        median_depth=median.astype(np.float32),
    )


class ReferenceRasteriser:
    """Renders in float64 numpy, which takes seconds an image."""

    name = "reference"

    def render(self, scene: GaussianScene, camera: PinholeCamera, world_from_camera: SE3) -> RenderedView:
        return blend(project(scene, camera, camera_from_world(world_from_camera)), camera)

    def render_batch(
        self, scenes: Sequence[GaussianScene], camera: PinholeCamera, world_from_cameras: Sequence[SE3]
    ) -> list[RenderedView]:
        return [self.render(s, camera, pose) for s, pose in zip(scenes, world_from_cameras, strict=True)]

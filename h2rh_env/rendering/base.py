"""Rasteriser and RenderedView: what every backend takes and gives.

The image model, shared by all backends: 3DGS splatting with a full pinhole K; Gaussians nearer than 0.01 m or
farther than 1e6 m are dropped; the projection is linearised about the mean, or for means outside the image about
a direction at most 0.15 image sides beyond its edge; 0.3 px^2 is added to the projected covariance's diagonal;
contributions with alpha < 1/255 are skipped and alpha is capped at 0.999; front to back by depth of the mean,
ties by index; the Gaussian that would bring transmittance to 1e-4 or below is dropped and the pixel ends there
(as in 3DGS and gsplat). Standard deviations are capped at 1e3 m and colours at 1e6.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from ..core.camera import PinholeCamera
from ..core.errors import RenderError
from ..core.geometry import SE3
from ..scenes.gaussians import GaussianScene

ObservedImages = tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]  # rgb (B, H, W, 3), masks (B, H, W, 2)

NEAR_M = 0.01
FAR_M = 1e6
MAX_SCALE_M = 1e3
MAX_COLOUR = 1e6
EDGE_MARGIN = 0.15  # of the image's side; 3DGS: 1.3 times the tangent of half the field of view
DILATION_PX2 = 0.3
ALPHA_MIN = 1 / 255
ALPHA_MAX = 0.999
TRANSMITTANCE_MIN = 1e-4


@dataclass(frozen=True, eq=False)
class RenderedView:
    """One rendered image with a black background.

    Attributes:
        rgb: (H, W, 3) float32, premultiplied by alpha.
        alpha: (H, W) float32 in [0, 1].
        labels: (H, W, 2) float32: summed weights of object and of hand Gaussians.
        expected_depth: (H, W) float32, m, weighted mean of depth (divided by alpha); 0 where alpha is 0.
        median_depth: (H, W) float32, m, depth of the Gaussian at which transmittance falls to 0.5 or below;
            0 where it never does.
    """

    rgb: npt.NDArray[np.float32]
    alpha: npt.NDArray[np.float32]
    labels: npt.NDArray[np.float32]
    expected_depth: npt.NDArray[np.float32]
    median_depth: npt.NDArray[np.float32]


def camera_from_world(world_from_camera: SE3) -> SE3:
    """Inverts a camera's pose.

    Raises:
        RenderError: The pose has a wrong shape, or is not finite.
    """
    rotation, translation = world_from_camera.rotation, world_from_camera.translation
    if np.shape(rotation) != (3, 3) or np.shape(translation) != (3,):
        raise RenderError(f"a pose is (3, 3) and (3,); got {np.shape(rotation)} and {np.shape(translation)}")
    if not (np.isfinite(rotation).all() and (np.abs(translation) < FAR_M).all()):
        raise RenderError(f"the camera's pose is not finite: position {np.asarray(translation).tolist()} m")
    return world_from_camera.inverse()


class Rasteriser(Protocol):
    """Renders Gaussian scenes. Implementations may cache what they derive from a scene object."""

    name: str

    def render(self, scene: GaussianScene, camera: PinholeCamera, world_from_camera: SE3) -> RenderedView:
        """One view.

        Raises:
            RenderError: a pose that is not finite.
        """

    def render_batch(
        self,
        scenes: Sequence[GaussianScene],
        camera: PinholeCamera,
        world_from_cameras: Sequence[SE3],
    ) -> list[RenderedView]:
        """Renders one view of each scene, with one camera model; the same scene may be repeated."""


class ObservationBatch(Protocol):
    """Observations that are drawn while it is still being worked out what the others will show.

    Used in a `with` block: whatever happens in it, no drawing goes on after it.
    """

    def __enter__(self) -> ObservationBatch:
        """Begins the batch."""

    def __exit__(self, *error: object) -> None:
        """Drops what has not been begun and waits for what has."""

    def draw(self, place: int, scene: GaussianScene, world_from_camera: SE3) -> None:
        """Hands over one view; it is drawn now or later. Views that take longest are best handed over first.

        Raises:
            RenderError: a pose that is not finite.
        """

    def finish(self) -> ObservedImages:
        """Waits for all views.

        Returns:
            The images of every place; those of a place that no view was given for hold anything.

        Raises:
            Exception: what went wrong with a view.
        """


@runtime_checkable
class ObservationRasteriser(Rasteriser, Protocol):
    """A rasteriser that draws what policies see, 8-bit colours and masks, without the full views between."""

    def render_observations(
        self, scenes: Sequence[GaussianScene], camera: PinholeCamera, world_from_cameras: Sequence[SE3]
    ) -> ObservedImages:
        """One observation of each scene, as `rendering.masks` makes them of full views."""

    def observation_batch(self, camera: PinholeCamera, count: int) -> ObservationBatch:
        """Begins a batch of `count` observations whose views come one by one."""

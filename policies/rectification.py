"""Rectification: images of one camera as another camera at the same place would have taken them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from h2rh_env.core.camera import PinholeCamera
from h2rh_env.core.errors import PolicyError
from h2rh_env.core.policy import Observation

from .networks.numba_crop import cell_means

HALF = 128  # a pixel belongs to a mask that covers this much of it, in 255ths

Bytes = npt.NDArray[np.uint8]


class Rectification:
    """Resamples rgb and masks of a camera for a policy that was trained on those of another.

    Both cameras look along the same axis from the same place, so depth does not matter. What the policy's camera
    would see beyond the edge of the image is black and in no mask.

    Attributes:
        policy_camera, camera: which the images are made for, and which takes them.
    """

    def __init__(self, policy_camera: PinholeCamera) -> None:
        self.policy_camera = policy_camera
        self.use_camera(policy_camera)

    def use_camera(self, camera: PinholeCamera) -> None:
        """Takes images of this camera from now on."""
        self.camera = camera
        wanted = self.policy_camera
        across, down = camera.fx / wanted.fx, camera.fy / wanted.fy
        self._rectangle = (
            camera.cx - wanted.cx * across,
            camera.cy - wanted.cy * down,
            wanted.width * across,
            wanted.height * down,
        )

    def __call__(self, observation: Observation) -> tuple[Bytes, Bytes]:
        """The policy's rgb (H, W, 3) and masks (H, W, 2) of an observation.

        Raises:
            PolicyError: The images are not of the camera's size.
        """
        rgb, masks = (np.ascontiguousarray(observation[key]) for key in ("rgb", "masks"))
        height, width = masks.shape[:2]
        if (width, height) != (self.camera.width, self.camera.height):
            raise PolicyError(
                f"images are {width}x{height} px, but the policy was told of a camera of "
                f"{self.camera.width}x{self.camera.height}; tell it the camera with use_camera"
            )
        if self.camera == self.policy_camera:
            return rgb, masks
        return self._resampled(rgb, masks)

    def _resampled(self, rgb: Bytes, masks: Bytes) -> tuple[Bytes, Bytes]:
        cells = np.empty((6, self.policy_camera.height, self.policy_camera.width), np.uint8)
        cell_means(rgb, masks, *self._rectangle, cells)
        parts = np.where(np.moveaxis(cells[3:5], 0, -1) >= HALF, np.uint8(255), np.uint8(0))
        return np.ascontiguousarray(np.moveaxis(cells[:3], 0, -1)), parts

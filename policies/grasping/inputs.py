"""GraspInputs: what the network is shown: a crop about the object, and the frame before laid on planes of depth."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from h2rh_env.core.camera import PinholeCamera
from h2rh_env.core.geometry import SE3, Array, aim

from .numba_sampling import sample_crop, sample_planes

Bytes = npt.NDArray[np.uint8]
CHANNELS = 6  # of the crop: rgb, object, hand, and what lies in the frame
PLANE_CHANNELS = 4  # differences of grey, object and hand, and what lies in both frames
GREY = np.array([0.299, 0.587, 0.114])


@dataclass(frozen=True, eq=False)
class Frame:
    """A camera's frame and where it was taken.

    Attributes:
        rgb: (H, W, 3) uint8. masks: (H, W, 2) uint8, object and hand.
        world_from_camera: in any frame that stands still.
    """

    rgb: Bytes
    masks: Bytes
    world_from_camera: SE3

    @cached_property
    def shows_object(self) -> bool:
        """Whether any of the object is seen."""
        return bool(self.masks[..., 0].any())

    @cached_property
    def grey_and_masks(self) -> Bytes:
        """(H, W, 3) uint8, of which planes of depth are made, each time this is the frame before."""
        grey = (self.rgb @ GREY + 0.5).astype(np.uint8)[..., None]
        return np.concatenate([grey, self.masks], axis=2)


class CropView(NamedTuple):
    """The square camera that looks at the object: it shares the frame's centre of projection.

    Attributes:
        camera_from_crop: (3, 3) rotation. half_tangent: of half its field of view.
    """

    camera_from_crop: Array
    half_tangent: float


class GraspInput(NamedTuple):
    """What the network is shown of one moment.

    Attributes:
        crop: (6, S, S) uint8. planes: (D, 4, P, P) uint8; 0 throughout where no frame before was of use.
        geometry: (5,) float32: log of the half tangent, the camera's motion since the frame before in the crop's
            frame, m, times 10, and whether there was one.
    """

    crop: Bytes
    planes: Bytes
    geometry: npt.NDArray[np.float32]


@dataclass(frozen=True)
class GraspInputs:
    """Makes inputs of frames.

    Attributes:
        side_px, plane_px: sides of crop and planes. depths_m: nearest and farthest plane; plane_count: how many.
        margin: of the crop about the object's mask. least_half_tangent, most_half_tangent: bounds of the crop.
    """

    side_px: int = 64
    plane_px: int = 32
    depths_m: tuple[float, float] = (0.10, 0.90)
    plane_count: int = 16
    margin: float = 1.5
    least_half_tangent: float = 0.06
    most_half_tangent: float = 0.55

    def to_json(self) -> dict[str, Any]:
        """The attributes as JSON values."""
        return vars(self) | {"depths_m": list(self.depths_m)}

    @property
    def plane_depths_m(self) -> Array:
        """(D,), evenly spaced in their logarithm."""
        return np.geomspace(*self.depths_m, self.plane_count)

    def view(self, masks: Bytes, camera: PinholeCamera) -> CropView | None:
        """Where to look: at the object's mask, with room about it; None if no object is seen."""
        shown = masks[..., 0] > 127
        rows = np.flatnonzero(shown.any(axis=1))
        if not len(rows):
            return None
        ends = shown[rows].argmax(axis=1), shown.shape[1] - 1 - shown[rows, ::-1].argmax(axis=1)
        rows, columns = np.tile(rows, 2), np.concatenate(ends)  # what lies between them sees less far aside
        x, y = (columns + 0.5 - camera.cx) / camera.fx, (rows + 0.5 - camera.cy) / camera.fy
        middle = [(x.min() + x.max()) / 2, (y.min() + y.max()) / 2, 1.0]
        camera_from_crop = aim(np.eye(3), middle)
        rays = np.stack([x, y, np.ones_like(x)], axis=1) @ camera_from_crop
        reach = float(np.abs(rays[:, :2] / rays[:, 2:]).max())
        return CropView(
            camera_from_crop,
            float(np.clip(self.margin * reach, self.least_half_tangent, self.most_half_tangent)),
        )

    def __call__(
        self, now: Frame, before: Frame | None, camera: PinholeCamera, view: CropView | None = None
    ) -> tuple[GraspInput, CropView] | None:
        """Makes the input of a frame and an earlier one of known motion; None if no object is seen.

        Args:
            view: where to look; by default at the object's mask.
        """
        view = view or self.view(now.masks, camera)
        if view is None:
            return None
        intrinsics = np.array([camera.fx, camera.fy, camera.cx, camera.cy])
        crop = np.zeros((CHANNELS, self.side_px, self.side_px), np.uint8)
        averaged = int(np.clip(round(2 * view.half_tangent * camera.fx / self.side_px), 1, 3))
        sample_crop(now.rgb, now.masks, intrinsics, view.camera_from_crop, view.half_tangent, averaged, crop)
        planes = np.zeros((self.plane_count, PLANE_CHANNELS, self.plane_px, self.plane_px), np.uint8)
        geometry = np.zeros(5, np.float32)
        geometry[0] = np.log(view.half_tangent)
        if before is not None:
            before_from_crop = (
                before.world_from_camera.inverse()
                @ now.world_from_camera
                @ SE3(view.camera_from_crop, np.zeros(3))
            )
            self._fill_planes(before, before_from_crop, intrinsics, view.half_tangent, crop, planes)
            geometry[1:4] = 10 * before_from_crop.inverse().translation
            geometry[4] = 1
        return GraspInput(crop, planes, geometry), view

    def _fill_planes(
        self, before: Frame, before_from_crop: SE3, intrinsics: Array, half_tangent: float, crop: Bytes,
        planes: Bytes,
    ) -> None:  # fmt: skip
        """Fills planes with how the frame before differs from the crop if all stood at a depth."""
        times = self.side_px // self.plane_px
        small = crop.reshape(CHANNELS, self.plane_px, times, self.plane_px, times).mean(axis=(2, 4))
        here = np.stack([np.tensordot(GREY, small[:3], 1), small[3], small[4]])
        sample_planes(
            before.grey_and_masks, intrinsics, before_from_crop.rotation, before_from_crop.translation, half_tangent,
            self.plane_depths_m, here, small[5] > 127, planes,
        )  # fmt: skip

"""The gripper as a hand-eye camera sees it: boxes with flat shades, laid over a view where they are nearer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..core.camera import PinholeCamera
from ..core.geometry import SE3, Array
from ..core.gripper import GripperGeometry
from .base import NEAR_M

OVERSAMPLING = 3  # rays along each side of a pixel
COLOURS = np.array([[0.42, 0.43, 0.46], [0.42, 0.43, 0.46], [0.50, 0.51, 0.54]])  # fingers, palm
PAD_COLOUR = np.array([0.26, 0.26, 0.27])  # of the faces that close on the object
AMBIENT = 0.35  # of a face seen edge-on; one seen straight on has its full colour


@dataclass(frozen=True, eq=False)
class GripperImage:
    """What a camera sees of a gripper alone.

    Attributes:
        rgb: (H, W, 3) float32 in [0, 1], premultiplied by alpha.
        alpha: (H, W) float32, the share of each pixel that the gripper covers.
        depth: (H, W) float32, m along the optical axis, of its nearest part in each pixel; infinite without one.
    """

    rgb: npt.NDArray[np.float32]
    alpha: npt.NDArray[np.float32]
    depth: npt.NDArray[np.float32]

    def in_front_of(self, depth: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Alpha (H, W) of what is nearer than a scene's depth (H, W), m, infinite where there is no scene."""
        return np.where(self.depth < depth, self.alpha, np.float32(0))


def draw_gripper(
    camera: PinholeCamera, gripper_from_camera: SE3, gripper: GripperGeometry, opening_m: float | None = None
) -> GripperImage:
    """Draws the fingers and the palm of a gripper.

    A camera inside one of the boxes does not see that box: the grasp frame, where simulation puts the camera, lies
    inside the palm.

    Args:
        opening_m: between the fingers; wide open by default.
    """
    h, w, n = camera.height, camera.width, OVERSAMPLING
    u = (np.arange(w * n) + 0.5) / n
    v = (np.arange(h * n) + 0.5) / n
    rays = np.stack(
        np.broadcast_arrays((u[None] - camera.cx) / camera.fx, (v[:, None] - camera.cy) / camera.fy, 1.0), -1
    )
    depth, colour = _nearest_faces(
        gripper_from_camera.translation, rays @ gripper_from_camera.rotation.T, gripper.boxes(opening_m)
    )
    hit = np.isfinite(depth)
    parts = (h, n, w, n)
    return GripperImage(
        rgb=np.where(hit[..., None], colour, 0).reshape(*parts, 3).mean((1, 3)).astype(np.float32),
        alpha=hit.reshape(parts).mean((1, 3)).astype(np.float32),
        depth=depth.reshape(parts).min((1, 3)).astype(np.float32),
    )


def _nearest_faces(eye: Array, rays: Array, boxes: Array) -> tuple[Array, Array]:
    """Depth (...) and colour (..., 3) of the first face that rays (..., 3) of unit depth meet."""
    nearest, colour = np.full(rays.shape[:-1], np.inf), np.zeros(rays.shape)
    safe = np.where(np.abs(rays) < 1e-12, 1e-12, rays)
    for number, (low, high) in enumerate(boxes):
        sides = np.sort(np.stack([(low - eye) / safe, (high - eye) / safe]), axis=0)
        axis = sides[0].argmax(-1)
        entry, leave = sides[0].max(-1), sides[1].min(-1)
        seen = (entry <= leave) & (entry > NEAR_M) & (entry < nearest)
        facing = np.take_along_axis(np.abs(rays), axis[..., None], -1)[..., 0] / np.linalg.norm(rays, axis=-1)
        at_x = eye[0] + entry * rays[..., 0]
        inner = low[0] if low[0] > 0 else high[0]
        is_pad = (axis == 0) & (number < 2) & (np.abs(at_x - inner) < 1e-9)
        base = np.where(is_pad[..., None], PAD_COLOUR, COLOURS[number])
        colour = np.where(seen[..., None], base * (AMBIENT + (1 - AMBIENT) * facing)[..., None], colour)
        nearest = np.where(seen, entry, nearest)
    return nearest, colour

"""What is made of a frame: an observation for the policy, and points of hand and object for the guard."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from h2rh_env.core.camera import HAND_EYE_CAMERA, PinholeCamera
from h2rh_env.core.clearance import Clearance, swept_hits
from h2rh_env.core.errors import RobotError
from h2rh_env.core.geometry import SE3, Array
from h2rh_env.core.policy import Observation

from ..interfaces import Arm, Frame
from .camera_body import box_hits

VOXEL_M = 0.005
POINT_STRIDE_PX = 2  # at the policy's 224x168
FLYING_M = 0.008  # a pixel further in depth from most of its mask about it is a flying one
LEAST_LIKE = 3  # pixels as far, it among them
VIEW_TOLERANCE = 0.03  # of the view's width that a camera may show less than the policy's


def observation_of(
    frame: Frame,
    masks: npt.NDArray[np.uint8],
    camera: PinholeCamera = HAND_EYE_CAMERA,
    with_depth: bool = False,
) -> Observation:
    """What the policy sees: the view of `camera`, background removed to black, with or without depth.

    Args:
        masks: (H, W, 2) uint8 in {0, 255} on the frame's grid.

    Raises:
        RobotError: the frame shows less than `camera` would.
    """
    shown = np.where(masks.max(axis=2, keepdims=True) > 0, frame.rgb, np.uint8(0))
    if frame.camera == camera:
        return {"rgb": shown, "masks": masks} | ({"depth": frame.depth_m[..., None]} if with_depth else {})
    box = _view_box(frame.camera, camera)
    size = (camera.width, camera.height)
    rgb = np.asarray(Image.fromarray(shown).resize(size, Image.Resampling.BOX, box))
    halves = [Image.fromarray(masks[..., k]).resize(size, Image.Resampling.BOX, box) for k in (0, 1)]
    seen = {"rgb": rgb, "masks": np.stack([np.uint8(255) * (np.asarray(m) >= 128) for m in halves], axis=2)}
    return seen | ({"depth": _nearest_pixels(frame.depth_m, size, box)[..., None]} if with_depth else {})


def _nearest_pixels(
    depth_m: npt.NDArray[np.float32], size: tuple[int, int], box: tuple[float, float, float, float]
) -> npt.NDArray[np.float32]:
    """What stands in the middle of each new pixel: a mean of depths would be where nothing is."""
    (width, height), (left, top, right, bottom) = size, box
    columns = (left + (np.arange(width) + 0.5) * (right - left) / width).astype(int)
    rows = (top + (np.arange(height) + 0.5) * (bottom - top) / height).astype(int)
    nearest: npt.NDArray[np.float32] = depth_m[np.ix_(rows, columns)]
    return nearest


def surfaces_of(frame: Frame, masks: npt.NDArray[np.uint8], world_from_camera: SE3) -> tuple[Array, Array]:
    """`points_of` object and of hand, each apart from the other."""
    of_object, of_hand = np.moveaxis(masks, 2, 0)
    return (
        points_of(frame, of_object, world_from_camera, of_hand),
        points_of(frame, of_hand, world_from_camera, of_object),
    )


def points_of(
    frame: Frame,
    mask: npt.NDArray[np.uint8],
    world_from_camera: SE3,
    other: npt.NDArray[np.uint8] | None = None,
) -> Array:
    """(P, 3) points, m, in the world, of the pixels in a mask (H, W) whose depth is known, one every 4 mm at 0.4 m.

    Flying pixels are left out, as at the edge of a hand a pixel of it may have the depth of what is behind or before
    it, or one in between, and a single one would hold the arm for as long as it is remembered. So are pixels beside
    an `other` mask (H, W): depth aligned to colour shows the nearer of the two a pixel too wide, and a narrow strip
    of hand beside an object has nothing but the object's depth.
    """
    scale = max(1, round(frame.camera.width / HAND_EYE_CAMERA.width))
    stride = POINT_STRIDE_PX * scale
    depth = np.zeros_like(frame.depth_m)
    np.copyto(depth, frame.depth_m, where=mask > 0)
    rows, columns = np.nonzero(depth[::stride, ::stride])
    rows, columns = rows * stride, columns * stride
    about = _squares(depth, rows, columns, np.arange(-stride, stride + 1, scale))
    like = np.abs(about - depth[rows, columns][:, None]) < FLYING_M
    kept = (like.sum(axis=1) >= LEAST_LIKE) & (2 * like.sum(axis=1) >= (about > 0).sum(axis=1))
    if other is not None:
        kept &= ~_squares(other > 0, rows, columns, np.arange(-scale, scale + 1)).any(axis=1)
    rows, columns = rows[kept], columns[kept]
    return world_from_camera.apply(_rays(frame.camera)[rows, columns] * depth[rows, columns, None])


@lru_cache(maxsize=4)
def _rays(camera: PinholeCamera) -> Array:
    """(H, W, 3) through the pixels' centres, 1 along z."""
    return camera.unproject(np.ones((camera.height, camera.width)))


def _squares(
    image: npt.NDArray[Any],
    rows: npt.NDArray[np.intp],
    columns: npt.NDArray[np.intp],
    steps: npt.NDArray[np.intp],
) -> npt.NDArray[Any]:
    """(P, K * K) of an image (H, W), zero beyond its edge, at K steps down and across from each of P pixels."""
    border = int(steps[-1])
    padded = np.pad(image, border)
    down, across = (each.ravel() + border for each in np.meshgrid(steps, steps, indexing="ij"))
    squares: npt.NDArray[Any] = padded[rows[:, None] + down, columns[:, None] + across]
    return squares


class PointMemory:
    """Points seen lately, one a voxel, each forgotten some time after it was last seen."""

    def __init__(self, memory_s: float) -> None:
        self._memory_s = memory_s
        self._keys = np.zeros(0, np.int64)
        self._times = np.zeros(0)
        self.points = np.zeros((0, 3))

    def add(self, points_world: Array, time_s: float) -> None:
        """Points (P, 3), m, seen at `time_s`; newer ones replace older ones in their voxel."""
        cells = np.floor(points_world / VOXEL_M).astype(np.int64) + (1 << 20)
        keys = np.concatenate([(cells[:, 0] << 42) | (cells[:, 1] << 21) | cells[:, 2], self._keys])
        times = np.concatenate([np.full(len(points_world), time_s), self._times])
        points = np.concatenate([points_world, self.points])
        keys, first = np.unique(keys, return_index=True)
        kept = times[first] >= time_s - self._memory_s
        self._keys, self._times, self.points = keys[kept], times[first][kept], points[first][kept]


class SeenSurroundings:
    """Answers the motion guard from points of hand and object and from the arm."""

    def __init__(
        self,
        hand_points: Array,
        object_points: Array,
        arm: Arm,
        keep_off_object: bool = True,
        advance_m: float | None = 0.0,
        camera_box: Array | None = None,
    ) -> None:
        """Points (P, 3), m, in the world.

        Args:
            keep_off_object: whether to keep the clearance to the object too, or to the hand alone.
            advance_m: path still to go straight ahead, m, which must be free too; None does not ask what the
                gripper's own volume touches, as when it backs out.
            camera_box: (2, 3), m, in the gripper's frame, which must not touch anything either.
        """
        both = np.concatenate([hand_points, object_points])
        self._avoid_points = both if keep_off_object else hand_points
        self._distance, self._clearance = Clearance(both), Clearance(self._avoid_points)
        self._arm = arm
        self.keep_off_object = keep_off_object
        self.advance_m, self._camera_box = advance_m, camera_box

    def distance(self, position_world: Array) -> float:
        return float(self._distance.distance(position_world))

    def clearance(self, position_world: Array) -> float:
        return float(self._clearance.distance(position_world))

    def is_blocked(self, world_from_gripper: SE3) -> bool:
        if self.advance_m is None:
            return False
        if swept_hits(self._avoid_points, world_from_gripper, self.advance_m).any():
            return True
        return self._camera_box is not None and bool(
            box_hits(self._avoid_points, world_from_gripper, self._camera_box, self.advance_m).any()
        )

    def is_reachable(self, world_from_gripper: SE3) -> bool:
        return self._arm.is_reachable(world_from_gripper)

    def speed_scale(self, world_from_gripper: SE3) -> float:
        return self._arm.speed_scale(world_from_gripper)

    def is_allowed(self, world_from_gripper: SE3) -> bool:
        return self._arm.is_allowed(world_from_gripper)


def _view_box(source: PinholeCamera, target: PinholeCamera) -> tuple[float, float, float, float]:
    """Left, top, right, bottom, px, of the target's view in the source's image."""
    left = source.cx - target.cx * source.fx / target.fx
    top = source.cy - target.cy * source.fy / target.fy
    right = left + target.width * source.fx / target.fx
    bottom = top + target.height * source.fy / target.fy
    tolerance = VIEW_TOLERANCE * source.width
    outside = max(-left, -top, right - source.width, bottom - source.height)
    if outside > tolerance:
        raise RobotError(
            f"the camera's image is {outside:.0f} px too narrow for the policy's view "
            f"(fx {source.fx:.0f} px at {source.width} px wide); choose a wider stream"
        )
    return max(left, 0.0), max(top, 0.0), min(right, source.width), min(bottom, source.height)

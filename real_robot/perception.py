"""What is made of a frame: an observation for the policy, and points of hand and object for the guard."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.spatial import cKDTree

from h2rh_env.camera import HAND_EYE_CAMERA, PinholeCamera
from h2rh_env.clearance import Clearance, swept_hits
from h2rh_env.errors import RobotError
from h2rh_env.geometry import SE3, Array
from h2rh_env.interface import Observation

from .interfaces import Arm, Frame

VOXEL_M = 0.005
POINT_STRIDE_PX = 2  # at the policy's 224x168: one point every 4 mm at 0.4 m
SUPPORT_M, SUPPORT = 0.015, 2  # a point with fewer others this near is a flying pixel: fingers show more
VIEW_TOLERANCE = 0.03  # of the view's width that a camera may show less than the policy's


def observation_of(
    frame: Frame, masks: npt.NDArray[np.uint8], camera: PinholeCamera = HAND_EYE_CAMERA
) -> Observation:
    """What the policy sees: the view of `camera`, background removed to black.

    Args:
        masks: (H, W, 2) uint8 in {0, 255} on the frame's grid.

    Raises:
        RobotError: the frame shows less than `camera` would.
    """
    shown = np.where(masks.max(axis=2, keepdims=True) > 0, frame.rgb, np.uint8(0))
    if frame.camera == camera:
        return {"rgb": shown, "masks": masks}
    box = _view_box(frame.camera, camera)
    size = (camera.width, camera.height)
    rgb = np.asarray(Image.fromarray(shown).resize(size, Image.Resampling.BOX, box))
    halves = [Image.fromarray(masks[..., k]).resize(size, Image.Resampling.BOX, box) for k in (0, 1)]
    return {"rgb": rgb, "masks": np.stack([np.uint8(255) * (np.asarray(m) >= 128) for m in halves], axis=2)}


def points_of(frame: Frame, mask: npt.NDArray[np.uint8], world_from_camera: SE3) -> Array:
    """(P, 3) points, m, in the world, of the pixels in a mask (H, W) whose depth is known.

    Points that stand alone are left out: at the edge between hand and object a pixel of one may have the depth of
    the other, and a single one of them would hold the arm for as long as it is remembered.
    """
    stride = max(1, round(POINT_STRIDE_PX * frame.camera.width / HAND_EYE_CAMERA.width))
    points = frame.camera.unproject(frame.depth_m)[::stride, ::stride]
    keep = (mask[::stride, ::stride] > 0) & (frame.depth_m[::stride, ::stride] > 0)
    return world_from_camera.apply(_supported(points[keep]))


def _supported(points: Array) -> Array:
    """Those of (P, 3) points that have at least `SUPPORT` others within `SUPPORT_M`."""
    if not len(points):
        return points
    near = cKDTree(points).query_ball_point(points, SUPPORT_M, return_length=True)
    return points[near > SUPPORT]


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
    ) -> None:
        """Points (P, 3), m, in the world.

        Args:
            keep_off_object: whether to keep the clearance to the object too, or to the hand alone.
            advance_m: way still to go straight ahead, m, which must be free too; None does not ask what the
                gripper's own volume touches, as on the way back out.
        """
        both = np.concatenate([hand_points, object_points])
        self._avoid_points = both if keep_off_object else hand_points
        self._distance, self._clearance = Clearance(both), Clearance(self._avoid_points)
        self._arm = arm
        self.keep_off_object = keep_off_object
        self.advance_m = advance_m

    def distance(self, position_world: Array) -> float:
        return float(self._distance.distance(position_world))

    def clearance(self, position_world: Array) -> float:
        return float(self._clearance.distance(position_world))

    def in_the_way(self, world_from_gripper: SE3) -> bool:
        if self.advance_m is None:
            return False
        return bool(swept_hits(self._avoid_points, world_from_gripper, self.advance_m).any())

    def is_reachable(self, world_from_gripper: SE3) -> bool:
        return self._arm.is_reachable(world_from_gripper)

    def ease(self, world_from_gripper: SE3) -> float:
        return self._arm.ease(world_from_gripper)

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

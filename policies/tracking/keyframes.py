"""Keyframes: the frames of an episode at half size, the poses they were taken from, and how well they agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from h2rh_env.core.camera import PinholeCamera
from h2rh_env.core.geometry import SE3, Array

from .numba_sweep import halve, sweep

SHRINK = 2
OBJECT, HAND = 1, 2  # channels of a frame; 0 is brightness

Bytes = npt.NDArray[np.uint8]
Frame = npt.NDArray[np.float32]
Floats = npt.NDArray[np.floating]


@dataclass(frozen=True)
class Window:
    """A square of a frame: its middle and its side, px."""

    x: float
    y: float
    side: float

    def places(self, samples: int) -> Array:
        """Places (samples^2, 2) spread evenly over the window, px."""
        steps = ((np.arange(samples) + 0.5) / samples - 0.5) * self.side
        places = np.empty((samples, samples, 2))
        places[..., 0], places[..., 1] = self.x + steps, self.y + steps[:, None]
        return places.reshape(-1, 2)


@dataclass(frozen=True)
class Optics:
    """How a camera sees frames of any size whose middle is its principal point.

    Attributes:
        focal: focal length in widths of the image.
    """

    focal: float

    @classmethod
    def of(cls, camera: PinholeCamera) -> Optics:
        """The optics of a camera with square pixels and its principal point in the middle."""
        return cls(camera.fx / camera.width)

    def focal_px(self, frame: Frame) -> float:
        """The focal length in pixels of a frame, which has a border of one pixel."""
        return self.focal * float(frame.shape[1] - 2)

    def sights(self, places: Floats, frame: Frame) -> Array:
        """Lines of sight, unit vectors (..., 3), through places (..., 2) of a frame, px."""
        middle = np.array([frame.shape[1], frame.shape[0]]) / 2
        rays = np.ones((*places.shape[:-1], 3))
        rays[..., :2] = (places - middle) / self.focal_px(frame)
        return np.asarray(rays / np.sqrt((rays * rays).sum(axis=-1, keepdims=True)))

    def sight_of(self, window: Window, frame: Frame) -> Array:
        """The line of sight (3,) through the middle of a window."""
        return self.sights(np.array([window.x, window.y]), frame)

    def places_of(self, points_camera: Array, frame: Frame) -> Array:
        """Places (..., 2), px, where points (..., 3) appear; those behind the camera are put far outside."""
        z = points_camera[..., 2:]
        middle = np.array([frame.shape[1], frame.shape[0]]) / 2
        flat = points_camera[..., :2] / np.maximum(z, 1e-3)
        return np.where(z > 1e-3, flat * self.focal_px(frame) + middle, 1e6)


class Keyframes:
    """Frames (h, w, 4), at half size within a border of zeros, and `world_from_camera` of each."""

    def __init__(self, optics: Optics) -> None:
        self.optics = optics
        self.frames: list[Frame] = []
        self.poses: list[SE3] = []

    def __len__(self) -> int:
        return len(self.frames)

    def add(self, frame: Frame, world_from_camera: SE3) -> None:
        """Takes in the newest frame."""
        self.frames.append(frame)
        self.poses.append(world_from_camera)

    def apart(self, baselines_m: Sequence[float], least_motion_m: float) -> list[int]:
        """Picks earlier frames to compare the newest one with.

        Args:
            baselines_m: for each of them, the last frame that was taken at least so far away is picked; where none
                was, the one that was taken farthest away.
            least_motion_m: if none was taken farther away than this, none is picked.
        """
        positions = np.stack([pose.translation for pose in self.poses])
        far = np.sqrt(((positions - positions[-1]) ** 2).sum(axis=1))
        farthest = far.max()
        if farthest < least_motion_m:
            return []
        return sorted({int(np.flatnonzero(far >= min(least, farthest))[-1]) for least in baselines_m})

    def disagreement(
        self,
        frame: Frame,
        world_from_camera: SE3,
        earlier: Sequence[int],
        places: Floats,
        sight: Array,
        distances_m: Floats,
    ) -> npt.NDArray[np.float32]:
        """Mean absolute difference of the channels (P, D) between a frame and earlier ones.

        Args:
            places: (P, 2), px, in `frame`.
            sight: unit normal of the planes on which they may lie.
            distances_m: (D,), of the planes along it.
        """
        earlier_from_camera = SE3.stack(self.poses[i] for i in earlier).inverse() @ world_from_camera
        costs = np.empty((len(places), len(distances_m)), np.float32)
        sweep(
            frame,
            np.stack([self.frames[i] for i in earlier]),
            rows_of(earlier_from_camera),
            self.optics.focal_px(frame),
            places.astype(np.float32),
            sight.astype(np.float32),
            distances_m.astype(np.float32),
            costs,
        )
        return costs


def half_size(rgb: Bytes, masks: Bytes) -> Frame:
    """Brightness, object and hand in [0, 1], and nothing, at half size within a border of zeros: (h, w, 4)."""
    height, width = (size // SHRINK for size in masks.shape[:2])
    frame = np.zeros((height + 2, width + 2, 4), np.float32)
    halve(rgb, masks, frame[1:-1, 1:-1])
    return frame


def rows_of(motion: SE3) -> npt.NDArray[np.float32]:
    """[R | t] (..., 3, 4) in float32, as the kernels take it."""
    return motion.matrix[..., :3, :].astype(np.float32)

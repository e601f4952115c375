"""Keyframes: the frames of an episode at half size, the poses they were taken from, and how well they agree."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from h2rh_env.core.camera import HAND_EYE_CAMERA
from h2rh_env.core.geometry import Array

from .numba_sweep import halve, sweep

FOCAL = HAND_EYE_CAMERA.fx / HAND_EYE_CAMERA.width  # in widths of the image
SHRINK = 2
OBJECT, HAND = 1, 2  # channels of a frame; 0 is brightness
LEAST_MOTION_M = 0.003

Frame = npt.NDArray[np.float32]
Floats = npt.NDArray[np.floating]


class Keyframes:
    """Frames (h, w, 4), at half size within a border of zeros, and `world_from_camera` (4, 4) of each."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.poses: list[Array] = []

    def __len__(self) -> int:
        return len(self.frames)

    def add(self, frame: Frame, world_from_camera: Array) -> None:
        self.frames.append(frame)
        self.poses.append(world_from_camera)

    def apart(self, least_m: Sequence[float]) -> list[int]:
        """The last frames taken so far from the newest, or the farthest where none was; none if nothing moved."""
        positions = np.stack(self.poses)[:, :3, 3]
        far = np.sqrt(((positions - positions[-1]) ** 2).sum(axis=1))
        farthest = far.max()
        if farthest < LEAST_MOTION_M:
            return []
        return sorted({int(np.flatnonzero(far >= min(least, farthest))[-1]) for least in least_m})

    def disagreement(
        self,
        frame: Frame,
        world_from_camera: Array,
        earlier: Sequence[int],
        places: Floats,
        sight: Array,
        distances_m: Floats,
    ) -> npt.NDArray[np.float32]:
        """Mean absolute difference of the channels (P, D) between a frame and earlier ones.

        Args:
            places: (P, 2), px, in `frame`.
            sight: unit normal of the planes on which they may lie. distances_m: (D,), of the planes along it.
        """
        motion = np.stack([inverse(self.poses[i]) @ world_from_camera for i in earlier])[:, :3]
        costs = np.empty((len(places), len(distances_m)), np.float32)
        sweep(
            frame, np.stack([self.frames[i] for i in earlier]), motion.astype(np.float32), focal_px(frame),
            places.astype(np.float32), sight.astype(np.float32), distances_m.astype(np.float32), costs,
        )  # fmt: skip
        return costs


def shrunk(rgb: npt.NDArray[np.uint8], masks: npt.NDArray[np.uint8]) -> Frame:
    """Brightness, object and hand in [0, 1], and nothing, at half size within a border of zeros: (h, w, 4)."""
    height, width = (size // SHRINK for size in masks.shape[:2])
    frame = np.zeros((height + 2, width + 2, 4), np.float32)
    halve(rgb, masks, frame[1:-1, 1:-1])
    return frame


def focal_px(frame: Frame) -> float:
    return FOCAL * (frame.shape[1] - 2)


def sights(places: Floats, frame: Frame) -> Array:
    """Unit directions (..., 3) of places (..., 2) in a frame, px."""
    middle = np.array([frame.shape[1], frame.shape[0]]) / 2
    rays = np.ones((*places.shape[:-1], 3))
    rays[..., :2] = (places - middle) / focal_px(frame)
    return np.asarray(rays / np.sqrt((rays * rays).sum(axis=-1, keepdims=True)))


def places_of(points_camera: Array, frame: Frame) -> Array:
    """Where points (..., 3) before the camera appear, px (..., 2); those behind it are put far outside."""
    z = points_camera[..., 2:]
    middle = np.array([frame.shape[1], frame.shape[0]]) / 2
    return np.where(z > 1e-3, points_camera[..., :2] / np.maximum(z, 1e-3) * focal_px(frame) + middle, 1e6)


def inverse(pose: Array) -> Array:
    result = np.eye(4)
    result[:3, :3] = pose[:3, :3].T
    result[:3, 3] = -pose[:3, :3].T @ pose[:3, 3]
    return result

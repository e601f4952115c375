"""Tracker: follows hand and object through the frames of an episode; a Track is what it knows at a frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from h2rh_env.core.action import decode_action
from h2rh_env.core.geometry import SE3, Array

from ..config import PolicyConfig
from .depth import DepthEstimator, window_about
from .keyframes import Bytes, Frame, Keyframes, Optics, half_size
from .mask_filter import false_parts, without
from .surface_points import NOTHING, SurfacePoints

AHEAD = np.array([0.0, 0.0, 1.0])


@dataclass(frozen=True, eq=False)
class Track:
    """What a frame shows, in the light of those before it.

    Attributes:
        rgb: (H, W, 3) image without what the segmenter took in by mistake.
        masks: (H, W, 2) of object and hand, likewise.
        distance_m: to the middle of what is seen of the object, or of the hand that hides it.
        sigma: standard deviation of the logarithm of the distance.
        sight: (3,) line of sight to that middle; straight ahead where neither is seen.
        object_points: (K, 3), m, surface points of the object in the frame's camera; none before the camera moved.
        hand_points: (K, 3), m, those of the hand.
        frames: number of frames of the episode so far.
        camera_from_frame: the frame's camera in the frame of the camera now, since a frame may come late.
    """

    rgb: Bytes
    masks: Bytes
    distance_m: float
    sigma: float
    sight: Array
    object_points: Array
    hand_points: Array
    frames: int
    camera_from_frame: SE3


class Tracker:
    """Tracks one episode whose camera poses are known."""

    def __init__(self, config: PolicyConfig) -> None:
        self._config, self._optics = config.tracking, Optics.of(config.camera)
        self._keyframes = Keyframes(self._optics)
        self._depth = DepthEstimator(self._config.depth)
        self._surface_points = SurfacePoints(self._config.surfaces, self._config.depth.least_motion_m)
        self._raw: Frame | None = None

    def see(
        self, rgb: Bytes, masks: Bytes, world_from_camera: SE3, world_from_last: SE3 | None = None
    ) -> Track:
        """Takes in the newest frame.

        Args:
            rgb: (H, W, 3).
            masks: (H, W, 2), object and hand.
            world_from_camera: in any frame that stays the same during the episode.
            world_from_last: the last pose, which the frame may be from if it came late.
        """
        frame = raw = half_size(rgb, masks)
        pose = self._taken_from(raw, world_from_camera, world_from_last)
        gone = self._false_parts(raw, pose)
        if gone is not None:
            rgb, masks = without(rgb, masks, gone)
            frame = half_size(rgb, masks)
        self._raw = raw
        self._keyframes.add(frame, pose)
        window = window_about(frame, self._config.depth)
        surfaces, sight, distance_m = (NOTHING, NOTHING), AHEAD, self._depth.expected_m(pose)
        if window is not None:
            sight = self._optics.sight_of(window, frame)
            distance_m = self._depth.update(self._keyframes, window, sight)
            surfaces = self._surface_points.see(self._keyframes, window, distance_m)
        camera_from_frame = world_from_camera.inverse() @ pose
        frames = len(self._keyframes)
        return Track(rgb, masks, distance_m, self._depth.sigma, sight, *surfaces, frames, camera_from_frame)

    def correct(self, poses: list[SE3]) -> None:
        """Replaces the poses of all frames so far by others; what was seen stays where it was before the last."""
        if not poses:
            return
        offset_world = poses[-1].translation - self._keyframes.poses[-1].translation
        self._keyframes.poses[:] = poses
        self._depth.shift(offset_world)
        self._surface_points.shift(offset_world)

    def _false_parts(self, frame: Frame, world_from_camera: SE3) -> npt.NDArray[np.bool_] | None:
        """What the segmenter took in by mistake, as far as the frame before tells."""
        if self._raw is None:
            return None
        return false_parts(
            frame,
            self._raw,
            self._keyframes.poses[-1].inverse() @ world_from_camera,
            self._depth.expected_m(world_from_camera),
            self._optics.focal_px(frame),
            self._config.mask_filter,
        )

    def _taken_from(self, frame: Frame, pose: SE3, last_pose: SE3 | None) -> SE3:
        """The one of two poses from which the frame agrees with the earlier ones."""
        config, depth = self._config.late_frames, self._config.depth
        window = window_about(frame, depth)
        if last_pose is None or window is None or not len(self._keyframes):
            return pose
        earlier = list(range(max(0, len(self._keyframes) - config.frames), len(self._keyframes)))
        sight = self._optics.sight_of(window, frame)
        disagreement = []
        for tried in (pose, last_pose):
            logs = np.linspace(-1, 1, config.candidates) * depth.reach / 2 * self._depth.sigma
            distances_m = self._depth.expected_m(tried) * np.exp(logs)
            places = window.places(config.samples)
            costs = self._keyframes.disagreement(frame, tried, earlier, places, sight, distances_m)
            disagreement.append(float(costs.mean(axis=0).min()))
        now, late = disagreement
        return last_pose if late < config.share * now - config.margin else pose


class OwnTracker:
    """Tracks an episode of which the images and the actions are known."""

    def __init__(self, config: PolicyConfig) -> None:
        self._tracker = Tracker(config)
        self._initial_from_camera = self._initial_from_last = SE3.identity()

    def see(self, rgb: Bytes, masks: Bytes) -> Track:
        """Takes in a frame, taken where the last action led, or one action before if it came late."""
        return self._tracker.see(rgb, masks, self._initial_from_camera, self._initial_from_last)

    def acted(self, action: npt.ArrayLike) -> None:
        """Takes note of the action (7,) that follows what was seen."""
        motion, _ = decode_action(action)
        self._initial_from_last = self._initial_from_camera
        self._initial_from_camera = self._initial_from_camera @ motion

    def moved(self, camera_from_next_camera: SE3) -> None:
        """Takes note of the motion that followed instead of the action's."""
        self._initial_from_camera = self._initial_from_last @ camera_from_next_camera


def track_episode(rgb: Bytes, masks: Bytes, world_from_cameras: SE3, config: PolicyConfig) -> list[Track]:
    """Tracks of the frames of an episode in order, any of which may have come a step late.

    Args:
        rgb: (T, H, W, 3).
        masks: (T, H, W, 2), object and hand.
        world_from_cameras: a batch (T,), in any frame that stays the same.
    """
    tracker = Tracker(config)
    last = world_from_cameras[[0, *range(len(rgb) - 1)]]
    return [tracker.see(*frame) for frame in zip(rgb, masks, world_from_cameras, last, strict=True)]

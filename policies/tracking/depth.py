"""Range: how far away the held object is, from how its image changes while the camera moves.

One image does not tell how large a thing is. But the camera knows how it moved, so two images do: the distance is
the one at which the earlier images, seen from where the camera is now, agree best with the present one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from h2rh_env.core.action import decode_action
from h2rh_env.core.geometry import SE3, Array

from .keyframes import HAND, OBJECT, Frame, Keyframes, inverse, shrunk, sights
from .mask_filter import specks, without
from .surface_points import NOTHING, SurfacePoints, probabilities

SIDE_PER_SPREAD = 4.0  # of the window, so that it holds the object with a margin
APART_M = (0.04, 0.12, 0.2)  # from the earlier places that frames are compared with
SAMPLES = 16  # of the window, along each side
CANDIDATES, REACH = 25, 3.0  # distances that are tried, over so many standard deviations to each side
DECISIVENESS = 200.0  # how fast likelihood falls with the disagreement
START_M, START_SIGMA = 0.75, 0.25  # before anything moved; sigma of the logarithm
DRIFT, LEAST_SIGMA = 0.02, 0.02  # the object's visible middle wanders as the view changes
MIN_PIXELS = 12  # of the object at half size; with fewer it counts as unseen
LATE_FRAMES, LATE_SAMPLES, LATE_CANDIDATES = 2, 10, 7
LATE_SHARE, LATE_MARGIN = 0.7, 0.002  # of the disagreement, below which a frame counts as late
AHEAD = np.array([0.0, 0.0, 1.0])

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Track:
    """What a frame shows, in the light of those before it.

    Attributes:
        rgb: (H, W, 3); masks: (H, W, 2), object and hand; without what the segmenter took in by mistake.
        distance_m: to the middle of what is seen of the object, or of the hand that hides it; sigma: standard
            deviation of the logarithm; sight: (3,), its direction, straight ahead where neither is seen.
        object_points, hand_points: (K, 3), m, in the frame's camera, coarsely what was seen of object and hand; none
            before the camera has moved.
        frames: seen so far in the episode.
        camera_from_frame: (4, 4), the frame's camera before the camera now: a frame may come late.
    """

    rgb: Bytes
    masks: Bytes
    distance_m: float
    sigma: float
    sight: Array
    object_points: Array
    hand_points: Array
    frames: int
    camera_from_frame: Array


class Tracker:
    """Follows one episode."""

    def __init__(self) -> None:
        self._keyframes = Keyframes()
        self._surface_points = SurfacePoints()
        self._raw: Frame | None = None
        self._point: Array | None = None
        self._sigma = START_SIGMA

    def see(
        self, rgb: Bytes, masks: Bytes, world_from_camera: Array, world_from_late: Array | None = None
    ) -> Track:
        """The newest frame.

        Args:
            rgb: (H, W, 3); masks: (H, W, 2), object and hand.
            world_from_camera: (4, 4), in any frame that stays the same during the episode.
            world_from_late: the last pose, which the frame may be from if it came late.
        """
        frame = raw = shrunk(rgb, masks)
        pose = self._taken_from(raw, world_from_camera, world_from_late)
        if self._raw is not None:
            gone = specks(raw, self._raw, inverse(self._keyframes.poses[-1]) @ pose, self._expected(pose))
            if gone is not None:
                rgb, masks = without(rgb, masks, gone)
                frame = shrunk(rgb, masks)
        self._raw = raw
        self._keyframes.add(frame, pose)
        surfaces, sight = (NOTHING, NOTHING), AHEAD
        window = window_about(frame)
        distance_m = self._expected(pose)
        if window is not None:
            sight = sights(window[:2], frame)
            distance_m, self._sigma = self._estimate(window, sight, distance_m)
            self._point = pose[:3, :3] @ (sight * distance_m) + pose[:3, 3]
            surfaces = self._surface_points.see(self._keyframes, window, distance_m)
        now_from_then = inverse(world_from_camera) @ pose
        frames = len(self._keyframes)
        return Track(rgb, masks, distance_m, self._sigma, sight, *surfaces, frames, now_from_then)

    def correct(self, poses: list[Array]) -> None:
        """Poses (4, 4) of the frames so far, found to be others; what was seen stays where it was before the last."""
        if not poses:
            return
        shift = poses[-1][:3, 3] - self._keyframes.poses[-1][:3, 3]
        self._keyframes.poses[:] = poses
        if self._point is not None:
            self._point = self._point + shift
        self._surface_points.shift(shift)

    def _taken_from(self, frame: Frame, pose: Array, late_pose: Array | None) -> Array:
        """The one of two poses from which the frame agrees with the earlier ones."""
        window = window_about(frame)
        if late_pose is None or window is None or not len(self._keyframes):
            return pose
        earlier = list(range(max(0, len(self._keyframes) - LATE_FRAMES), len(self._keyframes)))
        sight = sights(window[:2], frame)
        disagreement = []
        for tried in (pose, late_pose):
            logs = np.linspace(-1, 1, LATE_CANDIDATES) * REACH / 2 * self._sigma
            distances_m = self._expected(tried) * np.exp(logs)
            grid = spread_over(window, LATE_SAMPLES)
            costs = self._keyframes.disagreement(frame, tried, earlier, grid, sight, distances_m)
            disagreement.append(float(costs.mean(axis=0).min()))
        now, late = disagreement
        return late_pose if late < LATE_SHARE * now - LATE_MARGIN else pose

    def _expected(self, pose: Array) -> float:
        if self._point is None:
            return START_M
        return max(float(np.linalg.norm(self._point - pose[:3, 3])), 0.1)

    def _estimate(self, window: Frame, sight: Array, expected_m: float) -> tuple[float, float]:
        """Distance, m, and sigma."""
        views = self._keyframes
        sigma = float(np.hypot(self._sigma, DRIFT)) if self._point is not None else START_SIGMA
        earlier = views.apart(APART_M)
        if not earlier:
            return expected_m, sigma
        frame, pose = views.frames[-1], views.poses[-1]
        logs = np.log(expected_m) + np.linspace(-REACH * sigma, REACH * sigma, CANDIDATES)
        costs = views.disagreement(frame, pose, earlier, spread_over(window, SAMPLES), sight, np.exp(logs))
        belief = probabilities(costs.mean(axis=0), logs, np.log(expected_m), sigma, DECISIVENESS)
        mean = float(belief @ logs)
        spread = float(np.sqrt(belief @ (logs - mean) ** 2))
        return float(np.exp(mean)), max(spread, LEAST_SIGMA)


class OwnTracker:
    """Follows an episode of which the images and the actions are known."""

    def __init__(self) -> None:
        self._tracker = Tracker()
        self._start_from_camera = self._start_from_last = SE3.identity()

    def see(self, rgb: Bytes, masks: Bytes) -> Track:
        """What a frame shows that was taken where the last action led, or one action before if it came late."""
        return self._tracker.see(rgb, masks, self._start_from_camera.matrix, self._start_from_last.matrix)

    def acted(self, action: npt.ArrayLike) -> None:
        """Tells the action (7,) that follows what was seen."""
        motion, _ = decode_action(action)
        self._start_from_last = self._start_from_camera
        self._start_from_camera = self._start_from_camera @ motion

    def moved(self, camera_from_next_camera: SE3) -> None:
        """Tells what motion followed instead of the action's."""
        self._start_from_camera = self._start_from_last @ camera_from_next_camera


def track_episode(rgb: Bytes, masks: Bytes, world_from_camera: Array) -> list[Track]:
    """The tracks of the frames (T, ...) of an episode in order, any of which may have come a step late."""
    tracker = Tracker()
    last = world_from_camera[[0, *range(len(rgb) - 1)]]
    return [tracker.see(*frame) for frame in zip(rgb, masks, world_from_camera, last, strict=True)]


def spread_over(window: Frame, samples: int) -> Array:
    """Places (samples^2, 2) spread over a window, px."""
    steps = ((np.arange(samples) + 0.5) / samples - 0.5) * window[2]
    places = np.empty((samples, samples, 2))
    places[..., 0], places[..., 1] = window[0] + steps, window[1] + steps[:, None]
    return places.reshape(-1, 2)


def window_about(frame: Frame) -> Frame | None:
    """Middle x, y and side, px, of a window about the object, or the hand that hides it; None if neither is seen."""
    for mask in (frame[..., OBJECT], frame[..., HAND]):
        columns, rows = mask.sum(0), mask.sum(1)
        mass = float(rows.sum())
        if mass >= MIN_PIXELS:
            x, y = np.arange(mask.shape[1]) + 0.5, np.arange(mask.shape[0]) + 0.5
            mean_x, mean_y = float(columns @ x) / mass, float(rows @ y) / mass
            spread = np.sqrt((columns @ (x - mean_x) ** 2 + rows @ (y - mean_y) ** 2) / mass)
            return np.array([mean_x, mean_y, SIDE_PER_SPREAD * spread], np.float32)
    return None

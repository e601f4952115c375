"""Range: how far away the held object is, from how its image changes while the camera moves.

One image does not tell how large a thing is. But the camera knows how it moved, so two images do: the distance is
the one at which the earlier images, seen from where the camera is now, agree best with the present one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import uniform_filter

from h2rh_env.camera import HAND_EYE_CAMERA
from h2rh_env.geometry import SE3, Array
from h2rh_env.interface import decode_action

from .numba_sweep import sweep

FOCAL = HAND_EYE_CAMERA.fx / HAND_EYE_CAMERA.width  # in widths of the image
SHRINK = 2  # frames are compared at half their size
SIDE_PER_SPREAD = 4.0  # of the window, so that it holds the object with a margin
BACK = (1, 3, 6)  # the earlier frames that are compared with for the range,
FAR_BACK = (2, 5, 9)  # and for the surface, which takes a longer base
CELLS = 10  # of the window along each side, that the surface has a point in
RELIEF_REACH, RELIEF_SIGMA = 0.3, 0.2  # how far, in logarithms, the surface may be off the range
SURFACE_LAG_M = 0.018  # cells see the surface so much too far off, where edges and hand blur into them
CANDIDATES, REACH = 25, 3.0  # distances that are tried, over so many standard deviations to each side
DECISIVENESS = 200.0  # how fast likelihood falls with the mean difference of the channels, in [0, 1]
START_M, START_SIGMA = 0.75, 0.25  # before anything moved; sigma of the logarithm
DRIFT, LEAST_SIGMA = 0.02, 0.02  # the object's visible middle wanders as the view changes
FILLED = 0.5  # of a cell's middle that is taken for the object's, or the hand's
NOTHING = np.zeros((0, 3))
MIN_PIXELS = 12  # of the object at half size; with fewer it counts as unseen


@dataclass(frozen=True, eq=False)
class Range:
    """How far the object is.

    Attributes:
        distance_m: to the middle of what is seen of it; sigma: standard deviation of the logarithm.
        object_points, hand_points: (K, 3), m, in the camera's frame, coarsely what is seen of object and hand; none
            before the camera has moved.
        frames: seen so far in the episode.
    """

    distance_m: float
    sigma: float
    object_points: Array
    hand_points: Array
    frames: int

    @property
    def numbers(self) -> npt.NDArray[np.float32]:
        """Distance and sigma, (2,)."""
        return np.array([self.distance_m, self.sigma], np.float32)


class MotionRange:
    """Follows one episode."""

    def __init__(self) -> None:
        self._frames: list[npt.NDArray[np.float32]] = []
        self._poses: list[Array] = []
        self._point: Array | None = None
        self._sigma = START_SIGMA

    def see(
        self, rgb: npt.NDArray[np.uint8], masks: npt.NDArray[np.uint8], world_from_camera: Array
    ) -> Range:
        """The range from the newest camera.

        Args:
            rgb: (H, W, 3); masks: (H, W, 2), object and hand.
            world_from_camera: (4, 4), in any frame that stays the same during the episode.
        """
        frame = _shrunk(rgb, masks)
        self._frames.append(frame)
        self._poses.append(np.asarray(world_from_camera, np.float64))
        window = _window(frame)
        if window is None:
            return Range(self._expected(), self._sigma, NOTHING, NOTHING, len(self._frames))
        distance_m, self._sigma = self._estimate(window)
        sight = _sights(window[:2], frame)
        self._point = self._poses[-1][:3, :3] @ (sight * distance_m) + self._poses[-1][:3, 3]
        return Range(distance_m, self._sigma, *self._surfaces(window, distance_m), len(self._frames))

    def _expected(self) -> float:
        if self._point is None:
            return START_M
        return float(np.linalg.norm(self._point - self._poses[-1][:3, 3]))

    def _estimate(self, window: npt.NDArray[np.float32]) -> tuple[float, float]:
        """Distance, m, and sigma."""
        prior = float(np.log(max(self._expected(), 0.1)))
        sigma = float(np.hypot(self._sigma, DRIFT)) if self._point is not None else START_SIGMA
        earlier = self._earlier(BACK)
        if not earlier:
            return float(np.exp(prior)), sigma
        logs = prior + np.linspace(-REACH * sigma, REACH * sigma, CANDIDATES)
        belief = self._belief(window, earlier, logs, 1, prior, sigma)[0, 0]
        mean = float(belief @ logs)
        spread = float(np.sqrt(belief @ (logs - mean) ** 2))
        return float(np.exp(mean)), max(spread, LEAST_SIGMA)

    def _surfaces(self, window: npt.NDArray[np.float32], distance_m: float) -> tuple[Array, Array]:
        """Points (K, 3) of the cells that the object fills, and of those that the hand fills."""
        frame = self._frames[-1]
        earlier = self._earlier(FAR_BACK)
        if not earlier:
            return NOTHING, NOTHING
        middle = float(np.log(distance_m))
        logs = middle + np.linspace(-RELIEF_REACH, RELIEF_REACH, CANDIDATES)
        belief = self._belief(window, earlier, logs, CELLS, middle, RELIEF_SIGMA)
        steps = (np.arange(CELLS) + 0.5) / CELLS - 0.5
        u, v = np.meshgrid(window[0] + window[2] * steps, window[1] + window[2] * steps)
        sights = _sights(np.stack([u, v], axis=-1), frame)
        depths = np.exp(belief @ logs) / (sights @ _sights(window[:2], frame)) - SURFACE_LAG_M
        points = sights * depths[..., None]
        rows, columns = v.astype(int).clip(0, frame.shape[0] - 1), u.astype(int).clip(0, frame.shape[1] - 1)
        masks = frame[rows, columns]
        return points[masks[..., 1] > FILLED], points[masks[..., 2] > FILLED]

    def _earlier(self, back: Sequence[int]) -> list[int]:
        return [i for i in (len(self._frames) - 1 - steps for steps in back) if i >= 0]

    def _belief(
        self,
        window: npt.NDArray[np.float32],
        earlier: list[int],
        logs: Array,
        cells: int,
        middle: float,
        sigma: float,
    ) -> Array:
        """Probabilities (C, C, D) of logarithms (D,) of the distance, of each cell of a window."""
        frame = self._frames[-1]
        motion = np.stack([_inverse(self._poses[i]) @ self._poses[-1] for i in earlier])
        costs = np.empty((cells, cells, len(logs)), np.float32)
        sweep(
            frame, np.stack([self._frames[i] for i in earlier]), motion[:, :3].astype(np.float32), _focal(frame),
            window, np.exp(logs).astype(np.float32), costs,
        )  # fmt: skip
        if cells > 1:
            costs = uniform_filter(costs, (3, 3, 1))
        weights = -DECISIVENESS * costs - 0.5 * ((logs - middle) / sigma) ** 2
        weights = np.exp(weights - weights.max(axis=-1, keepdims=True))
        belief: Array = weights / weights.sum(axis=-1, keepdims=True)
        return belief


class OwnRange:
    """The range in an episode of which the images and the actions are known."""

    def __init__(self) -> None:
        self._ranging = MotionRange()
        self._start_from_camera = SE3.identity()
        self._motion = SE3.identity()

    def see(self, rgb: npt.NDArray[np.uint8], masks: npt.NDArray[np.uint8]) -> Range:
        """The range from where the last action led."""
        self._start_from_camera = self._start_from_camera @ self._motion
        self._motion = SE3.identity()
        return self._ranging.see(rgb, masks, self._start_from_camera.matrix)

    def acted(self, action: npt.ArrayLike) -> None:
        """Tells the action (7,) that follows what was seen."""
        self._motion, _ = decode_action(action)

    def moved(self, camera_from_next_camera: SE3) -> None:
        """Tells what motion followed instead of the action's."""
        self._motion = camera_from_next_camera


def track(
    rgb: npt.NDArray[np.uint8], masks: npt.NDArray[np.uint8], world_from_camera: Array
) -> npt.NDArray[np.float32]:
    """Ranges (T, 2), distance in m and sigma, of the frames of an episode in order."""
    ranging = MotionRange()
    frames = zip(rgb, masks, world_from_camera, strict=True)
    return np.array([ranging.see(*frame).numbers for frame in frames], np.float32).reshape(-1, 2)


def _shrunk(rgb: npt.NDArray[np.uint8], masks: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Brightness, object and hand in [0, 1], and nothing, at half size within a border of zeros: (h, w, 4)."""
    height, width = (size // SHRINK for size in masks.shape[:2])
    frame = np.zeros((height + 2, width + 2, 4), np.float32)
    brightness = rgb[..., 0].astype(np.uint16) + rgb[..., 1] + rgb[..., 2]
    for channel, values in enumerate((brightness, masks[..., 0], masks[..., 1])):
        total = np.zeros((height, width), np.uint16)
        for y in range(SHRINK):
            for x in range(SHRINK):
                total += values[y : SHRINK * height : SHRINK, x : SHRINK * width : SHRINK]
        frame[1:-1, 1:-1, channel] = total
    frame *= np.array([1 / 3, 1, 1, 1], np.float32) / np.float32(255 * SHRINK**2)
    return frame


def _window(frame: npt.NDArray[np.float32]) -> npt.NDArray[np.float32] | None:
    """Middle x, y and side, px, of a window about the object, or the hand that hides it; None if neither is seen."""
    for mask in (frame[..., 1], frame[..., 2]):
        mass = float(mask.sum())
        if mass >= MIN_PIXELS:
            x, y = np.arange(mask.shape[1]) + 0.5, np.arange(mask.shape[0]) + 0.5
            columns, rows = mask.sum(0) / mass, mask.sum(1) / mass
            mean_x, mean_y = float(columns @ x), float(rows @ y)
            spread = np.sqrt(columns @ (x - mean_x) ** 2 + rows @ (y - mean_y) ** 2)
            return np.array([mean_x, mean_y, SIDE_PER_SPREAD * spread], np.float32)
    return None


def _focal(frame: npt.NDArray[np.float32]) -> float:
    return FOCAL * (frame.shape[1] - 2)


def _sights(places: npt.NDArray[np.floating], frame: npt.NDArray[np.float32]) -> Array:
    """Unit directions (..., 3) of places (..., 2) in a frame, px."""
    middle = np.array([frame.shape[1], frame.shape[0]]) / 2
    rays = np.concatenate([(places - middle) / _focal(frame), np.ones((*places.shape[:-1], 1))], axis=-1)
    return np.asarray(rays / np.linalg.norm(rays, axis=-1, keepdims=True))


def _inverse(pose: Array) -> Array:
    result = np.eye(4)
    result[:3, :3] = pose[:3, :3].T
    result[:3, 3] = -pose[:3, :3].T @ pose[:3, 3]
    return result

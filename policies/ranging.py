"""Range: how far away the held object is, from how its image changes while the camera moves.

One image does not tell how large a thing is. But the camera knows how it moved, so two images do: the distance is
the one at which the earlier images, seen from where the camera is now, agree best with the present one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from h2rh_env.camera import HAND_EYE_CAMERA
from h2rh_env.geometry import SE3, Array
from h2rh_env.interface import decode_action

from .numba_sweep import sweep

FOCAL = HAND_EYE_CAMERA.fx / HAND_EYE_CAMERA.width  # in widths of the image
SHRINK = 2  # frames are compared at half their size
SIDE_PER_SPREAD = 4.0  # of the window, so that it holds the object with a margin
BACK = (1, 3, 6)  # the earlier frames that are compared with
CANDIDATES, REACH = 25, 3.0  # distances that are tried, over so many standard deviations to each side
DECISIVENESS = (
    200.0  # how fast the likelihood falls with the mean difference of the channels, which are in [0, 1]
)
START_M, START_SIGMA = 0.75, 0.25  # before anything moved; sigma of the logarithm
DRIFT, LEAST_SIGMA = 0.02, 0.02  # the object's visible middle wanders as the view changes
MIN_PIXELS = 12  # of the object at half size; with fewer it counts as unseen


@dataclass(frozen=True)
class Range:
    """Distance to the middle of what is seen of the object, m, and the standard deviation of its logarithm."""

    distance_m: float
    sigma: float


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
            return Range(self._expected(), self._sigma)
        estimate = self._estimate(frame, window)
        sight = _sight(window, frame)
        self._point = self._poses[-1][:3, :3] @ (sight * estimate.distance_m) + self._poses[-1][:3, 3]
        self._sigma = estimate.sigma
        return estimate

    def _expected(self) -> float:
        if self._point is None:
            return START_M
        return float(np.linalg.norm(self._point - self._poses[-1][:3, 3]))

    def _estimate(self, frame: npt.NDArray[np.float32], window: npt.NDArray[np.float32]) -> Range:
        prior = np.log(max(self._expected(), 0.1))
        sigma = float(np.hypot(self._sigma, DRIFT)) if self._point is not None else START_SIGMA
        earlier = [i for i in (len(self._frames) - 1 - back for back in BACK) if i >= 0]
        if not earlier:
            return Range(float(np.exp(prior)), sigma)
        logs = prior + np.linspace(-REACH * sigma, REACH * sigma, CANDIDATES)
        motion = np.stack([_inverse(self._poses[i]) @ self._poses[-1] for i in earlier])
        costs = np.empty(CANDIDATES)
        sweep(
            frame, np.stack([self._frames[i] for i in earlier]), motion[:, :3].astype(np.float32), _focal(frame),
            window, np.exp(logs).astype(np.float32), costs,
        )  # fmt: skip
        weights = -DECISIVENESS * costs - 0.5 * ((logs - prior) / sigma) ** 2
        weights = np.exp(weights - weights.max())
        weights /= weights.sum()
        mean = float(weights @ logs)
        spread = float(np.sqrt(weights @ (logs - mean) ** 2))
        return Range(float(np.exp(mean)), max(spread, LEAST_SIGMA))


class OwnRange:
    """The range in an episode of which the images and the actions are known."""

    def __init__(self) -> None:
        self._ranging = MotionRange()
        self._start_from_camera = SE3.identity()
        self._motion = SE3.identity()

    def see(self, rgb: npt.NDArray[np.uint8], masks: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Distance, m, and sigma, (2,), from where the last action led."""
        self._start_from_camera = self._start_from_camera @ self._motion
        self._motion = SE3.identity()
        seen = self._ranging.see(rgb, masks, self._start_from_camera.matrix)
        return np.array([seen.distance_m, seen.sigma], np.float32)

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
    ranges = [ranging.see(*frame) for frame in zip(rgb, masks, world_from_camera, strict=True)]
    return np.array([(r.distance_m, r.sigma) for r in ranges], np.float32).reshape(-1, 2)


def _shrunk(rgb: npt.NDArray[np.uint8], masks: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Brightness, object and hand in [0, 1], and nothing, at half size within a border of zeros: (h, w, 4)."""
    height, width = (size // SHRINK for size in masks.shape[:2])
    frame = np.zeros((height + 2, width + 2, 4), np.float32)
    inside = frame[1:-1, 1:-1]
    for y in range(SHRINK):
        for x in range(SHRINK):
            here = slice(y, SHRINK * height, SHRINK), slice(x, SHRINK * width, SHRINK)
            inside[..., 0] += rgb[here] @ np.full(3, 1 / 3, np.float32)
            inside[..., 1:3] += masks[here]
    inside /= 255 * SHRINK**2
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


def _sight(window: npt.NDArray[np.float32], frame: npt.NDArray[np.float32]) -> Array:
    x, y = window[0] - frame.shape[1] / 2, window[1] - frame.shape[0] / 2
    ray = np.array([x / _focal(frame), y / _focal(frame), 1.0])
    return ray / np.linalg.norm(ray)


def _inverse(pose: Array) -> Array:
    result = np.eye(4)
    result[:3, :3] = pose[:3, :3].T
    result[:3, 3] = -pose[:3, :3].T @ pose[:3, 3]
    return result

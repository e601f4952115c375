"""Depth estimation: how far away the held object is, from how its image changes while the camera moves.

One image does not tell how large a thing is. But the camera knows how it moved, so two images do: the distance is
the one at which the earlier images, seen from where the camera is now, agree best with the present one.
"""

from __future__ import annotations

import numpy as np

from h2rh_env.core.geometry import SE3, Array

from ..config import DepthConfig
from .keyframes import HAND, OBJECT, Frame, Keyframes, Window
from .surface_points import probabilities


class DepthEstimator:
    """Knows where the middle of the object was seen last, and how sure that is.

    Attributes:
        sigma: standard deviation of the logarithm of the distance.
    """

    def __init__(self, config: DepthConfig) -> None:
        self._config = config
        self._point_world: Array | None = None
        self.sigma = config.initial_sigma

    def expected_m(self, world_from_camera: SE3) -> float:
        """The distance that is expected from a pose before looking."""
        if self._point_world is None:
            return self._config.initial_m
        away = float(np.linalg.norm(self._point_world - world_from_camera.translation))
        return max(away, self._config.least_m)

    def update(self, views: Keyframes, window: Window, sight: Array) -> float:
        """Estimates the distance, m, to what a window of the newest frame shows along its line of sight (3,)."""
        world_from_camera = views.poses[-1]
        distance_m, self.sigma = self._estimate(views, window, sight, self.expected_m(world_from_camera))
        self._point_world = world_from_camera.apply(sight * distance_m)
        return distance_m

    def shift(self, offset_world: Array) -> None:
        """Moves the point remembered by (3,), m, since it was found to lie elsewhere."""
        if self._point_world is not None:
            self._point_world = self._point_world + offset_world

    def _estimate(
        self, views: Keyframes, window: Window, sight: Array, expected_m: float
    ) -> tuple[float, float]:
        """Distance, m, and sigma."""
        config = self._config
        known = self._point_world is not None
        sigma = float(np.hypot(self.sigma, config.drift_sigma)) if known else config.initial_sigma
        earlier = views.apart(config.baselines_m, config.least_motion_m)
        if not earlier:
            return expected_m, sigma
        reach = config.reach * sigma
        logs = np.log(expected_m) + np.linspace(-reach, reach, config.candidates)
        places = window.places(config.samples)
        costs = views.disagreement(views.frames[-1], views.poses[-1], earlier, places, sight, np.exp(logs))
        belief = probabilities(
            costs.mean(axis=0), logs, np.log(expected_m), sigma, config.decisiveness, config.noise
        )
        mean = float(belief @ logs)
        spread = float(np.sqrt(belief @ (logs - mean) ** 2))
        return float(np.exp(mean)), max(spread, config.least_sigma)


def window_about(frame: Frame, config: DepthConfig) -> Window | None:
    """A window about the object, or about the hand that hides it; None if neither is seen."""
    for mask in (frame[..., OBJECT], frame[..., HAND]):
        columns, rows = mask.sum(0), mask.sum(1)
        mass = float(rows.sum())
        if mass >= config.least_pixels:
            x, y = np.arange(mask.shape[1]) + 0.5, np.arange(mask.shape[0]) + 0.5
            mean_x, mean_y = float(columns @ x) / mass, float(rows @ y) / mass
            spread = np.sqrt((columns @ (x - mean_x) ** 2 + rows @ (y - mean_y) ** 2) / mass)
            # A frame's numbers are float32, and so are the window's: the shipped policy's figures depend on it.
            return Window(*np.array([mean_x, mean_y, config.window_per_spread * spread], np.float32).tolist())
    return None

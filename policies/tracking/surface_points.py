"""SurfacePoints: where the surfaces of object and hand are in space, as far as the camera's motion tells."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from h2rh_env.core.geometry import Array

from ..config import SurfaceConfig
from .keyframes import HAND, OBJECT, Floats, Frame, Keyframes, Optics, Window

NOTHING = np.zeros((0, 3))
PATCH = np.array([[0, 0], [1, 1], [-1, 1], [1, -1], [-1, -1]])


class SurfacePoints:
    """Tracks one episode, and remembers what has left the image, or was left out by a segmenter."""

    def __init__(self, config: SurfaceConfig, least_motion_m: float) -> None:
        """Begins an episode.

        Args:
            least_motion_m: earlier frames tell something once the camera has moved by this much.
        """
        self._config, self._least_motion_m = config, least_motion_m
        self._world_points = {OBJECT: NOTHING, HAND: NOTHING}

    def see(self, views: Keyframes, window: Window, distance_m: float) -> tuple[Array, Array]:
        """Points (K, 3) of the object, and of the hand, m, in the newest camera's frame.

        Args:
            window: about the object.
            distance_m: to what is there.
        """
        frame, world_from_camera = views.frames[-1], views.poses[-1]
        camera_from_world = world_from_camera.inverse()
        found = self._surfaces(views, window, distance_m)
        for part, seen in found.items():
            before = camera_from_world.apply(self._world_points[part])
            kept = _out_of_image(before, frame, views.optics) if len(seen) else slice(None)
            found[part] = np.concatenate([seen, before[kept]])
            self._world_points[part] = world_from_camera.apply(found[part])
        return found[OBJECT], found[HAND]

    def shift(self, offset_world: Array) -> None:
        """Moves everything remembered by (3,), m, since it was found to lie elsewhere."""
        for part, points in self._world_points.items():
            self._world_points[part] = points + offset_world

    def _surfaces(self, views: Keyframes, window: Window, distance_m: float) -> dict[int, Array]:
        config, frame = self._config, views.frames[-1]
        earlier = views.apart(config.baselines_m, self._least_motion_m)
        if not earlier:
            return {OBJECT: NOTHING, HAND: NOTHING}
        sight = views.optics.sight_of(window, frame)
        offsets = np.linspace(-config.nearer, config.farther, config.candidates)
        places = {part: self._spread_over(frame[..., part]) for part in (OBJECT, HAND)}
        swept = np.concatenate([self._swept(part) for part in places.values()])
        patches = (swept[:, None] + config.patch_px * PATCH).reshape(-1, 2)
        costs = views.disagreement(
            frame, views.poses[-1], earlier, patches, sight, distance_m * np.exp(offsets)
        )
        costs = costs.reshape(len(swept), len(PATCH), config.candidates).mean(axis=1)
        surfaces, first = {}, 0
        for (part, here), lag_m in zip(places.items(), (config.object_lag_m, config.hand_lag_m), strict=True):
            own = slice(first, first + len(self._swept(here)))
            first = own.stop
            nearby = _nearby(here, swept[own], config.smoothing * window.side)
            belief = probabilities(
                nearby @ costs[own], offsets, 0.0, config.sigma, config.decisiveness, config.noise
            )
            directions = views.optics.sights(here, frame)
            depths_m = distance_m * np.exp(belief @ offsets) / (directions @ sight) - lag_m
            surfaces[part] = directions * depths_m[:, None]
        return surfaces

    def _swept(self, places: Array) -> Array:
        stride = self._config.stride
        return places[stride // 2 :: stride]

    def _spread_over(self, mask: Frame) -> Array:
        """Middles (K, 2) of pixels spread over a mask, px."""
        count = self._config.points
        pixels = np.flatnonzero(mask.ravel() > self._config.filled)
        if len(pixels) > count:
            pixels = pixels[np.linspace(0, len(pixels) - 1, count).astype(int)]
        elif len(pixels) <= self._config.stride // 2:
            pixels = pixels[:0]
        rows, columns = np.divmod(pixels, mask.shape[1])
        return np.stack([columns + 0.5, rows + 0.5], axis=1)


def probabilities(
    costs: Floats, values: Array, middle: float, sigma: float, decisiveness: float, noise: float
) -> Array:
    """Probabilities (..., D) of values (D,), which sum to 1.

    Args:
        costs: (..., D), the disagreement of frames at each value.
        middle, sigma: of a normal belief before.
        decisiveness: how fast the likelihood falls with the disagreement.
        noise: with this much disagreement at best, differences of it count half.
    """
    at_best = costs.min(axis=-1, keepdims=True)
    weights = -decisiveness * costs / (1 + at_best / noise) - 0.5 * ((values - middle) / sigma) ** 2
    weights = np.exp(weights - weights.max(axis=-1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=-1, keepdims=True))


def _nearby(here: Array, others: Array, reach_px: float) -> npt.NDArray[np.float32]:
    """Weights (K, L) by which places learn from others; each row sums to 1."""
    apart = (here[:, None, 0] - others[:, 0]) ** 2 + (here[:, None, 1] - others[:, 1]) ** 2
    weights = np.exp(apart / np.float32(-2 * max(reach_px, 1.0) ** 2)) + 1e-30
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)


def _out_of_image(points_camera: Array, frame: Frame, optics: Optics) -> npt.NDArray[np.bool_]:
    size = np.array([frame.shape[1], frame.shape[0]])
    places = optics.places_of(points_camera, frame)
    return (points_camera[:, 2] > 0) & ((places < 1) | (places > size - 1)).any(axis=1)

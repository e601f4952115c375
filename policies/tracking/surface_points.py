"""SurfacePoints: where the surfaces of object and hand are in space, as far as the camera's motion tells."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from h2rh_env.core.geometry import Array

from .keyframes import HAND, OBJECT, Floats, Frame, Keyframes, inverse, places_of, sights

APART_M = (0.04, 0.08, 0.14)  # from the earlier places that frames are compared with
POINTS, EVERY = 180, 4  # of each part; every fourth is swept, and the others learn of those beside them
PATCH = 2 * np.array([[0, 0], [1, 1], [-1, 1], [1, -1], [-1, -1]])  # px that are compared for one point
SMOOTH = 0.07  # how far, in widths of the window, points of one part learn of each other
NEAR, FAR, CANDIDATES = 0.6, 0.3, 25  # how far a surface may be off the range, in logarithms
NOISE = 0.015  # with so much disagreement at best, differences of it count half
SIGMA = 0.2  # of that, before looking
DECISIVENESS = 400.0  # how fast likelihood falls with the disagreement
OBJECT_LAG_M, HAND_LAG_M = 0.011, 0.022  # surfaces look so much too far off: edges blur into what is behind
FILLED = 0.5
NOTHING = np.zeros((0, 3))


class SurfacePoints:
    """Follows one episode, and remembers what has left the picture, or was left out by a segmenter."""

    def __init__(self) -> None:
        self._world_points = {OBJECT: NOTHING, HAND: NOTHING}

    def see(self, views: Keyframes, window: Frame, distance_m: float) -> tuple[Array, Array]:
        """Points (K, 3) of the object, and of the hand, m, before the newest camera.

        Args:
            window: middle x and y and side, px, of a window about the object. distance_m: to what is there.
        """
        frame, pose = views.frames[-1], views.poses[-1]
        camera_from_world = inverse(pose)
        found = self._surfaces(views, window, distance_m)
        for part, seen in found.items():
            before = self._world_points[part] @ camera_from_world[:3, :3].T + camera_from_world[:3, 3]
            kept = _out_of_picture(before, frame) if len(seen) else slice(None)
            found[part] = np.concatenate([seen, before[kept]])
            self._world_points[part] = found[part] @ pose[:3, :3].T + pose[:3, 3]
        return found[OBJECT], found[HAND]

    def shift(self, offset: Array) -> None:
        """What is remembered turns out to lie elsewhere, by (3,), m."""
        for part, points in self._world_points.items():
            self._world_points[part] = points + offset

    def _surfaces(self, views: Keyframes, window: Frame, distance_m: float) -> dict[int, Array]:
        frame, pose = views.frames[-1], views.poses[-1]
        earlier = views.apart(APART_M)
        if not earlier:
            return {OBJECT: NOTHING, HAND: NOTHING}
        sight = sights(window[:2], frame)
        offsets = np.linspace(-NEAR, FAR, CANDIDATES)
        places = {part: _spread_over(frame[..., part]) for part in (OBJECT, HAND)}
        swept = np.concatenate([part[EVERY // 2 :: EVERY] for part in places.values()])
        patches = (swept[:, None] + PATCH).reshape(-1, 2)
        costs = views.disagreement(frame, pose, earlier, patches, sight, distance_m * np.exp(offsets))
        costs = costs.reshape(len(swept), len(PATCH), CANDIDATES).mean(axis=1)
        surfaces, first = {}, 0
        for (part, here), lag_m in zip(places.items(), (OBJECT_LAG_M, HAND_LAG_M), strict=True):
            own = slice(first, first + len(here[EVERY // 2 :: EVERY]))
            first = own.stop
            nearby = _nearby(here, swept[own], SMOOTH * float(window[2]))
            off = probabilities(nearby @ costs[own], offsets, 0.0, SIGMA, DECISIVENESS) @ offsets
            directions = sights(here, frame)
            depths = distance_m * np.exp(off) / (directions @ sight) - lag_m
            surfaces[part] = directions * depths[:, None]
        return surfaces


def probabilities(costs: Floats, values: Array, middle: float, sigma: float, decisiveness: float) -> Array:
    """Of values (D,), by the disagreement (..., D) at each and a normal belief before; (..., D), sums to 1."""
    at_best = costs.min(axis=-1, keepdims=True)
    weights = -decisiveness * costs / (1 + at_best / NOISE) - 0.5 * ((values - middle) / sigma) ** 2
    weights = np.exp(weights - weights.max(axis=-1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=-1, keepdims=True))


def _spread_over(mask: Frame) -> Array:
    """Middles (K, 2) of at most `POINTS` pixels spread over a mask, px."""
    pixels = np.flatnonzero(mask.ravel() > FILLED)
    if len(pixels) > POINTS:
        pixels = pixels[np.linspace(0, len(pixels) - 1, POINTS).astype(int)]
    elif len(pixels) <= EVERY // 2:
        pixels = pixels[:0]
    rows, columns = np.divmod(pixels, mask.shape[1])
    return np.stack([columns + 0.5, rows + 0.5], axis=1)


def _nearby(here: Array, others: Array, reach_px: float) -> npt.NDArray[np.float32]:
    """Weights (K, L) by which places take from others, the rows' sums being 1."""
    apart = (here[:, None, 0] - others[:, 0]) ** 2 + (here[:, None, 1] - others[:, 1]) ** 2
    weights = np.exp(apart / np.float32(-2 * max(reach_px, 1.0) ** 2)) + 1e-30
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)


def _out_of_picture(points_camera: Array, frame: Frame) -> npt.NDArray[np.bool_]:
    size = np.array([frame.shape[1], frame.shape[0]])
    places = places_of(points_camera, frame)
    return (points_camera[:, 2] > 0) & ((places < 1) | (places > size - 1)).any(axis=1)

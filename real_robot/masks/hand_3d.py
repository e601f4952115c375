"""One hand in 3D from the hands that were found in several views."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from h2rh_env.captures.base import RgbdView
from h2rh_env.core.camera import PIXEL_CENTRE_PX

from .hand_model import Hand

Array = npt.NDArray[np.float64]

SAME_HAND_PX = 14.0  # median distance of landmarks, at a focal length of 613 px
FOCAL_PX = 613.0
MOST_HANDS = 3  # of a view
FINGERTIPS = (4, 8, 12, 16, 20)
KNUCKLES = (5, 9, 13, 17)
FINGERS = tuple((base, [0, base, base + 1, base + 2, base + 3]) for base in (1, 5, 9, 13, 17))
BONES = tuple((chain[k], chain[k + 1]) for _, chain in FINGERS for k in range(len(chain) - 1)) + (
    (5, 9),
    (9, 13),
    (13, 17),
    (0, 5),
    (0, 17),
    (1, 5),
)
SIZE_M = (0.08, 0.26)  # from the wrist to the farthest landmark


@dataclass(frozen=True, eq=False)
class Hand3d:
    """Landmarks (21, 3), m, in the world, and the names of the views that agree about them."""

    landmarks_world: Array
    views: tuple[str, ...]

    @property
    def centre(self) -> Array:
        centre: Array = self.landmarks_world.mean(axis=0)
        return centre

    def distance_m(self, points_world: Array) -> Array:
        """Returns the distances (P,), m, of points (P, 3) to the nearest bone."""
        nearest = np.full(len(points_world), np.inf)
        for one, two in BONES:
            start, along = self.landmarks_world[one], self.landmarks_world[two] - self.landmarks_world[one]
            share = np.clip((points_world - start) @ along / max(float(along @ along), 1e-12), 0, 1)
            away = points_world - start - share[:, None] * along
            np.minimum(nearest, np.linalg.norm(away, axis=1), out=nearest)
        return nearest


def hand_in_3d(views: Sequence[RgbdView], found: Sequence[Sequence[Hand]]) -> Hand3d | None:
    """Returns the hand that most views agree about; None where no two views agree.

    Each pair of hands in two views is a guess, which is judged by all other views.
    """
    rays = [
        [_normalised(view, hand) for hand in hands[:MOST_HANDS]]
        for view, hands in zip(views, found, strict=True)
    ]
    best: tuple[float, dict[int, int]] = (0.0, {})
    some = [(k, n) for k, hands in enumerate(rays) for n in range(len(hands))]
    for one, two in combinations(some, 2):
        if one[0] == two[0]:
            continue
        guess = _triangulated([(views[k], rays[k][n]) for k, n in (one, two)])
        if not SIZE_M[0] < np.linalg.norm(guess - guess[0], axis=1).max() < SIZE_M[1]:
            continue
        support, score = _support(guess, views, rays)
        if len(support) >= 2 and score > best[0]:
            best = score, support
    if not best[1]:
        return None
    chosen = best[1]
    for _ in range(2):
        landmarks = _triangulated([(views[k], rays[k][n]) for k, n in chosen.items()])
        again, _ = _support(landmarks, views, rays)
        chosen = again if len(again) >= 2 else chosen
    return Hand3d(landmarks, tuple(views[k].name for k in sorted(chosen)))


def _normalised(view: RgbdView, hand: Hand) -> Array:
    """Returns landmarks (21, 2) at a distance of 1 before the camera."""
    camera = view.camera
    normalised: Array = (hand.landmarks_px + PIXEL_CENTRE_PX - [camera.cx, camera.cy]) / [
        camera.fx,
        camera.fy,
    ]
    return normalised


def _support(
    landmarks: Array, views: Sequence[RgbdView], rays: Sequence[Sequence[Array]]
) -> tuple[dict[int, int], float]:
    """Returns which hand of which view agrees with landmarks (21, 3), and how well they do together."""
    support, score = {}, 0.0
    for k, (view, hands) in enumerate(zip(views, rays, strict=True)):
        local = view.world_from_camera.inverse().apply(landmarks)
        if not hands or (local[:, 2] < 0.1).any():
            continue
        seen = local[:, :2] / local[:, 2:]
        off_px = [FOCAL_PX * float(np.median(np.linalg.norm(seen - hand, axis=1))) for hand in hands]
        n = int(np.argmin(off_px))
        if off_px[n] < SAME_HAND_PX:
            support[k] = n
            score += 1 - 0.5 * off_px[n] / SAME_HAND_PX
    return support, score


def _triangulated(seen: Sequence[tuple[RgbdView, Array]]) -> Array:
    """Returns the points (21, 3), m, in the world, that are nearest to the rays of several views."""
    normal, right = np.zeros((21, 3, 3)), np.zeros((21, 3))
    for view, ray in seen:
        pose = view.world_from_camera
        direction = np.column_stack([ray, np.ones(21)]) @ pose.rotation.T
        direction = direction / np.linalg.norm(direction, axis=1, keepdims=True)
        across = np.eye(3) - direction[:, :, None] * direction[:, None, :]
        normal = normal + across
        right += across @ pose.translation
    return np.asarray(np.linalg.solve(normal + 1e-9 * np.eye(3), right[..., None])[..., 0], np.float64)

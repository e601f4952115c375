"""What a hand holds, in 3D: the measured surface about the hand, without the arm, split into hand and object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial import cKDTree
from scipy.stats import gaussian_kde

from h2rh_env.captures.base import RgbdView
from h2rh_env.core.labels import Label

from .hand_3d import KNUCKLES, Hand3d

Array = npt.NDArray[np.float64]
Labels = npt.NDArray[np.uint8]

VOXEL_M, REACH_M = 0.004, 0.28  # and how far from the hand's middle anything is looked for
WRIST_M = 0.03  # behind the wrist's landmark the arm begins
ARM_M, ARM_GROWS = (
    0.06,
    0.8,
)  # radius of the cone of the arm, and how it grows, as a share of the way along it
SEED_M = 0.03  # from the bones: surface that is held or holds
SURE_HAND_M, SURE_OBJECT_M = 0.011, 0.03  # from the bones
SKIN_M, SKIN_WIDTH_M = 0.017, 0.012  # from the bones, where a point is as likely hand as object
MOST_SAMPLES = 1500
MOST_BY_DISTANCE, MOST_BY_COLOUR = 0.6, 5.0  # odds
FAR_HAND_M = 0.03  # from the bones there is no hand
SMOOTHED, ROUNDS = 20, 3  # voxels over which odds are averaged, and how often colours are learnt
LEAST_SAMPLES = 60


@dataclass(frozen=True, eq=False)
class Held:
    """Labels of a cube of voxels about a hand.

    Attributes:
        corner: (3,) m, the least corner of the cube in the world.
        labels: (N, N, N) `Label`.
    """

    corner: Array
    labels: Labels

    def at(self, points_world: Array) -> Labels:
        """Returns the labels (P,) of points (P, 3); background outside the cube."""
        cells = np.floor((points_world - self.corner) / VOXEL_M).astype(np.int64)
        inside = ((cells >= 0) & (cells < self.labels.shape[0])).all(axis=-1)
        x, y, z = np.where(inside[..., None], cells, 0).T
        found: Labels = np.where(inside, self.labels[x, y, z].T, 0).astype(np.uint8)
        return found


def held_by(hand: Hand3d, views: Sequence[RgbdView]) -> Held | None:
    """Returns what the cameras measured of the hand and of what it holds; None where they measured nothing there."""
    points, colours = (
        np.concatenate(parts) for parts in zip(*(_near(view, hand) for view in views), strict=True)
    )
    kept = ~_of_arm(points, hand)
    points, colours = points[kept], colours[kept]
    side = 2 * int(np.ceil(REACH_M / VOXEL_M))
    corner = hand.centre - REACH_M
    cells = np.clip(np.floor((points - corner) / VOXEL_M).astype(np.int64), 0, side - 1)
    index = np.ravel_multi_index(tuple(cells.T), (side,) * 3)
    used, of_voxel, count = np.unique(index, return_inverse=True, return_counts=True)
    if not len(used):
        return None
    mean = [np.bincount(of_voxel, weights) / count for weights in (*points.T, *colours.T)]
    middle, colour = np.stack(mean[:3], 1), np.stack(mean[3:], 1)
    connected = _connected(used, middle, hand, side)
    used, middle, colour = used[connected], middle[connected], colour[connected]
    if not len(used):
        return None
    labels = np.zeros(side**3, np.uint8)
    labels[used] = np.where(_odds_of_hand(middle, colour, hand) > 0, Label.HAND, Label.OBJECT)
    return Held(corner, labels.reshape((side,) * 3))


def _near(view: RgbdView, hand: Hand3d) -> tuple[Array, Array]:
    """Returns points (P, 3), m, in the world and their colours (P, 3) within reach of the hand."""
    points = view.world_from_camera.apply(view.camera.unproject(view.depth_m))
    near = (view.depth_m > 0) & (np.abs(points - hand.centre).max(axis=-1) < REACH_M)
    return points[near], view.rgb[near].astype(np.float64)


def _of_arm(points: Array, hand: Hand3d) -> npt.NDArray[np.bool_]:
    """Returns which points (P, 3) lie in the cone that opens behind the wrist."""
    wrist = hand.landmarks_world[0]
    along = wrist - hand.landmarks_world[list(KNUCKLES)].mean(axis=0)
    along /= np.linalg.norm(along)
    far = (points - wrist) @ along
    across = np.linalg.norm(points - wrist - far[:, None] * along, axis=1)
    inside: npt.NDArray[np.bool_] = (far > WRIST_M) & (across < ARM_M + ARM_GROWS * far)
    return inside


def _connected(used: npt.NDArray[np.int64], middle: Array, hand: Hand3d, side: int) -> npt.NDArray[np.bool_]:
    """Returns which voxels (N,) hang together with most of what is near the bones."""
    grid = np.zeros(side**3, bool)
    grid[used] = True
    pieces, count = ndimage.label(ndimage.binary_dilation(grid.reshape((side,) * 3)), np.ones((3, 3, 3)))
    of_voxel = pieces.ravel()[used]
    near = hand.distance_m(middle) < SEED_M
    votes = np.bincount(of_voxel[near], minlength=count + 1)
    chosen: npt.NDArray[np.bool_] = of_voxel == votes.argmax() if near.any() else np.zeros(len(used), bool)
    return chosen


def _odds_of_hand(points: Array, colours: Array, hand: Hand3d) -> Array:
    """Returns the logarithm of the odds (N,) that points are hand: by their distance to the bones, and by colour.

    Colours are learnt from what is surely hand or object, and then from all that was taken for either.
    """
    distance_m = hand.distance_m(points)
    by_distance = np.clip((SKIN_M - distance_m) / SKIN_WIDTH_M, -MOST_BY_DISTANCE, MOST_BY_DISTANCE)
    odds, feature, tree = by_distance, _feature(colours), cKDTree(points)
    about = tree.query(points, k=min(SMOOTHED, len(points)))[1].reshape(len(points), -1)
    on_hand, on_object = distance_m < SURE_HAND_M, distance_m > SURE_OBJECT_M
    for _ in range(ROUNDS):
        if min(on_hand.sum(), on_object.sum()) < LEAST_SAMPLES:
            break
        density = [gaussian_kde(_some(feature[on]).T)(feature.T) for on in (on_hand, on_object)]
        by_colour = np.clip(
            np.log(density[0] + 1e-4) - np.log(density[1] + 1e-4), -MOST_BY_COLOUR, MOST_BY_COLOUR
        )
        odds = (by_distance + by_colour)[about].mean(axis=1)
        on_hand, on_object = (odds > 0) & (distance_m < FAR_HAND_M), odds < 0
    return odds


def _feature(colours: Array) -> Array:
    """Returns colours (N, 3) as hue-like ratios, and brightness with less weight."""
    r, g, b = (np.log(colours + 8)).T
    return np.stack([r - g, g - b, 0.5 * (r + g + b) / 3], axis=1)


def _some(values: Array) -> Array:
    if len(values) <= MOST_SAMPLES:
        return values
    return values[np.random.default_rng(0).permutation(len(values))[:MOST_SAMPLES]]

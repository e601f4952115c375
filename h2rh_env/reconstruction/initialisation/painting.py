"""Gathers labels and colours of surface points from every view that sees them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ...captures.base import RgbdView
from .fusion import DepthView

Array = npt.NDArray[np.float64]

SEEN_M = 0.003  # how far measured depth may be off a point for the pixel to show it, seen head-on
MAX_SEEN_M = 0.008  # and on slopes, where it changes within a pixel
OUTLIER = 0.15  # a colour this far from the median of all views is a highlight or a mistake
MAX_LOG_GAIN = 0.7


@dataclass(frozen=True, eq=False)
class Sightings:
    """What V views see of P points.

    Attributes:
        weights: (V, P), 0 where a view does not see the point; grows with resolution and frontality.
        labels: (V, P) uint8, label of the pixel.
        colours: (V, P, 3) in [0, 1].
    """

    weights: Array
    labels: npt.NDArray[np.uint8]
    colours: Array


def look(depth_views: Sequence[DepthView], points: Array, normals: Array) -> Sightings:
    """Projects points (P, 3) with outward normals (P, 3), in the world frame, into all views."""
    seen = [_look_one(v.view, points, normals) for v in depth_views]
    weights, labels, colours = (np.stack(part) for part in zip(*seen, strict=True))
    return Sightings(weights, labels, colours)


def _look_one(view: RgbdView, points: Array, normals: Array) -> tuple[Array, npt.NDArray[np.uint8], Array]:
    camera_points = view.world_from_camera.inverse().apply(points)
    uv = np.nan_to_num(view.camera.project(camera_points), nan=-1)
    size = np.array([view.camera.width, view.camera.height])
    inside = np.all((uv >= 1) & (uv < size - 1), axis=1)
    uv = np.where(inside[:, None], uv, 1)
    column, row = uv.astype(int).T
    to_camera = view.world_from_camera.translation - points
    distance = np.linalg.norm(to_camera, axis=1)
    cosine = (normals * to_camera).sum(axis=1) / np.maximum(distance, 1e-9)
    depth = view.depth_m[row, column]
    off = depth - camera_points[:, 2]
    slope = np.sqrt(np.maximum(1 - cosine**2, 0)) / np.maximum(cosine, 0.1)
    tolerance = np.minimum(SEEN_M + slope * camera_points[:, 2] / view.camera.fx, MAX_SEEN_M)
    seen = inside & (cosine > 0.1) & (np.abs(off) < tolerance) & (depth > 0)
    weights = (np.maximum(cosine, 0) / np.maximum(distance, 0.1)) ** 2 * np.exp(-((off / tolerance) ** 2))
    weights = np.where(seen, weights, 0)
    at = (uv[:, 1] - 0.5, uv[:, 0] - 0.5)
    rgb = [
        ndimage.map_coordinates(view.rgb[..., c], at, np.float64, order=1, mode="nearest") for c in range(3)
    ]
    return weights, view.labels[row, column], np.stack(rgb, axis=1) / 255


def vote(sightings: Sightings) -> npt.NDArray[np.int64]:
    """Returns the label (P,) of the greatest total weight; -1 where nobody sees the point."""
    votes = np.stack([(sightings.weights * (sightings.labels == k)).sum(axis=0) for k in range(3)], axis=1)
    return np.where(votes.sum(axis=1) > 0, votes.argmax(axis=1), -1)


def paint(sightings: Sightings, labels: npt.NDArray[np.int64]) -> tuple[Array, npt.NDArray[np.bool_]]:
    """Returns colours (P, 3) in [0, 1] from pixels of the same label, and which points (P,) any view saw.

    Exposure gains of the cameras are corrected first, then highlights are left out.
    """
    weights = of_label(sightings, labels)
    colours = sightings.colours / np.exp(log_gains(sightings.colours, weights))[:, None, :]
    return np.clip(robust_mean(colours, weights), 0, 1), weights.sum(axis=0) > 0


def of_label(sightings: Sightings, labels: npt.NDArray[np.int64]) -> Array:
    """Returns the weights (V, P), 0 at pixels of another label than the point's own (P,)."""
    weights: Array = np.where(sightings.labels == labels, sightings.weights, 0)
    return weights


def robust_mean(colours: Array, weights: Array) -> Array:
    """Returns means (P, 3) over views of colours (V, P, 3) with weights (V, P), without outliers."""
    middle = _weighted_median(colours, weights)
    weights = np.where(np.abs(colours - middle).max(axis=2) < OUTLIER, weights, weights * 1e-3)
    weights = weights**2  # the best view speaks loudest: means of many views are blurred
    mean: Array = (weights[..., None] * colours).sum(axis=0) / np.maximum(weights.sum(axis=0), 1e-12)[:, None]
    return mean


def log_gains(colours: Array, weights: Array, rounds: int = 10) -> Array:
    """Returns the log gain (V, 3) of each camera, of mean 0, from points that several cameras see."""
    usable = (weights > 0) & (colours.min(axis=2) > 0.03) & (colours.max(axis=2) < 0.97)
    usable &= usable.sum(axis=0) > 1
    log_colours = np.log(np.maximum(colours, 1e-3))
    gains = np.zeros((len(colours), 3))
    w = np.where(usable, weights, 0)[..., None]
    for _ in range(rounds):
        residual = log_colours - gains[:, None, :]
        albedo = (w * residual).sum(axis=0) / np.maximum(w.sum(axis=0), 1e-12)
        off = np.clip(log_colours - albedo - gains[:, None, :], -0.1, 0.1)
        gains += (w * off).sum(axis=1) / np.maximum(w.sum(axis=1), 1e-12)
        gains -= gains.mean(axis=0)
    return np.clip(gains, -MAX_LOG_GAIN, MAX_LOG_GAIN)


def _weighted_median(values: Array, weights: Array) -> Array:
    """Returns the median (P, 3) over views of values (V, P, 3) with weights (V, P)."""
    order = np.argsort(values, axis=0)
    ranked = np.take_along_axis(np.broadcast_to(weights[..., None], values.shape), order, axis=0).cumsum(
        axis=0
    )
    pick = (ranked >= ranked[-1] / 2).argmax(axis=0)
    median: Array = np.take_along_axis(np.take_along_axis(values, order, axis=0), pick[None], axis=0)[0]
    return median

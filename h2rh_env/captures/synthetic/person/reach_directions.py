"""Directions from which a hand reaches for an object: wraps, fingertips, pinches from the side and below, cups."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..objects.parts import ObjectModel
from .hand import Hand, Posture

Array = npt.NDArray[np.float64]

MAX_PINCH_M = 0.072
UP = np.array([0.0, 0.0, 1.0])


@dataclass(frozen=True, eq=False)
class Reach:
    """A batch of B hands that reach for the object, in its frame.

    Attributes:
        rotations: (B, 3, 3), object from hand.
        ends: (B, 3), m, where each hand stops at the latest.
        travel: (B, 3), the direction of its motion.
        posture: the open hand.
    """

    rotations: Array
    ends: Array
    travel: Array
    posture: Posture


def open_posture(
    count: int, flexion_deg: tuple[float, float, float], thumb_deg: tuple[float, float, float]
) -> Posture:
    """Repeats one posture for a whole batch; joint angles are in degrees."""
    return Posture(
        np.tile(np.radians(flexion_deg), (count, 4, 1)), np.tile(np.radians(thumb_deg), (count, 1))
    )


def wraps(model: ObjectModel, hand: Hand, rng: np.random.Generator, count: int) -> Reach:
    """Puts the palm on the upright object from any side, thumb up."""
    posture = open_posture(count, (2, 8, 5), (100, 96, 90))
    return _from_aside(model, hand, rng, posture, (-0.016, -0.008), (0.064, 0.09))


def fingertips(model: ObjectModel, hand: Hand, rng: np.random.Generator, count: int) -> Reach:
    """Comes from any side and keeps the palm away: thumb and fingertips close on the object."""
    posture = open_posture(count, (18, 14, 8), (98, 92, 84))
    return _from_aside(model, hand, rng, posture, (-0.085, -0.05), (0.075, 0.112))


def _from_aside(
    model: ObjectModel,
    hand: Hand,
    rng: np.random.Generator,
    posture: Posture,
    standoff_m: tuple[float, float],
    along_m: tuple[float, float],
) -> Reach:
    count = len(posture.thumb)
    low, high = model.bounds
    angle = rng.uniform(0, 2 * np.pi, count)
    travel = np.stack([np.cos(angle), np.sin(angle), np.zeros(count)], axis=1)
    rotations = _frames(hand, -travel, UP + rng.normal(0, 0.25, (count, 3)))
    height = low[2] + rng.uniform(0.1, 0.36, count) * (high[2] - low[2])
    height = np.maximum(height, min(low[2] + 0.03, (low[2] + high[2]) / 2))
    centre = np.column_stack([np.tile((low + high)[:2] / 2, (count, 1)), height])
    centre = _section_centre(model, centre)
    anchor = np.stack(
        [np.zeros(count), rng.uniform(*standoff_m, count), rng.uniform(*along_m, count)], axis=1
    )
    ends = centre - np.einsum("bij,bj->bi", rotations, anchor * hand.scale)
    return Reach(rotations, ends, travel, posture)


def cups(model: ObjectModel, hand: Hand, rng: np.random.Generator, count: int) -> Reach:
    """Holds the palm up below the object, fingers around its foot."""
    low, high = model.bounds
    angle = rng.uniform(0, 2 * np.pi, count)
    back = -UP + rng.normal(0, 0.2, (count, 3))
    back /= np.linalg.norm(back, axis=1, keepdims=True)
    sideways = np.stack([np.cos(angle), np.sin(angle), np.zeros(count)], axis=1)
    rotations = _frames(hand, back, sideways)
    target = np.tile([*(low + high)[:2] / 2, low[2]], (count, 1))
    target[:, 2] += rng.uniform(0.0, 0.15, count) * (high[2] - low[2])
    anchor = np.stack([np.zeros(count), np.full(count, -0.01), rng.uniform(0.07, 0.115, count)], axis=1)
    ends = target - np.einsum("bij,bj->bi", rotations, anchor * hand.scale)
    return Reach(rotations, ends, -back, open_posture(count, (0, 4, 4), (78, 74, 66)))


def side_pinches(model: ObjectModel, hand: Hand, rng: np.random.Generator, count: int) -> Reach:
    """Lays fingers along one face and the thumb along the other, of whatever is thin enough."""
    return _pinches(model, hand, rng, count, from_below=False)


def pinches_from_below(model: ObjectModel, hand: Hand, rng: np.random.Generator, count: int) -> Reach:
    """Pinches with the fingers pointing up, or with the palm up below flat objects."""
    return _pinches(model, hand, rng, count, from_below=True)


FAMILIES: dict[str, tuple[float, Callable[[ObjectModel, Hand, np.random.Generator, int], Reach]]] = {
    "wrap": (3.0, wraps),
    "fingertips": (2.5, fingertips),
    "side pinch": (2.0, side_pinches),
    "pinch from below": (1.5, pinches_from_below),
    "cup": (1.2, cups),
}


def _frames(hand: Hand, back: Array, thumbwards: Array) -> Array:
    """Returns hand frames (B, 3, 3) from the directions of the hand's back and, roughly, of the thumb."""
    x = hand.side * thumbwards
    x = x - (x * back).sum(axis=1, keepdims=True) * back
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    return np.stack([x, back, np.cross(x, back)], axis=2)


def _section_centre(model: ObjectModel, points: Array) -> Array:
    """Moves points (B, 3) horizontally to the middle of the object's matter at their height."""
    low, high = model.bounds
    u, v = (np.linspace(low[k], high[k], 16) for k in range(2))
    grid = np.stack(np.meshgrid(u, v, indexing="ij"), axis=-1).reshape(-1, 2)
    moved = points.copy()
    levels = np.linspace(points[:, 2].min(), points[:, 2].max(), 8 if len(points) > 1 else 1)
    for level, z in enumerate(levels):
        inside = grid[model.distance(np.column_stack([grid, np.full(len(grid), z)])) < 0.004]
        here = np.abs(points[:, 2, None] - levels).argmin(axis=1) == level
        if len(inside):
            moved[here, :2] = inside.mean(axis=0)
    return moved


def _pinches(
    model: ObjectModel, hand: Hand, rng: np.random.Generator, count: int, *, from_below: bool
) -> Reach:
    low, high = model.bounds
    size = high - low
    thin = [axis for axis in range(3) if size[axis] <= MAX_PINCH_M] or [int(size.argmin())]
    axes = rng.choice(thin, count)
    frames = [_pinch_axes(int(axis), hand, rng, from_below) for axis in axes]
    back, along = (np.array([frame[k] for frame in frames]) for k in range(2))
    rotations = np.stack([np.cross(back, along), back, along], axis=2)
    target = np.tile((low + high) / 2, (count, 1))
    target[:, 2] = low[2] + rng.uniform(0.12, 0.36, count) * size[2]
    target = _section_centre(model, target)
    start = target - along * 0.3
    for _ in range(24):
        start = start + along * np.maximum(model.distance(start) - 0.001, 0)[:, None]
    deep = ((start - target) * along).sum(axis=1) < 0.05
    entry = np.where(deep[:, None], start, target)
    target = entry + along * rng.uniform(0.02, 0.05, (count, 1))
    thickness = np.minimum(size[axes], MAX_PINCH_M)
    anchor = np.stack(
        [np.full(count, hand.side * 0.008), -(0.017 + thickness / 2 / hand.scale), np.full(count, 0.128)],
        axis=1,
    )
    ends = target - np.einsum("bij,bj->bi", rotations, anchor * hand.scale)
    return Reach(rotations, ends, along, open_posture(count, (-2, 1, 2), (84, 80, 74)))


def _pinch_axes(axis: int, hand: Hand, rng: np.random.Generator, from_below: bool) -> tuple[Array, Array]:
    """Returns the directions of the hand's back and of the fingertips: thumb up, or palm up below flat objects."""
    turn = rng.normal(0, 0.35)
    if axis == 2:
        angle = rng.uniform(0, 2 * np.pi)
        return -UP, np.array([np.cos(angle), np.sin(angle), 0.0])
    normal = np.eye(3)[axis] * rng.choice([-1.0, 1.0])
    along = UP if from_below else np.cross(normal, UP)
    along = along * np.cos(turn) + np.cross(normal, along) * np.sin(turn)
    radial_up = hand.side * np.cross(normal, along)[2]
    return (normal if from_below or radial_up > 0 else -normal), along

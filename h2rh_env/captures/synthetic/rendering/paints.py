"""Paints: the sRGB colour of a surface as a function of where on the part a point lies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .textures import Rgb, noise_image, sample

Array = npt.NDArray[np.float64]
Paint = Callable[[Array, Array], Array]  # points (P, 3), normals (P, 3) of the part's frame -> sRGB (P, 3)


@dataclass(frozen=True, eq=False)
class Plain:
    """One colour, a little uneven as real surfaces are."""

    colour: Rgb
    noise: Array
    strength: float = 0.03
    period_m: float = 0.12

    def __call__(self, points: Array, normals: Array) -> Array:
        where = points / self.period_m
        image = self.noise[..., None]
        a = sample(image, where[:, 0] + 0.37 * where[:, 1], (where[:, 2] + 0.61 * where[:, 1]) % 1)
        return np.clip(np.array(self.colour) * (1 + self.strength * a), 0, 1)


def plain(rng: np.random.Generator, colour: Rgb, strength: float = 0.03) -> Plain:
    return Plain(colour, noise_image(rng, (96, 96), (1.0, 4.0, 12.0)), strength)


@dataclass(frozen=True, eq=False)
class Wrapped:
    """A label around the z axis between two heights, on surfaces that face outwards; another paint elsewhere."""

    label: Array
    low_m: float
    high_m: float
    elsewhere: Paint
    min_radius_m: float = 0.0

    def __call__(self, points: Array, normals: Array) -> Array:
        colours = self.elsewhere(points, normals)
        on = (points[:, 2] > self.low_m) & (points[:, 2] < self.high_m) & (np.abs(normals[:, 2]) < 0.8)
        on &= np.hypot(points[:, 0], points[:, 1]) > self.min_radius_m
        on &= (points[:, :2] * normals[:, :2]).sum(axis=1) > 0
        u = np.arctan2(points[on, 1], points[on, 0]) / (2 * np.pi)
        v = (self.high_m - points[on, 2]) / (self.high_m - self.low_m)
        colours[on] = sample(self.label, u, v)
        return colours


@dataclass(frozen=True, eq=False)
class Printed:
    """Labels on the sides of a box of full size (3,): images for the faces across x, y and z."""

    size: tuple[float, float, float]
    across_x: Array
    across_y: Array
    across_z: Array

    def __call__(self, points: Array, normals: Array) -> Array:
        axis = np.abs(normals).argmax(axis=1)
        uvw = points / np.array(self.size) + 0.5
        sign = np.sign(np.take_along_axis(normals, axis[:, None], 1)[:, 0])
        colours = np.empty((len(points), 3))
        for k, (image, right, flip) in enumerate(
            [(self.across_x, 1, 1), (self.across_y, 0, -1), (self.across_z, 0, 1)]
        ):
            on = axis == k
            along = uvw[on, right]
            u = np.where(sign[on] * flip > 0, along, 1 - along)
            v = 1 - uvw[on, 2] if k != 2 else 1 - uvw[on, 1]
            colours[on] = sample(image, np.clip(u, 0.001, 0.999) * 0.998, v)
        return colours


@dataclass(frozen=True, eq=False)
class Banded:
    """Paints one above the other: the first below heights[0], the next below heights[1], the last above all."""

    heights_m: Sequence[float]
    paints: Sequence[Paint]

    def __call__(self, points: Array, normals: Array) -> Array:
        band = np.searchsorted(np.asarray(self.heights_m), points[:, 2])
        colours = np.empty((len(points), 3))
        for k, paint in enumerate(self.paints):
            on = band == k
            colours[on] = paint(points[on], normals[on])
        return colours


@dataclass(frozen=True, eq=False)
class Nearest:
    """The paint of the nearest of several solids, given by their distances: for sculptures of several materials."""

    regions: Sequence[tuple[Callable[[Array], Array], Paint]]

    def __call__(self, points: Array, normals: Array) -> Array:
        owner = np.stack([distance(points) for distance, _ in self.regions]).argmin(axis=0)
        colours = np.empty((len(points), 3))
        for k, (_, paint) in enumerate(self.regions):
            on = owner == k
            colours[on] = paint(points[on], normals[on])
        return colours


@dataclass(frozen=True, eq=False)
class Speckled:
    """A base paint with streaks of another colour: fruit, wood grain along z."""

    base: Paint
    colour: Rgb
    noise: Array
    threshold: float
    period_m: tuple[float, float]

    def __call__(self, points: Array, normals: Array) -> Array:
        angle = np.arctan2(points[:, 1], points[:, 0]) / (2 * np.pi)
        level = sample(
            self.noise[..., None],
            angle + points[:, 0] / self.period_m[0],
            (points[:, 2] / self.period_m[1]) % 1,
        )
        share = np.clip((level - self.threshold) * 1.5, 0, 1)
        return self.base(points, normals) * (1 - share) + np.array(self.colour) * share

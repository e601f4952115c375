"""What surrounds the person: a table, floor, walls with posters, lights."""

from __future__ import annotations

import colorsys

import numpy as np
import numpy.typing as npt

from ....core.geometry import SE3
from ..solids import Mesh
from .paints import plain
from .shading import Body, Lights
from .textures import muted, noise_image, vivid

Array = npt.NDArray[np.float64]

TABLE_M = np.array([[-0.25, -0.35], [1.45, 0.70]])
FLOOR_M = -0.74
WALLS_M = np.array([[-1.5, -1.6], [2.7, 2.3]])
CEILING_M = 2.4


def make_room(rng: np.random.Generator) -> list[Body]:
    """Makes the table, the floor and four walls."""
    table = _sheet(np.array([*TABLE_M[0], 0.0]), [1, 0, 0], [0, 1, 0], TABLE_M[1] - TABLE_M[0], 0.02)
    low, size = np.array([*WALLS_M[0], FLOOR_M]), WALLS_M[1] - WALLS_M[0]
    high = low + np.array([*size, 0.0])
    tall = CEILING_M - FLOOR_M
    walls = [
        _sheet(low, [0, 1, 0], [0, 0, 1], np.array([size[1], tall]), 0.25),
        _sheet(low, [0, 0, 1], [1, 0, 0], np.array([tall, size[0]]), 0.25),
        _sheet(high, [0, 0, 1], [0, -1, 0], np.array([tall, size[1]]), 0.25),
        _sheet(high, [-1, 0, 0], [0, 0, 1], np.array([size[0], tall]), 0.25),
    ]
    floor = _sheet(low, [1, 0, 0], [0, 1, 0], size, 0.25)
    wall_paint, here = _Wall(rng), SE3.identity()
    bodies = [Body(table, _table_top(rng), here, fine=False)]
    bodies.append(Body(floor, plain(rng, muted(rng), 0.08), here, fine=False, casts_shadow=False))
    bodies += [Body(wall, wall_paint, here, fine=False, casts_shadow=False) for wall in walls]
    return bodies


def make_lights(rng: np.random.Generator) -> Lights:
    """Draws a lamp or window of some warmth above, and the light of the room."""
    angle = rng.uniform(0, 2 * np.pi)
    position = np.array([0.6, 0.3, 0.0]) + [
        *(rng.uniform(0.2, 1.2) * np.array([np.cos(angle), np.sin(angle)])),
        rng.uniform(1.3, 2.1),
    ]
    warmth, sky_warmth = rng.uniform(-0.1, 0.16), rng.uniform(-0.08, 0.06)
    colour = np.array([1 + warmth, 1.0, 1 - warmth])
    sky = np.array([1 + sky_warmth, 1.0, 1 - sky_warmth])
    share = rng.uniform(0.2, 0.7)
    return Lights(position, float(rng.uniform(0.3, 1.2)), share * 1.6 * colour, (1 - share) * sky)


def _sheet(corner: Array, along_u: list[int], along_v: list[int], size_m: Array, step_m: float) -> Mesh:
    """Makes a flat grid from a corner; its normal is u x v."""
    u_axis, v_axis = np.array(along_u, float), np.array(along_v, float)
    nu, nv = (int(np.ceil(side / step_m)) + 1 for side in size_m)
    grid = (
        corner
        + np.linspace(0, size_m[0], nu)[:, None, None] * u_axis
        + np.linspace(0, size_m[1], nv)[None, :, None] * v_axis
    )
    index = np.arange(nu * nv).reshape(nu, nv)
    a, b, c, d = index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]
    faces = np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)])
    return Mesh(grid.reshape(-1, 3), np.tile(np.cross(u_axis, v_axis), (nu * nv, 1)), faces)


class _Grain:
    """Noise over x and y, blotches and fibres."""

    def __init__(self, rng: np.random.Generator, colour: tuple[float, float, float], fibre: bool) -> None:
        self._colour = np.array(colour)
        blotches = noise_image(rng, (256, 256), (2.0, 8.0, 20.0))
        fibres = noise_image(rng, (256, 256), (1.0,))
        if fibre:
            fibres = np.cumsum(fibres - fibres.mean(axis=1, keepdims=True), axis=1) / 6
        self._image = blotches * 0.05 + fibres * 0.03

    def __call__(self, points: Array, normals: Array) -> Array:
        column = (points[:, 0] * 300).astype(int) % 256
        row = (points[:, 1] * 300).astype(int) % 256
        srgb: Array = np.clip(self._colour * (1 + self._image[row, column])[:, None], 0, 1)
        return srgb


def _table_top(rng: np.random.Generator) -> _Grain:
    if rng.uniform() < 0.5:
        wood = colorsys.hsv_to_rgb(rng.uniform(0.06, 0.1), rng.uniform(0.25, 0.6), rng.uniform(0.4, 0.8))
        return _Grain(rng, wood, True)
    return _Grain(rng, muted(rng), False)


class _Wall:
    """A plain wall with a few posters."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._base = plain(rng, muted(rng), 0.02)
        self._posters = [
            (rng.uniform(-1.2, 2.2), rng.uniform(0.5, 1.1), rng.uniform(0.2, 0.5), vivid(rng))
            for _ in range(6)
        ]

    def __call__(self, points: Array, normals: Array) -> Array:
        colours = self._base(points, normals)
        along = np.where(np.abs(normals[:, 0]) > 0.5, points[:, 1], points[:, 0])
        for centre, height, half, colour in self._posters:
            u, v = (along - centre) / half, (points[:, 2] - height) / half
            on = (np.abs(u) < 1) & (np.abs(v) < 0.7)
            colours[on] = colour
            inner = (np.abs(u) < 0.85) & (np.abs(v) < 0.5) & (np.sin(9 * v + 2 * centre) > 0.2)
            colours[inner] = 0.5 + 0.5 * np.array(colour)
        return colours

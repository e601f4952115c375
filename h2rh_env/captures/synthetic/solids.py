"""Solids: signed distances to touch them with, and meshes to see them by. Metres throughout."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ...core.geometry import SE3

Array = npt.NDArray[np.float64]
Distance = Callable[[Array], Array]

LATHE_STEP_M = 0.001  # of the table that a lathe's distances are read from
LATHE_MARGIN_M = 0.03
CREASE_COSINE = 0.8  # profile corners sharper than this keep their edge


@dataclass(frozen=True, eq=False)
class Mesh:
    """A mesh: vertices (P, 3), m, outward unit normals (P, 3), faces (F, 3) counter-clockwise from outside."""

    vertices: Array
    normals: Array
    faces: npt.NDArray[np.int64]

    def moved(self, target_from_source: SE3) -> Mesh:
        return Mesh(
            target_from_source.apply(self.vertices), self.normals @ target_from_source.rotation.T, self.faces
        )


class Solid(Protocol):
    """A closed body; `bounds` holds its lower and its upper corner (2, 3), m."""

    @property
    def bounds(self) -> Array: ...

    def distance(self, points: Array) -> Array:
        """Returns the signed distance (P,), m, of points (P, 3): negative inside, outside at most the true one."""

    def mesh(self) -> Mesh: ...


def merged(meshes: Sequence[Mesh]) -> Mesh:
    """Joins several meshes to one."""
    offsets = np.cumsum([0, *(len(m.vertices) for m in meshes[:-1])])
    return Mesh(
        np.concatenate([m.vertices for m in meshes]),
        np.concatenate([m.normals for m in meshes]),
        np.concatenate([m.faces + offset for m, offset in zip(meshes, offsets, strict=True)]),
    )


@dataclass(frozen=True, eq=False)
class Lathe:
    """A profile (K, 2) of radius and height, from axis to axis, turned about z, and squashed along x and y."""

    profile: Array
    squash: tuple[float, float] = (1.0, 1.0)
    segments: int = 72

    @property
    def bounds(self) -> Array:
        reach = self.profile[:, 0].max() * np.array(self.squash)
        low, high = self.profile[:, 1].min(), self.profile[:, 1].max()
        return np.array([[-reach[0], -reach[1], low], [reach[0], reach[1], high]])

    @cached_property
    def _table(self) -> tuple[Array, Array]:
        """The lower corner (2,) and signed distances on a grid over radius and height."""
        low = np.array([0.0, self.profile[:, 1].min() - LATHE_MARGIN_M])
        high = self.profile.max(axis=0) + LATHE_MARGIN_M
        count = np.ceil((high - low) / LATHE_STEP_M).astype(int) + 1
        flat = low + LATHE_STEP_M * np.indices(count).reshape(2, -1).T
        off = _polyline_distance(flat, self.profile)
        inside = _even_odd(flat, np.concatenate([self.profile, self.profile[:1]]))
        return low, np.where(inside, -off, off).reshape(count)

    def distance(self, points: Array) -> Array:
        low, table = self._table
        scaled = points[:, :2] / np.array(self.squash)
        at = (np.stack([np.hypot(scaled[:, 0], scaled[:, 1]), points[:, 2]], axis=1) - low) / LATHE_STEP_M
        held = np.clip(at, 0, np.array(table.shape) - 1.0001)
        i, j = held.astype(int).T
        f, g = (held % 1).T
        near = (1 - f) * ((1 - g) * table[i, j] + g * table[i, j + 1]) + f * (
            (1 - g) * table[i + 1, j] + g * table[i + 1, j + 1]
        )
        far = LATHE_STEP_M * np.linalg.norm(at - held, axis=1)
        off: Array = np.where(far > 0, np.hypot(far, np.maximum(near, 0)), near)
        if self.squash == (1.0, 1.0):
            return off
        beyond = 1 / min(self.squash[0], self.squash[1], 1.0)
        off /= np.where(off < LATHE_MARGIN_M, self._stretch(scaled, i, j), beyond)
        return off

    def _stretch(self, scaled: Array, i: npt.NDArray[np.int64], j: npt.NDArray[np.int64]) -> Array:
        """Returns how much faster (P,) than the true distance the distance to the unsquashed lathe grows."""
        slope = (self._table[1][i + 1, j] - self._table[1][i, j]) / LATHE_STEP_M
        radial = ((scaled / np.array(self.squash)) ** 2).sum(axis=1) / np.maximum(
            (scaled**2).sum(axis=1), 1e-12
        )
        stretch: Array = np.sqrt(1 + np.clip(slope**2, 0, 1) * (radial - 1))
        return stretch

    def mesh(self) -> Mesh:
        profile = _subdivided(self.profile, 0.008)
        edge = np.diff(profile, axis=0)
        edge_normal = np.stack([edge[:, 1], -edge[:, 0]], axis=1)
        edge_normal /= np.maximum(np.linalg.norm(edge_normal, axis=1, keepdims=True), 1e-12)
        angle = np.linspace(0, 2 * np.pi, self.segments + 1)
        rings = np.stack([np.cos(angle), np.sin(angle)], axis=1)
        strips = []
        for k in range(len(edge)):
            ends = (_blend(edge_normal, k, k - 1), _blend(edge_normal, k, k + 1))
            strips.append(_strip(profile[k : k + 2], np.stack(ends), rings, np.array(self.squash)))
        mesh = merged(strips)
        return mesh if _signed_volume(mesh) > 0 else Mesh(mesh.vertices, -mesh.normals, mesh.faces[:, ::-1])


def _blend(normals: Array, k: int, neighbour: int) -> Array:
    """Returns the normal of edge k at its corner with a neighbour: shared on smooth profiles, its own at edges."""
    own: Array = normals[k]
    if 0 <= neighbour < len(normals) and own @ normals[neighbour] > CREASE_COSINE:
        both = own + normals[neighbour]
        own = both / np.linalg.norm(both)
    return own


def _strip(ends: Array, end_normals: Array, rings: Array, squash: Array) -> Mesh:
    vertices, normals = [], []
    for (radius, height), (normal_r, normal_z) in zip(ends, end_normals, strict=True):
        vertices.append(np.column_stack([radius * rings * squash, np.full(len(rings), height)]))
        normals.append(np.column_stack([normal_r * rings / squash, np.full(len(rings), normal_z)]))
    n = len(rings)
    i = np.arange(n - 1)
    faces = np.concatenate([np.column_stack([i, i + 1, i + n + 1]), np.column_stack([i, i + n + 1, i + n])])
    flat = np.concatenate(normals)
    return Mesh(np.concatenate(vertices), flat / np.linalg.norm(flat, axis=1, keepdims=True), faces)


def _signed_volume(mesh: Mesh) -> float:
    a, b, c = (mesh.vertices[mesh.faces[:, i]] for i in range(3))
    return float((a * np.cross(b, c)).sum())


def _subdivided(line: Array, step: float) -> Array:
    parts = [line[:1]]
    for a, b in itertools.pairwise(line):
        count = max(1, int(np.ceil(np.linalg.norm(b - a) / step)))
        parts.append(a + (b - a) * np.linspace(0, 1, count + 1)[1:, None])
    return np.concatenate(parts)


def filleted(corners: npt.ArrayLike, radius: float, steps: int = 4) -> Array:
    """Rounds the inner corners of a polyline (K, 2) with at most `radius`, m."""
    line = np.asarray(corners, np.float64)
    out = [line[0]]
    for before, corner, after in zip(line[:-2], line[1:-1], line[2:], strict=True):
        a, b = before - corner, after - corner
        reach = min(radius, 0.45 * np.linalg.norm(a), 0.45 * np.linalg.norm(b))
        start, end = corner + a / np.linalg.norm(a) * reach, corner + b / np.linalg.norm(b) * reach
        t = np.linspace(0, 1, steps + 1)[:, None]
        out.extend((1 - t) ** 2 * start + 2 * t * (1 - t) * corner + t**2 * end)
    return np.array([*out, line[-1]])


def _polyline_distance(points: Array, line: Array) -> Array:
    best = np.full(len(points), np.inf)
    for a, b in itertools.pairwise(line):
        edge, off = b - a, points - a
        t = np.clip(off @ edge / max(edge @ edge, 1e-18), 0, 1)
        best = np.minimum(best, ((off - t[:, None] * edge) ** 2).sum(axis=1))
    distance: Array = np.sqrt(best)
    return distance


def _even_odd(points: Array, closed: Array) -> npt.NDArray[np.bool_]:
    inside = np.zeros(len(points), bool)
    x, y = points.T
    for (ax, ay), (bx, by) in itertools.pairwise(closed):
        if ay != by:
            inside ^= ((ay > y) != (by > y)) & (x < (bx - ax) * (y - ay) / (by - ay) + ax)
    return inside


@dataclass(frozen=True, eq=False)
class RoundedBox:
    """A box of full `size` (x, y, z) about the origin with rounded edges."""

    size: tuple[float, float, float]
    radius: float

    @property
    def bounds(self) -> Array:
        half = np.array(self.size) / 2
        return np.stack([-half, half])

    def distance(self, points: Array) -> Array:
        return box_distance(points, np.array(self.size) / 2 - self.radius) - self.radius

    def mesh(self) -> Mesh:
        sides = []
        for axis in range(3):
            for sign in (-1.0, 1.0):
                sides.append(self._side(axis, sign))
        return merged(sides)

    def _side(self, axis: int, sign: float) -> Mesh:
        half = np.array(self.size) / 2
        u_axis, v_axis = [(1, 2), (2, 0), (0, 1)][axis]
        u, v = (self._stations(half[k]) for k in (u_axis, v_axis))
        grid = np.empty((len(u), len(v), 3))
        grid[..., axis] = sign * half[axis]
        grid[..., u_axis], grid[..., v_axis] = u[:, None], v[None, :]
        inner = np.clip(grid, -(half - self.radius), half - self.radius)
        outwards = grid - inner
        normals = outwards / np.linalg.norm(outwards, axis=2, keepdims=True)
        vertices = inner + self.radius * normals
        corner = np.arange(len(u) * len(v)).reshape(len(u), len(v))
        a, b, c, d = corner[:-1, :-1], corner[1:, :-1], corner[1:, 1:], corner[:-1, 1:]
        faces = np.concatenate(
            [np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)]
        )
        return Mesh(vertices.reshape(-1, 3), normals.reshape(-1, 3), faces if sign > 0 else faces[:, ::-1])

    def _stations(self, half: float) -> Array:
        """Returns the grid lines of one side: dense over the rounding, every 8 mm between."""
        rounding = half - self.radius * (1 - np.array([0.0, 0.3, 0.6, 1.0]))[::-1]
        flat = half - self.radius
        between = np.linspace(-flat, flat, max(2, int(np.ceil(2 * flat / 0.008)) + 1))
        return np.unique(np.concatenate([-rounding, between, rounding]).round(9))


@dataclass(frozen=True, eq=False)
class Sculpture:
    """Any body that has a signed distance; it is meshed by marching cubes of the given spacing."""

    function: Distance
    box: Array
    spacing: float = 0.002

    @property
    def bounds(self) -> Array:
        return self.box

    def distance(self, points: Array) -> Array:
        return self.function(points)

    def mesh(self) -> Mesh:
        return marched(self.function, self.box, self.spacing)


@dataclass(frozen=True, eq=False)
class Placed:
    """A solid in its parent's frame."""

    solid: Solid
    parent_from_solid: SE3

    @property
    def bounds(self) -> Array:
        moved = self.parent_from_solid.apply(box_corners(self.solid.bounds))
        return np.stack([moved.min(axis=0), moved.max(axis=0)])

    def distance(self, points: Array) -> Array:
        return self.solid.distance(self.parent_from_solid.inverse().apply(points))

    def mesh(self) -> Mesh:
        return self.solid.mesh().moved(self.parent_from_solid)


def marched(function: Distance, box: Array, spacing: float) -> Mesh:
    """Meshes the zero surface inside a box (2, 3); only blocks near the surface are evaluated finely."""
    from skimage.measure import marching_cubes

    block = 4
    low = box[0] - 2 * spacing
    counts = np.ceil((box[1] - box[0] + 4 * spacing) / (block * spacing)).astype(int)
    coarse_index = np.indices(counts).reshape(3, -1).T
    coarse = function(low + (coarse_index + 0.5) * block * spacing).reshape(counts)
    active = np.abs(coarse) < 0.5 * np.sqrt(3) * (block + 3) * spacing  # normals look two voxels around
    volume = coarse.repeat(block, 0).repeat(block, 1).repeat(block, 2)
    fine = np.argwhere(active.repeat(block, 0).repeat(block, 1).repeat(block, 2))
    volume[tuple(fine.T)] = function(low + (fine + 0.5) * spacing)
    vertices, faces, _, _ = marching_cubes(volume.astype(np.float32), 0.0)
    gradient = np.stack(
        [ndimage.map_coordinates(g, vertices.T, order=1, mode="nearest") for g in np.gradient(volume)], axis=1
    )
    normals = gradient / np.maximum(np.linalg.norm(gradient, axis=1, keepdims=True), 1e-12)
    mesh = Mesh(low + (vertices + 0.5) * spacing, normals, faces.astype(np.int64))
    return mesh if _signed_volume(mesh) > 0 else Mesh(mesh.vertices, mesh.normals, mesh.faces[:, ::-1])


def box_corners(bounds: Array) -> Array:
    """Returns the corners (8, 3) of a box (2, 3)."""
    return np.stack(np.meshgrid(*bounds.T, indexing="ij"), axis=-1).reshape(8, 3)


def box_distance(points: Array, half: Array) -> Array:
    """Returns the signed distance (P,), m, to a box of half size (3,) about the origin."""
    off = np.abs(points) - half
    signed: Array = np.linalg.norm(np.maximum(off, 0), axis=1) + np.minimum(off.max(axis=1), 0)
    return signed


def cone_distance(points: Array, start: Array, end: Array, start_radius: float, end_radius: float) -> Array:
    """Returns the signed distance (P,), m, to a capsule whose radius changes along it."""
    axis = end - start
    off = points - start
    t = np.clip(off @ axis / max(float(axis @ axis), 1e-18), 0, 1)
    signed: Array = np.linalg.norm(off - t[:, None] * axis, axis=1) - (
        start_radius + t * (end_radius - start_radius)
    )
    return signed


def path_distance(points: Array, path: npt.ArrayLike, radii: npt.ArrayLike) -> Array:
    """Returns the signed distance (P,), m, to a bent rod through the points of a path (K, 3) with radii (K,)."""
    p, r = np.asarray(path, np.float64), np.asarray(radii, np.float64)
    parts = [cone_distance(points, p[i], p[i + 1], r[i], r[i + 1]) for i in range(len(p) - 1)]
    nearest: Array = np.min(parts, axis=0)
    return nearest


def plate_distance(points: Array, outline: Array, half_thickness: float) -> Array:
    """Returns the signed distance (P,), m, to a closed outline (K, 2) in the x-z plane, thickened along y."""
    flat = points[:, [0, 2]]
    closed = np.concatenate([outline, outline[:1]])
    off = _polyline_distance(flat, closed)
    inside = np.where(_even_odd(flat, closed), -off, off)
    across = np.abs(points[:, 1]) - half_thickness
    both = np.stack([inside, across], axis=1)
    signed: Array = np.linalg.norm(np.maximum(both, 0), axis=1) + np.minimum(both.max(axis=1), 0)
    return signed


def smooth_min(a: Array, b: Array, width: float) -> Array:
    """Joins two distances to the one of their union; the crease is filled over about `width`, m."""
    h = np.maximum(width - np.abs(a - b), 0) / width
    return np.minimum(a, b) - h * h * width / 4

"""Skin over the bones of a hand and its forearm: a surface, its colours, and how it yields."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from .. import solids
from ..solids import Mesh, cone_distance, marched, smooth_min
from .hand import FOREARM_M, PHALANGES, WRIST_Z_M, Bones, Hand, Posture

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Skin:
    """The skin over one posture of a hand (a batch of one) and its forearm, in the hand's frame."""

    hand: Hand
    posture: Posture
    wrist_bend_rad: tuple[float, float]

    @cached_property
    def _bones(self) -> tuple[Bones, Bones, Bones, Bones]:
        hand = self.hand
        return (
            hand.palm,
            hand.fingers(self.posture),
            hand.thumb(self.posture),
            hand.forearm(self.wrist_bend_rad),
        )

    @property
    def elbow(self) -> Array:
        """The middle of the elbow (3,), m."""
        middle: Array = self._bones[3].ends[0].mean(axis=0)
        return middle

    @property
    def forearm_spheres(self) -> tuple[Array, Array]:
        """Centres (P, 3) and radii (P,) that fill the forearm beyond the wrist, m."""
        centres, radii = self._bones[3].spheres(8)
        return centres[0, :, 2:].reshape(-1, 3), radii[:, 2:].ravel()

    def up_the_arm(self, points: Array) -> Array:
        """Returns how far (P,), m, points lie beyond the wrist towards the elbow.

        It is negative in the hand, also where the fingers of a bent wrist point at the elbow.
        """
        wrist = np.array([0.0, 0.0, WRIST_Z_M])
        along = (self.elbow - wrist) / np.linalg.norm(self.elbow - wrist)
        beyond: Array = np.minimum(
            (points - wrist) @ along, WRIST_Z_M - points[:, 2] + 0.35 * np.abs(points[:, 2])
        )
        return beyond

    def distance(self, points: Array) -> Array:
        """Returns nearly the signed distance (P,), m, to bones that are joined smoothly."""
        s = self.hand.scale
        palm, fingers, thumb, forearm = (_distances(points, bones) for bones in self._bones)
        base = _blended(palm, 0.014 * s)
        base = smooth_min(base, _blended(forearm, 0.02 * s), 0.02 * s)
        base = smooth_min(base, thumb[0], 0.014 * s)
        digits = [_blended(fingers[3 * k : 3 * k + 3], 0.004 * s) for k in range(4)]
        together = smooth_min(base, _blended(digits, 0.0015), 0.009 * s)
        return smooth_min(together, _blended(thumb, 0.005 * s), 0.003 * s)

    def mesh(self, visible_forearm_m: float, spacing_m: float = 0.0024) -> Mesh:
        """Makes the skin, with as much forearm as a sleeve leaves bare."""
        points = [np.concatenate([b.starts[0], b.ends[0]]) for b in self._bones[:3]]
        wrist, elbow = self._bones[3].starts[0], self._bones[3].ends[0]
        cut = wrist + (elbow - wrist) * min(visible_forearm_m / FOREARM_M, 1.0)
        corners = np.concatenate([*points, wrist, cut])
        reach = 0.03 * self.hand.scale * self.hand.girth
        box = np.stack([corners.min(axis=0) - reach, corners.max(axis=0) + reach])
        return marched(self.distance, box, spacing_m)

    def nails(self) -> list[tuple[Array, Array, Array, float]]:
        """Returns, for each of the five last bones, start, direction, outward direction of the nail, tip radius."""
        _, fingers, thumb, _ = self._bones
        found = []
        for k in (2, 5, 8, 11):
            along = fingers.ends[0, k] - fingers.starts[0, k]
            along = along / np.linalg.norm(along)
            across = np.array([1.0, 0, 0]) - along[0] * along
            out = np.cross(along, across / np.linalg.norm(across))
            found.append((fingers.starts[0, k], along, out, fingers.radii[k, 1]))
        along = thumb.ends[0, 2] - thumb.starts[0, 2]
        along = along / np.linalg.norm(along)
        angle = self.posture.thumb[0, 2]
        out = np.array([0.0, -np.cos(angle), -np.sin(angle)])
        found.append((thumb.starts[0, 2], along, out, thumb.radii[2, 1]))
        return found

    def creases(self) -> list[tuple[Array, Array, float]]:
        """Returns for every finger joint its centre, the direction of the bone beyond it, and its radius."""
        _, fingers, thumb, _ = self._bones
        found = []
        for bones, joints in ((fingers, (1, 2, 4, 5, 7, 8, 10, 11)), (thumb, (1, 2))):
            for k in joints:
                along = bones.ends[0, k] - bones.starts[0, k]
                found.append((bones.starts[0, k], along / np.linalg.norm(along), bones.radii[k, 0]))
        return found


def _distances(points: Array, bones: Bones) -> list[Array]:
    return [
        cone_distance(points, bones.starts[0, k], bones.ends[0, k], *bones.radii[k])
        for k in range(len(bones.radii))
    ]


def _blended(distances: list[Array], width: float) -> Array:
    total = distances[0]
    for other in distances[1:]:
        total = smooth_min(total, other, width)
    return total


@dataclass(frozen=True)
class Complexion:
    """The sRGB colour of the back of the hand, how much lighter the palm is, and the colour of the nails."""

    base: tuple[float, float, float]
    palm_lightening: float
    nail: tuple[float, float, float]


def complexion(rng: np.random.Generator) -> Complexion:
    """Draws the colour of a human skin, from very fair to very dark."""
    tones = np.array(
        [
            [0.93, 0.77, 0.68],
            [0.88, 0.69, 0.57],
            [0.78, 0.58, 0.45],
            [0.64, 0.45, 0.33],
            [0.47, 0.31, 0.22],
            [0.31, 0.2, 0.15],
        ]
    )
    at = rng.uniform(0, len(tones) - 1)
    k = min(int(at), len(tones) - 2)
    base = tones[k] + (at - k) * (tones[k + 1] - tones[k]) + rng.normal(0, 0.012, 3)
    darkness = at / (len(tones) - 1)
    nail = 0.6 * base + 0.4 * np.array([0.93, 0.74, 0.7])
    return Complexion(tuple(np.clip(base, 0, 1)), 0.05 + 0.3 * darkness, tuple(nail))


def skin_colours(skin: Skin, mesh: Mesh, tone: Complexion, rng: np.random.Generator) -> Array:
    """Paints the skin's vertices, sRGB (P, 3): lighter palm, redder joints and tips, nails, creases, mottling."""
    base = np.array(tone.base)
    colours = np.tile(base, (len(mesh.vertices), 1))
    palmar = np.clip(-mesh.normals[:, 1] * 1.2 - 0.1, 0, 1) * (mesh.vertices[:, 2] > 0)
    light = base + tone.palm_lightening * (np.array([0.95, 0.72, 0.62]) - base)
    colours += palmar[:, None] * (light - base)
    red = np.array([1.04, 0.86, 0.82])
    for centre, along, radius in skin.creases():
        off = mesh.vertices - centre
        near = np.linalg.norm(off, axis=1) < 1.7 * radius
        w = off[near] @ along
        flush = 0.5 * np.exp(-((w / (0.9 * radius)) ** 2))[:, None]
        line = 0.22 * np.exp(-((w / 0.0016) ** 2))[:, None]
        colours[near] *= (1 - flush + flush * red) * (1 - line)
    for start, along, out, radius in skin.nails():
        off = mesh.vertices - start
        w, v = off @ along, off @ out
        u = np.linalg.norm(off - w[:, None] * along - v[:, None] * out, axis=1)
        length = PHALANGES[0, 2] * skin.hand.scale * skin.hand.finger_stretch
        oval = (u / (0.72 * radius)) ** 4 + ((w - 0.9 * length) / (0.55 * length)) ** 4
        is_nail = (oval < 1) & (v > 0.35 * radius) & (u < 2 * radius)
        tip = is_nail & (w > 1.27 * length)
        colours[is_nail] = tone.nail
        colours[tip] = 0.5 * np.array(tone.nail) + 0.5 * np.array([0.95, 0.92, 0.88])
        blush = np.exp(-((np.linalg.norm(off - length * along, axis=1) / (1.6 * radius)) ** 2)) * ~is_nail
        colours *= 1 - 0.35 * blush[:, None] * (1 - red)
    mottling = sum(
        np.sin(mesh.vertices @ rng.normal(0, f, 3) + rng.uniform(0, 6.3))
        for f in (150.0, 250.0, 400.0, 700.0, 1100.0)
    )
    return np.clip(colours * (1 + 0.014 * np.asarray(mottling)[:, None]), 0, 1)


def pressed_out(vertices: Array, distance: solids.Distance, depth_m: float = 0.0005) -> Array:
    """Moves skin vertices (P, 3) that would lie inside a solid to just off its surface, as flesh yields."""
    moved = vertices.copy()
    for _ in range(3):
        d = distance(moved)
        inside = np.flatnonzero(d < depth_m)
        if not len(inside):
            break
        moved[inside] += (depth_m - d[inside])[:, None] * gradient(distance, moved[inside])
    return moved


def gradient(distance: solids.Distance, points: Array, step_m: float = 0.0005) -> Array:
    """Returns the unit gradient (P, 3) of a signed distance at points (P, 3)."""
    shifts = step_m * np.eye(3)
    g = np.stack([distance(points + s) - distance(points - s) for s in shifts], axis=1)
    unit: Array = g / np.maximum(np.linalg.norm(g, axis=1, keepdims=True), 1e-12)
    return unit

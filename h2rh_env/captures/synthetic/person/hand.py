"""A human hand: its bones and how they move.

The hand's frame: origin at the wrist, x towards the thumb of a right hand (away from it for a left one),
y out of the back of the hand, z towards the fingertips. Lengths are those of a hand of 0.19 m and scale with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

REFERENCE_LENGTH_M = 0.19
KNUCKLES = np.array(
    [[0.027, 0.0, 0.093], [0.0055, 0.002, 0.097], [-0.0155, 0.0, 0.091], [-0.0345, -0.004, 0.081]]
)
PHALANGES = np.array(
    [[0.044, 0.026, 0.019], [0.048, 0.030, 0.020], [0.045, 0.028, 0.020], [0.036, 0.021, 0.018]]
)
FINGER_RADII = np.array([0.0105, 0.0094, 0.0082, 0.0066]) * np.array([[1.0], [1.02], [0.96], [0.84]])
SPREAD_RAD = np.radians([6.0, 1.0, -5.0, -12.0])
THUMB_BASE = np.array([0.021, -0.006, 0.022])
THUMB_LENGTHS = np.array([0.046, 0.034, 0.024])
THUMB_RADII = np.array([0.0155, 0.0118, 0.0108, 0.0076])
THUMB_SIDEWAYS = np.array([0.42, -0.02, -0.14])  # x of each thumb bone's direction
WRIST_Z_M = -0.004  # nearer to the elbow is forearm, which the dataset labels background
FOREARM_M = 0.25


@dataclass(frozen=True)
class Posture:
    """Joint angles of a batch of hands, rad.

    Attributes:
        flexion: (B, 4, 3): knuckle and two finger joints, index to little finger.
        thumb: (B, 3): direction of each thumb bone in the y-z plane; pi/2 is out of the palm, 0 along z.
    """

    flexion: Array
    thumb: Array


@dataclass(frozen=True, eq=False)
class Bones:
    """Tapered capsules: starts and ends (B, K, 3), radii (K, 2), m."""

    starts: Array
    ends: Array
    radii: Array

    def spheres(self, count: int = 4) -> tuple[Array, Array]:
        """Returns spheres along each bone: centres (B, K, count, 3) and radii (K, count), m."""
        t = np.linspace(0.0, 1.0, count)[:, None]
        centres = self.starts[:, :, None] + t * (self.ends - self.starts)[:, :, None]
        return centres, self.radii[:, :1] + t[:, 0] * (self.radii[:, 1:] - self.radii[:, :1])


@dataclass(frozen=True)
class Hand:
    """The hand of one person; `side` is +1 for right and -1 for left, the rest are ratios to an average hand."""

    side: float = 1.0
    length_m: float = REFERENCE_LENGTH_M
    girth: float = 1.0
    finger_girth: float = 1.0
    finger_stretch: float = 1.0
    breadth: float = 1.0
    spread: float = 1.0

    @property
    def scale(self) -> float:
        return self.length_m / REFERENCE_LENGTH_M

    def _at(self, points: Array) -> Array:
        scaled: Array = points * self.scale * np.array([self.side * self.breadth, 1.0, 1.0])
        return scaled

    def _radii(self, radii: Array) -> Array:
        return np.stack([radii[..., :-1], radii[..., 1:]], axis=-1) * self.scale * self.finger_girth

    def fingers(self, posture: Posture) -> Bones:
        """Returns the 12 bones of the fingers, index finger first, from knuckle to tip."""
        bend = posture.flexion.cumsum(axis=2)
        along = np.stack([np.zeros_like(bend), -np.sin(bend), np.cos(bend)], axis=-1)
        spread = self.spread * SPREAD_RAD[None, :, None]
        turned = np.stack(
            [along[..., 2] * np.sin(spread), along[..., 1], along[..., 2] * np.cos(spread)], axis=-1
        )
        steps = turned * (self.finger_stretch * PHALANGES[None, :, :, None])
        ends = KNUCKLES[None, :, None] + steps.cumsum(axis=2)
        batch = len(bend)
        return Bones(
            self._at(ends - steps).reshape(batch, 12, 3),
            self._at(ends).reshape(batch, 12, 3),
            self._radii(FINGER_RADII).reshape(12, 2),
        )

    def thumb(self, posture: Posture) -> Bones:
        """Returns the 3 bones of the thumb, from the wrist to the tip."""
        x = np.broadcast_to(THUMB_SIDEWAYS, posture.thumb.shape)
        along = np.stack([x, -np.sin(posture.thumb), np.cos(posture.thumb)], axis=-1)
        along /= np.linalg.norm(along, axis=-1, keepdims=True)
        steps = along * (self.finger_stretch * THUMB_LENGTHS[None, :, None])
        ends = THUMB_BASE + steps.cumsum(axis=1)
        return Bones(self._at(ends - steps), self._at(ends), self._radii(THUMB_RADII))

    @cached_property
    def palm(self) -> Bones:
        """The metacarpals and the ball of the little finger, for a batch of one hand, (1, 5, 3)."""
        starts = KNUCKLES * [0.55, 1.0, 0.0] + [0.0, 0.0, 0.012]
        starts = np.concatenate([starts, [[-0.021, -0.009, 0.018]]])
        ends = np.concatenate([KNUCKLES, [[-0.031, -0.008, 0.062]]])
        radii = np.array(
            [[0.0165, 0.0122], [0.0175, 0.0122], [0.0168, 0.0115], [0.0155, 0.0105], [0.013, 0.012]]
        )
        return Bones(self._at(starts)[None], self._at(ends)[None], radii * self.scale * self.girth)

    def forearm(self, bend_rad: tuple[float, float]) -> Bones:
        """Returns two parallel bones from the wrist, bent there towards the back of the hand and the thumb."""
        back, aside = bend_rad
        along = -np.array([np.sin(aside), np.sin(back), np.cos(back) * np.cos(aside)])
        along /= np.linalg.norm(along)
        across = np.array([1.0, 0, 0]) - along[0] * along
        across /= np.linalg.norm(across)
        offset = np.array([[0.012], [-0.012]]) * across
        starts, ends = offset + along * 0.0 + [0, 0, 0.012], 1.5 * offset + along * FOREARM_M / self.scale
        radii = np.tile([[0.0178, 0.031]], (2, 1))
        return Bones(self._at(starts)[None], self._at(ends)[None], radii * self.scale * self.girth)

    def forearm_radius(self, from_wrist_m: float) -> float:
        """Returns half the width of the forearm, m, at a distance from the wrist."""
        t = from_wrist_m / FOREARM_M
        return float((0.012 + 0.006 * t + 0.0178 + 0.0132 * t) * self.scale * self.girth)


def random_hand(rng: np.random.Generator) -> Hand:
    """Draws a hand, from that of a child of ten to that of a tall adult."""
    return Hand(
        side=1.0 if rng.uniform() < 0.6 else -1.0,
        length_m=float(np.clip(rng.normal(0.185, 0.013), 0.155, 0.215)),
        girth=float(rng.uniform(0.8, 1.08)),
        finger_girth=float(rng.uniform(0.76, 1.06)),
        finger_stretch=float(rng.uniform(0.93, 1.1)),
        breadth=float(rng.uniform(0.88, 1.08)),
        spread=float(rng.uniform(0.3, 1.6)),
    )

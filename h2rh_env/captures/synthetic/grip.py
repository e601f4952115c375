"""A hand closing on an object, joint by joint, until every finger touches or is curled."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ...errors import CaptureError
from ...geometry import SE3
from .hand import Bones, Hand, Posture, gradient
from .things import Thing

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

CANDIDATES = 64
ROUNDS = 4
STEP_RAD = np.radians(3.0)
FLEXION_LIMIT_RAD = np.radians([80.0, 95.0, 60.0])
FLEXION_RATE = np.array([1.0, 1.1, 0.7])
THUMB_LIMIT_RAD = np.radians([28.0, -5.0, -40.0])
THUMB_RATE = np.array([0.6, 1.0, 1.1])
RELAXED = 0.55  # share of its closing that a finger keeps when it met nothing
TOUCH_M = 0.0015
MAX_PINCH_M = 0.072
COVERAGE_COST = 9.0  # of hiding the whole object: who hands something over leaves room to take it
COVERED_M = 0.02
LOWER_SHARE = 0.6  # of the object's height that the hand should stay below


@dataclass(frozen=True, eq=False)
class Grip:
    """How a hand holds an object: object_from_hand, and the posture (a batch of one)."""

    object_from_hand: SE3
    posture: Posture


@dataclass(frozen=True, eq=False)
class _Approach:
    """A batch of ways towards the object, in its frame: frames (B, 3, 3), where the hand stops at the
    latest (B, 3), the direction of travel (B, 3), and the open posture."""

    rotations: Array
    ends: Array
    travel: Array
    posture: Posture


def close_on(thing: Thing, hand: Hand, rng: np.random.Generator) -> Grip:
    """The best of many tries to take the lower half of the object.

    Raises:
        CaptureError: the object cannot be held in this hand.
    """
    for _ in range(ROUNDS):
        approach = _joined(
            _wraps(thing, hand, rng, CANDIDATES // 2), _pinches(thing, hand, rng, CANDIDATES // 2)
        )
        positions, free = _travel(thing, hand, approach)
        posture, touch, normals = _closed(thing, hand, approach, positions)
        score = np.where(free, _scores(thing, hand, approach, positions, posture, touch, normals), -np.inf)
        best = int(score.argmax())
        if score[best] > 0:
            chosen = Posture(posture.flexion[best : best + 1], posture.thumb[best : best + 1])
            return Grip(SE3(approach.rotations[best], positions[best]), chosen)
    raise CaptureError(f"no hand of {hand.length_m:.3f} m can hold a {thing.name} this way; try another seed")


def _joined(a: _Approach, b: _Approach) -> _Approach:
    def both(name: str) -> Array:
        return np.concatenate([getattr(a, name), getattr(b, name)])

    posture = Posture(
        np.concatenate([a.posture.flexion, b.posture.flexion]),
        np.concatenate([a.posture.thumb, b.posture.thumb]),
    )
    return _Approach(both("rotations"), both("ends"), both("travel"), posture)


def _open(
    count: int, flexion_deg: tuple[float, float, float], thumb_deg: tuple[float, float, float]
) -> Posture:
    return Posture(
        np.tile(np.radians(flexion_deg), (count, 4, 1)), np.tile(np.radians(thumb_deg), (count, 1))
    )


def _wraps(thing: Thing, hand: Hand, rng: np.random.Generator, count: int) -> _Approach:
    """Palm towards the upright object from any side, thumb up."""
    low, high = thing.bounds
    angle = rng.uniform(0, 2 * np.pi, count)
    travel = np.stack([np.cos(angle), np.sin(angle), np.zeros(count)], axis=1)
    radial = np.array([0.0, 0, 1]) + rng.normal(0, 0.12, (count, 3))
    back = -travel
    x = hand.side * radial
    x -= (x * back).sum(axis=1, keepdims=True) * back
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    rotations = np.stack([x, back, np.cross(x, back)], axis=2)
    height = low[2] + rng.uniform(0.2, 0.4, count) * (high[2] - low[2])
    height = np.maximum(height, min(low[2] + 0.04, (low[2] + high[2]) / 2))
    centre = np.column_stack([np.tile((low + high)[:2] / 2, (count, 1)), height])
    centre = _section_centre(thing, centre)
    anchor = (
        np.stack([np.zeros(count), np.full(count, -0.012), rng.uniform(0.066, 0.086, count)], axis=1)
        * hand.scale
    )
    ends = centre - np.einsum("bij,bj->bi", rotations, anchor)
    return _Approach(rotations, ends, travel, _open(count, (2, 8, 5), (100, 96, 90)))


def _section_centre(thing: Thing, points: Array) -> Array:
    """Moves points (B, 3) horizontally to the middle of the object's matter at their height."""
    low, high = thing.bounds
    u, v = (np.linspace(low[k], high[k], 24) for k in range(2))
    grid = np.stack(np.meshgrid(u, v, indexing="ij"), axis=-1).reshape(-1, 2)
    moved = points.copy()
    for i, z in enumerate(points[:, 2]):
        inside = grid[thing.distance(np.column_stack([grid, np.full(len(grid), z)])) < 0.004]
        if len(inside):
            moved[i, :2] = inside.mean(axis=0)
    return moved


def _pinches(thing: Thing, hand: Hand, rng: np.random.Generator, count: int) -> _Approach:
    """Fingers along one face, thumb along the other, of whatever is thin enough."""
    low, high = thing.bounds
    size = high - low
    thin = [axis for axis in range(3) if size[axis] <= MAX_PINCH_M] or [int(size.argmin())]
    rotations, ends, travel = (np.empty((count, *shape)) for shape in ((3, 3), (3,), (3,)))
    for i in range(count):
        axis = int(rng.choice(thin))
        back, along = _pinch_axes(axis, hand, rng)
        rotations[i] = np.stack([np.cross(back, along), back, along], axis=1)
        share = rng.uniform(0.15, 0.4)
        target = (low + high) / 2
        target[2] = low[2] + share * size[2]
        target = _section_centre(thing, target[None])[0]
        start = target - along * 0.3
        for _ in range(24):
            start = start + along * max(float(thing.distance(start[None])[0]) - 0.001, 0)
        entry = start if (start - target) @ along < 0.05 else target
        target = entry + along * rng.uniform(0.03, 0.05)
        thickness = min(size[axis], MAX_PINCH_M)
        anchor = np.array([hand.side * 0.008, -(0.014 + thickness / 2 / hand.scale), 0.128]) * hand.scale
        ends[i], travel[i] = target - rotations[i] @ anchor, along
    return _Approach(rotations, ends, travel, _open(count, (4, 6, 4), (80, 76, 70)))


def _pinch_axes(axis: int, hand: Hand, rng: np.random.Generator) -> tuple[Array, Array]:
    """Back-of-hand and fingertip directions: thumb upwards, or palm up below flat things."""
    turn = rng.normal(0, 0.3)
    if axis == 2:
        angle = rng.uniform(0, 2 * np.pi)
        return np.array([0.0, 0, -1]), np.array([np.cos(angle), np.sin(angle), 0.0])
    normal = np.eye(3)[axis] * rng.choice([-1.0, 1.0])
    from_below = rng.uniform() < 0.4
    along = np.array([0.0, 0, 1]) if from_below else np.cross(normal, [0.0, 0, 1])
    along = along * np.cos(turn) + np.cross(normal, along) * np.sin(turn)
    radial_up = hand.side * np.cross(normal, along)[2]
    return (normal if from_below or radial_up > 0 else -normal), along


def _world(rotations: Array, positions: Array, points: Array) -> Array:
    """Points (B, ..., 3) of each hand's frame to the object's."""
    flat = points.reshape(len(points), -1, 3)
    return (np.einsum("bij,bkj->bki", rotations, flat) + positions[:, None]).reshape(points.shape)


def _gaps(thing: Thing, rotations: Array, positions: Array, bones: Bones) -> Array:
    """Distance (B, K) between each bone's skin and the object."""
    centres, radii = bones.spheres()
    placed = _world(rotations, positions, np.broadcast_to(centres, (len(rotations), *centres.shape[1:])))
    distance = thing.distance(placed.reshape(-1, 3)).reshape(placed.shape[:-1])
    return (distance - radii).min(axis=2)


def _travel(thing: Thing, hand: Hand, approach: _Approach) -> tuple[Array, Mask]:
    """Moves the open hands in until something touches; returns positions (B, 3) and who came from the free."""
    distance_left = np.full(len(approach.ends), 0.3)
    parts = (hand.palm, hand.fingers(approach.posture), hand.thumb(approach.posture))

    def gap() -> Array:
        positions = approach.ends - distance_left[:, None] * approach.travel
        each = [_gaps(thing, approach.rotations, positions, bones).min(axis=1) for bones in parts]
        return np.min(each, axis=0)

    free = gap() > 0
    for _ in range(16):
        distance_left = np.maximum(distance_left - 0.9 * np.maximum(gap() - 0.0004, 0), 0)
    return approach.ends - distance_left[:, None] * approach.travel, free & (gap() > -0.001)


def _closed(thing: Thing, hand: Hand, approach: _Approach, positions: Array) -> tuple[Posture, Mask, Array]:
    """Closes all hands; returns the posture, which digits touch (B, 5; thumb last) and where they push (B, 5, 3)."""
    count = len(positions)
    posture = approach.posture
    moving = np.ones((count, 4, 3), bool)
    for _ in range(40):
        flexion = np.minimum(posture.flexion + STEP_RAD * FLEXION_RATE * moving, FLEXION_LIMIT_RAD)
        tried = replace(posture, flexion=flexion)
        hit = _gaps(thing, approach.rotations, positions, hand.fingers(tried)).reshape(count, 4, 3) < 0
        blocked = np.flip(
            np.maximum.accumulate(np.flip(hit, 2), axis=2), 2
        )  # a joint moves all bones beyond it
        moving &= ~blocked
        posture = replace(posture, flexion=np.where(blocked, posture.flexion, flexion))
        if not moving.any():
            break
    gaps = _gaps(thing, approach.rotations, positions, hand.fingers(posture)).reshape(count, 4, 3)
    touching = gaps.min(axis=2) < _reach(hand)
    start = approach.posture.flexion
    relaxed = start + RELAXED * (posture.flexion - start)
    posture = replace(posture, flexion=np.where(touching[..., None], posture.flexion, relaxed))
    posture = _close_thumb(thing, hand, approach, positions, posture)
    thumb_gap = _gaps(thing, approach.rotations, positions, hand.thumb(posture))[:, 1:].min(axis=1)
    touch = np.column_stack([touching, thumb_gap < _reach(hand)])
    tips = np.concatenate([hand.fingers(posture).ends[:, 2::3], hand.thumb(posture).ends[:, 2:]], axis=1)
    placed = _world(approach.rotations, positions, tips)
    return posture, touch, -gradient(thing.distance, placed.reshape(-1, 3)).reshape(count, 5, 3)


def _reach(hand: Hand) -> float:
    """How near counts as touching after the last step that stayed free: the fingertips' arc of one step."""
    return TOUCH_M + 0.04 * hand.scale * STEP_RAD


def _close_thumb(
    thing: Thing, hand: Hand, approach: _Approach, positions: Array, posture: Posture
) -> Posture:
    """The thumb also stops at the fingers."""
    centres, radii = hand.fingers(posture).spheres(3)
    fingers, finger_radii = centres.reshape(len(positions), -1, 3), radii.ravel()
    moving = np.ones((len(positions), 3), bool)
    for _ in range(40):
        thumb = np.maximum(posture.thumb - STEP_RAD * THUMB_RATE * moving, THUMB_LIMIT_RAD)
        bones = hand.thumb(replace(posture, thumb=thumb))
        gap = _gaps(thing, approach.rotations, positions, bones)
        own, own_radii = bones.spheres(3)
        between = np.linalg.norm(own[:, :, :, None] - fingers[:, None, None], axis=-1)
        between = (between - own_radii[None, :, :, None] - finger_radii).min(axis=(2, 3))
        hit = (gap < 0) | ((between < 0.001) & (np.arange(3) > 0))
        blocked = np.flip(np.maximum.accumulate(np.flip(hit, 1), axis=1), 1)
        moving &= ~blocked
        posture = replace(posture, thumb=np.where(blocked, posture.thumb, thumb))
        if not moving.any():
            break
    return posture


def _scores(
    thing: Thing,
    hand: Hand,
    approach: _Approach,
    positions: Array,
    posture: Posture,
    touch: Mask,
    pushes: Array,
) -> Array:
    """Above 0 for a hold: thumb against fingers, or fingers against the palm; better the lower and the firmer."""
    low, high = thing.bounds
    fingers = touch[:, :4].sum(axis=1)
    mean_push = (pushes[:, :4] * touch[:, :4, None]).sum(axis=1) / np.maximum(fingers, 1)[:, None]
    opposed = -(mean_push * pushes[:, 4]).sum(axis=1)
    palm = _gaps(thing, approach.rotations, positions, hand.palm).min(axis=1) < 0.004
    palm_push = -approach.rotations[:, :, 1]
    against_palm = -(mean_push * palm_push).sum(axis=1)
    holds = (fingers >= 2) & ((touch[:, 4] & (opposed > 0.2)) | (palm & (against_palm > 0.1)))
    tips = _world(approach.rotations, positions, hand.fingers(posture).ends).reshape(len(positions), -1, 3)
    top = np.maximum(tips[..., 2].max(axis=1), _world(approach.rotations, positions,
                                                      hand.thumb(posture).ends)[..., 2].max(axis=1))  # fmt: skip
    too_high = np.maximum((top - low[2]) / (high[2] - low[2]) - LOWER_SHARE, 0)
    covered = _covered(thing, hand, approach, positions, posture)
    score = 4 + 0.7 * fingers + 2.0 * touch[:, 4] + np.maximum(opposed, 0) + 0.5 * palm
    score -= 2.0 * np.minimum(too_high, 1.5) + COVERAGE_COST * covered
    return np.where(holds, np.maximum(score, 0.1), -1.0)


def _covered(thing: Thing, hand: Hand, approach: _Approach, positions: Array, posture: Posture) -> Array:
    """Share (B,) of the object's surface that lies right under the hand."""
    vertices = np.concatenate([mesh.vertices for mesh in thing.meshes])
    surface = vertices[:: max(1, len(vertices) // 150)]
    near = np.zeros((len(positions), len(surface)), bool)
    for bones in (hand.palm, hand.fingers(posture), hand.thumb(posture)):
        centres, radii = bones.spheres(3)
        centres = np.broadcast_to(centres, (len(positions), *centres.shape[1:]))
        placed = _world(approach.rotations, positions, centres).reshape(len(positions), -1, 3)
        between = np.linalg.norm(placed[:, :, None] - surface, axis=3) - radii.ravel()[None, :, None]
        near |= (between < COVERED_M).any(axis=1)
    return near.mean(axis=1)

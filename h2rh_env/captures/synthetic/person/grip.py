"""Closes a hand on an object, joint by joint, until every finger touches or is curled."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ....core.errors import CaptureError
from ....core.geometry import SE3
from ..objects.parts import ObjectModel
from .hand import Bones, Hand, Posture
from .reach_directions import FAMILIES, Reach
from .skin import gradient

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

CANDIDATES = 40
STEP_RAD = np.radians(3.0)
FLEXION_LIMIT_RAD = np.radians([80.0, 95.0, 60.0])
FLEXION_RATE = np.array([1.0, 1.1, 0.7])
THUMB_LIMIT_RAD = np.radians([28.0, -5.0, -40.0])
THUMB_RATE = np.array([0.6, 1.0, 1.1])
RELAXED = 0.55  # share of its closing that a finger keeps when it met nothing
TOUCH_M = 0.0015
COVERAGE_COST = 9.0  # of hiding the whole object: who hands something over leaves room to take it
COVERED_M = 0.02
ROOMY = 0.5  # share of the object covered, below which the first hold is taken
STIFLED = 0.75  # above which nobody would call it handing over
INDIFFERENT = 1.2  # holds whose scores are this close are drawn between
LOWER_SHARE = 0.6  # of the object's height that the hand should stay below


@dataclass(frozen=True, eq=False)
class Grip:
    """How a hand holds an object: object_from_hand, the posture (a batch of one), and what the hold is called."""

    object_from_hand: SE3
    posture: Posture
    family: str


def close_on(model: ObjectModel, hand: Hand, rng: np.random.Generator) -> Grip:
    """Finds a grip on the lower part of the object that leaves room to take it, or else the roomiest grip there is.

    Raises:
        CaptureError: The object cannot be held in this hand.
    """
    weights = np.array([weight for weight, _ in FAMILIES.values()])
    order = rng.choice(list(FAMILIES), len(FAMILIES), replace=False, p=weights / weights.sum())
    tightest: tuple[float, Grip] | None = None
    for family in map(str, order):
        found = _closed_on(model, hand, rng, family)
        if found is None:
            continue
        if found[0] < ROOMY:
            return found[1]
        if tightest is None or found[0] < tightest[0]:
            tightest = found
    if tightest is None or tightest[0] > STIFLED:
        raise CaptureError(
            f"no hand of {hand.length_m:.3f} m can hold a {model.name} this way; try another seed"
        )
    return tightest[1]


def _closed_on(
    model: ObjectModel, hand: Hand, rng: np.random.Generator, family: str
) -> tuple[float, Grip] | None:
    """Returns the share of the object that a good grip of this family covers, and the grip; None if there is none."""
    reach = FAMILIES[family][1](model, hand, rng, CANDIDATES)
    positions, free = _travel(model, hand, reach)
    posture, touch, pushes = _closed(model, hand, reach, positions)
    scores, covered = _scores(model, hand, reach, positions, posture, touch, pushes)
    scores = np.where(free, scores, -np.inf)
    if scores.max() <= 0:
        return None
    good = np.flatnonzero((scores > 0) & (scores > scores.max() - INDIFFERENT))
    chosen = int(rng.choice(good))
    one = Posture(posture.flexion[chosen : chosen + 1], posture.thumb[chosen : chosen + 1])
    return float(covered[chosen]), Grip(SE3(reach.rotations[chosen], positions[chosen]), one, family)


def _world(rotations: Array, positions: Array, points: Array) -> Array:
    """Maps points (B, ..., 3) from each hand's frame to the object's."""
    flat = points.reshape(len(points), -1, 3)
    placed: Array = (np.einsum("bij,bkj->bki", rotations, flat) + positions[:, None]).reshape(points.shape)
    return placed


def _gaps(model: ObjectModel, rotations: Array, positions: Array, bones: Bones) -> Array:
    """Returns the distance (B, K), m, between each bone's skin and the object."""
    centres, radii = bones.spheres()
    placed = _world(rotations, positions, np.broadcast_to(centres, (len(rotations), *centres.shape[1:])))
    distance = model.distance(placed.reshape(-1, 3)).reshape(placed.shape[:-1])
    gaps: Array = (distance - radii).min(axis=2)
    return gaps


def _travel(model: ObjectModel, hand: Hand, reach: Reach) -> tuple[Array, Mask]:
    """Moves the open hands in until something touches; returns positions (B, 3) and who began in free space."""
    distance_left = np.full(len(reach.ends), 0.3)
    parts = (hand.palm, hand.fingers(reach.posture), hand.thumb(reach.posture))

    def gap() -> Array:
        positions = reach.ends - distance_left[:, None] * reach.travel
        each = [_gaps(model, reach.rotations, positions, bones).min(axis=1) for bones in parts]
        least: Array = np.min(each, axis=0)
        return least

    free = gap() > 0
    for _ in range(16):
        distance_left = np.maximum(distance_left - 0.9 * np.maximum(gap() - 0.0004, 0), 0)
    return reach.ends - distance_left[:, None] * reach.travel, free & (gap() > -0.001)


def _closed(model: ObjectModel, hand: Hand, reach: Reach, positions: Array) -> tuple[Posture, Mask, Array]:
    """Closes all hands; returns the posture, which digits touch (B, 5; thumb last) and where they push (B, 5, 3)."""
    count = len(positions)
    posture = reach.posture
    moving = np.ones((count, 4, 3), bool)
    for _ in range(40):
        flexion = np.minimum(posture.flexion + STEP_RAD * FLEXION_RATE * moving, FLEXION_LIMIT_RAD)
        tried = replace(posture, flexion=flexion)
        hit = _gaps(model, reach.rotations, positions, hand.fingers(tried)).reshape(count, 4, 3) < 0
        blocked = np.flip(
            np.maximum.accumulate(np.flip(hit, 2), axis=2), 2
        )  # a joint moves all bones beyond it
        moving &= ~blocked
        posture = replace(posture, flexion=np.where(blocked, posture.flexion, flexion))
        if not moving.any():
            break
    gaps = _gaps(model, reach.rotations, positions, hand.fingers(posture)).reshape(count, 4, 3)
    touching = gaps.min(axis=2) < _reach(hand)
    start = reach.posture.flexion
    relaxed = start + RELAXED * (posture.flexion - start)
    posture = replace(posture, flexion=np.where(touching[..., None], posture.flexion, relaxed))
    posture = _close_thumb(model, hand, reach, positions, posture)
    thumb_gap = _gaps(model, reach.rotations, positions, hand.thumb(posture))[:, 1:].min(axis=1)
    touch = np.column_stack([touching, thumb_gap < _reach(hand)])
    tips = np.concatenate([hand.fingers(posture).ends[:, 2::3], hand.thumb(posture).ends[:, 2:]], axis=1)
    placed = _world(reach.rotations, positions, tips)
    return posture, touch, -gradient(model.distance, placed.reshape(-1, 3)).reshape(count, 5, 3)


def _reach(hand: Hand) -> float:
    """Returns how near, m, counts as touching after the last free step: the arc of the fingertips in one step."""
    reach_m: float = TOUCH_M + 0.04 * hand.scale * STEP_RAD
    return reach_m


def _close_thumb(model: ObjectModel, hand: Hand, reach: Reach, positions: Array, posture: Posture) -> Posture:
    """Closes the thumb, which also stops at the fingers."""
    centres, radii = hand.fingers(posture).spheres(3)
    fingers, finger_radii = centres.reshape(len(positions), -1, 3), radii.ravel()
    moving = np.ones((len(positions), 3), bool)
    for _ in range(40):
        thumb = np.maximum(posture.thumb - STEP_RAD * THUMB_RATE * moving, THUMB_LIMIT_RAD)
        bones = hand.thumb(replace(posture, thumb=thumb))
        gap = _gaps(model, reach.rotations, positions, bones)
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
    model: ObjectModel,
    hand: Hand,
    reach: Reach,
    positions: Array,
    posture: Posture,
    touch: Mask,
    pushes: Array,
) -> tuple[Array, Array]:
    """Returns the scores (B,) of the grips, and the shares (B,) of the object that they cover.

    A score is above 0 for a hold: thumb against fingers, fingers against the palm, or all from below. It grows the
    lower, the firmer and the roomier the hold is.
    """
    low, high = model.bounds
    fingers = touch[:, :4].sum(axis=1)
    mean_push = (pushes[:, :4] * touch[:, :4, None]).sum(axis=1) / np.maximum(fingers, 1)[:, None]
    opposed = -(mean_push * pushes[:, 4]).sum(axis=1)
    palm = _gaps(model, reach.rotations, positions, hand.palm).min(axis=1) < 0.004
    palm_push = -reach.rotations[:, :, 1]
    against_palm = -(mean_push * palm_push).sum(axis=1)
    holds = (fingers >= 2) & ((touch[:, 4] & (opposed > 0.2)) | (palm & (against_palm > 0.1)))
    holds |= palm & (palm_push[:, 2] > 0.85) & (touch.sum(axis=1) >= 3)
    tips = _world(reach.rotations, positions, hand.fingers(posture).ends).reshape(len(positions), -1, 3)
    thumb = _world(reach.rotations, positions, hand.thumb(posture).ends)
    top = np.maximum(tips[..., 2].max(axis=1), thumb[..., 2].max(axis=1))
    too_high = np.maximum((top - low[2]) / (high[2] - low[2]) - LOWER_SHARE, 0)
    covered = _covered(model, hand, reach, positions, posture)
    score = 4 + 0.7 * fingers + 2.0 * touch[:, 4] + np.maximum(opposed, 0) + 0.5 * palm
    score -= 2.0 * np.minimum(too_high, 1.5) + COVERAGE_COST * covered
    return np.where(holds, np.maximum(score, 0.1), -1.0), covered


def _covered(model: ObjectModel, hand: Hand, reach: Reach, positions: Array, posture: Posture) -> Array:
    """Returns the share (B,) of the object's surface that lies right under the hand."""
    vertices = np.concatenate([mesh.vertices for mesh in model.meshes])
    surface = vertices[:: max(1, len(vertices) // 150)]
    near = np.zeros((len(positions), len(surface)), bool)
    for bones in (hand.palm, hand.fingers(posture), hand.thumb(posture)):
        centres, radii = bones.spheres(3)
        centres = np.broadcast_to(centres, (len(positions), *centres.shape[1:]))
        placed = _world(reach.rotations, positions, centres).reshape(len(positions), -1, 3)
        between = np.linalg.norm(placed[:, :, None] - surface, axis=3) - radii.ravel()[None, :, None]
        near |= (between < COVERED_M).any(axis=1)
    share: Array = near.mean(axis=1)
    return share

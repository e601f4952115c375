"""From a declared pre-grasp pose to one near it, whose straight advance ends with the fingers about the object.

The policy says where from to take the object; the points of it that the camera measured say how far to go, and
whether to turn about the approach or to step aside first. The guard judges every pose on the path all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from h2rh_env.core.clearance import SWEEP_MARGIN_M, Clearance, swept_hits
from h2rh_env.core.geometry import SE3, Array, between
from h2rh_env.core.gripper import FINGERTIP_DEPTH_M, ROBOTIQ_2F85

TURNS_RAD = np.radians(np.arange(-90, 91, 10))
TILTS_RAD = np.radians([15, 30])  # of the approach, where there is nothing else
STEPS_M = np.arange(-0.06, 0.061, 0.015)
BITES_M = (0.03, 0.02, 0.012)  # how far the fingers reach beyond the object's nearest point between them
GAP_M = 0.004  # between a finger or the palm and what was measured, which is 5 mm coarse
HAND_GAPS_M = (0.012, 0.004)  # wished and least, beyond the guard's: nearer, more of a hand shows
LEAST_POINTS = 4
TURN_COST, STEP_COST, BITE_COST = 1 / np.radians(60), 1 / 0.05, 1 / 0.02
PARTS = (0.2, 0.4, 0.6, 0.8, 1.0)  # of each of both paths, which are asked about
ASKED_AT_ONCE = 8
MOST_ASKED = 600  # of the best, until one keeps off the hand and can be reached


@dataclass(frozen=True, eq=False)
class Advance:
    """Where a straight advance begins, and how long it is, m."""

    world_from_pregrasp: SE3
    length_m: float

    @property
    def world_from_grasp(self) -> SE3:
        return ahead(self.world_from_pregrasp, self.length_m)


def ahead(pose: SE3, metres: float) -> SE3:
    """A pose moved along its own z."""
    return pose @ SE3(np.eye(3), np.array([0.0, 0.0, metres]))


def aligned(
    world_from_pregrasp: SE3,
    object_points: Array,
    hand_points: Array,
    standoff_m: float,
    clearance_m: float,
    can_follow: Callable[[Sequence[SE3]], bool],
) -> Generator[None, None, Advance | None]:
    """The advance that closes on the object with the least turn and step aside; None where no one does.

    Where none keeps off the hand within reach as the object is approached now, it is approached from a little
    further around. This may take seconds, so it yields every few milliseconds, for whoever holds an arm meanwhile.

    Args:
        world_from_pregrasp: as the policy declared it.
        object_points: (P, 3), m, and hand_points (Q, 3), in the world, as measured.
        standoff_m: of the pre-grasp pose from the grasp; clearance_m: of the gripper's origin from the hand.
        can_follow: of the arm; asked about the path from there to the end of the advance.
    """
    hand = Clearance(hand_points)

    def is_open(advance: Advance, gap_m: float) -> bool:
        begin, end = advance.world_from_pregrasp, advance.world_from_grasp
        return (
            float(hand.distance(end.translation)) >= clearance_m + gap_m
            and not swept_hits(hand_points, begin, advance.length_m, SWEEP_MARGIN_M + gap_m).any()
            and can_follow(_path(world_from_pregrasp, advance))
        )

    for ring in _rings(world_from_pregrasp, standoff_m):
        found: list[tuple[float, Advance]] = []
        for pose in ring:
            for advances in _advances(pose, object_points, standoff_m):
                found += advances
                yield
        found.sort(key=lambda pair: pair[0])
        for gap_m in HAND_GAPS_M:
            for number, (_, advance) in enumerate(found[:MOST_ASKED]):
                if is_open(advance, gap_m):
                    return advance
                if number % ASKED_AT_ONCE == 0:
                    yield
    return None


def _path(here: SE3, advance: Advance) -> list[SE3]:
    """From where the gripper is to the end of an advance."""
    begin, end = advance.world_from_pregrasp, advance.world_from_grasp
    return [*(between(here, begin, part) for part in PARTS), *(between(begin, end, part) for part in PARTS)]


def _rings(world_from_pregrasp: SE3, standoff_m: float) -> Iterator[list[SE3]]:
    """The pose itself; then poses tilted about what lies ahead of it, by more and more."""
    yield [world_from_pregrasp]
    pivot = np.array([0.0, 0.0, standoff_m + FINGERTIP_DEPTH_M])
    for tilt in TILTS_RAD:
        axes = ([1.0, 0.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, -1.0, 0.0])
        turns = [Rotation.from_rotvec(tilt * np.array(axis)).as_matrix() for axis in axes]
        yield [world_from_pregrasp @ SE3(turn, pivot - turn @ pivot) for turn in turns]


def _advances(
    world_from_pregrasp: SE3, object_points: Array, standoff_m: float
) -> Iterator[list[tuple[float, Advance]]]:
    """Advances that close on the object, each with its cost; a list for each turn and bite."""
    points = world_from_pregrasp.inverse().apply(object_points)
    for turn in TURNS_RAD:
        c, s = np.cos(turn), np.sin(turn)
        turned = np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
        for bite in BITES_M:
            shifts, reaches = _closing(points @ turned, bite)
            costs = (
                TURN_COST * abs(turn)
                + STEP_COST * np.linalg.norm(shifts, axis=1)
                + BITE_COST * (BITES_M[0] - bite)
            )
            asides = [
                np.array([*shift, reach - standoff_m]) for shift, reach in zip(shifts, reaches, strict=True)
            ]
            poses = [world_from_pregrasp @ SE3(turned, turned @ aside) for aside in asides]
            yield [(float(cost), Advance(pose, standoff_m)) for cost, pose in zip(costs, poses, strict=True)]


def _closing(points: Array, bite_m: float) -> tuple[Array, Array]:
    """Steps aside (K, 2) and lengths ahead (K,), m, after which open fingers stand about points (P, 3), not touching.

    Points are in the gripper's frame. Each of a grid of steps is centred on what it finds between the fingers.
    """
    hand = ROBOTIQ_2F85
    half, breadth = hand.max_width_m / 2, hand.finger_breadth_m / 2
    steps = np.stack(np.meshgrid(STEPS_M, STEPS_M), axis=-1).reshape(-1, 2)
    x, y, z = (
        points[:, 0] - steps[:, :1],
        points[:, 1] - steps[:, 1:],
        np.broadcast_to(points[:, 2], (len(steps), len(points))),
    )
    between = (np.abs(x) < half) & (np.abs(y) < breadth)
    front = np.where(between, z, np.inf).min(axis=1, initial=np.inf)
    caught = between & (z < front[:, None] + bite_m)
    low = np.where(caught, x, np.inf).min(axis=1, initial=np.inf)
    high = np.where(caught, x, -np.inf).max(axis=1, initial=-np.inf)
    usable = caught.sum(axis=1) >= LEAST_POINTS
    centre = (np.where(usable, low, 0.0) + np.where(usable, high, 0.0)) / 2
    tips = np.where(usable, front, 0.0) + bite_m
    x, tips = np.abs(x - centre[:, None]), tips[:, None]
    fingers = _inside(x, half - GAP_M, half + hand.finger_thickness_m + GAP_M) & (np.abs(y) < breadth + GAP_M)
    palm = (x < hand.palm_size_m[0] / 2 + GAP_M) & (np.abs(y) < hand.palm_size_m[1] / 2 + GAP_M)
    touched = (fingers & (z < tips + GAP_M)) | (palm & (z < tips - hand.finger_length_m + GAP_M))
    usable &= ~touched.any(axis=1)
    shifts = steps + np.stack([centre, np.zeros_like(centre)], axis=1)
    return shifts[usable], (tips[:, 0] - FINGERTIP_DEPTH_M)[usable]


def _inside(values: Array, low: float, high: float) -> npt.NDArray[np.bool_]:
    return (values > low) & (values < high)

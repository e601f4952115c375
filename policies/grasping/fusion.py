"""Fusion: what the network said of each frame, brought together in the world, and the grasp to go for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from h2rh_env.core.geometry import SE3, Array, cross
from h2rh_env.core.gripper import FINGERTIP_DEPTH_M

from .hand import SeenHand

LEAST_QUALITY = 1e-4  # what is less counts for nothing
MOST_ASKED = 64  # grasps that an arm is asked about when it cannot reach the best


@dataclass(frozen=True)
class FusionConfig:
    """How predictions are brought together.

    Attributes:
        kept: how many predictions of each frame are kept, the best first.
        near_m, near_rad: how far apart two predictions may be that speak for one another (standard deviations).
        fading: what a prediction counts after each further frame.
        loyalty: how many times as much the present goal counts, so that equals don't alternate.
        around_rad: how far round an approach may lead that counts half as much.
        committed_m: a camera nearer to the contact than this has begun to go in: the goal is refined, not changed.
        refined: what a prediction must agree with the goal by to refine it.
        caution: power of the probability, as the network says it, that the hand is not come too near to, by which
            quality is multiplied; 0 leaves the danger out.
        hand_frames, hand_doubt_m, hand_caution: of how many frames the hand is kept as it was seen, the scale of the
            logistic curve by which the room that one of them tells becomes danger (one half where there is none to
            spare, a quarter at 1.1 scales), and the power of the probability of no danger.
        most_danger: a grasp with more of that probability of coming too near is none to go for.
    """

    kept: int = 12
    near_m: float = 0.018
    near_rad: float = 0.35
    fading: float = 0.94
    loyalty: float = 4.0
    around_rad: float = 1.0
    committed_m: float = 0.28
    refined: float = 0.1
    caution: float = 0.0
    hand_frames: int = 8
    hand_doubt_m: float = 0.01
    hand_caution: float = 3.0
    most_danger: float = 0.25


class Predictions(NamedTuple):
    """Grasps in one frame of reference, all with N rows.

    Attributes:
        contact: (N, 3), m. approach, closing: (N, 3) unit vectors. quality, danger: (N,) in (0, 1), probabilities
            that the fingers would hold, and that the gripper would come too near to the hand.
    """

    contact: Array
    approach: Array
    closing: Array
    quality: Array
    danger: Array

    def moved(self, target_from_source: SE3) -> Predictions:
        """The same grasps in another frame of reference."""
        turn = target_from_source.rotation.T
        return Predictions(
            target_from_source.apply(self.contact), self.approach @ turn, self.closing @ turn, self.quality,
            self.danger,
        )  # fmt: skip

    def heeding(self, caution: float) -> Predictions:
        """The same grasps, worth less the more dangerous they are."""
        return self._replace(quality=self.quality * (1 - self.danger) ** caution)

    def those(self, which: npt.NDArray[Any] | slice) -> Predictions:
        """The grasps of an index."""
        return Predictions(*(values[which] for values in self))


class Goal(NamedTuple):
    """The grasp to go for.

    Attributes:
        contact: (3,), m. rotation: (3, 3), of the grasp frame in the world. support: the summed qualities, faded, of
            predictions that speak for it. danger: how likely the gripper would come too near to the hand as it was
            seen.
    """

    contact: Array
    rotation: Array
    support: float
    danger: float = 0.0

    def pose_before(self, standoff_m: float) -> SE3:
        """The pose of the gripper in which the fingers close, or one so far before it on the approach."""
        return SE3(self.rotation, self.contact - (FINGERTIP_DEPTH_M + standoff_m) * self.rotation[:, 2])


class Fusion:
    """The predictions of an episode."""

    def __init__(self, config: FusionConfig) -> None:
        self._config = config
        self._all = Predictions(*np.zeros((3, 0, 3)), *np.zeros((2, 0)))
        self._hand = SeenHand(config.hand_frames, config.hand_doubt_m)
        self._told = np.zeros((0, 2))  # of each prediction: danger that frames told, and how many did
        self._agreed = np.zeros((0, 0))  # how far each two agree
        self.goal: Goal | None = None

    def add(
        self, seen: Predictions, camera_position: Array, hand: Array | None = None,
        can_reach: Callable[[Goal], bool] | None = None,
    ) -> None:  # fmt: skip
        """Takes in what one frame said, in the world, and chooses the goal anew.

        Args:
            hand: (P, 3), m, points of the hand that the frame showed.
            can_reach: whether an arm could take the object so; a grasp that none could gives way to others.
        """
        seen = seen.heeding(self._config.caution)
        order = np.argsort(-seen.quality)
        best = seen.those(order[: self._config.kept])
        if can_reach is not None and not all(map(can_reach, _goals(best))):
            best = self._reached(seen.those(order[:MOST_ASKED]), best, can_reach)
        if hand is not None and self._hand.add(hand):
            latest = self._hand.danger(*self._all[:3], latest=1)
            self._told = self._told * self._config.fading + np.stack([latest, np.ones(len(latest))], axis=1)
        told = len(self._hand) * np.stack([self._hand.danger(*best[:3]), np.ones(len(best.quality))], axis=1)
        faded = self._all._replace(quality=self._all.quality * self._config.fading)
        both = Predictions(*(np.concatenate(parts) for parts in zip(faded, best, strict=True)))
        counts = np.flatnonzero(both.quality > LEAST_QUALITY)
        told = np.concatenate([self._told, told])[counts]
        agreed = _grown(self._agreed, self._agreement(best, both))[np.ix_(counts, counts)]
        self._all, self._told, self._agreed = both.those(counts), told, agreed
        self.goal = self._choose(camera_position, can_reach)

    def _reached(
        self, seen: Predictions, best: Predictions, can_reach: Callable[[Goal], bool]
    ) -> Predictions:
        """The best, and as many besides as are kept of those that an arm could take."""
        within = [k for k, goal in enumerate(_goals(seen)) if k >= len(best.quality) and can_reach(goal)]
        more = seen.those(np.array(within[: self._config.kept], np.intp))
        return Predictions(*(np.concatenate(parts) for parts in zip(best, more, strict=True)))

    def _choose(self, camera_position: Array, can_reach: Callable[[Goal], bool] | None) -> Goal | None:
        if not len(self._all.quality):
            return self.goal
        danger = self._told[:, 0] / np.maximum(self._told[:, 1], 1e-9)
        safe = (danger <= self._config.most_danger) * (1 - danger) ** self._config.hand_caution
        p = self._all._replace(quality=self._all.quality * safe)
        votes = self._agreed @ p.quality
        sight = p.contact - camera_position
        off = np.arccos(np.clip(_cosine(p.approach, sight), -1, 1))
        votes = votes / (1 + (off / self._config.around_rad) ** 2)
        if self.goal is not None:
            rotation = self.goal.rotation
            goal = Predictions(
                self.goal.contact[None], rotation[None, :, 2], rotation[None, :, 0], *np.ones((2, 1))
            )
            same = self._agreement(goal, self._all)[0]
            votes = votes * (1 + (self._config.loyalty - 1) * same)
            if np.linalg.norm(self.goal.contact - camera_position) < self._config.committed_m:
                votes = np.where(same > self._config.refined, votes, 0.0)
        order = np.argsort(-votes, kind="stable")[: np.count_nonzero(votes)]
        if not len(order):
            return self.goal and self.goal._replace(danger=self._danger_of(self.goal))
        goals = (_mean(p, self._agreed[k] * p.quality, p.closing[k], danger) for k in order)
        first = next(goals)
        if can_reach is None or can_reach(first):
            return first
        return next((goal for goal in islice(goals, MOST_ASKED) if can_reach(goal)), first)

    def _danger_of(self, goal: Goal) -> float:
        axes = goal.rotation[None, :, 2], goal.rotation[None, :, 0]
        return float(self._hand.danger(goal.contact[None], *axes)[0])

    def _agreement(self, some: Predictions, others: Predictions) -> Array:
        """(M, N) in [0, 1]: how far M grasps agree with N."""
        middle = others.contact[:1].sum(axis=0)  # near to what is compared, so that squares keep their digits
        here, there = some.contact - middle, others.contact - middle
        apart = (here**2).sum(1)[:, None] + (there**2).sum(1) - 2 * here @ there.T
        turned = 4 - 2 * some.approach @ others.approach.T - 2 * np.abs(some.closing @ others.closing.T)
        off = np.maximum(apart, 0) / self._config.near_m**2 + np.maximum(turned, 0) / self._config.near_rad**2
        agreement: Array = np.exp(-0.5 * off)
        return agreement


def _grown(agreed: Array, new: Array) -> Array:
    """The agreement (N, N) of grasps, with that of M new ones (M, N + M) with all of them beside it."""
    count = len(agreed)
    both = np.empty((new.shape[1],) * 2)
    both[:count, :count], both[count:], both[:count, count:] = agreed, new, new[:, :count].T
    return both


def _cosine(a: Array, b: Array) -> Array:
    products: Array = (a * b).sum(1) / np.maximum(np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1), 1e-9)
    return products


def _goals(p: Predictions) -> Iterator[Goal]:
    """Each prediction as a goal of its own."""
    for k in range(len(p.quality)):
        yield _mean(p.those(slice(k, k + 1)), p.quality[k : k + 1], p.closing[k], p.danger[k : k + 1])


def _mean(p: Predictions, weights: Array, closing: Array, danger: Array) -> Goal:
    """Their mean by weights (N,); of closing axes, which have no sign, those near to `closing`."""
    total = float(weights.sum())
    share = weights / max(total, 1e-12)
    z = share @ p.approach
    z /= max(float(np.linalg.norm(z)), 1e-9)
    signs = np.where(p.closing @ closing < 0, -1.0, 1.0)
    x = (share * signs) @ p.closing
    x -= z * (x @ z)
    x /= max(float(np.linalg.norm(x)), 1e-9)
    rotation = np.stack([x, cross(z, x), z], axis=1)
    return Goal(share @ p.contact, rotation, total, float(share @ danger))

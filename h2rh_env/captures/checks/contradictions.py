"""Doubts about poses, depth and intrinsics by which cameras contradict each other by centimetres and more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from ...core.geometry import SE3
from ..base import HandoverCapture, RgbdView
from .agreement import Agreement, agreement
from .doubt import Doubt, Fix, changed, names_of
from .repairs import Explanation, explanation
from .sampling import placing

MAX_REFUTED = 0.3  # share of a camera's points that other cameras may see through
MIN_CONFIRMED = 0.2  # sound captures: 0.8 and more, and 0.4 for two cameras that face each other
MIN_PLACED = 0.5  # share of what a camera measured of anything that lies where its neighbours have it
MOSTLY_PLACED = 0.8  # median of that share over the cameras; sound captures: 0.9 and more
CAUSES = "check world_from_camera (OpenCV axes, metres, not its inverse), the depth scale, K and the masks"


def contradictions(capture: HandoverCapture) -> list[Doubt]:
    """Returns a doubt for each camera that contradicts the others; a single one if most of them do."""
    views = capture.views
    judged = [(view, share) for view in views for share in (_judged(view, views),) if share]
    doubted = [(view, share) for view, share in judged if share.is_doubtful]
    placed = [share.placed for _, share in judged if share.placed is not None]
    together = len(placed) < 3 or float(np.median(placed)) > MOSTLY_PLACED
    if judged and (len(doubted) * 2 > len(judged) or not together):
        return [_of_most(views, [share for _, share in judged])]
    swapped = _swapped(views, [view for view, _ in doubted])
    if swapped:
        return [swapped]
    return [_of_one(views, view, share) for view, share in doubted]


@dataclass(frozen=True)
class _Judgement:
    """What the others say of a camera: of object and hand, and the share of anything that lies where they have it."""

    held: Agreement
    placed: float | None

    @property
    def is_doubtful(self) -> bool:
        misplaced = self.placed is not None and self.placed < MIN_PLACED
        return self.held.confirmed < MIN_CONFIRMED or self.held.refuted > MAX_REFUTED or misplaced


def _judged(view: RgbdView, views: Sequence[RgbdView]) -> _Judgement | None:
    others = [other for other in views if other is not view]
    held, placed = agreement(view, others), placing(view, others)
    return _Judgement(held, placed.same if placed else None) if held else None


def _of_most(views: Sequence[RgbdView], shares: Sequence[_Judgement]) -> Doubt:
    found = explanation(views, views)
    return Doubt(
        "the cameras contradict each other: of what one measured on object and hand, the others confirm "
        f"{np.mean([share.held.confirmed for share in shares]):.0%}; {found or CAUSES}",
        refused=True,
        fix=_fix(views, found),
    )


def _of_one(views: Sequence[RgbdView], view: RgbdView, share: _Judgement) -> Doubt:
    found = explanation(views, [view])
    return Doubt(
        f"camera {view.name} contradicts the others: of what it measured on object and hand, they confirm "
        f"{share.held.confirmed:.0%} and see through {share.held.refuted:.0%}; {found or CAUSES}",
        fix=_fix([view], found),
    )


def _fix(suspects: Sequence[RgbdView], found: Explanation | None) -> Fix | None:
    if not found or not found.certain:
        return None
    names, change = names_of(suspects), found.repair.change
    return lambda capture: changed(capture, names, change)


def _swapped(views: Sequence[RgbdView], doubted: Sequence[RgbdView]) -> Doubt | None:
    """Returns a doubt if two cameras would agree with all others at each other's pose."""
    for one, two in combinations(doubted[:6], 2):
        poses = {one.name: two.world_from_camera, two.name: one.world_from_camera}
        tried = [replace(v, world_from_camera=poses.get(v.name, v.world_from_camera)) for v in views]
        judged = [_judged(v, tried) for v in tried if v.name in poses]
        if all(j and not j.is_doubtful and (j.placed or 1.0) > MOSTLY_PLACED for j in judged):
            return Doubt(
                f"cameras {one.name} and {two.name} seem to be swapped: at each other's pose they agree with the "
                "others; swap their world_from_camera, or their images",
                fix=_with_poses(poses),
            )
    return None


def _with_poses(poses: Mapping[str, SE3]) -> Fix:
    return lambda capture: changed(
        capture, frozenset(poses), lambda view: replace(view, world_from_camera=poses[view.name])
    )

"""Doubts about masks: empty, incomplete, swapped or shifted ones, by what other cameras and the own depth say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.ndimage import binary_dilation, gaussian_filter, maximum_filter

from ...core.labels import Label
from ..base import HandoverCapture, RgbdView
from .colour import skin_share
from .doubt import Doubt, changed
from .sampling import look_up, sample

LABELS = (Label.OBJECT, Label.HAND)
POINTS = 300  # of a label, from each camera
LEAST_SEEN = 150  # points of the others that tell of a camera's labels
MOST_MISSED = 0.35  # share that may be labelled background; sound captures: 0.11
SWAPPED = 0.6  # share of each of two labels that others call by the other name; sound captures: 0.3 of one
ATTACHED = 2.0  # how many times more of the object's edge than of the hand's touches an arm
EDGE_PX = 3
LEAST_ATTACHED_PX = 40  # a camera
LARGEST_SHIFT_PX = 16
LEAST_SHIFT_PX = 5  # real edges of depth lie up to some px beside those of colour
CLEARER = 1.25  # the fit of edges at the shift, to that where the mask is
CLEAR = 0.15  # share of the mask's edge that has to fit
DEPTH_STEP_M = 0.05
SAME_BODY_M = 0.02
SIDES = ((1, -1), (1, 1), (0, -1), (0, 1))  # axis, and the way to what lies beside
BESIDE_PX = 10  # around a mask, where depth may still be that of what is masked


def odd_labels(capture: HandoverCapture) -> list[Doubt]:
    swapped = _all_swapped(capture.views)
    if swapped:
        return [swapped]
    found = []
    for view in capture.views:
        others = [other for other in capture.views if other is not view]
        doubt = _of_one(view, _seen_as(view, others), _called(view, others))
        found += [doubt] if doubt else _shifted(view)
    return found


def _of_one(view: RgbdView, seen: _Table, called: _Table) -> Doubt | None:
    name = view.name
    if not np.isin(view.labels, LABELS).any():
        if sum(seen.count(label) for label in LABELS) < LEAST_SEEN:
            return None
        return Doubt(
            f"camera {name} labels neither object nor hand, though it sees what others label: its mask is empty; "
            "make its mask, or leave the camera out",
            fix=lambda capture: replace(capture, views=tuple(v for v in capture.views if v.name != name)),
        )
    if all(seen.share(one, other) > SWAPPED for one, other in (LABELS, LABELS[::-1])):
        return Doubt(
            f"camera {name} seems to have object and hand swapped in its mask: of what others label object it "
            f"labels {seen.share(Label.OBJECT, Label.HAND):.0%} hand; swap 1 and 2 there",
            fix=lambda capture: changed(capture, frozenset({name}), _swap),
        )
    for label in LABELS:
        missed = seen.share(label, Label.BACKGROUND)
        if missed > MOST_MISSED:
            return Doubt(
                f"camera {name} labels {missed:.0%} of the {label.name.lower()} that it sees as background, by what "
                "others label so: its mask is incomplete, shifted, of another image or of another thing"
            )
        too_much = called.share(label, Label.BACKGROUND)
        if too_much > MOST_MISSED:
            return Doubt(
                f"camera {name} labels as {label.name.lower()} what others label background, {too_much:.0%} of it: "
                "its mask is too large, shifted, of another image or of another thing"
            )
    return None


@dataclass(frozen=True, eq=False)
class _Table:
    """Counts (3, 3) of points: how labels of the first index are labelled elsewhere."""

    counts: npt.NDArray[np.int64]

    def count(self, label: Label) -> int:
        return int(self.counts[label].sum())

    def share(self, label: Label, other: Label) -> float:
        count = self.count(label)
        return float(self.counts[label, other] / count) if count >= LEAST_SEEN else 0.0


def _seen_as(view: RgbdView, others: Sequence[RgbdView]) -> _Table:
    """Counts how a view labels what others label object and hand, where it sees that."""
    counts = np.zeros((3, 3), np.int64)
    everywhere = np.ones(view.labels.shape, bool)
    for other in others:
        _count(counts, other, view, everywhere)
    return _Table(counts)


def _called(view: RgbdView, others: Sequence[RgbdView]) -> _Table:
    """Counts how others label what a view labels object and hand, where they see that."""
    counts = np.zeros((3, 3), np.int64)
    for other in others:
        _count(counts, view, other, ~_beside(other))
    return _Table(counts)


def _beside(view: RgbdView) -> npt.NDArray[np.bool_]:
    """Returns the background (H, W) beside a mask: its depth may be that of what is masked, as sensors widen it."""
    held = view.labels != Label.BACKGROUND
    beside: npt.NDArray[np.bool_] = maximum_filter(held, 2 * BESIDE_PX + 1) & ~held
    return beside


def _count(counts: npt.NDArray[np.int64], by: RgbdView, at: RgbdView, certain: npt.NDArray[np.bool_]) -> None:
    for label in LABELS:
        points = by.world_from_camera.apply(sample(by, by.labels == label, POINTS).points_camera)
        found = look_up(at, points)
        seen = found.visible & certain[found.rows, found.columns]
        np.add.at(counts[label], at.labels[found.rows[seen], found.columns[seen]], 1)


def _swap(view: RgbdView) -> RgbdView:
    swapped = np.array([Label.BACKGROUND, Label.HAND, Label.OBJECT], np.uint8)
    return replace(view, labels=swapped[view.labels])


def _all_swapped(views: Sequence[RgbdView]) -> Doubt | None:
    """Doubts object and hand where the arm goes on from what is labelled object, and the hand is not skin."""
    attached = {label: sum(_attached_px(view, label) for view in views) for label in LABELS}
    of_object, of_hand = attached[Label.OBJECT], attached[Label.HAND]
    if of_object < LEAST_ATTACHED_PX * len(views) or of_object < ATTACHED * of_hand:
        return None
    if not any((view.labels == Label.HAND).any() for view in views):
        return None
    if skin_share(views, Label.HAND) > skin_share(views, Label.OBJECT) + 0.2:
        return None
    names = frozenset(view.name for view in views)
    return Doubt(
        "object and hand seem to be swapped in the masks: the arm goes on from what is labelled object; masks have "
        "1 for the object and 2 for the hand",
        refused=True,
        fix=lambda capture: changed(capture, names, _swap),
    )


def _attached_px(view: RgbdView, label: Label) -> int:
    """Counts pixels around a label that are background, yet of one depth with it: where a body goes on."""
    mine = view.labels == label
    if not mine.any():
        return 0
    around = (
        binary_dilation(mine, iterations=EDGE_PX) & (view.labels == Label.BACKGROUND) & (view.depth_m > 0)
    )
    depth_m = maximum_filter(np.where(mine, view.depth_m, 0), 2 * EDGE_PX + 1)
    return int((around & (np.abs(view.depth_m - depth_m) < SAME_BODY_M)).sum())


def _shifted(view: RgbdView) -> list[Doubt]:
    """Doubts a mask whose edges fit the steps of depth better some pixels away."""
    held = view.labels != Label.BACKGROUND
    rows, columns = np.nonzero(held)
    if len(rows) < 400:
        return []
    margin = 2 * LARGEST_SHIFT_PX
    window = np.s_[
        max(rows.min() - margin, 0) : rows.max() + margin,
        max(columns.min() - margin, 0) : columns.max() + margin,
    ]
    fits, edge_px = _fits_of_sides(held[window], view.depth_m[window])
    middle = LARGEST_SHIFT_PX, LARGEST_SHIFT_PX
    gains = fits - fits[:, *middle][:, None, None]
    gain = gains.sum(axis=0) - gains.max(axis=0)
    best = np.unravel_index(gain.argmax(), gain.shape)
    others = np.arange(len(SIDES)) != gains[:, *best].argmax()
    there, here = fits[others, *best].sum(), max(fits[others, *middle].sum(), 1e-6)
    down, right = (int(k) - LARGEST_SHIFT_PX for k in best)
    along = slice(0, 2) if abs(right) > abs(down) else slice(2, 4)  # the two sides that a shift moves most
    both = (fits[along, *best] > fits[along, *middle]).all()
    clear = there > CLEAR * edge_px[others].sum() and there > CLEARER * here and both
    if not clear or np.hypot(right, down) < LEAST_SHIFT_PX:
        return []
    return [
        Doubt(
            f"camera {view.name}: mask and depth do not lie on each other; the mask fits the edges of depth when "
            f"moved by {right} px to the right and {down} px down; align depth to the colour image, and take colour, "
            "mask and depth of one moment and one resolution"
        )
    ]


def _fits_of_sides(
    held: npt.NDArray[np.bool_], depth_m: npt.NDArray[np.float32]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Returns for each side how much of the mask's edge lies on steps at each shift, (4, 33, 33), and its length.

    The sides stay apart, as a sensor with two eyes makes near surfaces some pixels too wide on one of them.
    """
    measured_m = np.where(depth_m > 0, depth_m, np.nan)
    fits, lengths = [], []
    for axis, step in SIDES:
        edge = held & ~np.roll(held, -step, axis)
        beside_m = np.fmax(np.roll(measured_m, -step, axis), np.roll(measured_m, -2 * step, axis))
        steps = beside_m - measured_m > DEPTH_STEP_M
        fits.append(_fit_of_shifts(gaussian_filter(edge.astype(float), 1.0), steps.astype(float)))
        lengths.append(int(edge.sum()))
    return np.array(fits), np.array(lengths)


def _fit_of_shifts(edge: npt.NDArray[np.float64], steps: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Returns how much of the edge lies on steps when moved by (row - 16, column - 16) px, (33, 33)."""
    shape = [2 * side for side in edge.shape]
    product = np.fft.rfft2(steps, shape) * np.conj(np.fft.rfft2(edge, shape))
    moved = np.roll(np.fft.irfft2(product, shape), (LARGEST_SHIFT_PX, LARGEST_SHIFT_PX), (0, 1))
    side = 2 * LARGEST_SHIFT_PX + 1
    fit: npt.NDArray[np.float64] = moved[:side, :side]
    return fit

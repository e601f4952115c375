"""Doubts about colour images: BGR order, grey, exposure, an image of another camera or moment, no sharpness."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ...core.labels import Label
from ..base import HandoverCapture, RgbdView
from .doubt import Doubt, changed
from .sampling import Array, look_up, neighbours, sample

NEIGHBOURS = 4  # cameras with the most similar direction of view
POINTS, LEAST_POINTS = 1500, 300
NEAR_M = 2.5
SAME_M = 0.01
SKIN, NO_SKIN = (
    0.5,
    0.15,
)  # share of hand pixels; sound captures: 0.8 and more, and 0.01 with swapped channels
MOST_DIFFERENT = 0.2  # median difference of the log colours of one point; synthetic 0.05, real 0.11
UNLIKE, LEAST_LIKE = 0.12, 0.3  # such a difference, and correlation of the brightness of one point
MOST_GAIN = 1.45  # of a camera's brightness to that of its neighbours; real ones: 1.15
DARK, BRIGHT = 12, 243
MOST_CLIPPED = 0.7  # share of object and hand


def odd_colour(capture: HandoverCapture) -> list[Doubt]:
    views = capture.views
    if _looks_bgr(views):
        names = frozenset(view.name for view in views)
        return [
            Doubt(
                "the colour images seem to have red and blue swapped: the hand would have the colour of skin as BGR, "
                "as OpenCV has images; convert them to RGB before you save them",
                fix=lambda capture: changed(capture, names, _swap_channels),
            )
        ]
    alone = {view.name: doubt for view in views for doubt in (_of_one(view),) if doubt}
    rest = [view for view in views if view.name not in alone]
    pairs = {view.name: pair for view in rest for pair in (_pairs(view, rest),) if pair}
    odd = {name: doubt for name, pair in pairs.items() for doubt in (_of_pairs(name, pair),) if doubt}
    if 2 * len(odd) <= len(rest):  # an odd image makes its neighbours differ from it too
        return [*alone.values(), *odd.values()]
    worst = max(odd, key=lambda name: pairs[name].difference)
    return [*alone.values(), odd[worst]]


def skin_share(views: Sequence[RgbdView], label: Label, bgr: bool = False) -> float:
    """Returns the share of a label's pixels that have a colour of human skin."""
    pixels = np.concatenate([view.rgb[view.labels == label][::7] for view in views]).astype(np.float64) + 1
    red, green, blue = pixels[:, :: -1 if bgr else 1].T
    skin = (red > 1.05 * green) & (green > 0.95 * blue) & (red < 4 * blue) & (red > 20)
    return float(skin.mean()) if len(skin) else 0.0


def _looks_bgr(views: Sequence[RgbdView]) -> bool:
    return skin_share(views, Label.HAND) < NO_SKIN and skin_share(views, Label.HAND, bgr=True) > SKIN


def _swap_channels(view: RgbdView) -> RgbdView:
    return replace(view, rgb=np.ascontiguousarray(view.rgb[..., ::-1]))


def _of_one(view: RgbdView) -> Doubt | None:
    held = view.rgb[view.labels != Label.BACKGROUND].astype(int)
    if len(held) < 200:
        return None
    if np.ptp(view.rgb[::8, ::8].astype(int), axis=2).max() <= 2:
        return Doubt(
            f"camera {view.name} has a grey image, as infrared gives: record the colour stream, and align depth to it"
        )
    brightness = held.mean(axis=1)
    for clipped, word in ((brightness < DARK, "black"), (brightness > BRIGHT, "white")):
        if clipped.mean() > MOST_CLIPPED:
            return Doubt(
                f"camera {view.name} has {clipped.mean():.0%} of object and hand {word}: fix its exposure"
            )
    return None


@dataclass(frozen=True, eq=False)
class _Pairs:
    """Colours of the same points in one camera and in its neighbours, logarithms (P, 3) each."""

    mine: Array
    theirs: Array

    @property
    def gains(self) -> Array:
        """(3,) the camera's brightness in each channel, as a logarithm, against its neighbours."""
        gains: Array = np.median(self.mine - self.theirs, axis=0)
        return gains

    @property
    def difference(self) -> float:
        return float(np.median(np.abs(self.mine - self.theirs - self.gains).mean(axis=1)))

    @property
    def difference_as_bgr(self) -> float:
        swapped = self.mine[:, ::-1] - self.theirs
        return float(np.median(np.abs(swapped - np.median(swapped.mean(axis=1))).mean(axis=1)))

    @property
    def difference_as_rgb(self) -> float:
        off = self.mine - self.theirs
        return float(np.median(np.abs(off - np.median(off.mean(axis=1))).mean(axis=1)))

    @property
    def likeness(self) -> float:
        """The correlation of brightness over the points; 1 where it does not vary."""
        one, two = self.mine.mean(axis=1), self.theirs.mean(axis=1)
        varied = min(one.std(), two.std()) > 0.05
        return float(np.corrcoef(one, two)[0, 1]) if varied else 1.0


def _pairs(view: RgbdView, views: Sequence[RgbdView]) -> _Pairs | None:
    near = neighbours(view, [other for other in views if other is not view], NEIGHBOURS)
    mine: list[npt.NDArray[np.uint8]] = []
    theirs: list[npt.NDArray[np.uint8]] = []
    for mask in (view.depth_m < NEAR_M, view.labels != Label.BACKGROUND):
        pixels = sample(view, mask, POINTS)
        points = view.world_from_camera.apply(pixels.points_camera)
        for other in near:
            found = look_up(other, points)
            same = found.measured & (np.abs(found.behind_m) < SAME_M)
            mine.append(view.rgb[pixels.rows[same], pixels.columns[same]])
            theirs.append(other.rgb[found.rows[same], found.columns[same]])
    if sum(map(len, mine)) < LEAST_POINTS:
        return None
    return _Pairs(*(np.log(np.concatenate(part).astype(np.float64) + 4) for part in (mine, theirs)))


def _of_pairs(name: str, pairs: _Pairs) -> Doubt | None:
    if pairs.difference_as_rgb > 0.08 and pairs.difference_as_bgr < 0.5 * pairs.difference_as_rgb:
        return Doubt(
            f"camera {name} seems to have red and blue swapped: as BGR, its colours are those of the other cameras; "
            "convert its image to RGB",
            fix=lambda capture: changed(capture, frozenset({name}), _swap_channels),
        )
    unlike = pairs.likeness < LEAST_LIKE and pairs.difference > UNLIKE
    if pairs.difference > MOST_DIFFERENT or unlike:
        return Doubt(
            f"camera {name} has other colours than the other cameras where depth says that they see the same points: "
            "its image is of another camera or moment, turned, mirrored, or not aligned with its depth"
        )
    gain = float(np.exp(np.abs(pairs.gains).max()))
    if gain > MOST_GAIN:
        return Doubt(
            f"camera {name} is {gain:.1f} times brighter or darker than the others, in one channel at least: give "
            "all cameras one fixed exposure, gain and white balance, and one encoding (sRGB)"
        )
    return None

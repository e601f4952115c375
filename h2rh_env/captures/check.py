"""Lists what is wrong with a capture before time is spent on it.

    python -m h2rh_env.captures.check my_capture

The exit status is 0 if nothing is wrong, and 1 otherwise.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from ..core.errors import CaptureError
from ..core.labels import Label
from ..utils import cli
from .agreement import Agreement, agreement, explanation, extent_m
from .base import HandoverCapture, RgbdView
from .folder import problems
from .load import load_capture

MIN_MEASURED = 0.3  # share of an object's pixels that should have depth
MIN_PIXELS = 200  # fewer are a remnant that tells nothing of the sensor
MAX_REFUTED = 0.3  # share of a camera's points that other cameras may see through
MIN_CONFIRMED = 0.2  # sound captures: 0.8 and more, and 0.4 for two cameras that face each other
SIZES_M = {Label.OBJECT: (0.02, 0.6), Label.HAND: (0.05, 0.6)}
CAUSES = "check world_from_camera (OpenCV axes, metres, not its inverse), the depth scale and the masks"
NO_HAND = (
    "no camera's labels mark a hand; if one is in the images, it is not annotated: every distance to it will be "
    "infinite, and 'safe' will speak of the object alone"
)


@dataclass(frozen=True)
class CheckConfig:
    """Options of the command."""

    capture: Annotated[Path, tyro.conf.Positional]
    """The capture to check: a session folder of a DexYCB root, or a plain RGB-D folder."""


def check(path: Path | str) -> list[str]:
    """Lists everything that is wrong with a capture on disk, one sentence each; empty if it is sound."""
    path = Path(path)
    if (path / "cameras.json").is_file() and not (path / "meta.yml").is_file():
        found = problems(path)
        if found:
            return found
    try:
        capture = load_capture(path)
    except CaptureError as error:
        return [str(error)]
    return doubts(capture)


def doubts(capture: HandoverCapture) -> list[str]:
    """Lists what a readable capture seems to get wrong, one sentence each.

    It doubts cameras that measured too little depth or contradict each other, sizes that no held object or hand has,
    and labels without a hand.
    """
    found = [*_unmeasured(capture.views), *_contradictions(capture.views), *_odd_sizes(capture.views)]
    if not any((view.labels == Label.HAND).any() for view in capture.views):
        found.append(NO_HAND)
    return found


def _unmeasured(views: Sequence[RgbdView]) -> list[str]:
    found = []
    for view in views:
        on_object = view.labels == Label.OBJECT
        measured = (view.depth_m > 0)[on_object].mean() if on_object.sum() >= MIN_PIXELS else 1.0
        if measured < MIN_MEASURED:
            found.append(
                f"camera {view.name} measured depth on {measured:.0%} of the object; "
                f"at least {MIN_MEASURED:.0%} is usual"
            )
    return found


def _contradictions(views: Sequence[RgbdView]) -> list[str]:
    """Returns a sentence for each camera that contradicts the others; a single one if most of them do."""
    judged = [(view, agreement(view, [v for v in views if v is not view])) for view in views]
    doubted = [(view, share) for view, share in judged if share and _is_doubtful(share)]
    if len(doubted) * 2 > sum(share is not None for _, share in judged):
        confirmed = np.mean([share.confirmed for _, share in judged if share])
        return [
            f"the cameras contradict each other: of what one measured on object and hand, the others confirm "
            f"{confirmed:.0%}; {explanation(views, views) or CAUSES}"
        ]
    return [
        f"camera {view.name} contradicts the others: of what it measured on object and hand, they confirm "
        f"{share.confirmed:.0%} and see through {share.refuted:.0%}; {explanation(views, [view]) or CAUSES}"
        for view, share in doubted
    ]


def _is_doubtful(share: Agreement) -> bool:
    return share.confirmed < MIN_CONFIRMED or share.refuted > MAX_REFUTED


def _odd_sizes(views: Sequence[RgbdView]) -> list[str]:
    found = []
    for label, (least_m, most_m) in SIZES_M.items():
        size_m = max(extent_m(view, label) for view in views)
        if size_m and not least_m <= size_m <= most_m:
            found.append(
                f"the {label.name.lower()} measures {size_m:.2f} m; {least_m} to {most_m} m are usual; "
                "check the depth scale and the masks"
            )
    return found


def _report(config: CheckConfig) -> None:
    found = check(config.capture)
    for problem in found:
        print(problem)
    if found:
        sys.exit(1)
    capture = load_capture(config.capture)
    print(f"{config.capture}: {len(capture.views)} cameras, object {capture.object_name!r}; nothing is wrong")


if __name__ == "__main__":
    cli.run(_report, CheckConfig, __doc__)

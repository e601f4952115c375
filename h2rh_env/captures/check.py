"""Lists what is wrong with a capture before time is spent on it.

    python -m h2rh_env.captures.check my_capture

The exit status is 0 if nothing is wrong, and 1 otherwise.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from scipy import ndimage

from ..core.errors import CaptureError
from ..core.labels import Label
from ..utils import cli
from .base import HandoverCapture, RgbdView
from .folder import problems
from .load import load_capture

AGREE_M = 0.02  # two cameras that measured one surface
SEEN_THROUGH_M = 0.05
MIN_MEASURED = 0.3  # of an object's pixels that should have depth
MAX_DISPUTED = 0.3  # of a camera's points that others may see through
SAMPLES = 3000


@dataclass(frozen=True)
class CheckConfig:
    """Options of the command."""

    capture: Annotated[Path, tyro.conf.Positional]
    """The capture to check: a session folder of a DexYCB root, or a plain RGB-D folder."""


def check(path: Path | str) -> list[str]:
    """Everything wrong with a capture on disk, one sentence each; empty if it is sound."""
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
    """What a readable capture gets wrong: too little depth, or cameras that contradict each other."""
    found = []
    for view in capture.views:
        on_object = view.labels == Label.OBJECT
        measured = (view.depth_m > 0)[on_object].mean() if on_object.any() else 1.0
        if measured < MIN_MEASURED:
            found.append(f"camera {view.name} measured depth on {measured:.0%} of the object; "
                         f"at least {MIN_MEASURED:.0%} is usual")  # fmt: skip
        share = _disputed(view, [other for other in capture.views if other is not view])
        if share > MAX_DISPUTED:
            found.append(
                f"camera {view.name} puts {share:.0%} of object and hand where the others see through; "
                "check world_from_camera (not its inverse), the depth scale and the masks"
            )
    if not any((view.labels == Label.HAND).any() for view in capture.views):
        found.append("no camera sees a hand; distances to it will be infinite")
    return found


def _disputed(view: RgbdView, others: list[RgbdView]) -> float:
    """Share of the view's points on object and hand that some other view looks through and none confirms."""
    on = (view.labels != Label.BACKGROUND) & (view.depth_m > 0)
    points = view.world_from_camera.apply(view.camera.unproject(view.depth_m)[on])
    points = points[:: max(1, len(points) // SAMPLES)]
    if not len(points) or not others:
        return 0.0
    confirmed, refuted = np.zeros(len(points), bool), np.zeros(len(points), bool)
    for other in others:
        depth = ndimage.minimum_filter(other.depth_m, 5)
        local = other.world_from_camera.inverse().apply(points)
        uv = np.nan_to_num(other.camera.project(local), nan=-1)
        inside = np.all((uv >= 0) & (uv < [other.camera.width, other.camera.height]), axis=1)
        column, row = np.where(inside[:, None], uv, 0).astype(int).T
        confirmed |= inside & (np.abs(other.depth_m[row, column] - local[:, 2]) < AGREE_M)
        refuted |= inside & (depth[row, column] > local[:, 2] + SEEN_THROUGH_M)
    return float((refuted & ~confirmed).mean())


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

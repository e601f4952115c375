"""Lists what is wrong with a capture before time is spent on it, and corrects what is certain.

    python -m h2rh_env.captures.check my_capture
    python -m h2rh_env.captures.check my_capture --fix

The exit status is 0 if nothing is wrong, or nothing is left wrong after --fix, and 1 otherwise.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from ..core.errors import CaptureError
from ..core.labels import Label
from ..utils import cli
from .base import HandoverCapture
from .checks.calibration import odd_calibration
from .checks.colour import odd_colour
from .checks.contradictions import CAUSES, contradictions
from .checks.depth import odd_depth
from .checks.doubt import Doubt, gathered
from .checks.intrinsics import impossible_intrinsics, is_misplaced, unlikely_intrinsics
from .checks.labels import odd_labels
from .checks.world import odd_world
from .folder import problems, write_folder
from .load import load_capture

MOST_FIXES = 8


@dataclass(frozen=True)
class CheckConfig:
    """Options of the command."""

    capture: Annotated[Path, tyro.conf.Positional]
    """The capture to check: a session folder of a DexYCB root, or a plain RGB-D folder."""
    frame: int | None = None
    """Number of the frame to check of a DexYCB session. The default is its last frame."""
    fix: bool = False
    """Write a corrected copy as a plain RGB-D folder, if the cause of a doubt is certain."""
    out: Path | None = None
    """Folder to write the corrected capture to. The default is the capture's folder with "_fixed" at its end."""

    def __post_init__(self) -> None:
        if not self.fix:
            cli.refuse_ignored(self, ("out",), "without --fix")


def check(path: Path | str, frame: int | None = None) -> list[str]:
    """Lists everything that is wrong with a capture on disk, one sentence each; empty if it is sound."""
    unreadable = _unreadable(Path(path))
    if unreadable:
        return unreadable
    try:
        capture = load_capture(path, frame)
    except CaptureError as error:
        return [str(error)]
    return doubts(capture)


def _unreadable(path: Path) -> list[str]:
    is_folder = (path / "cameras.json").is_file() and not (path / "meta.yml").is_file()
    return problems(path) if is_folder else []


def doubts(capture: HandoverCapture) -> list[str]:
    """Lists what a readable capture seems to get wrong, one sentence each; see `examine`."""
    return [doubt.sentence for doubt in examine(capture)]


def examine(capture: HandoverCapture) -> list[Doubt]:
    """Lists what a readable capture seems to get wrong.

    It doubts cameras that contradict each other, measured too little or impossible depth, or were moved or late;
    masks that are empty, incomplete, shifted or swapped; colours that no other camera saw; worlds in which z is not
    up; sizes and distances that nothing held has; labels without a hand; and captures of too few cameras. What is
    finer is looked for only where nothing coarser is wrong.
    """
    if not any((view.depth_m[view.labels == Label.OBJECT] > 0).any() for view in capture.views):
        return [Doubt("no camera measured depth on the object; no scene can be made of it", refused=True)]
    coarse = [*odd_depth(capture), *odd_world(capture)]
    impossible = impossible_intrinsics(capture)
    if impossible:
        return gathered([*impossible, *coarse])
    contradicted = contradictions(capture)
    unexplained = not contradicted or any(CAUSES in doubt.sentence for doubt in contradicted)
    intrinsics = unlikely_intrinsics(capture) if unexplained else []
    coarse = [*intrinsics, *contradicted, *coarse]
    if intrinsics or any(doubt.refused for doubt in coarse):
        return gathered(coarse)
    comparable = not contradicted and not is_misplaced(capture)  # the colours of one point, in all cameras
    images = [*odd_labels(capture), *(odd_colour(capture) if comparable else [])]
    return gathered([*coarse, *images, *([] if contradicted or images else odd_calibration(capture))])


def fixed(capture: HandoverCapture) -> tuple[HandoverCapture, list[str], list[str]]:
    """Corrects what is certain, one doubt after the other.

    Returns:
        The corrected capture, the sentences of what was corrected, and of what is left.
    """
    corrected: list[str] = []
    for _ in range(MOST_FIXES):
        found = examine(capture)
        fixable = next((doubt for doubt in found if doubt.fix and doubt.sentence not in corrected), None)
        if fixable is None:
            break
        assert fixable.fix is not None
        capture = fixable.fix(capture)
        corrected.append(fixable.sentence)
    return capture, corrected, doubts(capture)


def _report(config: CheckConfig) -> None:
    unreadable = _unreadable(config.capture)
    _stop_at(unreadable)
    try:
        capture = load_capture(config.capture, config.frame)
    except CaptureError as error:
        _stop_at([str(error)])
        raise
    if config.fix:
        _stop_at(
            _fix(capture, config.out or config.capture.with_name(f"{config.capture.resolve().name}_fixed"))
        )
        return
    _stop_at(doubts(capture))
    print(f"{config.capture}: {len(capture.views)} cameras, object {capture.object_name!r}; nothing is wrong")


def _fix(capture: HandoverCapture, out: Path) -> list[str]:
    """Writes the corrected capture, says what was corrected, and returns what is left."""
    better, corrected, left = fixed(capture)
    if not corrected:
        print("nothing is certain enough to be corrected" if left else "nothing is wrong")
        return left
    if (out / "cameras.json").exists():
        raise CaptureError(f"{out} holds a capture already; give another folder with --out")
    write_folder(better, out)
    for sentence in corrected:
        print(f"corrected: {sentence}")
    print(f"{out}: the corrected capture")
    return left


def _stop_at(found: Sequence[str]) -> None:
    """Prints what is wrong and ends the command, if anything is."""
    for problem in found:
        print(problem)
    if found:
        sys.exit(1)


if __name__ == "__main__":
    cli.run(_report, CheckConfig, __doc__)

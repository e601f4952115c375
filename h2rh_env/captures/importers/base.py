"""What an importer makes of its source, and what all of them share: poses, names, and a few views of many."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from ...core.camera import PinholeCamera
from ...core.errors import CaptureError
from ...core.geometry import SE3, Array
from ...utils import files
from ..base import HandoverCapture, RgbdView
from ..folder import DEPTH_SCALES_M, write_folder
from ..images import SATURATED
from ..lens import straightened

MILLIMETRE_M = 0.001
OBJECT = "object"  # what is held, where neither user nor source name it
MOST_VIEWS = 32  # of a sequence, if the user names no number
NO_MASKS = (
    "the source has no masks; make one of object (1) and hand (2) for each view, "
    "under the name that cameras.json has"
)
Item = TypeVar("Item")


@dataclass(frozen=True, eq=False)
class Imported:
    """The views of a source in one metric frame.

    Attributes:
        views: with labels that are background throughout where the source has no mask.
        depth_scales_m: metres per count of the source's depth images.
        unmasked: names of the views without a mask.
        notes: sentences about what the source does not say, or what was left out.
        object_name: how the source calls the held object; empty if it does not.
        times_s: when each view was taken, by name, where all were meant to be of one moment.
    """

    views: tuple[RgbdView, ...]
    depth_scales_m: Collection[float] = (MILLIMETRE_M,)
    unmasked: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()
    object_name: str = ""
    times_s: dict[str, float] = field(default_factory=dict)

    @property
    def depth_scale_m(self) -> float:
        """The finest of the source's scales whose 16 bit reach the farthest depth, m per count."""
        farthest_m = max(float(view.depth_m.max(initial=0)) for view in self.views)
        scales = sorted(self.depth_scales_m)
        return next((scale for scale in scales if farthest_m / scale < SATURATED - 1), scales[-1])


def refuse_to_overwrite(out: Path) -> None:
    """Refuses a folder that exists, before time is spent on what would go there.

    Raises:
        CaptureError: It exists.
    """
    if out.exists():
        raise CaptureError(f"{out} exists and is not overwritten; name another folder with --out")


def write(imported: Imported, out: Path, object_name: str | None) -> None:
    """Writes the views as a plain folder, whole or not at all.

    Args:
        object_name: the name of the held object; None takes the source's.

    Raises:
        CaptureError: The scale of depth is none that a plain folder may have, or depth is too far for 16 bit.
    """
    scale_m = imported.depth_scale_m
    if not DEPTH_SCALES_M[0] <= scale_m <= DEPTH_SCALES_M[1]:
        raise CaptureError(
            f"depth has {scale_m} m a count; expected {DEPTH_SCALES_M[0]} to {DEPTH_SCALES_M[1]}, mostly 0.001; "
            "give --depth-scale-m"
        )
    name = object_name or imported.object_name or OBJECT
    capture = HandoverCapture(out.resolve().name, imported.views, name)
    with files.whole_folder(out) as folder:
        write_folder(capture, folder, scale_m, imported.unmasked, imported.times_s or None)


def make_view(
    name: str,
    camera: PinholeCamera,
    world_from_camera: SE3,
    rgb: npt.NDArray[np.uint8],
    depth_m: npt.NDArray[np.generic],
    labels: npt.NDArray[np.uint8] | None = None,
    coefficients: Array | None = None,
) -> RgbdView:
    """Makes a view of what a source holds, freed of the lens's distortion.

    Args:
        depth_m: (H, W), m along z, aligned to colour.
        labels: (H, W); None where the source has no mask.
        coefficients: OpenCV's [k1, k2, p1, p2, k3, ...]; None for images without distortion.
    """
    labels = np.zeros(rgb.shape[:2], np.uint8) if labels is None else labels
    straight = straightened(
        camera,
        np.zeros(5) if coefficients is None else coefficients,
        rgb,
        depth_m.astype(np.float32),
        labels,
    )
    return RgbdView(name, camera, world_from_camera, *straight)


def pose(matrix: Any, where: str) -> SE3:
    """Reads a rigid motion as a file has it, (4, 4) or (3, 4) or 12 numbers in rows.

    Raises:
        CaptureError: It is no rigid motion.
    """
    try:
        numbers = np.array(matrix, np.float64)
        return SE3.from_matrix(numbers.reshape(3, 4) if numbers.size == 12 else numbers)
    except (ValueError, TypeError) as error:
        raise CaptureError(f"{where} is no rigid motion ({error}): {reprlib.repr(matrix)}") from None


def view_names(texts: Sequence[str]) -> list[str]:
    """Makes names that a plain folder may use of file names or numbers, all different."""
    names: list[str] = []
    for text in texts:
        safe = re.sub(r"[^\w.-]+", "_", text).lstrip(".-")[-56:] or "view"
        safe = safe if re.match(r"\w", safe) else f"v{safe}"
        number, name = 1, safe
        while name in names:
            number, name = number + 1, f"{safe}_{number}"
        names.append(name)
    return names


def spread(items: Sequence[Item], views: int | None) -> tuple[list[Item], tuple[str, ...]]:
    """Chooses some of a sequence's images, evenly spread, and says how many there are.

    Args:
        views: how many to take; None takes all, but at most 32.

    Raises:
        CaptureError: There are none.
    """
    if not items:
        raise CaptureError("the source has no image with both depth and a pose; nothing can be imported")
    count = min(len(items), MOST_VIEWS if views is None else views)
    if count == len(items):
        return list(items), ()
    chosen = np.unique(np.round(np.linspace(0, len(items) - 1, count)).astype(int))
    note = f"{count} of {len(items)} images were taken, evenly spread; --views takes another number"
    return [items[k] for k in chosen], (note,)

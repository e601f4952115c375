"""Imports what other tools recorded as a plain RGB-D folder.

    python -m h2rh_env.captures.importers my_scan --out my_capture
    python -m h2rh_env.captures.importers hope/test/000001 --object-id 3 --out my_capture

Reads nerfstudio's transforms.json, BOP scenes, HO-Cap sequences, TUM and frame-*.color/depth/pose folders, and
RealSense recordings. It says what a source does not hold; masks that it lacks are yours to make.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from ...core.errors import CaptureError
from ...utils import cli
from ..folder import MAX_CAMERAS
from .base import Imported, refuse_to_overwrite, write
from .kinds import KINDS, options_of, recognise


@dataclass(frozen=True)
class ImportConfig:
    """Options of the command."""

    source: Annotated[Path, tyro.conf.Positional]
    """Folder or file to import."""
    out: Path
    """Folder of the capture; it must not exist yet."""
    kind: Literal["nerfstudio", "bop", "ho-cap", "tum", "frames", "realsense"] | None = None
    """Layout of the source. The default is recognised by the files that are there."""
    object_name: str | None = None
    """Name of the held object. The default is what the source calls it, or "object"."""
    object_id: str | None = None
    """Held object's id in a BOP scene (a number) or a HO-Cap sequence (such as G01_1), where there are several."""
    frame: int | None = None
    """Number of the frame to take, from 0. The default is the middle one of HO-Cap, and the last of a recording."""
    views: int | None = None
    """Number of images to take of a sequence, evenly spread. The default is all of them, but at most 32."""
    intrinsics: tuple[float, float, float, float] | None = None
    """Numbers fx, fy, cx, cy in px, as OpenCV has them, for TUM and frame-* folders without a file of intrinsics."""
    depth_scale_m: float | None = None
    """Metres per count of the depth images. The default is what the layout or its files say."""
    rig: Path | None = None
    """File that says where the cameras of RealSense recordings stood, from `h2rh calibrate rig`."""

    def __post_init__(self) -> None:
        if self.views is not None and not 1 <= self.views <= MAX_CAMERAS:
            raise CaptureError(f"--views is {self.views}; expected 1 to {MAX_CAMERAS}")
        if self.depth_scale_m is not None and not 1e-5 <= self.depth_scale_m <= 1e-2:
            raise CaptureError(
                f"--depth-scale-m is {self.depth_scale_m}; expected 0.00001 to 0.01, mostly 0.001"
            )


OF_KINDS = ("object_id", "frame", "views", "intrinsics", "depth_scale_m", "rig")  # not each kind has each


def import_capture(config: ImportConfig) -> Imported:
    """Reads the source and writes the capture, whole or not at all.

    Raises:
        CaptureError: The source cannot be read, or the folder of the capture exists.
        HandoverError: An option was given that the kind does not have.
    """
    refuse_to_overwrite(config.out)
    kind = config.kind or recognise(config.source)
    options = options_of(kind)
    others = tuple(name for name in OF_KINDS if name not in options)
    cli.refuse_ignored(config, others, f"on a source of kind {kind}")
    imported: Imported = KINDS[kind].load(
        config.source, **{name: getattr(config, name) for name in OF_KINDS if name in options}
    )
    write(imported, config.out, config.object_name)
    return imported


def _report(config: ImportConfig) -> None:
    imported = import_capture(config)
    for note in imported.notes:
        print(f"note: {note}")
    print(f"{config.out}: {len(imported.views)} views; next: h2rh check {config.out}")


if __name__ == "__main__":
    cli.run(_report, ImportConfig, __doc__)

"""Imports folders of `frame-000000.color.png`, `frame-000000.depth.png` and `frame-000000.pose.txt`.

This is the layout of 7-Scenes, 3DMatch and many recorders: depth is 16-bit PNG, 1 mm a count, 0 or 65535 where not
measured; a pose maps the camera (x right, y down, z forward) to the world, 4x4, m; frames that tracking lost have a
pose of NaN or infinity and are left out. `camera-intrinsics.txt` in the folder or above it holds K, if anything does.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...core.errors import CaptureError
from ...core.geometry import Array
from ..documents import read_lines
from ..images import read_depth_counts, read_rgb
from .base import MILLIMETRE_M, NO_MASKS, Imported, make_view, pose, spread, view_names
from .intrinsics import camera_for

LAYOUT = "h2rh_env/captures/importers/frames.py"
POSES = "frame-*.pose.txt"
COLOURS = (".color.png", ".color.jpg")
ALIGNED = "depth is taken as aligned to colour, which that of 7-Scenes as published is not; align it first"


def recognises(source: Path) -> bool:
    return source.is_dir() and next(source.glob(POSES), None) is not None


def load(
    source: Path,
    views: int | None = None,
    intrinsics: tuple[float, float, float, float] | None = None,
    depth_scale_m: float | None = None,
) -> Imported:
    """Reads the frames of one sequence.

    Args:
        source: the folder of the frames.
        views: how many frames to take; None takes all, but at most 32.
        intrinsics: fx, fy, cx, cy as OpenCV has them, px; None reads them from a file beside the images.
        depth_scale_m: metres per count of the depth images; None is 0.001.

    Raises:
        CaptureError: A file is missing or malformed, or nothing says what the camera is.
    """
    stems = [path.name.removesuffix(".pose.txt") for path in sorted(source.glob(POSES))]
    poses = {stem: _numbers(source / f"{stem}.pose.txt") for stem in stems}
    tracked = [stem for stem in stems if np.isfinite(poses[stem]).all()]
    chosen, notes = spread(tracked, views)
    lost = len(stems) - len(tracked)
    scale_m = depth_scale_m or MILLIMETRE_M
    camera = camera_for(source, read_rgb(_colour(source, chosen[0])), intrinsics)
    size = (camera.width, camera.height)
    names = view_names(chosen)
    read = [
        make_view(
            name,
            camera,
            pose(poses[stem], f"{source / stem}.pose.txt"),
            read_rgb(_colour(source, stem), size),
            read_depth_counts(source / f"{stem}.depth.png", size).astype(np.float64) * scale_m,
        )
        for name, stem in zip(names, chosen, strict=True)
    ]
    left_out = (f"{lost} frames have no pose, as tracking was lost, and were left out",) if lost else ()
    return Imported(tuple(read), (scale_m,), frozenset(names), (*notes, *left_out, ALIGNED, NO_MASKS))


def _colour(source: Path, stem: str) -> Path:
    found = [path for path in (source / f"{stem}{ending}" for ending in COLOURS) if path.is_file()]
    return found[0] if found else source / f"{stem}{COLOURS[0]}"


def _numbers(path: Path) -> Array:
    """Reads a matrix, (4, 4), of any numbers."""
    try:
        matrix = np.array([[float(word) for word in words] for words in read_lines(path, LAYOUT)])
    except ValueError:
        matrix = np.zeros(0)
    if matrix.shape != (4, 4):
        raise CaptureError(f"{path} holds no pose; expected a 4x4 matrix in four lines")
    return matrix

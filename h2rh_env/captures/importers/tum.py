"""Imports the layout of the TUM RGB-D benchmark: `rgb.txt`, `depth.txt` and `groundtruth.txt` with timestamps.

Lines of the first two are `timestamp file`; of the third `timestamp tx ty tz qx qy qz qw`, the pose of the colour
camera (x right, y down, z forward) in the world, m. Depth is 16-bit PNG, 5000 counts a metre, aligned to colour. To
each colour image belong the depth image nearest in time, within 20 ms, and the pose between its neighbours in time.
The layout has no intrinsics; lens distortion is not undone, as the benchmark's own tools do not undo it.
"""

from __future__ import annotations

from bisect import bisect_left
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.spatial.transform import Rotation

from ...core.errors import CaptureError
from ...core.geometry import SE3, between
from ..documents import inside, read_lines
from ..images import read_depth_counts, read_rgb
from .base import NO_MASKS, Imported, make_view, spread, view_names
from .intrinsics import camera_for

LAYOUT = "h2rh_env/captures/importers/tum.py"
DEPTH_SCALE_M = 1 / 5000
MOST_APART_S = 0.02  # colour and depth of one frame, as in the benchmark's tools
MOST_GAP_S = 0.1  # between the two poses that one is interpolated from
FILES = ("rgb.txt", "depth.txt", "groundtruth.txt")


class Frame(NamedTuple):
    """A colour image with its depth image and its pose."""

    rgb: Path
    depth: Path
    world_from_camera: SE3


def recognises(source: Path) -> bool:
    return all((source / name).is_file() for name in FILES)


def load(
    source: Path,
    views: int | None = None,
    intrinsics: tuple[float, float, float, float] | None = None,
    depth_scale_m: float | None = None,
) -> Imported:
    """Reads the frames of one sequence.

    Args:
        source: the folder of the three files.
        views: how many frames to take; None takes all, but at most 32.
        intrinsics: fx, fy, cx, cy as OpenCV has them, px; None reads them from a file beside the images.
        depth_scale_m: metres per count of the depth images; None is 1/5000.

    Raises:
        CaptureError: A file is missing or malformed, or nothing says what the camera is.
    """
    frames, left_out = _frames(source)
    chosen, notes = spread(frames, views)
    if left_out:
        notes += (f"{left_out} colour images have no depth within 20 ms or no pose, and were left out",)
    scale_m = depth_scale_m or DEPTH_SCALE_M
    camera = camera_for(source, read_rgb(chosen[0].rgb), intrinsics)
    size = (camera.width, camera.height)
    names = view_names([frame.rgb.stem for frame in chosen])
    read = [
        make_view(
            name,
            camera,
            frame.world_from_camera,
            read_rgb(frame.rgb, size),
            read_depth_counts(frame.depth, size).astype(np.float64) * scale_m,
        )
        for name, frame in zip(names, chosen, strict=True)
    ]
    return Imported(tuple(read), (scale_m,), frozenset(names), (*notes, NO_MASKS))


def _frames(source: Path) -> tuple[list[Frame], int]:
    """Returns the frames in order of time, and how many colour images have no partner."""
    colours, depths = (_images(source, name) for name in FILES[:2])
    stamps_s, poses = _trajectory(source / FILES[2])
    depth_stamps_s = [stamp for stamp, _ in depths]
    frames = []
    for stamp_s, rgb in colours:
        near = _nearest(depth_stamps_s, stamp_s)
        world_from_camera = _pose_at(stamps_s, poses, stamp_s)
        if near is not None and world_from_camera is not None:
            frames.append(Frame(rgb, depths[near][1], world_from_camera))
    return frames, len(colours) - len(frames)


def _nearest(stamps_s: list[float], stamp_s: float) -> int | None:
    after = bisect_left(stamps_s, stamp_s)
    near = min(
        (k for k in (after - 1, after) if 0 <= k < len(stamps_s)),
        key=lambda k: abs(stamps_s[k] - stamp_s),
        default=None,
    )
    return near if near is not None and abs(stamps_s[near] - stamp_s) <= MOST_APART_S else None


def _pose_at(stamps_s: list[float], poses: list[SE3], stamp_s: float) -> SE3 | None:
    """Returns the pose at a time, between its neighbours; None where there are none, or too far apart."""
    after = bisect_left(stamps_s, stamp_s)
    if after < len(stamps_s) and stamps_s[after] == stamp_s:
        return poses[after]
    if not 0 < after < len(stamps_s):
        return None
    gap_s = stamps_s[after] - stamps_s[after - 1]
    if gap_s > MOST_GAP_S:
        return None
    return between(poses[after - 1], poses[after], (stamp_s - stamps_s[after - 1]) / gap_s)


def _images(source: Path, name: str) -> list[tuple[float, Path]]:
    table = []
    for words in read_lines(source / name, LAYOUT):
        if len(words) != 2:
            raise CaptureError(f"{source / name}: a line is {' '.join(words)!r}; expected: timestamp file")
        table.append((_number(words[0], source / name), inside(source, words[1], name)))
    return sorted(table)


def _trajectory(path: Path) -> tuple[list[float], list[SE3]]:
    rows = [[_number(word, path) for word in words] for words in read_lines(path, LAYOUT)]
    for row in rows:
        if len(row) != 8 or not np.isfinite(row).all() or not np.any(row[4:]):
            raise CaptureError(f"{path}: a line is {row}; expected: timestamp tx ty tz qx qy qz qw")
    rows.sort()
    poses = [SE3(Rotation.from_quat(row[4:]).as_matrix(), np.array(row[1:4])) for row in rows]
    return [row[0] for row in rows], poses


def _number(word: str, path: Path) -> float:
    try:
        return float(word)
    except ValueError:
        raise CaptureError(f"{path}: {word!r} is no number") from None

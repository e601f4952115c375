"""Acceptable grasps: every grasp of a scene that is safe and holds, as the arrays of one file."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..core.errors import SceneError
from ..core.geometry import SE3
from ..grasps.base import GraspCandidate
from ..utils import files

MAX_GRASPS = 100_000
BYTES_A_GRASP = 3 * 4 * 8  # of the largest array
ARRAYS = {"scene_from_grasp": (3, 4), "width_m": (), "score": ()}


def write_grasps(path: Path, grasps: Sequence[GraspCandidate]) -> None:
    """Writes poses (N, 3, 4), the upper rows of scene_from_grasp, widths (N,), m, and scores (N,), all float64."""
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        scene_from_grasp=np.array([g.scene_from_grasp.matrix[:3] for g in grasps]).reshape(-1, 3, 4),
        width_m=np.array([g.width_m for g in grasps]),
        score=np.array([g.score for g in grasps]),
    )
    files.write_bytes(path, buffer.getvalue())


def read_grasps(path: Path) -> tuple[GraspCandidate, ...]:
    """Reads what `write_grasps` wrote; sizes are read from headers before memory is taken.

    Raises:
        SceneError: The file is missing, malformed or too large, or a pose in it is no rigid motion.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            too_big = [
                i.filename for i in archive.infolist() if i.file_size > MAX_GRASPS * BYTES_A_GRASP + 4096
            ]
        if too_big:
            raise SceneError(f"{path}: {', '.join(too_big)} holds more than {MAX_GRASPS} grasps")
        with np.load(path, allow_pickle=False) as archive:
            arrays = {key: np.asarray(archive[key], np.float64) for key in ARRAYS}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise SceneError(f"{path} cannot be read ({error}); build the scene again") from None
    count = len(arrays["score"]) if arrays["score"].ndim else 0
    for key, shape in ARRAYS.items():
        if arrays[key].shape != (count, *shape) or not np.isfinite(arrays[key]).all():
            raise SceneError(f"{path}: {key} is {arrays[key].shape}; expected {(count, *shape)}, all finite")
    return tuple(_grasp(path, *(arrays[key][i] for key in ARRAYS)) for i in range(count))


def _grasp(path: Path, rows: np.ndarray, width_m: float, score: float) -> GraspCandidate:
    try:
        pose = SE3.from_matrix(np.vstack([rows, [0.0, 0.0, 0.0, 1.0]]))
    except ValueError as error:
        raise SceneError(f"{path}: a grasp is {error}; build the scene again") from None
    return GraspCandidate(pose, float(width_m), float(score))

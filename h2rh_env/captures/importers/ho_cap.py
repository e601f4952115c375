"""Imports one frame of a HO-Cap sequence, `<root>/<subject>/<sequence>/` beside `<root>/calibration`.

Written after what the toolkit of HO-Cap's authors reads and its README shows; no byte of the dataset was at hand, so
it is tested against that layout alone. `meta.yaml` names serials, image size, objects and the file of the extrinsics.
`calibration/intrinsics/<serial>.yaml` holds `color: {fx, fy, ppx, ppy}`; `calibration/extrinsics/<file>` has
row-major 3x4 matrices of each camera and of the tags to the master camera; the frame of `tag_1`, on the table, is the
world.
Each serial's folder has `color_%06d.jpg`, `depth_%06d.png` (mm) and `label_%06d.npz` with `seg_mask`: 0 background,
1 to 4 the objects in their order in `meta.yaml`, 5 the right hand, 6 the left. Frames without labels have no masks.
"""

from __future__ import annotations

import reprlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...core.errors import CaptureError
from ...core.geometry import SE3
from ...core.labels import Label
from ..arrays import read_npz
from ..base import RgbdView
from ..documents import frame_number, inside, number_of_frames, read_yaml
from ..images import read_depth_counts, read_rgb
from ..lens import read_pinhole
from .base import MILLIMETRE_M, Imported, make_view, pose, view_names

LAYOUT = "h2rh_env/captures/importers/ho_cap.py"
WORLD = "tag_1"
HANDS = (5, 6)
MOST_OBJECTS = 4


def recognises(source: Path) -> bool:
    return (source / "meta.yaml").is_file()


def load(source: Path, frame: int | None = None, object_id: str | None = None) -> Imported:
    """Reads one frame of all RealSense cameras of a sequence; that of the HoloLens has no depth.

    Args:
        source: the folder of the sequence.
        frame: the index of the frame, from 0; None takes the middle one.
        object_id: which of the sequence's `object_ids` is held; None where there is only one.

    Raises:
        CaptureError: A file is missing or malformed, or it is not clear which object is held.
    """
    meta = read_yaml(source / "meta.yaml", LAYOUT)
    held = _held(meta, object_id, source)
    count = number_of_frames(meta, f"{source}/meta.yaml")
    index = frame_number(count, frame, count // 2, source)
    notes = () if frame is not None else (f"frame {index} of {count} was taken; --frame takes another",)
    serials, size = _cameras(meta, source)
    poses = _poses(meta, serials, source)
    read, unmasked = [], set()
    for name, serial in zip(view_names(serials), serials, strict=True):
        view, has_mask = _view(source, name, serial, index, size, poses[serial], held)
        read.append(view)
        unmasked |= set() if has_mask else {name}
    if unmasked:
        notes = (*notes, f"{len(unmasked)} cameras have no labels of frame {index}; make their masks")
    name = str(meta["object_ids"][held])
    return Imported(tuple(read), unmasked=frozenset(unmasked), notes=notes, object_name=name)


def _view(
    source: Path, name: str, serial: str, frame: int, size: tuple[int, int], world_from_camera: SE3, held: int
) -> tuple[RgbdView, bool]:
    folder = inside(source, serial, "meta.yaml")
    rgb = read_rgb(folder / f"color_{frame:06d}.jpg", size)
    depth_m = read_depth_counts(folder / f"depth_{frame:06d}.png", size).astype(np.float64) * MILLIMETRE_M
    path = folder / f"label_{frame:06d}.npz"
    labels = _labels(path, size, held) if path.is_file() else None
    camera = read_pinhole(_calibration(source) / "intrinsics" / f"{serial}.yaml", *size, LAYOUT)
    return make_view(name, camera, world_from_camera, rgb, depth_m, labels), labels is not None


def _labels(path: Path, size: tuple[int, int], held: int) -> npt.NDArray[np.uint8]:
    seg = read_npz(path, "seg_mask", size[::-1], "uint8")
    labels = np.full(seg.shape, Label.BACKGROUND, np.uint8)
    labels[seg == held + 1] = Label.OBJECT
    labels[np.isin(seg, HANDS)] = Label.HAND
    return labels


def _calibration(source: Path) -> Path:
    return source.resolve().parent.parent / "calibration"


def _poses(meta: dict[str, Any], serials: list[str], source: Path) -> dict[str, SE3]:
    """Returns world_from_camera of each serial; the file has [R | t] to the master camera, the tags' included."""
    folder = _calibration(source) / "extrinsics"
    path = inside(folder, meta.get("extrinsics"), "meta.yaml")
    table = read_yaml(path, LAYOUT).get("extrinsics")
    missing = [key for key in (WORLD, *serials) if not isinstance(table, dict) or key not in table]
    if missing or not isinstance(table, dict):
        raise CaptureError(f"{path} has no extrinsics of {', '.join(missing)}; expected 12 numbers for each")
    world_from_master = pose(table[WORLD], f"{path}: {WORLD}").inverse()
    return {serial: world_from_master @ pose(table[serial], f"{path}: {serial}") for serial in serials}


def _cameras(meta: dict[str, Any], source: Path) -> tuple[list[str], tuple[int, int]]:
    cameras = meta.get("realsense")
    try:
        serials = [str(serial) for serial in cameras["serials"]]  # type: ignore[index]
        return serials, (int(cameras["width"]), int(cameras["height"]))  # type: ignore[index]
    except (KeyError, TypeError, ValueError):
        raise CaptureError(
            f"{source}/meta.yaml: realsense is {reprlib.repr(cameras)}; expected serials, width and height"
        ) from None


def _held(meta: dict[str, Any], object_id: str | None, source: Path) -> int:
    """Returns the place of the held object among the sequence's."""
    known = meta.get("object_ids")
    if not (isinstance(known, list) and 1 <= len(known) <= MOST_OBJECTS):
        raise CaptureError(
            f"{source}/meta.yaml: object_ids is {reprlib.repr(known)}; expected 1 to {MOST_OBJECTS}"
        )
    if object_id is None and len(known) == 1:
        return 0
    names = [str(name) for name in known]
    if object_id not in names:
        said = "does not say which object is held" if object_id is None else f"has no object {object_id!r}"
        raise CaptureError(f"{source} {said}; give --object-id, one of {', '.join(names)}")
    return names.index(object_id)

"""Reads a DexYCB session folder as a capture: one frame of all its cameras, in the AprilTag frame (z up).

The root holds `calibration/` beside the subjects' folders; a session is `<subject>/<session>/` with
`meta.yml` and, per camera, `color_%06d.jpg`, `aligned_depth_to_color_%06d.png` (uint16, mm) and
`labels_%06d.npz` (`seg`: 0 background, YCB id of each object, 255 hand; a forearm is background).
"""

from __future__ import annotations

import re
import reprlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..core.errors import CaptureError
from ..core.geometry import SE3
from ..core.labels import Label
from ..utils import files
from .arrays import read_npz
from .base import HandoverCapture, RgbdView
from .documents import frame_number, number_of_frames, read_yaml
from .images import read_depth_counts, read_rgb
from .lens import read_pinhole

YCB_NAMES = {
    1: "master_chef_can",
    2: "cracker_box",
    3: "sugar_box",
    4: "tomato_soup_can",
    5: "mustard_bottle",
    6: "tuna_fish_can",
    7: "pudding_box",
    8: "gelatin_box",
    9: "potted_meat_can",
    10: "banana",
    11: "pitcher_base",
    12: "bleach_cleanser",
    13: "bowl",
    14: "mug",
    15: "power_drill",
    16: "wood_block",
    17: "scissors",
    18: "large_marker",
    19: "large_clamp",
    20: "extra_large_clamp",
    21: "foam_brick",
}
OTHER_OBJECT = 22  # any object that is not of YCB; `object_name` in meta.yml says which
HAND = 255
WIDTH, HEIGHT = 640, 480
LAYOUT = "h2rh_env/captures/dexycb.py"
_SAFE_NAME = re.compile(r"[\w-]{1,64}")


def load_dexycb(session: Path | str, frame: int | None = None) -> HandoverCapture:
    """Reads one frame of a session of a DexYCB root.

    Args:
        session: `<root>/<subject>/<session>`.
        frame: the index of the frame, from 0; None means the last, in which the object is held out.

    Raises:
        CaptureError: A file is missing or malformed, or no camera sees the held object.
    """
    session = Path(session)
    meta = read_yaml(session / "meta.yml", LAYOUT)
    root = session.resolve().parent.parent
    if not (root / "calibration").is_dir():
        raise CaptureError(f"{root} has no calibration/; a session lies at <root>/<subject>/<session>")
    serials, object_id = _serials(meta, session), _grasped_id(meta, session)
    count = number_of_frames(meta, f"{session}/meta.yml")
    frame = frame_number(count, frame, count - 1, session)
    world_from_cameras, extrinsics_file = _extrinsics(root, meta, serials, session)
    used = [session / "meta.yml", extrinsics_file]
    views = []
    for serial, world_from_camera in zip(serials, world_from_cameras, strict=True):
        intrinsics_file = root / "calibration" / "intrinsics" / f"{serial}_{WIDTH}x{HEIGHT}.yml"
        color, depth, labels = (
            session / serial / f"{stem}_{frame:06d}.{suffix}"
            for stem, suffix in (("color", "jpg"), ("aligned_depth_to_color", "png"), ("labels", "npz"))
        )
        views.append(
            RgbdView(
                serial,
                read_pinhole(intrinsics_file, WIDTH, HEIGHT, LAYOUT),
                world_from_camera,
                read_rgb(color, (WIDTH, HEIGHT)),
                read_depth_counts(depth, (WIDTH, HEIGHT)).astype(np.float32) / np.float32(1000),
                _labels(labels, object_id),
            )
        )
        used += [intrinsics_file, color, depth, labels]
    if not any((view.labels == Label.OBJECT).any() for view in views):
        raise CaptureError(f"{session}: no camera sees the held object (id {object_id}) in frame {frame}")
    if not any(((view.labels == Label.OBJECT) & (view.depth_m > 0)).any() for view in views):
        raise CaptureError(f"{session}: no camera measured depth on the held object in frame {frame}")
    provenance = {
        "layout": "dexycb",
        "session": f"{session.resolve().parent.name}/{session.resolve().name}",
        "frame": frame,
        "sha256": files.sha256_of(*used),
    }
    return HandoverCapture(session.resolve().name, tuple(views), _object_name(meta, object_id), provenance)


def _name(value: Any, what: str) -> str:
    """Returns a part of a file name that a stranger's file gives; one that could lead elsewhere is refused."""
    if not (isinstance(value, str) and _SAFE_NAME.fullmatch(value)):
        raise CaptureError(f"{what} is {reprlib.repr(value)}; expected letters, digits, '_' and '-'")
    return value


def _serials(meta: dict[str, Any], session: Path) -> list[str]:
    serials = meta.get("serials")
    if not (isinstance(serials, list) and 1 <= len(serials) <= 64):
        raise CaptureError(f"{session}/meta.yml: serials is {reprlib.repr(serials)}; expected 1 to 64 names")
    names = [_name(serial, f"{session}/meta.yml: a serial") for serial in serials]
    if len(set(names)) < len(names):
        raise CaptureError(f"{session}/meta.yml: serials names a camera twice")
    return names


def _grasped_id(meta: dict[str, Any], session: Path) -> int:
    ids, index = meta.get("ycb_ids"), meta.get("ycb_grasp_ind")
    if not (isinstance(ids, list) and ids and all(type(i) is int and 0 < i < HAND for i in ids)):
        raise CaptureError(f"{session}/meta.yml: ycb_ids is {reprlib.repr(ids)}; expected a list of 1..21")
    if not (type(index) is int and 0 <= index < len(ids)):
        raise CaptureError(
            f"{session}/meta.yml: ycb_grasp_ind is {reprlib.repr(index)}; expected 0 to {len(ids) - 1}, "
            "an index into ycb_ids"
        )
    return int(ids[index])


def _object_name(meta: dict[str, Any], object_id: int) -> str:
    known = YCB_NAMES.get(object_id, f"object_{object_id}")
    return _name(meta["object_name"], "meta.yml: object_name") if "object_name" in meta else known


def _extrinsics(
    root: Path, meta: dict[str, Any], serials: list[str], session: Path
) -> tuple[list[SE3], Path]:
    """Returns world_from_camera of each serial; the file holds [R | t] to the master camera, the tag's included."""
    suffix = _name(meta.get("extrinsics"), f"{session}/meta.yml: extrinsics")
    path = root / "calibration" / f"extrinsics_{suffix}" / "extrinsics.yml"
    table = read_yaml(path, LAYOUT).get("extrinsics")
    if not isinstance(table, dict):
        raise CaptureError(f"{path}: extrinsics is {reprlib.repr(table)}; expected a mapping from serial")

    def master_from(key: str) -> SE3:
        try:
            return SE3.from_matrix(np.array(table[key], np.float64).reshape(3, 4))
        except KeyError:
            raise CaptureError(f"{path} has no entry {key!r}; it lists {reprlib.repr(list(table))}") from None
        except (ValueError, TypeError) as error:
            raise CaptureError(f"{path}: {key} is no rigid motion of 12 numbers ({error})") from None

    world_from_master = master_from("apriltag").inverse()
    return [world_from_master @ master_from(serial) for serial in serials], path


def _labels(path: Path, object_id: int) -> npt.NDArray[np.uint8]:
    """Reads `seg` of a labels file as values of `Label`; the dataset has 0, an id of YCB, or 255 there."""
    seg = read_npz(path, "seg", (HEIGHT, WIDTH), "uint8")
    labels = np.full(seg.shape, Label.BACKGROUND, np.uint8)
    labels[seg == object_id] = Label.OBJECT
    labels[seg == HAND] = Label.HAND
    return labels

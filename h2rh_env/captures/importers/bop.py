"""Imports a scene of a BOP dataset: a folder with `scene_camera.json`, `scene_gt.json`, `rgb`, `depth`, `mask_visib`.

Read as BOP's page of the format has it: `cam_K` and rotations are row-wise, translations mm, depth images times
`depth_scale` mm, camera axes OpenCV's. Where images have `cam_R_w2c` and `cam_t_w2c`, the world is theirs; elsewhere
the images are related by the annotated poses of the held object, whose own frame becomes the world. `mask_visib`
gives the object's mask. BOP has no masks of hands: what holds the object is labelled background.
"""

from __future__ import annotations

import reprlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...core.errors import CaptureError
from ...core.geometry import SE3, Array
from ...core.labels import Label
from ..base import RgbdView
from ..documents import read_json
from ..images import read_depth_counts, read_mask, read_rgb
from ..lens import pinhole
from .base import MILLIMETRE_M, Imported, make_view, pose, spread, view_names

LAYOUT = "h2rh_env/captures/importers/bop.py"
COLOURS = ("rgb/{:06d}.png", "rgb/{:06d}.jpg")
NO_HAND = "BOP has no masks of hands; label the hand (2) in the masks, or the scene will know of none"
OF_OBJECT = (
    "the images have no poses of their cameras; they are related by those of the object, whose frame is the world: "
    "z is its own axis, not against gravity"
)


def recognises(source: Path) -> bool:
    return (source / "scene_camera.json").is_file()


def load(source: Path, views: int | None = None, object_id: str | None = None) -> Imported:
    """Reads the images of one scene.

    Args:
        source: the folder of the scene, such as `test/000001`.
        views: how many images to take; None takes all, but at most 32.
        object_id: `obj_id` of the held object; None where the scene has only one.

    Raises:
        CaptureError: A file is missing or malformed, or it is not clear which object is held.
    """
    cameras = read_json(source / "scene_camera.json", LAYOUT)
    annotated = read_json(source / "scene_gt.json", LAYOUT)
    held = _held(annotated, object_id, source)
    seen = [key for key in sorted(cameras, key=_number) if _instance(annotated.get(key), held) is not None]
    chosen, notes = spread(seen, views)
    by_camera = all("cam_R_w2c" in _entry(cameras, key, source) for key in chosen)
    names = view_names([f"{_number(key):06d}" for key in chosen])
    read = []
    for name, key in zip(names, chosen, strict=True):
        index = _instance(annotated[key], held)
        assert index is not None
        entry = _entry(cameras, key, source)
        body, suffix = (entry, "w2c") if by_camera else (annotated[key][index], "m2c")
        read.append(_view(source, name, _number(key), index, entry, _camera_from(body, suffix, key, source)))
    scales_m = [_depth_scale_m(_entry(cameras, key, source), key, source) for key in chosen]
    about = (*notes, *(() if by_camera else (OF_OBJECT,)), NO_HAND)
    return Imported(tuple(read), scales_m, notes=about, object_name=f"object_{held}")


def _view(
    source: Path, name: str, image: int, index: int, entry: dict[str, Any], camera_from_world: SE3
) -> RgbdView:
    where = f"{source}/scene_camera.json, image {image}"
    colours = [source / pattern.format(image) for pattern in COLOURS]
    rgb = read_rgb(next((path for path in colours if path.is_file()), colours[0]))
    height, width = rgb.shape[:2]
    k = _numbers(entry.get("cam_K"))
    camera = pinhole(k.reshape(3, 3) if k.size == 9 else entry.get("cam_K"), width, height, where)
    counts = read_depth_counts(source / f"depth/{image:06d}.png", (width, height))
    depth_m = counts.astype(np.float64) * _depth_scale_m(entry, str(image), source)
    labels = _labels(source / f"mask_visib/{image:06d}_{index:06d}.png", (width, height))
    return make_view(name, camera, camera_from_world.inverse(), rgb, depth_m, labels)


def _labels(path: Path, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    return np.where(read_mask(path, size) > 0, Label.OBJECT, Label.BACKGROUND).astype(np.uint8)


def _held(annotated: dict[str, Any], object_id: str | None, source: Path) -> int:
    """Returns the id of the held object: what the user named, or the only one."""
    poses = (each for poses in annotated.values() for each in (poses if isinstance(poses, list) else ()))
    ids = {each.get("obj_id") for each in poses if isinstance(each, dict)}
    known = sorted(number for number in ids if type(number) is int)
    if not known:
        raise CaptureError(
            f"{source}/scene_gt.json annotates no object; expected obj_id and poses of each image"
        )
    if object_id is None and len(known) == 1:
        return known[0]
    if object_id is None or object_id not in map(str, known):
        said = "does not say which object is held" if object_id is None else f"has no object {object_id!r}"
        raise CaptureError(f"{source} {said}; give --object-id, one of {', '.join(map(str, known))}")
    return int(object_id)


def _instance(poses: Any, held: int) -> int | None:
    """Returns the place of the held object among the annotations of an image."""
    ids = [each.get("obj_id") for each in poses if isinstance(each, dict)] if isinstance(poses, list) else []
    return ids.index(held) if held in ids else None


def _camera_from(entry: dict[str, Any], suffix: str, key: str, source: Path) -> SE3:
    where = f"{source}, image {key}: cam_R_{suffix}, cam_t_{suffix}"
    rotation, shift_mm = (_numbers(entry.get(f"cam_{part}_{suffix}")) for part in "Rt")
    if rotation.size != 9 or shift_mm.size != 3:
        raise CaptureError(f"{where} are {reprlib.repr(entry)}; expected 9 and 3 numbers")
    return pose(np.column_stack([rotation.reshape(3, 3), MILLIMETRE_M * shift_mm.ravel()]), where)


def _depth_scale_m(entry: dict[str, Any], key: str, source: Path) -> float:
    scale_mm = entry.get("depth_scale")
    if not isinstance(scale_mm, int | float) or not 0.01 <= scale_mm <= 10:
        raise CaptureError(
            f"{source}/scene_camera.json, image {key}: depth_scale is {scale_mm!r}; "
            "expected mm per count, mostly 1 or 0.1"
        )
    return MILLIMETRE_M * float(scale_mm)


def _entry(cameras: dict[str, Any], key: str, source: Path) -> dict[str, Any]:
    entry = cameras[key]
    if not isinstance(entry, dict):
        raise CaptureError(
            f"{source}/scene_camera.json: image {key} is {reprlib.repr(entry)}; expected an object"
        )
    return entry


def _numbers(value: Any) -> Array:
    """Returns a list of numbers as an array; an empty one for anything else."""
    try:
        return np.array(value, np.float64).ravel()
    except (ValueError, TypeError):
        return np.zeros(0)


def _number(key: str) -> int:
    if not key.isdigit():
        raise CaptureError(f"scene_camera.json names the image {key!r}; expected a number")
    return int(key)

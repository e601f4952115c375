"""Captures of your own cameras: a plain folder of images and one `cameras.json`.

    capture/
      cameras.json
      left_rgb.png     8-bit colour, PNG or JPEG
      left_depth.png   16-bit grey PNG, aligned to colour; 0 (or 65535) where not measured
      left_mask.png    8-bit grey PNG: 0 background, 1 object, 2 hand

`cameras.json` names the images, which must lie in the folder:

    {
     "format": "h2rh-rgbd-1",
     "object_name": "mug",
     "depth_scale_m": 0.001,
     "cameras": [
      {"name": "left", "rgb": "left_rgb.png", "depth": "left_depth.png", "mask": "left_mask.png",
       "K": [[615.0, 0, 319.5], [0, 615.0, 239.5], [0, 0, 1]],
       "world_from_camera": [[1, 0, 0, 0.2], [0, 0, 1, -0.5], [0, -1, 0, 0.4], [0, 0, 0, 1]]}
     ]
    }

K is OpenCV's: it counts from the centre of the first pixel. Images are undistorted, or a camera also has
"distortion", OpenCV's [k1, k2, p1, p2, k3], and is undistorted when it is read; "time_s" may say when it was taken.
A mask that is yet to be made is named all the same; its file is missing.
An EXIF orientation is applied first: K, depth and mask belong to the upright image. `world_from_camera` maps
OpenCV camera axes (x right, y down, z forward) to a world in metres with z up.
"""

from __future__ import annotations

import io
import re
import reprlib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from ..core.errors import CaptureError
from ..core.geometry import SE3
from ..core.labels import Label
from ..utils import files
from .base import HandoverCapture, RgbdView
from .documents import inside, read_json
from .images import SATURATED, read_depth_counts, read_labels, read_rgb
from .lens import coefficients_of, pinhole, refuse_other_spellings, straightened

FORMAT = "h2rh-rgbd-1"
IMAGES = ("rgb", "depth", "mask")
LAYOUT = "h2rh_env/captures/folder.py"
MAX_CAMERAS = 256
DEPTH_SCALES_M = (1e-5, 1e-2)
_SAFE_NAME = re.compile(r"\w[\w.-]{0,63}")


def load_folder(folder: Path | str, needs_masks: bool = True) -> HandoverCapture:
    """Reads a capture.

    Args:
        needs_masks: whether each camera must have its mask; without, what has none is labelled background throughout.

    Raises:
        CaptureError: Something is wrong with the folder. The message names the first problem; `problems` lists all.
    """
    folder = Path(folder)
    meta = _read_meta(folder)
    views = tuple(
        _read_view(folder, entry, k, meta["depth_scale_m"], needs_masks)
        for k, entry in enumerate(meta["cameras"])
    )
    for problem in _of_all(views) if needs_masks else ():
        raise CaptureError(f"{folder}: {problem}")
    named = [inside(folder, c[key], "cameras.json") for c in meta["cameras"] for key in IMAGES]
    used = [folder / "cameras.json", *(path for path in named if path.is_file())]
    provenance = {"layout": "folder", "folder": folder.resolve().name, "sha256": files.sha256_of(*used)}
    times = [entry["time_s"] for entry in meta["cameras"] if isinstance(entry.get("time_s"), float | int)]
    if times:
        provenance["time_spread_s"] = max(times) - min(times)
    return HandoverCapture(folder.resolve().name, views, meta["object_name"], provenance)


def mask_files(folder: Path | str) -> dict[str, Path]:
    """Returns where the mask of each camera is, or should be, by the camera's name.

    Raises:
        CaptureError: `cameras.json` cannot be read, a file would lie elsewhere, or images are distorted, so that
            masks of the undistorted views do not lie on them.
    """
    folder = Path(folder)
    for entry in _read_meta(folder)["cameras"]:
        if np.any(entry.get("distortion", 0)):
            raise CaptureError(
                f"{folder}: images of camera {entry['name']} are distorted, masks would be of undistorted ones; "
                'undistort the images first, and leave "distortion" out'
            )
    return {
        entry["name"]: inside(folder, entry["mask"], "cameras.json")
        for entry in _read_meta(folder)["cameras"]
    }


def problems(folder: Path | str) -> list[str]:
    """Lists everything that is wrong with a folder, one sentence each; empty for a capture that loads."""
    folder = Path(folder)
    try:
        meta = _read_meta(folder)
    except CaptureError as error:
        return [str(error)]
    found, views = [], []
    for k, entry in enumerate(meta["cameras"]):
        try:
            views.append(_read_view(folder, entry, k, meta["depth_scale_m"], needs_masks=True))
        except CaptureError as error:
            found.append(str(error))
    return found + [f"{folder}: {problem}" for problem in (_of_all(tuple(views)) if views else ())]


def write_folder(
    capture: HandoverCapture,
    folder: Path | str,
    depth_scale_m: float = 0.001,
    unmasked: Collection[str] = (),
    times_s: Mapping[str, float] | None = None,
) -> None:
    """Writes a capture so that `load_folder` reads it back; depth is rounded to the scale.

    Args:
        unmasked: names of views whose masks are yet to be made; `cameras.json` names the files that are missing.
        times_s: when each view was taken, by its name, s on one clock.

    Raises:
        CaptureError: Depth is too far for 16 bit of the scale.
    """
    folder = Path(folder)
    cameras = []
    for view in capture.views:
        names = {kind: f"{view.name}_{kind}.png" for kind in IMAGES}
        counts = np.round(view.depth_m.astype(np.float64) / depth_scale_m)
        if counts.max(initial=0) >= SATURATED:
            raise CaptureError(
                f"view {view.name} reaches {view.depth_m.max():.1f} m, too far for 16 bit of {depth_scale_m} m; "
                "use a larger depth_scale_m"
            )
        images: tuple[npt.NDArray[Any], ...] = (view.rgb, counts.astype(np.uint16), view.labels)
        for kind, image in zip(IMAGES, images, strict=True):
            if kind == "mask" and view.name in unmasked:
                continue
            files.write_bytes(folder / names[kind], _png(image))
        cameras.append(
            {
                "name": view.name,
                **names,
                "K": view.camera.opencv_matrix.tolist(),
                "world_from_camera": view.world_from_camera.matrix.tolist(),
                **({"time_s": times_s[view.name]} if times_s else {}),
            }
        )
    meta = {
        "format": FORMAT,
        "object_name": capture.object_name,
        "depth_scale_m": depth_scale_m,
        "cameras": cameras,
    }
    files.write_json(folder / "cameras.json", meta)


def _png(image: npt.NDArray[np.generic]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def _read_meta(folder: Path) -> dict[str, Any]:
    path = folder / "cameras.json"
    meta = read_json(path, LAYOUT)
    if meta.get("format") != FORMAT:
        raise CaptureError(f"{path}: format is {reprlib.repr(meta.get('format'))}; expected {FORMAT!r}")
    scale, cameras = meta.get("depth_scale_m"), meta.get("cameras")
    if not (isinstance(scale, float | int) and DEPTH_SCALES_M[0] <= scale <= DEPTH_SCALES_M[1]):
        raise CaptureError(
            f"{path}: depth_scale_m is {reprlib.repr(scale)}; expected metres per count, "
            f"{DEPTH_SCALES_M[0]} to {DEPTH_SCALES_M[1]}, mostly 0.001"
        )
    if not (isinstance(cameras, list) and 1 <= len(cameras) <= MAX_CAMERAS):
        raise CaptureError(
            f"{path}: cameras is {reprlib.repr(cameras)}; expected a list of 1 to {MAX_CAMERAS}"
        )
    name = meta.get("object_name")
    if not (isinstance(name, str) and 0 < len(name) <= 64 and name.isprintable()):
        raise CaptureError(f"{path}: object_name is {reprlib.repr(name)}; expected a short string")
    return meta


def _read_view(folder: Path, entry: Any, number: int, depth_scale_m: float, needs_masks: bool) -> RgbdView:
    where = f"{folder}/cameras.json, camera {number}"
    missing = [k for k in ("name", *IMAGES, "K", "world_from_camera") if k not in dict(_items(entry))]
    if missing:
        raise CaptureError(f"{where}: {', '.join(missing)} missing")
    if not (isinstance(entry["name"], str) and _SAFE_NAME.fullmatch(entry["name"])):
        raise CaptureError(
            f"{where}: name is {reprlib.repr(entry['name'])}; expected up to 64 letters, digits, '_', '-' and '.'"
        )
    refuse_other_spellings(entry, where)
    rgb_file, depth_file, mask_file = (inside(folder, entry[key], "cameras.json") for key in IMAGES)
    rgb = read_rgb(rgb_file)
    height, width, _ = rgb.shape
    camera = pinhole(entry["K"], width, height, where)
    try:
        world_from_camera = SE3.from_matrix(np.array(entry["world_from_camera"], np.float64))
    except (ValueError, TypeError) as error:
        raise CaptureError(f"{where}: world_from_camera is no rigid motion ({error})") from None
    labels = np.zeros((height, width), np.uint8)
    if needs_masks or mask_file.is_file():
        labels = read_labels(mask_file, (width, height))
    depth_m = (read_depth_counts(depth_file, (width, height)) * depth_scale_m).astype(np.float32)
    coefficients = coefficients_of(entry.get("distortion", np.zeros(5)), where)
    rgb, depth_m, labels = straightened(camera, coefficients, rgb, depth_m, labels)
    return RgbdView(entry["name"], camera, world_from_camera, rgb, depth_m, labels)


def _items(entry: Any) -> Iterator[tuple[str, Any]]:
    return iter(entry.items()) if isinstance(entry, dict) else iter(())


def _of_all(views: tuple[RgbdView, ...]) -> Iterator[str]:
    names = [view.name for view in views]
    if len(set(names)) < len(names):
        yield "two cameras have the same name"
    if not any((view.labels == Label.OBJECT).any() for view in views):
        yield "no mask marks the object (value 1)"
    elif not any(((view.labels == Label.OBJECT) & (view.depth_m > 0)).any() for view in views):
        yield "no camera measured depth on the object"

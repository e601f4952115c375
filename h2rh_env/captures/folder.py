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
An EXIF orientation is applied first: K, depth and mask belong to the upright image. `world_from_camera` maps
OpenCV camera axes (x right, y down, z forward) to a world in metres with z up.
"""

from __future__ import annotations

import io
import json
import re
import reprlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from ..core.camera import PinholeCamera
from ..core.errors import CaptureError, RenderError
from ..core.geometry import SE3
from ..core.labels import Label
from ..utils import files
from .base import HandoverCapture, RgbdView
from .images import SATURATED, read_depth_counts, read_mask, read_rgb, undistorted

FORMAT = "h2rh-rgbd-1"
MAX_JSON_BYTES = 10_000_000
MAX_CAMERAS = 256
DEPTH_SCALES_M = (1e-5, 1e-2)
_LIKE_DISTORTION = re.compile(r"(?i)dist.*|d|(lens_?)?coeff\w*|k[1-6]|p[12]")
_SAFE_NAME = re.compile(r"\w[\w.-]{0,63}")


def load_folder(folder: Path | str) -> HandoverCapture:
    """Reads a capture.

    Raises:
        CaptureError: Something is wrong with the folder. The message names the first problem; `problems` lists all.
    """
    folder = Path(folder)
    meta = _read_meta(folder)
    views = tuple(
        _read_view(folder, entry, k, meta["depth_scale_m"]) for k, entry in enumerate(meta["cameras"])
    )
    for problem in _of_all(views):
        raise CaptureError(f"{folder}: {problem}")
    used = [
        folder / "cameras.json",
        *(_inside(folder, c[key]) for c in meta["cameras"] for key in ("rgb", "depth", "mask")),
    ]
    provenance = {"layout": "folder", "folder": folder.resolve().name, "sha256": files.sha256_of(*used)}
    times = [entry["time_s"] for entry in meta["cameras"] if isinstance(entry.get("time_s"), float | int)]
    if times:
        provenance["time_spread_s"] = max(times) - min(times)
    return HandoverCapture(folder.resolve().name, views, meta["object_name"], provenance)


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
            views.append(_read_view(folder, entry, k, meta["depth_scale_m"]))
        except CaptureError as error:
            found.append(str(error))
    return found + [f"{folder}: {problem}" for problem in _of_all(tuple(views))]


def write_folder(capture: HandoverCapture, folder: Path | str, depth_scale_m: float = 0.001) -> None:
    """Writes a capture so that `load_folder` reads it back; depth is rounded to the scale."""
    folder = Path(folder)
    cameras = []
    for view in capture.views:
        names = {kind: f"{view.name}_{kind}.png" for kind in ("rgb", "depth", "mask")}
        counts = np.round(view.depth_m.astype(np.float64) / depth_scale_m)
        if counts.max(initial=0) >= SATURATED:
            raise CaptureError(
                f"view {view.name} reaches {view.depth_m.max():.1f} m, too far for 16 bit of {depth_scale_m} m; "
                "use a larger depth_scale_m"
            )
        for kind, image in (("rgb", view.rgb), ("depth", counts.astype(np.uint16)), ("mask", view.labels)):
            files.write_bytes(folder / names[kind], _png(image))
        cameras.append(
            {
                "name": view.name,
                **names,
                "K": view.camera.opencv_matrix.tolist(),
                "world_from_camera": view.world_from_camera.matrix.tolist(),
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
    try:
        meta = json.loads(files.read_text(path, MAX_JSON_BYTES))
    except FileNotFoundError:
        raise CaptureError(f"{path} is missing; h2rh_env/captures/folder.py shows one") from None
    except (OSError, ValueError, RecursionError) as error:
        raise CaptureError(f"{path} is not JSON ({error})") from None
    if not isinstance(meta, dict) or meta.get("format") != FORMAT:
        met = meta.get("format") if isinstance(meta, dict) else type(meta).__name__
        raise CaptureError(f"{path}: format is {reprlib.repr(met)}; expected {FORMAT!r}")
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


def _read_view(folder: Path, entry: Any, number: int, depth_scale_m: float) -> RgbdView:
    where = f"{folder}/cameras.json, camera {number}"
    missing = [
        k for k in ("name", "rgb", "depth", "mask", "K", "world_from_camera") if k not in dict(_items(entry))
    ]
    if missing:
        raise CaptureError(f"{where}: {', '.join(missing)} missing")
    if not (isinstance(entry["name"], str) and _SAFE_NAME.fullmatch(entry["name"])):
        raise CaptureError(
            f"{where}: name is {reprlib.repr(entry['name'])}; expected up to 64 letters, digits, '_', '-' and '.'"
        )
    rgb_file, depth_file, mask_file = (_inside(folder, entry[key]) for key in ("rgb", "depth", "mask"))
    rgb = read_rgb(rgb_file)
    height, width, _ = rgb.shape
    camera = _camera(entry["K"], width, height, where)
    try:
        world_from_camera = SE3.from_matrix(np.array(entry["world_from_camera"], np.float64))
    except (ValueError, TypeError) as error:
        raise CaptureError(f"{where}: world_from_camera is no rigid motion ({error})") from None
    labels = read_mask(mask_file, (width, height))
    if labels.max() > max(Label):
        raise CaptureError(f"{mask_file} holds {labels.max()}; expected 0 background, 1 object, 2 hand")
    depth_m = (read_depth_counts(depth_file, (width, height)) * depth_scale_m).astype(np.float32)
    coefficients = _distortion(entry, where)
    if coefficients.any():
        k = camera.opencv_matrix
        rgb = np.asarray(undistorted(rgb, k, coefficients, smooth=True), np.uint8)
        depth_m = np.asarray(undistorted(depth_m, k, coefficients, smooth=False), np.float32)
        labels = np.asarray(undistorted(labels, k, coefficients, smooth=False), np.uint8)
    return RgbdView(entry["name"], camera, world_from_camera, rgb, depth_m, labels)


def _distortion(entry: dict[str, Any], where: str) -> npt.NDArray[np.float64]:
    """Returns the coefficients of a camera's lens; zeros for an undistorted image."""
    unread = sorted(key for key in entry if _LIKE_DISTORTION.fullmatch(key) and key != "distortion")
    if unread:
        raise CaptureError(
            f"{where}: {', '.join(unread)} would be ignored; write the coefficients of the lens as "
            '"distortion": [k1, k2, p1, p2, k3], as OpenCV has them, or undistort the images and leave them out'
        )
    try:
        values = np.array(entry.get("distortion", np.zeros(5)), np.float64).ravel()
    except (ValueError, TypeError):
        values = np.zeros(0)
    if len(values) not in {4, 5, 8} or not np.isfinite(values).all():
        raise CaptureError(
            f"{where}: distortion is {reprlib.repr(entry['distortion'])}; expected OpenCV's 4, 5 or 8 numbers"
        )
    return values


def _items(entry: Any) -> Iterator[tuple[str, Any]]:
    return iter(entry.items()) if isinstance(entry, dict) else iter(())


def _inside(folder: Path, name: Any) -> Path:
    """Returns the path of a file in the folder; a path that leads out of it is refused."""
    path = folder / name if isinstance(name, str) else None
    if path is None or not path.resolve().is_relative_to(folder.resolve()):
        raise CaptureError(
            f"{folder}/cameras.json names the file {reprlib.repr(name)}; it must lie in the folder"
        )
    return path


def _camera(matrix: Any, width: int, height: int, where: str) -> PinholeCamera:
    try:
        k = np.array(matrix, np.float64)
    except (ValueError, TypeError):
        k = np.zeros(0)
    if k.shape != (3, 3) or abs(k[0, 1]) > 1e-6 or not np.allclose(k[2], [0, 0, 1]):
        raise CaptureError(
            f"{where}: K is {reprlib.repr(matrix)}; expected [[fx, 0, cx], [0, fy, cy], [0, 0, 1]]"
        )
    try:
        return PinholeCamera.from_opencv(width, height, k[0, 0], k[1, 1], k[0, 2], k[1, 2])
    except RenderError as error:
        raise CaptureError(f"{where}: {error}") from None


def _of_all(views: tuple[RgbdView, ...]) -> Iterator[str]:
    names = [view.name for view in views]
    if len(set(names)) < len(names):
        yield "two cameras have the same name"
    if not any((view.labels == Label.OBJECT).any() for view in views):
        yield "no mask marks the object (value 1)"
    elif not any(((view.labels == Label.OBJECT) & (view.depth_m > 0)).any() for view in views):
        yield "no camera measured depth on the object"

"""Imports nerfstudio's `transforms.json`, as `ns-process-data`, Record3D, Polycam and Blender's add-ons write it.

Read as its documentation and data parser have it: `transform_matrix` maps OpenGL camera axes (x right, y up, z
backwards) to a world with z up; intrinsics stand in the frame or for all frames, with the principal point in px from
the image's corner; `k1, k2, p1, p2, k3` are OpenCV's. `depth_file_path` is a 16-bit PNG or an `.npy`, times
`depth_unit_scale_factor` (0.001 if the file does not say). A scale that was applied to positions is undone. A mask of
nerfstudio's says which pixels count, not what they show, so it is left out, unless it holds our labels 0, 1 and 2.
"""

from __future__ import annotations

import reprlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...core.camera import PinholeCamera
from ...core.errors import CaptureError, RenderError
from ...core.geometry import SE3, Array
from ...core.labels import Label
from ..arrays import read_npy
from ..base import RgbdView
from ..documents import inside, read_json
from ..images import read_depth_counts, read_mask, read_rgb
from .base import MILLIMETRE_M, NO_MASKS, Imported, make_view, pose, spread, view_names

DOCUMENT = "transforms.json"
MODELS = {"OPENCV", "PINHOLE", "SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL", "PERSPECTIVE"}
OPENGL_FROM_CAMERA = SE3(np.diag([1.0, -1.0, -1.0]), np.zeros(3))
SCALES_OF_FLOATS_M = (0.1 * MILLIMETRE_M, MILLIMETRE_M)  # what depth of `.npy` files is rounded to
COEFFICIENTS = ("k1", "k2", "p1", "p2", "k3")
UNSUPPORTED = ("k4", "k5", "k6")


def recognises(source: Path) -> bool:
    return (source / DOCUMENT).is_file() or (source.suffix == ".json" and source.is_file())


def load(source: Path, views: int | None = None, depth_scale_m: float | None = None) -> Imported:
    """Reads the frames of a `transforms.json`.

    Args:
        source: the file, or the folder that holds it.
        views: how many frames to take; None takes all, but at most 32.
        depth_scale_m: metres per count of the depth images; None takes the file's.

    Raises:
        CaptureError: Something is wrong with the file or with an image that it names.
    """
    path = source if source.suffix == ".json" else source / DOCUMENT
    meta = read_json(path, "h2rh_env/captures/importers/nerfstudio.py")
    frames = meta.get("frames")
    if not (isinstance(frames, list) and all(isinstance(frame, dict) for frame in frames)):
        raise CaptureError(f"{path}: frames is {reprlib.repr(frames)}; expected a list of objects")
    chosen, notes = spread(sorted(frames, key=lambda frame: str(frame.get("file_path"))), views)
    scale_m = depth_scale_m or _number(meta, "depth_unit_scale_factor", path, MILLIMETRE_M)
    names = view_names([Path(str(frame.get("file_path"))).stem for frame in chosen])
    read, unmasked = [], set()
    for name, frame in zip(names, chosen, strict=True):
        view, has_mask = _view(path, name, meta | frame, _number(meta, "applied_scale", path, 1.0), scale_m)
        read.append(view)
        unmasked |= set() if has_mask else {name}
    in_files = any(str(frame.get("depth_file_path")).endswith(".npy") for frame in chosen)
    scales_m = SCALES_OF_FLOATS_M if in_files else (scale_m,)
    notes = (*notes, *_about_masks(chosen, unmasked))
    return Imported(tuple(read), scales_m, frozenset(unmasked), notes)


def _about_masks(frames: list[dict[str, Any]], unmasked: set[str]) -> tuple[str, ...]:
    if not unmasked:
        return ()
    if not any("mask_path" in frame for frame in frames):
        return (NO_MASKS,)
    return (
        f"{len(unmasked)} masks say which pixels count, not which are object and hand, and were left out; "
        "make masks with 0 background, 1 object, 2 hand",
    )


def _view(
    path: Path, name: str, frame: dict[str, Any], applied_scale: float, scale_m: float
) -> tuple[RgbdView, bool]:
    where = f"{path}, frame {frame.get('file_path')!r}"
    for key in ("file_path", "depth_file_path", "transform_matrix"):
        if key not in frame:
            raise CaptureError(f"{where} has no {key}; a capture needs colour, metric depth and a pose")
    rgb = read_rgb(_image(path, frame["file_path"]))
    camera = _camera(frame, rgb.shape[1], rgb.shape[0], where)
    depth_m = _depth_m(_image(path, frame["depth_file_path"]), camera, scale_m)
    world_from_opengl = pose(frame["transform_matrix"], f"{where}: transform_matrix")
    metric = SE3(world_from_opengl.rotation, world_from_opengl.translation / applied_scale)
    labels = _labels(_image(path, frame["mask_path"]), camera) if "mask_path" in frame else None
    view = make_view(
        name, camera, metric @ OPENGL_FROM_CAMERA, rgb, depth_m, labels, _coefficients(frame, where)
    )
    return view, labels is not None


def _image(path: Path, name: Any) -> Path:
    """Returns the path of an image; Blender's files leave the ending of PNG files out."""
    found = inside(path.parent, name, path.name)
    return found if found.suffix else found.with_suffix(".png")


def _depth_m(path: Path, camera: PinholeCamera, scale_m: float) -> npt.NDArray[np.float64]:
    if path.suffix == ".npy":
        values = read_npy(path, (camera.height, camera.width)).astype(np.float64) * scale_m
        return np.where(np.isfinite(values) & (values > 0), values, 0)
    return read_depth_counts(path, (camera.width, camera.height)).astype(np.float64) * scale_m


def _labels(path: Path, camera: PinholeCamera) -> npt.NDArray[np.uint8] | None:
    labels = read_mask(path, (camera.width, camera.height))
    return labels if labels.max() <= max(Label) else None


def _camera(frame: dict[str, Any], width: int, height: int, where: str) -> PinholeCamera:
    """Makes a camera of fl_x, fl_y, cx, cy, or of the angle of view; all for images of w by h px."""
    declared = tuple(_number(frame, key, where, side) for key, side in (("w", width), ("h", height)))
    if declared != (width, height):
        raise CaptureError(
            f"{where} is for images of {declared[0]:.0f}x{declared[1]:.0f} px, but its image has {width}x{height}; "
            "give the images that the intrinsics belong to"
        )
    if "fl_x" in frame:
        fx = _number(frame, "fl_x", where, 0)
    elif "camera_angle_x" in frame:
        fx = 0.5 * width / np.tan(0.5 * _number(frame, "camera_angle_x", where, 0))
    else:
        raise CaptureError(f"{where} has neither fl_x nor camera_angle_x; a camera needs a focal length")
    try:
        return PinholeCamera(
            width,
            height,
            fx,
            _number(frame, "fl_y", where, fx),
            _number(frame, "cx", where, width / 2),
            _number(frame, "cy", where, height / 2),
        )
    except RenderError as error:
        raise CaptureError(f"{where}: {error}") from None


def _coefficients(frame: dict[str, Any], where: str) -> Array:
    model = frame.get("camera_model", "OPENCV")
    others = [key for key in UNSUPPORTED if _number(frame, key, where, 0.0)]
    if model not in MODELS or others:
        raise CaptureError(
            f"{where}: camera_model is {reprlib.repr(model)}{' with ' * bool(others)}{', '.join(others)}; expected "
            f"one of {', '.join(sorted(MODELS))} with at most {', '.join(COEFFICIENTS)}; undistort the images first"
        )
    return np.array([_number(frame, key, where, 0.0) for key in COEFFICIENTS])


def _number(table: dict[str, Any], key: str, where: Path | str, default: float) -> float:
    value = table.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        raise CaptureError(f"{where}: {key} is {reprlib.repr(value)}; expected a number")
    return float(value)

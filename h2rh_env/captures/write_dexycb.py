"""Writes a capture as a session of a DexYCB root, the layout that `load_dexycb` reads.

Colour is JPEG of quality 95; depth is rounded to millimetres. Poses of hand and object are marked absent.
Objects that are not of YCB get the id 22 and their name in `meta.yml`.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
import yaml
from PIL import Image

from ..core.errors import CaptureError
from ..core.labels import Label
from ..utils import files
from .base import HandoverCapture, RgbdView
from .dexycb import HAND, HEIGHT, OTHER_OBJECT, WIDTH, YCB_NAMES

SUBJECT = "20250101-subject-01"
JPEG_QUALITY = 95
_ID_OF_NAME = {name: number for number, name in YCB_NAMES.items()} | {"blue_kettle": 11, "red_bowl": 13}


def write_dexycb(capture: HandoverCapture, root: Path | str) -> Path:
    """Writes a capture as `<root>/<subject>/<name>/` with its calibration; returns the session's folder.

    Several captures may share a root if their cameras of one name have the same intrinsics; otherwise the
    later intrinsics would replace the earlier, so that is refused.

    Raises:
        CaptureError: Images are not 640x480, or another camera of that name is already there.
    """
    root = Path(root)
    session = root / SUBJECT / capture.name
    number = _ID_OF_NAME.get(capture.object_name, OTHER_OBJECT)
    for view in capture.views:
        _write_intrinsics(root, view)
        _write_view(session / view.name, view, number)
    _write_yaml(
        root / "calibration" / f"extrinsics_{capture.name}" / "extrinsics.yml",
        {"master": capture.views[0].name, "extrinsics": _extrinsics(capture)},
    )
    _write_bytes_of_npz(
        session / "pose.npz",
        pose_y=np.array([[[0, 0, 0, 1, 0, 0, 0]]], np.float32),
        pose_m=np.zeros((1, 1, 51), np.float32),
    )
    meta = {
        "serials": [view.name for view in capture.views],
        "num_frames": 1,
        "extrinsics": capture.name,
        "mano_calib": [],
        "mano_sides": [],
        "ycb_ids": [number],
        "ycb_grasp_ind": 0,
        "object_name": capture.object_name,
    }
    _write_yaml(session / "meta.yml", meta)
    return session


def _extrinsics(capture: HandoverCapture) -> dict[str, list[float]]:
    """Returns row-major [R | t] from every camera and from the world (the tag) to the first camera, the master."""
    master_from_world = capture.views[0].world_from_camera.inverse()
    table = {v.name: master_from_world @ v.world_from_camera for v in capture.views} | {
        "apriltag": master_from_world
    }
    return {key: [float(x) for x in pose.matrix[:3].ravel()] for key, pose in table.items()}


def _write_intrinsics(root: Path, view: RgbdView) -> None:
    camera = view.camera
    if (camera.width, camera.height) != (WIDTH, HEIGHT):
        raise CaptureError(
            f"view {view.name} is {camera.width}x{camera.height} px; the DexYCB layout holds {WIDTH}x{HEIGHT}"
        )
    path = root / "calibration" / "intrinsics" / f"{view.name}_{WIDTH}x{HEIGHT}.yml"
    (fx, _, ppx), (_, fy, ppy), _ = camera.opencv_matrix.tolist()
    color = {"fx": fx, "fy": fy, "ppx": ppx, "ppy": ppy}
    if path.is_file() and yaml.safe_load(path.read_text()) != {"color": color}:
        raise CaptureError(f"{path} already describes another camera {view.name}; write to another root")
    _write_yaml(path, {"color": color})


def _write_view(folder: Path, view: RgbdView, number: int) -> None:
    files.write_bytes(
        folder / "color_000000.jpg", _encoded(view.rgb, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    )
    millimetres = np.round(view.depth_m * 1000).astype(np.uint16)
    files.write_bytes(folder / "aligned_depth_to_color_000000.png", _encoded(millimetres, "PNG"))
    seg = np.zeros_like(view.labels)
    seg[view.labels == Label.OBJECT] = number
    seg[view.labels == Label.HAND] = HAND
    _write_bytes_of_npz(
        folder / "labels_000000.npz",
        seg=seg,
        pose_y=np.zeros((1, 3, 4), np.float32),
        pose_m=np.zeros((1, 51), np.float32),
        joint_3d=np.full((1, 21, 3), -1, np.float32),
        joint_2d=np.full((1, 21, 2), -1, np.float32),
    )


def _encoded(image: npt.NDArray[np.generic], kind: str, **options: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, kind, **options)
    return buffer.getvalue()


def _write_yaml(path: Path, value: object) -> None:
    files.write_bytes(path, yaml.safe_dump(value).encode())


def _write_bytes_of_npz(path: Path, **arrays: npt.NDArray[np.generic]) -> None:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    files.write_bytes(path, buffer.getvalue())

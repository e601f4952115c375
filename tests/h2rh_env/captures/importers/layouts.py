"""Writes a capture in the layouts of other tools, as their own documentation has them; nothing here imports them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import yaml
from PIL import Image
from scipy.spatial.transform import Rotation

from h2rh_env.captures.base import HandoverCapture, RgbdView
from h2rh_env.core.geometry import SE3

OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])


def save(array: np.ndarray, path: Path, **options: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **options)


def counts(view: RgbdView, scale_m: float = 0.001) -> np.ndarray:
    return np.round(view.depth_m.astype(np.float64) / scale_m).astype(np.uint16)


def nerfstudio(capture: HandoverCapture, folder: Path, *, shared: bool = False, masks: bool = True) -> Path:
    """OpenGL axes; intrinsics in each frame or at the top; the principal point from the image's corner."""
    frames = []
    for view in capture.views:
        save(view.rgb, folder / "images" / f"{view.name}.png")
        save(counts(view), folder / "depths" / f"{view.name}.png")
        frame = {
            "file_path": f"images/{view.name}.png",
            "depth_file_path": f"./depths/{view.name}.png",
            "transform_matrix": (view.world_from_camera.matrix @ OPENGL).tolist(),
        }
        if masks:
            save(view.labels, folder / "masks" / f"{view.name}.png")
            frame["mask_path"] = f"masks/{view.name}.png"
        frames.append(frame if shared else frame | intrinsics(view))
    top = intrinsics(capture.views[0]) if shared else {}
    meta = {"camera_model": "OPENCV", **top, "frames": frames}
    (folder / "transforms.json").write_text(json.dumps(meta))
    return folder


def intrinsics(view: RgbdView) -> dict[str, float]:
    c = view.camera
    return {"fl_x": c.fx, "fl_y": c.fy, "cx": c.cx, "cy": c.cy, "w": c.width, "h": c.height}


def frames(capture: HandoverCapture, folder: Path) -> Path:
    """One camera that moves: all views must have the first one's intrinsics."""
    for k, view in enumerate(capture.views):
        save(view.rgb, folder / f"frame-{k:06d}.color.png")
        save(counts(view), folder / f"frame-{k:06d}.depth.png")
        np.savetxt(folder / f"frame-{k:06d}.pose.txt", view.world_from_camera.matrix)
    np.savetxt(folder / "camera-intrinsics.txt", capture.views[0].camera.opencv_matrix)
    return folder


def tum(capture: HandoverCapture, folder: Path) -> Path:
    """Depth lags colour by 8 ms; poses come at 100 Hz, and each image falls between two of them."""
    lists: dict[str, list[str]] = {
        "rgb": ["# timestamp filename"],
        "depth": [],
        "groundtruth": ["# t x y z q"],
    }
    for k, view in enumerate(capture.views):
        stamp_s = 1000 + k
        save(view.rgb, folder / "rgb" / f"{stamp_s:.6f}.png")
        save(counts(view, 1 / 5000), folder / "depth" / f"{stamp_s + 0.008:.6f}.png")
        lists["rgb"].append(f"{stamp_s:.6f} rgb/{stamp_s:.6f}.png")
        lists["depth"].append(f"{stamp_s + 0.008:.6f} depth/{stamp_s + 0.008:.6f}.png")
        turn = Rotation.from_rotvec([0, 0.01, 0]).as_matrix()
        step = SE3(turn, np.array([0.002, 0, 0]))
        for offset_s, pose in ((-0.005, step.inverse()), (0.005, step)):
            # The same turn and step on either side: half-way between lies the view's own pose.
            rotation = view.world_from_camera.rotation @ pose.rotation
            shift = view.world_from_camera.translation + np.sign(offset_s) * step.translation
            numbers = [stamp_s + offset_s, *shift, *Rotation.from_matrix(rotation).as_quat()]
            lists["groundtruth"].append(" ".join(f"{number:.9f}" for number in numbers))
    for name, lines in lists.items():
        (folder / f"{name}.txt").write_text("\n".join(lines) + "\n")
    return folder


def bop(capture: HandoverCapture, folder: Path, *, by_camera: bool = True) -> Path:
    """Depth of 0.1 mm a count; object 5 is held, object 2 stands about; poses of cameras, or of the object alone."""
    world_from_object = SE3(
        Rotation.from_euler("xyz", [0.2, 0.1, 1.0]).as_matrix(), np.array([0.6, 0.2, 0.3])
    )
    cameras, annotated = {}, {}
    for k, view in enumerate(capture.views):
        save(view.rgb, folder / "rgb" / f"{k:06d}.png")
        save(counts(view, 1e-4), folder / "depth" / f"{k:06d}.png")
        save(
            np.where(view.labels == 1, 255, 0).astype(np.uint8), folder / "mask_visib" / f"{k:06d}_000001.png"
        )
        save(np.zeros_like(view.labels), folder / "mask_visib" / f"{k:06d}_000000.png")
        camera_from_world = view.world_from_camera.inverse()
        entry = {"cam_K": view.camera.opencv_matrix.ravel().tolist(), "depth_scale": 0.1}
        if by_camera:
            entry |= _millimetres(camera_from_world, "w2c")
        cameras[str(k)] = entry
        held = {"obj_id": 5, **_millimetres(camera_from_world @ world_from_object, "m2c")}
        annotated[str(k)] = [{**held, "obj_id": 2}, held]
    (folder / "scene_camera.json").write_text(json.dumps(cameras))
    (folder / "scene_gt.json").write_text(json.dumps(annotated))
    return folder


def _millimetres(pose: SE3, suffix: str) -> dict[str, list[float]]:
    return {
        f"cam_R_{suffix}": pose.rotation.ravel().tolist(),
        f"cam_t_{suffix}": (1000 * pose.translation).tolist(),
    }


def ho_cap(capture: HandoverCapture, root: Path) -> Path:
    """Two frames, of which the second is the capture; the held object is the second of two."""
    master_from_world = capture.views[0].world_from_camera.inverse()
    sequence = root / "subject_1" / "20231025_165502"
    extrinsics = {"tag_0": SE3.identity(), "tag_1": master_from_world}
    for view in capture.views:
        for index in range(2):
            save(view.rgb, sequence / view.name / f"color_{index:06d}.jpg", quality=100, subsampling=0)
            save(counts(view), sequence / view.name / f"depth_{index:06d}.png")
        seg = np.select([view.labels == 1, view.labels == 2], [2, 5], 0).astype(np.uint8)
        np.savez_compressed(sequence / view.name / "label_000001.npz", seg_mask=seg, cam_K=np.eye(3))
        extrinsics[view.name] = master_from_world @ view.world_from_camera
        (fx, _, ppx), (_, fy, ppy), _ = view.camera.opencv_matrix.tolist()
        color = {"fx": fx, "fy": fy, "ppx": ppx, "ppy": ppy, "width": 640, "height": 480}
        _yaml(root / "calibration" / "intrinsics" / f"{view.name}.yaml", {"color": color, "depth": color})
    table = {key: pose.matrix[:3].ravel().tolist() for key, pose in extrinsics.items()}
    master = capture.views[0].name
    _yaml(
        root / "calibration" / "extrinsics" / "extrinsics_20231014.yaml",
        {"rs_master": master, "extrinsics": table},
    )
    camera = capture.views[0].camera
    serials = [view.name for view in capture.views]
    meta = {
        "num_frames": 2,
        "object_ids": ["G01_1", "G01_2"],
        "mano_sides": ["right"],
        "task_id": 1,
        "subject_id": "subject_1",
        "realsense": {"serials": serials, "width": camera.width, "height": camera.height},
        "extrinsics": "extrinsics_20231014.yaml",
    }
    _yaml(sequence / "meta.yaml", meta)
    return sequence


def _yaml(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(value))

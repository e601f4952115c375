"""A trial's log as a film: the arm before the scene from a fixed camera, and what the hand-eye camera saw."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from h2rh_env.core.camera import D435I, PinholeCamera
from h2rh_env.core.geometry import SE3, Array, look_at
from h2rh_env.core.gripper import ROBOTIQ_2F85
from h2rh_env.rendering.base import Rasteriser
from h2rh_env.scenes.handover_scene import HandoverScene
from h2rh_env.utils.video import VideoWriter

from ..drivers.ur.kinematics import ArmGeometry, joint_frames, nearest_joints
from ..emulator.base_placement import Placement
from ..emulator.camera import SceneView
from ..emulator.rehearsal import FLANGE_FROM_GRIPPER
from ..safety.trial_log import TickLine, read_log

FRAMES_PER_S = 8
CAMERA = D435I.resized(384, 288)
VIEW_M = np.array([0.25, -1.35, 0.55])  # of the fixed camera from what it shows, as the arm stands
STEPS_BACK = np.arange(1.0, 2.6, 0.1)  # times that, until all of it is in the image
EDGE_PX = 12
LINK_PX = (16, 14, 14, 11, 10, 9, 8)
STEEL, JOINT, FINGER = (150, 156, 165), (60, 120, 190), (40, 40, 44)


def write_video(
    path: Path,
    log: Path,
    scene: HandoverScene,
    placement: Placement,
    arm: ArmGeometry,
    rasteriser: Rasteriser,
) -> int:
    """Writes an MP4 of a trial in its own time; returns the number of frames."""
    poses, base = _poses(log), placement.world_from_base
    joints = list(_joints_of(poses, placement, arm))
    view = SceneView(scene, rasteriser, 0)
    shown = [base.apply(knot) for q in joints for knot in _knots(arm, q)]
    fixed = _camera_before(base, np.stack([*shown, *scene.object_points.astype(np.float64)]))
    behind, _ = view.picture(CAMERA, fixed)
    with VideoWriter(path, 2 * CAMERA.width, CAMERA.height, FRAMES_PER_S) as film:
        for world_from_gripper, q in zip(poses, joints, strict=True):
            third = _with_arm(behind, fixed, base, arm, q, world_from_gripper)
            seen, _ = view.picture(CAMERA, world_from_gripper)
            film.add(np.concatenate([third, seen], axis=1))
    return len(poses)


def _joints_of(poses: Sequence[SE3], placement: Placement, arm: ArmGeometry) -> Iterator[Array]:
    """Joints (6,) at each pose, on the branch of the start."""
    joints = placement.joints
    for world_from_gripper in poses:
        flange = placement.world_from_base.inverse() @ world_from_gripper @ FLANGE_FROM_GRIPPER.inverse()
        found = nearest_joints(arm, flange.matrix, joints)
        joints = joints if found is None else found
        yield joints


def _camera_before(base: SE3, points: Array) -> SE3:
    """Looking from the arm's right at points (P, 3), from so far that all of them are in the image."""
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    for back in STEPS_BACK:
        world_from_camera = look_at(middle + back * (base.rotation @ VIEW_M), middle)
        seen = world_from_camera.inverse().apply(points)
        pixels = CAMERA.project(seen)
        size = np.array([CAMERA.width, CAMERA.height])
        if (seen[:, 2] > 0).all() and ((pixels > EDGE_PX) & (pixels < size - EDGE_PX)).all():
            break
    return world_from_camera


def _poses(log: Path) -> list[SE3]:
    """The gripper's pose at each frame."""
    poses: list[SE3] = []
    due = -np.inf
    for line in read_log(log)[1]:
        if isinstance(line, TickLine) and line.now_s >= due:
            due = max((due if poses else line.now_s) + 1 / FRAMES_PER_S, line.now_s)
            poses.append(line.state.world_from_gripper)
    return poses


def _with_arm(
    image: npt.NDArray[np.uint8],
    world_from_camera: SE3,
    base: SE3,
    arm: ArmGeometry,
    joints: Array,
    world_from_gripper: SE3,
) -> npt.NDArray[np.uint8]:
    """The image with the arm's links and the open gripper's boxes drawn over it, the farther ones first."""
    picture = Image.fromarray(image)
    draw = ImageDraw.Draw(picture)
    knots = [base.apply(point) for point in _knots(arm, joints)]
    camera_from_world = world_from_camera.inverse()
    for number in sorted(range(len(knots) - 1), key=lambda k: -camera_from_world.apply(knots[k])[2]):
        ends = [camera_from_world.apply(knot) for knot in knots[number : number + 2]]
        if min(end[2] for end in ends) < 0.1:
            continue
        (u0, v0), (u1, v1) = (CAMERA.project(end) for end in ends)
        width = max(3, round(LINK_PX[min(number, 6)] * 1.4 / ends[0][2]))
        draw.line([(u0, v0), (u1, v1)], STEEL, width)
        for u, v in ((u0, v0), (u1, v1)):
            draw.ellipse([u - width * 0.6, v - width * 0.6, u + width * 0.6, v + width * 0.6], JOINT)
    for box in ROBOTIQ_2F85.boxes()[::-1]:
        corners = np.array(
            [[box[i, 0], box[j, 1], box[k, 2]] for i in (0, 1) for j in (0, 1) for k in (0, 1)]
        )
        _draw_box(draw, camera_from_world.apply(world_from_gripper.apply(corners)), CAMERA)
    return np.asarray(picture)


def _knots(arm: ArmGeometry, joints: Array) -> list[Array]:
    """Points along the links, in the base frame; the shoulder's and elbow's offsets get knots of their own."""
    frames = joint_frames(arm, joints)
    aside = frames[1][:3, 2] * arm.d4
    shoulder, elbow, wrist = (frames[k][:3, 3] for k in (1, 2, 3))
    return [
        np.zeros(3), shoulder, shoulder + aside, elbow + aside, elbow, wrist, frames[4][:3, 3], frames[5][:3, 3],
        frames[6][:3, 3],
    ]  # fmt: skip


def _draw_box(draw: ImageDraw.ImageDraw, corners_camera: Array, camera: PinholeCamera) -> None:
    if corners_camera[:, 2].min() < 0.1:
        return
    points = camera.project(corners_camera)
    faces = [(0, 1, 3, 2), (4, 5, 7, 6), (0, 1, 5, 4), (2, 3, 7, 6), (0, 2, 6, 4), (1, 3, 7, 5)]
    for face in sorted(faces, key=lambda f: -corners_camera[list(f), 2].mean()):
        draw.polygon([tuple(points[k]) for k in face], FINGER, (110, 110, 116))

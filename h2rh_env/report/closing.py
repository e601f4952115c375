"""The closing: what fingers, object and hand did after the policy's last step, seen from beside the gripper."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw
from scipy.spatial.transform import Rotation

from ..benchmark.rollout import Episode
from ..contact.conditions import ContactConditions
from ..contact.outcome import HandoverFrame
from ..core.camera import HAND_EYE_CAMERA, PinholeCamera
from ..core.geometry import SE3, Array, look_at
from ..core.gripper import FINGERTIP_DEPTH_M, ROBOTIQ_2F85, GripperGeometry
from ..core.labels import Label
from ..envs.drive_on import driven_on
from ..rendering.base import NEAR_M, Rasteriser
from ..rendering.masks import MASK_ALPHA_MIN, rgb_to_uint8
from ..scenes.gaussians import GaussianScene
from ..scenes.handover_scene import HandoverScene

Picture = npt.NDArray[np.uint8]
MOMENTS = 12
BESIDE_M, BEHIND_M = 0.45, 0.06  # of the bystander's camera, from the contact point; retreats must be in view
GRIPPER_COLOUR = np.array([150.0, 152.0, 158.0])
BACKGROUND = np.array([30, 31, 34])


def closing_pictures(
    scene: HandoverScene,
    episode: Episode,
    conditions: ContactConditions,
    rasteriser: Rasteriser,
    camera: PinholeCamera = HAND_EYE_CAMERA,
    gripper: GripperGeometry = ROBOTIQ_2F85,
) -> tuple[Picture, ...]:
    """Simulates an episode's handover again, and shows it from the final approach to the end of the shake.

    Returns:
        Some twelve pictures (H, W, 3); none where nothing was closed, or nothing came near.
    """
    from ..contact.handover import simulate_handover  # loads MuJoCo

    if episode.handover is None or not episode.handover.closed:
        return ()
    path = driven_on(episode.record.scene_from_gripper, episode.handover.advance_m or 0.0)
    poses = [SE3.from_matrix(pose) for pose in path]
    outcome = simulate_handover(scene, poses, episode.record.seed, conditions, gripper, record=True)
    if not outcome.frames:
        return ()
    bystander = bystander_camera(scene, poses[-1])
    return tuple(
        _picture(scene, frame, bystander, rasteriser, camera, gripper) for frame in _chosen(outcome.frames)
    )


def _chosen(frames: Sequence[HandoverFrame]) -> list[HandoverFrame]:
    """An even choice, with the last frame of every phase."""
    ends = {i for i, frame in enumerate(frames) if i + 1 == len(frames) or frames[i + 1].phase != frame.phase}
    even = np.linspace(0, len(frames) - 1, MOMENTS).round().astype(int)
    return [frames[i] for i in sorted(ends | set(even.tolist()))]


def bystander_camera(scene: HandoverScene, scene_from_gripper: SE3) -> SE3:
    """A camera beside the closing plane, on the side where the hand hides less, that looks at the contact point."""
    contact = scene_from_gripper.apply([0.0, 0.0, FINGERTIP_DEPTH_M])
    side, approach = scene_from_gripper.rotation[:, 1], scene_from_gripper.rotation[:, 2]
    away = 1.0 if (scene.hand_centre - contact) @ side < 0 else -1.0
    middle = contact - BEHIND_M * approach
    return look_at(middle + away * BESIDE_M * side, middle)


def moved_object(gaussians: GaussianScene, now_from_held: SE3) -> GaussianScene:
    """The same scene with the object's Gaussians carried along; colours stay as they were seen in the hand."""
    mine = gaussians.labels == Label.OBJECT
    means, wxyz = gaussians.means.copy(), gaussians.wxyz.copy()
    means[mine] = now_from_held.apply(means[mine])
    w, x, y, z = Rotation.from_matrix(now_from_held.rotation).as_quat(scalar_first=True)
    product = np.array([[w, -x, -y, -z], [x, w, -z, y], [y, z, w, -x], [z, -y, x, w]])
    wxyz[mine] = wxyz[mine] @ product.T
    return replace(gaussians, means=means, wxyz=wxyz)


def _picture(
    scene: HandoverScene,
    frame: HandoverFrame,
    scene_from_camera: SE3,
    rasteriser: Rasteriser,
    camera: PinholeCamera,
    gripper: GripperGeometry,
) -> Picture:
    view = rasteriser.render(moved_object(scene.gaussians, frame.now_from_held), camera, scene_from_camera)
    depth = np.where(view.alpha >= MASK_ALPHA_MIN, view.expected_depth, np.inf)
    picture = rgb_to_uint8(view) + (1 - view.alpha[..., None]) * BACKGROUND
    camera_from_gripper = scene_from_camera.inverse() @ frame.scene_from_gripper
    for face in _faces(camera_from_gripper, gripper.boxes(frame.opening_m)):
        mask = Image.new("1", (camera.width, camera.height))
        ImageDraw.Draw(mask).polygon([tuple(corner) for corner in camera.project(face)], fill=1)
        picture[np.asarray(mask) & (depth > face[:, 2].mean())] = _shade(face)
    finished: Picture = np.clip(picture + 0.5, 0, 255).astype(np.uint8)
    return finished


def _faces(camera_from_gripper: SE3, boxes: Array) -> list[Array]:
    """The faces (4, 3) of boxes (B, 2, 3) in the camera's frame, the farthest first; none behind the camera."""
    faces = []
    for box in boxes:
        for axis, side in product(range(3), range(2)):
            others = [other for other in range(3) if other != axis]
            corners = np.empty((4, 3))
            corners[:, axis] = box[side, axis]
            for k, (a, b) in enumerate(((0, 0), (0, 1), (1, 1), (1, 0))):
                corners[k, others] = box[a, others[0]], box[b, others[1]]
            faces.append(camera_from_gripper.apply(corners))
    return sorted((f for f in faces if f[:, 2].min() > NEAR_M), key=lambda f: -float(f[:, 2].mean()))


def _shade(face: Array) -> Array:
    """A flat colour, lighter where the face (4, 3) looks at the camera."""
    normal = np.cross(face[1] - face[0], face[3] - face[0])
    middle = face.mean(axis=0)
    facing = abs(float(normal @ middle)) / (np.linalg.norm(normal) * np.linalg.norm(middle))
    colour: Array = GRIPPER_COLOUR * (0.35 + 0.65 * facing)
    return colour

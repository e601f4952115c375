"""Samples: pairs of views of a scene from everywhere a gripper may look from, with all grasps that would do."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from h2rh_env.core.camera import HAND_EYE_CAMERA, PinholeCamera
from h2rh_env.core.geometry import SE3, Array, aim, angle_between, slerp, uniform_directions, upright_rotation
from h2rh_env.core.gripper import upright_half_turn
from h2rh_env.perturbations.images import perturb
from h2rh_env.rendering.base import Rasteriser
from h2rh_env.rendering.masks import masks_from_labels, rgb_to_uint8
from h2rh_env.rendering.select import make_rasteriser
from h2rh_env.scenes.handover_scene import HandoverScene

from ..inputs import CropView, Frame, GraspInputs
from .labels import grasps_that_do, in_frame

MAX_GRASPS = 320
MAX_HAND, HAND_SPACING_M = 256, 0.008
CELLS = 8  # of the network's grid along a side
DEPTH_PX = 32  # side of the image that the surface's depth in each cell is taken from
FROM_BEHIND_RAD = float(
    np.radians(105)
)  # grasps that approach more against the line of sight are not asked for
LEAST_CLEARANCE_M = 0.05
MASK_PERTURBATIONS = ("erosion", "dilation", "holes", "blobs", "no_hand", "noise", "blur")
TRIES = 200


class Sample(NamedTuple):
    """One moment and what is right there, see `GraspInput` and `losses.Targets`.

    Attributes:
        grasps: (320, 9) float32, contact, approach and closing in the crop's frame; NaN where there is none.
        depth_m: (8, 8) float32, of the surface in each cell; 0 where there is none.
        hand: (256, 3) float32, the hand's points that are nearest to the object, m, in the crop's frame; NaN where
            there is none.
    """

    crop: npt.NDArray[np.uint8]
    planes: npt.NDArray[np.uint8]
    geometry: npt.NDArray[np.float32]
    grasps: npt.NDArray[np.float32]
    depth_m: npt.NDArray[np.float32]
    hand: npt.NDArray[np.float32]


@dataclass(frozen=True)
class Sampling:
    """How views are drawn.

    Attributes:
        distance_m: nearest and farthest, from the contact; drawn evenly in the logarithm.
        off_approach_rad: how far from a grasp's approach, near and far: within `near_m` of the contact, a gripper is
            on its way in.
        sideways, back: where the earlier view was taken, beside the line of sight and farther back, as parts of the
            distance to the object. straight: share of samples that came almost straight in.
        alone: share of samples without an earlier view. perturbed: share of samples with masks or images disturbed.
        odometry_m, odometry_rad: error of the known motion, for half of the samples; in one of six of these it is
            more than twice that, as with a camera whose place on the gripper is known badly.
    """

    distance_m: tuple[float, float] = (0.11, 0.85)
    off_approach_rad: tuple[float, float] = (0.35, 1.75)
    near_m: tuple[float, float] = (0.16, 0.36)
    sideways: tuple[float, float] = (0.05, 0.32)
    back: tuple[float, float] = (-0.08, 0.7)
    straight: float = 0.2
    alone: float = 0.08
    perturbed: float = 0.4
    odometry_m: float = 0.001
    odometry_rad: float = 0.004


_load = lru_cache(maxsize=1)(HandoverScene.load)
_labels = lru_cache(maxsize=1)(grasps_that_do)
_rasteriser = lru_cache(maxsize=1)(make_rasteriser)


def samples_of(folder: Path, count: int, seed: int, inputs: GraspInputs, sampling: Sampling) -> list[Sample]:
    """Draws samples of a scene; none if nothing in it can be grasped."""
    scene = _load(folder)
    if not scene.acceptable_grasps:
        return []
    rng = np.random.default_rng(seed)
    found: list[Sample] = []
    for _ in range(4 * count):
        if len(found) == count:
            break
        now = draw_view(scene, rng, sampling)
        sample = now and sample_at(scene, now, draw_earlier(scene, now, rng, sampling), rng, inputs, sampling)
        if sample:
            found.append(sample)
    return found


def draw_view(scene: HandoverScene, rng: np.random.Generator, sampling: Sampling) -> SE3 | None:
    """A pose `scene_from_camera` that looks at the object from some way to some acceptable grasp."""
    for _ in range(TRIES):
        candidate = scene.acceptable_grasps[rng.integers(len(scene.acceptable_grasps))]
        grasp, contact = upright_half_turn(candidate.scene_from_grasp), candidate.contact_scene
        distance_m = float(np.exp(rng.uniform(*np.log(sampling.distance_m))))
        most = float(np.interp(distance_m, sampling.near_m, sampling.off_approach_rad))
        off, about = most * np.sqrt(rng.uniform()), rng.uniform(0, 2 * np.pi)
        away = grasp.rotation @ [np.sin(off) * np.cos(about), np.sin(off) * np.sin(about), -np.cos(off)]
        position = contact + distance_m * away
        if scene.clearance.distance(position[None])[0] < min(LEAST_CLEARANCE_M, 0.5 * distance_m):
            continue
        share = rng.uniform() * np.clip(distance_m / 0.4, 0.1, 1.0)
        target = contact + share * (scene.object_centre - contact)
        towards_grasp = aim(grasp.rotation, target - position)
        upright = upright_rotation(target - position)
        near = np.clip(2 - distance_m / 0.2, 0, 1)  # close by, the gripper has already turned to the grasp
        rotation = slerp(towards_grasp, upright, rng.uniform() * (1 - near))
        jitter = rng.normal(size=3) * np.radians([6, 6, 10]) * (1 - 0.5 * near)
        if rng.uniform() < 0.25:
            jitter[2] += rng.normal() * 0.6
        return SE3(rotation @ Rotation.from_rotvec(jitter).as_matrix(), position)
    return None


def draw_earlier(scene: HandoverScene, now: SE3, rng: np.random.Generator, sampling: Sampling) -> SE3 | None:
    """A pose from which the gripper may have come, or None for a first look."""
    if rng.uniform() < sampling.alone:
        return None
    sight = scene.object_centre - now.translation
    distance = float(np.linalg.norm(sight))
    sideways = np.cross(sight / distance, uniform_directions(rng, 1)[0])
    sideways /= max(float(np.linalg.norm(sideways)), 1e-9)
    beside = rng.uniform(*sampling.sideways) * (0.15 if rng.uniform() < sampling.straight else 1.0)
    position = now.translation + distance * (
        beside * sideways - rng.uniform(*sampling.back) * sight / distance
    )
    rotation = aim(now.rotation, scene.object_centre - position)
    turned = slerp(now.rotation, rotation, rng.uniform(0.5, 1))
    return SE3(turned @ Rotation.from_rotvec(rng.normal(size=3) * 0.08).as_matrix(), position)


def sample_at(
    scene: HandoverScene, now: SE3, earlier: SE3 | None, rng: np.random.Generator, inputs: GraspInputs,
    sampling: Sampling, camera: PinholeCamera = HAND_EYE_CAMERA,
) -> Sample | None:  # fmt: skip
    """The sample of two views; None if the object is hardly seen or no grasp is in view."""
    rasteriser = _rasteriser(threads=1)
    frame = _frame(rasteriser, scene, camera, now)
    before = None if earlier is None else _frame(rasteriser, scene, camera, earlier)
    if rng.uniform() < sampling.perturbed:
        name = MASK_PERTURBATIONS[rng.integers(len(MASK_PERTURBATIONS))]
        strength = rng.uniform(0, 0.6)
        frame = Frame(*perturb(name, strength, frame.rgb, frame.masks, rng), frame.world_from_camera)
        if before is not None:
            before = Frame(*perturb(name, strength, before.rgb, before.masks, rng), before.world_from_camera)
    if before is not None and rng.uniform() < 0.5:
        times = rng.lognormal(sigma=0.7)
        turn = Rotation.from_rotvec(rng.normal(size=3) * times * sampling.odometry_rad).as_matrix()
        wrong = SE3(turn, rng.normal(size=3) * times * sampling.odometry_m)
        before = replace(before, world_from_camera=before.world_from_camera @ wrong)
    made = inputs(frame, before, camera)
    if made is None:
        return None
    shown, view = made
    grasps = _grasps_in_view(scene, now @ SE3(view.camera_from_crop, np.zeros(3)), view, rng)
    if grasps is None:
        return None
    surface = _surface(rasteriser, scene, now, view)
    return Sample(
        *shown, grasps, surface, _hand_in_view(scene, now @ SE3(view.camera_from_crop, np.zeros(3)))
    )


def _frame(rasteriser: Rasteriser, scene: HandoverScene, camera: PinholeCamera, pose: SE3) -> Frame:
    view = rasteriser.render(scene.gaussians, camera, pose)
    return Frame(rgb_to_uint8(view), masks_from_labels(view), pose)


def _grasps_in_view(
    scene: HandoverScene, scene_from_crop: SE3, view: CropView, rng: np.random.Generator
) -> npt.NDArray[np.float32] | None:
    grasps = in_frame(_labels(scene), scene_from_crop.inverse())
    sight = grasps[:, :3]
    ahead = sight[:, 2] > 0.05
    in_crop = np.abs(sight[:, :2]).max(axis=1) < view.half_tangent * np.maximum(sight[:, 2], 1e-9)
    from_front = angle_between(grasps[:, 3:6], sight) < FROM_BEHIND_RAD
    kept = rng.permutation(np.flatnonzero(ahead & in_crop & from_front))[:MAX_GRASPS]
    if not len(kept):
        return None
    filled = np.full((MAX_GRASPS, 9), np.nan, np.float32)
    filled[: len(kept)] = grasps[kept]
    return filled


def _hand_in_view(scene: HandoverScene, scene_from_crop: SE3) -> npt.NDArray[np.float32]:
    filled = np.full((MAX_HAND, 3), np.nan, np.float32)
    points = _thinned_hand(scene)
    filled[: len(points)] = scene_from_crop.inverse().apply(points)
    return filled


@lru_cache(maxsize=1)
def _thinned_hand(scene: HandoverScene) -> Array:
    """(P, 3) in the scene's frame: one point of the hand in each cube of 8 mm, those nearest to the object."""
    if not len(scene.hand_points):
        return np.zeros((0, 3))
    _, kept = np.unique(np.floor(scene.hand_points / HAND_SPACING_M), axis=0, return_index=True)
    points = scene.hand_points[kept].astype(np.float64)
    return points[np.argsort(scene.object_clearance.distance(points))[:MAX_HAND]]


def _surface(
    rasteriser: Rasteriser, scene: HandoverScene, scene_from_camera: SE3, view: CropView
) -> npt.NDArray[np.float32]:
    """Mean depth of the object in each cell, else of the hand."""
    focal = DEPTH_PX / 2 / view.half_tangent
    camera = PinholeCamera(DEPTH_PX, DEPTH_PX, focal, focal, DEPTH_PX / 2, DEPTH_PX / 2)
    seen = rasteriser.render(
        scene.gaussians, camera, scene_from_camera @ SE3(view.camera_from_crop, np.zeros(3))
    )
    masks = masks_from_labels(seen) > 0
    times = DEPTH_PX // CELLS

    def cells(weights: npt.NDArray[np.bool_]) -> tuple[Array, Array]:
        parts = weights.reshape(CELLS, times, CELLS, times)
        depths = (seen.expected_depth * weights).reshape(parts.shape)
        return parts.sum(axis=(1, 3)), depths.sum(axis=(1, 3))

    counts, sums = cells(masks[..., 0])
    hand_counts, hand_sums = cells(masks[..., 1])
    chosen = counts > 0
    total, count = np.where(chosen, sums, hand_sums), np.where(chosen, counts, hand_counts)
    return (total / np.maximum(count, 1)).astype(np.float32)

"""The giver: the pose of hand and object, the forearm, the sleeve and the torso."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from ....core.geometry import SE3, WORLD_UP
from .. import solids
from ..objects.parts import ObjectModel
from ..solids import Mesh, box_corners, marched
from .grip import Grip
from .hand import FOREARM_M, Hand
from .skin import Skin

Array = npt.NDArray[np.float64]

ELEVATION_RAD = np.radians([-40.0, 58.0])  # of the fingers' direction
MAX_TILT_RAD = np.radians(60.0)  # of the object as it is held out; an object that rests on a palm stays level
LEVEL_RAD = np.radians(15.0)
WRIST_BACK_RAD = np.radians(48.0)
WRIST_ASIDE_RAD = np.radians(22.0)
SLACK_M = 0.009  # of a sleeve about the arm
MIN_HEIGHT_M = 0.07  # of the object and the arm above the table
HAND_HEIGHT_M = 0.045


@dataclass(frozen=True, eq=False)
class Pose:
    """The poses of object and hand, and how the wrist is bent, rad."""

    world_from_object: SE3
    world_from_hand: SE3
    wrist_bend_rad: tuple[float, float]


def hold_out(
    grip: Grip, hand: Hand, object_bounds: Array, centre_world: Array, reach: Array, rng: np.random.Generator
) -> Pose:
    """Turns hand and object as someone would who reaches along `reach` (3,), a level direction.

    Args:
        centre_world: where the object's middle goes, (3,), m; higher if it or the hand would touch the table.
    """
    rotation = _object_rotation(grip, reach, rng)
    middle = object_bounds.mean(axis=0)
    world_from_object = SE3(rotation, centre_world - rotation @ middle)
    corners = world_from_object.apply(box_corners(object_bounds))
    skin = (world_from_object @ grip.object_from_hand).apply(_outline(grip, hand))
    lift = max(0.0, MIN_HEIGHT_M - corners[:, 2].min(), HAND_HEIGHT_M - skin[:, 2].min())
    world_from_object = SE3(rotation, world_from_object.translation + lift * WORLD_UP)
    world_from_hand = world_from_object @ grip.object_from_hand
    fingers = world_from_hand.rotation[:, 2]
    forearm = 0.62 * fingers + 0.38 * (reach + 0.15 * rng.normal() * WORLD_UP)
    forearm /= np.linalg.norm(forearm)
    highest = (world_from_hand.translation[2] - MIN_HEIGHT_M - 0.04) / FOREARM_M
    forearm[2] = min(forearm[2], max(highest, -0.5))
    towards_elbow = -world_from_hand.rotation.T @ forearm / np.linalg.norm(forearm)
    back = np.clip(np.arcsin(np.clip(-towards_elbow[1], -1, 1)), -WRIST_BACK_RAD, WRIST_BACK_RAD)
    aside = np.clip(np.arcsin(np.clip(-towards_elbow[0], -1, 1)), -WRIST_ASIDE_RAD, WRIST_ASIDE_RAD)
    return Pose(world_from_object, world_from_hand, (float(back), float(aside)))


def _outline(grip: Grip, hand: Hand) -> Array:
    """Returns points (P, 3) in the hand's frame; no skin lies lower than they do by more than a finger's radius."""
    bones = (hand.palm, hand.fingers(grip.posture), hand.thumb(grip.posture))
    return np.concatenate([np.concatenate([b.starts[0], b.ends[0]]) for b in bones])


def _object_rotation(grip: Grip, reach: Array, rng: np.random.Generator) -> Array:
    """Draws the rotation world_from_object: tilted, the fingers along the reach, neither straight up nor down."""
    fingers = grip.object_from_hand.rotation[:, 2]
    level = fingers * [1, 1, 0]
    heading = np.arctan2(reach[1], reach[0]) + rng.normal(0, 0.35)
    own = np.arctan2(level[1], level[0]) if np.linalg.norm(level) > 0.3 else rng.uniform(0, 2 * np.pi)
    rotation: Array = Rotation.from_rotvec(WORLD_UP * (heading - own)).as_matrix()
    rests = grip.family == "cup"
    tilt = rng.uniform(0, LEVEL_RAD if rests else MAX_TILT_RAD) * rng.choice([0.4, 1.0])
    about = rng.uniform(0, 2 * np.pi)
    rotation = Rotation.from_rotvec([tilt * np.cos(about), tilt * np.sin(about), 0.0]).as_matrix() @ rotation
    direction = rotation @ fingers
    elevation = np.arcsin(np.clip(direction[2], -1, 1))
    wanted = np.clip(elevation, *ELEVATION_RAD)
    if wanted != elevation:
        ahead = direction * [1, 1, 0]
        ahead = reach if np.linalg.norm(ahead) < 0.2 else ahead / np.linalg.norm(ahead)
        goal = ahead * np.cos(wanted) + WORLD_UP * np.sin(wanted)
        axis = np.cross(direction, goal)
        angle = np.arctan2(np.linalg.norm(axis), direction @ goal)
        rotation = Rotation.from_rotvec(axis / max(np.linalg.norm(axis), 1e-9) * angle).as_matrix() @ rotation
    return rotation


def arm_is_free(model: ObjectModel, skin: Skin, pose: Pose) -> bool:
    """Returns whether forearm and sleeve stay clear of the object."""
    centres, radii = skin.forearm_spheres
    in_object = (pose.world_from_object.inverse() @ pose.world_from_hand).apply(centres)
    return bool((model.distance(in_object) - radii).min() > SLACK_M + 0.004)


@dataclass(frozen=True, eq=False)
class Clothes:
    """A sleeve that leaves `bare_m` of forearm, how it folds, and how far up the arm a segmentation calls it hand."""

    bare_m: float
    labelled_m: float
    fold_m: float
    phase: Array

    def folds(self, points: Array, frequencies: tuple[float, float, float]) -> Array:
        """Returns how far (P,), m, the cloth stands off at points (P, 3): three waves of some frequencies, rad/m."""
        waves = zip(frequencies, self.phase[:, :3], self.phase[:, 3], strict=True)
        return self.fold_m * np.asarray(
            sum(np.sin(points @ (f * along) + phase) for f, along, phase in waves)
        )


def sleeve_mesh(skin: Skin, world_from_hand: SE3, reach: Array, clothes: Clothes) -> Mesh:
    """Makes the sleeve, from the bare forearm over the elbow to the shoulder, in the world frame."""
    wrist = world_from_hand.translation
    elbow = world_from_hand.apply(skin.elbow)
    along = (elbow - wrist) / np.linalg.norm(elbow - wrist)
    shoulder, _ = _shoulder(elbow, reach, skin)
    cuff = wrist + along * clothes.bare_m
    path = np.array([cuff, (cuff + elbow) / 2, elbow, shoulder])
    middle = (clothes.bare_m + FOREARM_M) / 2
    radii = (
        np.array([*(skin.hand.forearm_radius(s) for s in (clothes.bare_m, middle, FOREARM_M)), 0.067])
        + SLACK_M
    )

    def cloth(points: Array) -> Array:
        limb = solids.path_distance(points, path, radii)
        off = limb + clothes.folds(points, (70.0, 110.0, 170.0))
        return np.maximum(off, -((points - cuff) @ along))

    box = np.stack([path.min(axis=0) - 0.09, path.max(axis=0) + 0.09])
    return marched(cloth, box, 0.006)


def torso_mesh(skin: Skin, world_from_hand: SE3, reach: Array, clothes: Clothes) -> Mesh:
    """Makes shoulders and trunk behind the arm, in the world frame."""
    elbow = world_from_hand.apply(skin.elbow)
    shoulder, side = _shoulder(elbow, reach, skin)
    other = shoulder - 0.34 * side
    middle = (shoulder + other) / 2 - 0.02 * reach

    def cloth(points: Array) -> Array:
        arms = solids.path_distance(points, [shoulder, other], [0.075, 0.075])
        trunk = solids.path_distance(
            points, [middle - 0.05 * WORLD_UP, middle - 0.75 * WORLD_UP], [0.15, 0.14]
        )
        neck = solids.path_distance(points, [middle, middle + 0.09 * WORLD_UP], [0.08, 0.055])
        body = solids.smooth_min(solids.smooth_min(arms, trunk, 0.08), neck, 0.05)
        return body + 2 * clothes.folds(points, (25.0, 45.0, 80.0))

    box = np.stack([np.minimum(shoulder, other) - [0.17, 0.17, 0.9], np.maximum(shoulder, other) + 0.17])
    return marched(cloth, box, 0.016)


def _shoulder(elbow: Array, reach: Array, skin: Skin) -> tuple[Array, Array]:
    """Returns the shoulder, and the direction from the trunk out to it."""
    side = np.cross(reach, WORLD_UP) * skin.hand.side
    return elbow - 0.29 * reach + 0.12 * WORLD_UP - 0.03 * side, side


def random_clothes(rng: np.random.Generator) -> Clothes:
    """Draws clothes, and where the label of the hand ends: at the wrist, up the forearm, or up the sleeve.

    Datasets and segmenters differ in it.
    """
    phase = np.column_stack([rng.normal(size=(3, 3)), rng.uniform(0, 2 * np.pi, 3)])
    phase[:, :3] /= np.linalg.norm(phase[:, :3], axis=1, keepdims=True)
    ends = ((-0.012, 0.012), (0.012, 0.07), (0.07, 0.2))[int(rng.choice(3, p=[0.45, 0.3, 0.25]))]
    return Clothes(
        float(rng.uniform(0.03, 0.2)), float(rng.uniform(*ends)), float(rng.uniform(0.0008, 0.0022)), phase
    )

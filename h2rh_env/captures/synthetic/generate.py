"""A capture from a seed: an object, a hand that holds it out, a room, eight cameras."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from ...core.errors import CaptureError
from ...core.geometry import SE3
from ...core.labels import Label
from ..base import HandoverCapture, RgbdView, TrueShapes
from .objects.catalogue import OBJECT_NAMES, make_object
from .objects.household import random_object
from .objects.parts import ObjectModel, turned
from .objects.scan import SUFFIXES, load_scan
from .person.giver import Clothes, Pose, arm_is_free, hold_out, random_clothes, sleeve_mesh, torso_mesh
from .person.grip import close_on
from .person.hand import random_hand
from .person.skin import Complexion, Skin, complexion, pressed_out, skin_colours
from .rendering.depth_sensor import sensor_named
from .rendering.paints import Paint, plain
from .rendering.rig import RigCamera, make_rig
from .rendering.room import TABLE_M, make_lights, make_room
from .rendering.sensor import photograph
from .rendering.shading import Body, Picture, Studio
from .rendering.textures import muted, vivid
from .solids import Mesh, box_corners, merged

Array = npt.NDArray[np.float64]

__all__ = ["GENERATOR_VERSION", "OBJECT_NAMES", "RANDOM_OBJECT", "generate_capture", "stage"]

GENERATOR_VERSION = 2
RANDOM_OBJECT = "random"
TRIES = 12
UPRIGHT_SHARE = 0.65  # of the objects; the others are held by another end
CLUTTER_GAP_M = 0.2  # between the hand and what else stands on the table
MIDDLE_GREY = 0.23  # linear, where the exposure puts the picture's brighter half
BRIGHTEST = 1.0  # linear, of what is held out


@dataclass(frozen=True, eq=False)
class Stage:
    """All that the cameras will look at: bodies, cameras, and the truth in the world frame."""

    studio: Studio
    rig: list[RigCamera]
    model: ObjectModel
    world_from_object: SE3
    object_mesh: Mesh
    hand_mesh: Mesh
    giver: dict[str, Any]


def generate_capture(seed: int, object_name: str | None = None, sensor: str | None = None) -> HandoverCapture:
    """Generates a capture of a person who holds out an object; the same seed and name give the same capture.

    Args:
        seed: the seed of everything that is drawn at random, at least 0.
        object_name: one of `objects.ALL_NAMES`, or the path of a mesh (OBJ, PLY, GLB; metres, z up); "random"
            or None makes a household shape up.
        sensor: the type of depth camera, one of `depth_sensor.SENSORS`; None has the cleaner depth of generator 2.

    Raises:
        CaptureError: The object or the sensor is unknown, its mesh cannot be read, or the seed is negative.
    """
    if seed < 0:
        raise CaptureError(f"seed is {seed}; it must be at least 0")
    rng = np.random.default_rng([GENERATOR_VERSION, seed, 0])
    depth_sensor = None if sensor is None else sensor_named(sensor)
    scene = stage(seed, object_name)
    pictures = [scene.studio.picture(c.camera, c.world_from_camera) for c in scene.rig]
    exposure = common_exposure(pictures, rng)
    views: tuple[RgbdView, ...] = tuple(
        photograph(picture, exposure, camera, rng, depth_sensor)
        for picture, camera in zip(pictures, scene.rig, strict=True)
    )
    name = f"synthetic_{seed:06d}_{scene.model.name}"
    provenance = {
        "layout": "synthetic",
        "generator_version": GENERATOR_VERSION,
        "seed": seed,
        "object": scene.model.name,
        "world_from_object": scene.world_from_object.matrix.tolist(),
        "giver": scene.giver,
        **({"sensor": sensor} if sensor else {}),
    }
    return HandoverCapture(name, views, scene.model.name, provenance, true_shapes(scene))


def true_shapes(scene: Stage) -> TrueShapes:
    """Returns the true shapes of the object and the hand before the cameras."""
    model, hand = scene.model, scene.hand_mesh
    return TrueShapes(
        scene.world_from_object,
        model.bounds,
        model.distance,
        model.mass_kg,
        hand.vertices,
        hand.normals,
        hand.faces,
    )


def common_exposure(pictures: Sequence[Picture], rng: np.random.Generator) -> Array:
    """Returns the gains (3,) of the colour channels that all cameras share.

    They suit the room and what is held out alike, are somewhat off, and keep the brightest parts of what is held out
    from clipping.
    """
    everything = np.concatenate([p.linear[::7, ::7].mean(axis=2).ravel() for p in pictures])
    held = np.concatenate([p.linear[p.labels > 0].mean(axis=1) for p in pictures])
    middle = float(np.sqrt(np.percentile(everything, 60) * np.percentile(held, 60)))
    aim = MIDDLE_GREY * np.exp(rng.normal(-0.1, 0.3))
    exposure = min(aim / max(middle, 1e-4), BRIGHTEST / max(float(np.percentile(held, 98)), 1e-4))
    balance = np.exp(rng.normal(0, 0.05, 3))
    gains: Array = exposure * balance / balance.mean()
    return gains


def stage(seed: int, object_name: str | None = None) -> Stage:
    """Builds the scene that `generate_capture` photographs.

    A hand that cannot hold the object is replaced by another person's hand; a random object is replaced as well.
    """
    for attempt in range(TRIES):
        rng = np.random.default_rng([GENERATOR_VERSION, seed, 1, attempt])
        model = _object_model(object_name, rng)
        try:
            return _stage(model, rng)
        except CaptureError:
            if attempt == TRIES - 1:
                raise
    raise AssertionError("unreachable")


def _object_model(name: str | None, rng: np.random.Generator) -> ObjectModel:
    if name is None or name == RANDOM_OBJECT:
        return random_object(rng)
    if Path(name).suffix.lower() in SUFFIXES:
        return load_scan(name)
    return make_object(name, rng)


def _stage(model: ObjectModel, rng: np.random.Generator) -> Stage:
    hand = random_hand(rng)
    presented_from_object = _presented(model, rng)
    held = turned(model, presented_from_object)
    grip = close_on(held, hand, rng)
    heading = np.radians(
        rng.uniform(-145, -35)
    )  # the giver sits beyond the table, at +y, where no camera stands
    reach = np.array([np.cos(heading), np.sin(heading), 0.0])
    centre = np.array([rng.uniform(0.48, 0.74), rng.uniform(0.14, 0.38), rng.uniform(0.17, 0.36)])
    pose = hold_out(grip, hand, held.bounds, centre, reach, rng)
    skin = Skin(hand, grip.posture, pose.wrist_bend_rad)
    if not arm_is_free(held, skin, pose):
        raise CaptureError(f"the forearm would pass through the {model.name}; try another seed")
    clothes, tone = random_clothes(rng), complexion(rng)
    cloth = plain(rng, vivid(rng) if rng.uniform() < 0.5 else muted(rng), 0.06)
    hand_bodies, other_bodies = _arm(
        held, skin, grip.object_from_hand, pose, reach, clothes, tone, cloth, rng
    )
    world_from_object = pose.world_from_object @ presented_from_object
    object_bodies = _bodies(model, world_from_object, Label.OBJECT)
    bodies = [*make_room(rng), *object_bodies, *hand_bodies, *other_bodies, *_clutter(centre, rng)]
    giver = {
        "side": "right" if hand.side > 0 else "left",
        "hand_length_m": hand.length_m,
        "girth": hand.girth,
        "skin_srgb": [round(float(c), 4) for c in tone.base],
        "heading_rad": float(heading),
        "grip": grip.family,
        "labelled_forearm_m": clothes.labelled_m,
    }
    studio = Studio([b for b in bodies if len(b.mesh.faces)], make_lights(rng), rng)
    object_mesh, hand_mesh = (merged([b.mesh for b in part]) for part in (object_bodies, hand_bodies))
    return Stage(studio, make_rig(rng, centre), model, world_from_object, object_mesh, hand_mesh, giver)


def _presented(model: ObjectModel, rng: np.random.Generator) -> SE3:
    """Returns presented_from_object: upright, on its head, or on a side, with its lowest point at z = 0.

    The hand takes what is then the lower part.
    """
    turn = rng.uniform()
    if turn < UPRIGHT_SHARE:
        return SE3.identity()
    angle = rng.uniform(0, 2 * np.pi)
    half_turns = 1.0 if turn < UPRIGHT_SHARE + 0.2 else 0.5
    axis = np.array([np.cos(angle), np.sin(angle), 0.0])
    rotation = Rotation.from_rotvec(np.pi * half_turns * axis).as_matrix()
    lowest = min(float((mesh.vertices @ rotation[2]).min()) for mesh in model.meshes)
    return SE3(rotation, np.array([0.0, 0.0, -lowest]))


def _arm(
    model: ObjectModel,
    skin: Skin,
    object_from_hand: SE3,
    pose: Pose,
    reach: Array,
    clothes: Clothes,
    tone: Complexion,
    cloth: Paint,
    rng: np.random.Generator,
) -> tuple[list[Body], list[Body]]:
    """Returns the giver's bodies in the world frame: those that are labelled hand, and the rest."""
    here = SE3.identity()
    mesh = skin.mesh(clothes.bare_m + 0.03)
    colours = skin_colours(skin, mesh, tone, rng)
    in_object = object_from_hand.apply(mesh.vertices)
    pressed = object_from_hand.inverse().apply(pressed_out(in_object, model.distance))
    world = Mesh(pressed, mesh.normals, mesh.faces).moved(pose.world_from_hand)
    flesh, far_flesh = _split(world, skin.up_the_arm(mesh.vertices) < clothes.labelled_m)
    sleeve = sleeve_mesh(skin, pose.world_from_hand, reach, clothes)
    from_wrist = skin.up_the_arm(pose.world_from_hand.inverse().apply(sleeve.vertices))
    cuff, far_sleeve = _split(sleeve, from_wrist < clothes.labelled_m)
    hand_bodies = [
        Body(flesh[0], colours[flesh[1]], here, 0.1, Label.HAND),
        Body(cuff[0], cloth, here, 0.0, Label.HAND),
    ]
    torso = torso_mesh(skin, pose.world_from_hand, reach, clothes)
    others = [
        Body(far_flesh[0], colours[far_flesh[1]], here, 0.1),
        Body(far_sleeve[0], cloth, here, fine=False),
        Body(torso, cloth, here, fine=False),
    ]
    return [body for body in hand_bodies if len(body.mesh.faces)], others


def _split(mesh: Mesh, chosen: npt.NDArray[np.bool_]) -> list[tuple[Mesh, npt.NDArray[np.int64]]]:
    """Splits a mesh into the faces of chosen vertices (P,) and the others, with the old indices of their vertices."""
    of_face = chosen[mesh.faces].all(axis=1)
    halves = []
    for some in (of_face, ~of_face):
        used, faces = np.unique(mesh.faces[some], return_inverse=True)
        halves.append((Mesh(mesh.vertices[used], mesh.normals[used], faces.reshape(-1, 3)), used))
    return halves


def _bodies(model: ObjectModel, world_from_object: SE3, label: Label) -> list[Body]:
    bodies = []
    for part, mesh in zip(model.parts, model.meshes, strict=True):
        part_from_world = (world_from_object @ part.parent_from_part).inverse()
        bodies.append(
            Body(mesh.moved(world_from_object), part.paint, part_from_world, part.gloss, label, label != 0)
        )
    return bodies


def _clutter(centre: Array, rng: np.random.Generator) -> list[Body]:
    """Returns a few objects that stand on the table, away from the hand."""
    bodies, places = [], [centre[:2]]
    for _ in range(int(rng.integers(1, 5))):
        model = random_object(rng) if rng.uniform() < 0.5 else make_object(str(rng.choice(OBJECT_NAMES)), rng)
        place = TABLE_M[0] + 0.3 + rng.uniform(size=2) * (TABLE_M[1] - TABLE_M[0] - 0.6)
        if min(np.linalg.norm(place - other) for other in places) < CLUTTER_GAP_M:
            continue
        places.append(place)
        turn = rng.uniform(0, 2 * np.pi)
        c, s = np.cos(turn), np.sin(turn)
        rotation = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])
        low, high = model.bounds
        if (high - low)[:2].min() < 0.3 * (high - low)[2]:  # too slim to stand
            rotation = rotation @ np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
        lowest = (box_corners(model.bounds) @ rotation.T)[:, 2].min()
        bodies += _bodies(model, SE3(rotation, np.array([*place, -lowest])), Label.BACKGROUND)
    return bodies

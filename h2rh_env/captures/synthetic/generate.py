"""A capture from a seed: an object, a hand that holds it out, a room, eight cameras."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import CaptureError
from ...geometry import SE3
from ...interface import Label
from ..base import HandoverCapture, RgbdView
from .giver import Pose, hold_out, random_clothes, sleeve_mesh, torso_mesh
from .grip import close_on
from .hand import REFERENCE_LENGTH_M, WRIST_Z_M, Complexion, Hand, Skin, complexion, pressed_out, skin_colours
from .household import random_object
from .objects import OBJECT_NAMES, make_object
from .paints import plain
from .rig import RigCamera, make_rig
from .room import TABLE_M, make_lights, make_room
from .scan import SUFFIXES, load_thing
from .sensor import photograph
from .shading import Body, Picture, Studio
from .solids import Mesh, box_corners, merged
from .textures import muted, vivid
from .things import Thing

Array = npt.NDArray[np.float64]

__all__ = ["GENERATOR_VERSION", "OBJECT_NAMES", "RANDOM_OBJECT", "generate_capture", "stage"]

GENERATOR_VERSION = 1
RANDOM_OBJECT = "random"
TRIES = 5
CLUTTER_GAP_M = 0.2  # between the hand and what else stands on the table
MIDDLE_GREY = 0.23  # linear, where the exposure puts the picture's brighter half
BRIGHTEST = 1.0  # linear, of what is held out


@dataclass(frozen=True, eq=False)
class Stage:
    """Everything before the cameras look: bodies, cameras, and the truth in the world frame."""

    studio: Studio
    rig: list[RigCamera]
    thing: Thing
    world_from_object: SE3
    object_mesh: Mesh
    hand_mesh: Mesh
    giver: dict[str, Any]


def generate_capture(seed: int, object_name: str | None = None) -> HandoverCapture:
    """Someone holds out an object; the same seed and name give the same capture.

    Args:
        seed: at least 0.
        object_name: one of `objects.ALL_NAMES`, or the path of a mesh (OBJ, PLY, GLB; metres, z up); "random"
            or None invents a household shape.

    Raises:
        CaptureError: an unknown object, an unreadable mesh, or a negative seed.
    """
    if seed < 0:
        raise CaptureError(f"seed is {seed}; it must be at least 0")
    rng = np.random.default_rng([GENERATOR_VERSION, seed, 0])
    scene = stage(seed, object_name)
    pictures = [scene.studio.picture(c.camera, c.world_from_camera) for c in scene.rig]
    exposure = _exposure(pictures)
    views: tuple[RgbdView, ...] = tuple(
        photograph(picture, exposure, camera, rng)
        for picture, camera in zip(pictures, scene.rig, strict=True)
    )
    name = f"synthetic_{seed:06d}_{scene.thing.name}"
    provenance = {
        "layout": "synthetic", "generator_version": GENERATOR_VERSION, "seed": seed, "object": scene.thing.name,
        "world_from_object": scene.world_from_object.matrix.tolist(), "giver": scene.giver,
    }  # fmt: skip
    return HandoverCapture(name, views, scene.thing.name, provenance)


def _exposure(pictures: Sequence[Picture]) -> float:
    """Common to all cameras: for the room and for what is held out alike, its brightest parts kept from clipping."""
    everything = np.concatenate([p.linear[::7, ::7].mean(axis=2).ravel() for p in pictures])
    held = np.concatenate([p.linear[p.labels > 0].mean(axis=1) for p in pictures])
    middle = float(np.sqrt(np.percentile(everything, 60) * np.percentile(held, 60)))
    return min(MIDDLE_GREY / max(middle, 1e-4), BRIGHTEST / max(float(np.percentile(held, 98)), 1e-4))


def stage(seed: int, object_name: str | None = None) -> Stage:
    """Builds the scene that `generate_capture` photographs.

    A hand that cannot hold the object is replaced by another person's; an invented object also.
    """
    for attempt in range(TRIES):
        rng = np.random.default_rng([GENERATOR_VERSION, seed, 1, attempt])
        thing = _thing(object_name, rng)
        try:
            return _stage(thing, rng)
        except CaptureError:
            if attempt == TRIES - 1:
                raise
    raise AssertionError("unreachable")


def _thing(name: str | None, rng: np.random.Generator) -> Thing:
    if name is None or name == RANDOM_OBJECT:
        return random_object(rng)
    if Path(name).suffix.lower() in SUFFIXES:
        return load_thing(name)
    return make_object(name, rng)


def _stage(thing: Thing, rng: np.random.Generator) -> Stage:
    side = 1.0 if rng.uniform() < 0.65 else -1.0
    hand = Hand(
        side,
        float(np.clip(rng.normal(REFERENCE_LENGTH_M, 0.011), 0.165, 0.215)),
        float(rng.uniform(0.9, 1.08)),
    )
    grip = close_on(thing, hand, rng)
    heading = np.radians(
        rng.uniform(-125, -55)
    )  # the giver sits beyond the table, at +y, where no camera stands
    reach = np.array([np.cos(heading), np.sin(heading), 0.0])
    centre = np.array([rng.uniform(0.48, 0.74), rng.uniform(0.14, 0.38), rng.uniform(0.17, 0.36)])
    pose = hold_out(grip, hand, thing.bounds, centre, reach, rng)
    skin = Skin(hand, grip.posture, pose.wrist_bend_rad)
    clothes, tone = random_clothes(rng), complexion(rng)
    hand_mesh, forearm_mesh, colours = _skin(
        thing, skin, grip.object_from_hand, pose, clothes.bare_m, tone, rng
    )
    object_bodies = _bodies(thing, pose.world_from_object, Label.OBJECT)
    cloth = plain(rng, vivid(rng) if rng.uniform() < 0.5 else muted(rng), 0.06)
    bodies = [*make_room(rng), *object_bodies]
    of_hand, of_forearm = colours
    here = SE3.identity()
    bodies.append(Body(hand_mesh, of_hand, here, 0.1, Label.HAND))
    bodies.append(Body(forearm_mesh, of_forearm, here, 0.1))
    bodies.append(Body(sleeve_mesh(skin, pose.world_from_hand, reach, clothes), cloth, here, fine=False))
    bodies.append(Body(torso_mesh(skin, pose.world_from_hand, reach, clothes), cloth, here, fine=False))
    bodies += _clutter(centre, rng)
    giver = {
        "side": "right" if side > 0 else "left", "hand_length_m": hand.length_m, "girth": hand.girth,
        "skin_srgb": [round(float(c), 4) for c in tone.base], "heading_rad": float(heading),
    }  # fmt: skip
    studio = Studio([b for b in bodies if len(b.mesh.faces)], make_lights(rng), rng)
    object_mesh = merged([body.mesh for body in object_bodies])
    return Stage(studio, make_rig(rng, centre), thing, pose.world_from_object, object_mesh, hand_mesh, giver)


def _skin(
    thing: Thing, skin: Skin, object_from_hand: SE3, pose: Pose, bare_m: float, tone: Complexion,
    rng: np.random.Generator,
) -> tuple[Mesh, Mesh, tuple[Array, Array]]:  # fmt: skip
    """The skin in the world, split at the wrist into hand and forearm, with the vertices' colours."""
    mesh = skin.mesh(bare_m + 0.03)
    colours = skin_colours(skin, mesh, tone, rng)
    in_object = object_from_hand.apply(mesh.vertices)
    pressed = object_from_hand.inverse().apply(pressed_out(in_object, thing.distance))
    world = Mesh(pressed, mesh.normals, mesh.faces).moved(pose.world_from_hand)
    is_hand = mesh.vertices[mesh.faces].mean(axis=1)[:, 2] > WRIST_Z_M
    parts, part_colours = [], []
    for chosen in (is_hand, ~is_hand):
        used, faces = np.unique(mesh.faces[chosen], return_inverse=True)
        parts.append(Mesh(world.vertices[used], world.normals[used], faces.reshape(-1, 3)))
        part_colours.append(colours[used])
    return parts[0], parts[1], (part_colours[0], part_colours[1])


def _bodies(thing: Thing, world_from_object: SE3, label: Label) -> list[Body]:
    bodies = []
    for part, mesh in zip(thing.parts, thing.meshes, strict=True):
        part_from_world = (world_from_object @ part.parent_from_part).inverse()
        bodies.append(
            Body(mesh.moved(world_from_object), part.paint, part_from_world, part.gloss, label, label != 0)
        )
    return bodies


def _clutter(centre: Array, rng: np.random.Generator) -> list[Body]:
    """A few things standing on the table, away from the hand."""
    bodies, places = [], [centre[:2]]
    for _ in range(int(rng.integers(1, 5))):
        thing = random_object(rng) if rng.uniform() < 0.5 else make_object(str(rng.choice(OBJECT_NAMES)), rng)
        place = TABLE_M[0] + 0.3 + rng.uniform(size=2) * (TABLE_M[1] - TABLE_M[0] - 0.6)
        if min(np.linalg.norm(place - other) for other in places) < CLUTTER_GAP_M:
            continue
        places.append(place)
        turn = rng.uniform(0, 2 * np.pi)
        c, s = np.cos(turn), np.sin(turn)
        rotation = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])
        low, high = thing.bounds
        if (high - low)[:2].min() < 0.3 * (high - low)[2]:  # too slim to stand
            rotation = rotation @ np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
        lowest = (box_corners(thing.bounds) @ rotation.T)[:, 2].min()
        bodies += _bodies(thing, SE3(rotation, np.array([*place, -lowest])), Label.BACKGROUND)
    return bodies

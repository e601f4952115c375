"""The catalogue of named objects; those of the paper's Tables I and II have their real dimensions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from ....core.errors import CaptureError
from ....core.geometry import SE3
from .. import solids
from ..rendering.paints import Banded, Nearest, Speckled, Wrapped, plain
from ..rendering.textures import noise_image, print_label
from ..solids import Lathe, RoundedBox, Sculpture, filleted
from .parts import ObjectModel, Part, can, carton
from .ycb_objects import YCB_OBJECTS

Array = npt.NDArray[np.float64]


def mustard_bottle(rng: np.random.Generator) -> ObjectModel:
    yellow, red = (0.93, 0.73, 0.06), (0.72, 0.1, 0.08)
    r = 0.048
    body = [(0, 0), (r - 0.004, 0), (r, 0.006), (r, 0.055), (r - 0.004, 0.085), (r - 0.002, 0.115), (r - 0.012, 0.14),
            (0.018, 0.15), (0.016, 0.158), (0, 0.158)]  # fmt: skip
    cap = [
        (0, 0.152),
        (0.018, 0.152),
        (0.019, 0.156),
        (0.017, 0.17),
        (0.008, 0.176),
        (0.005, 0.19),
        (0, 0.191),
    ]
    label = print_label(rng, (np.pi * 0.09, 0.075), yellow, red, "MUSTARD", 2)
    paint = Wrapped(label, 0.03, 0.105, plain(rng, yellow))
    return ObjectModel(
        "mustard_bottle",
        [
            Part(Lathe(filleted(body, 0.012), (1.0, 0.62)), paint, 0.45),
            Part(Lathe(filleted(cap, 0.002)), plain(rng, yellow), 0.35),
        ],
    )


def tomato_soup_can(rng: np.random.Generator) -> ObjectModel:
    return can(rng, "tomato_soup_can", 0.066, 0.101, (0.92, 0.9, 0.86), (0.75, 0.07, 0.08), "TOMATO")


def master_chef_can(rng: np.random.Generator) -> ObjectModel:
    return can(rng, "master_chef_can", 0.102, 0.139, (0.06, 0.13, 0.45), (0.1, 0.25, 0.65), "COFFEE")


def potted_meat_can(rng: np.random.Generator) -> ObjectModel:
    size = (0.097, 0.05, 0.082)
    tin = carton(
        rng, "potted_meat_can", size, (0.08, 0.15, 0.42), (0.93, 0.8, 0.2), "MEAT", 0.014, 0.45
    ).parts[0]
    metal = plain(rng, (0.72, 0.72, 0.73), 0.05)
    paint = Banded((-0.037, 0.037), (metal, tin.paint, metal))
    return ObjectModel("potted_meat_can", [Part(tin.solid, paint, 0.5, tin.parent_from_part)])


def gelatin_box(rng: np.random.Generator) -> ObjectModel:
    return carton(rng, "gelatin_box", (0.085, 0.028, 0.073), (0.8, 0.09, 0.12), (0.95, 0.92, 0.9), "GELATIN")


def cracker_box(rng: np.random.Generator) -> ObjectModel:
    return carton(rng, "cracker_box", (0.16, 0.06, 0.213), (0.76, 0.07, 0.09), (0.95, 0.78, 0.2), "CRACKERS")


def pitcher(rng: np.random.Generator) -> ObjectModel:
    """The paper's blue kettle: a jug of YCB's pitcher's size, with lid and handle."""
    blue = (0.08, 0.2, 0.58)
    body = [(0, 0), (0.045, 0), (0.047, 0.004), (0.054, 0.16), (0.056, 0.222), (0.053, 0.222), (0.05, 0.16),
            (0.044, 0.006), (0, 0.006)]  # fmt: skip
    lid = [(0, 0.216), (0.054, 0.216), (0.057, 0.22), (0.055, 0.23), (0.03, 0.236), (0, 0.237)]
    bow = filleted(
        [(0.05, 0.2), (0.087, 0.2), (0.102, 0.17), (0.097, 0.1), (0.082, 0.052), (0.046, 0.052)], 0.02
    )
    path = np.insert(bow, 1, 0.0, axis=1)
    handle = Sculpture(
        lambda p: solids.path_distance(p, path, np.full(len(path), 0.0088)),
        np.array([[0.035, -0.015, 0.03], [0.115, 0.015, 0.22]]),
    )
    return ObjectModel(
        "blue_kettle",
        [
            Part(Lathe(filleted(body, 0.004)), plain(rng, blue), 0.4),
            Part(Lathe(filleted(lid, 0.003)), plain(rng, (0.88, 0.88, 0.9)), 0.35),
            Part(handle, plain(rng, blue), 0.4),
        ],
    )


def red_bowl(rng: np.random.Generator) -> ObjectModel:
    r, h = 0.0795, 0.053
    outside = [(0, 0), (0.036, 0), (0.038, 0.004), (0.052, 0.012), (0.07, 0.032), (r, h)]
    inside = [(r - 0.004, h), (0.066, 0.033), (0.048, 0.014), (0.034, 0.006), (0, 0.006)]
    return ObjectModel(
        "red_bowl", [Part(Lathe(filleted(outside + inside, 0.006)), plain(rng, (0.7, 0.06, 0.06)), 0.5)]
    )


def scissors(rng: np.random.Generator) -> ObjectModel:
    """Scissors of 0.2 m, held by the closed blades, handles up."""
    blades = np.array(
        [(-0.004, 0.0), (0.004, 0.0), (0.011, 0.07), (0.01, 0.105), (-0.01, 0.105), (-0.011, 0.07)]
    )

    def blade(p: Array) -> Array:
        return solids.plate_distance(p, blades, 0.0025)

    def loop(side: float, centre_z: float) -> Callable[[Array], Array]:
        centre, stretch = np.array([side * 0.024, 0.0, centre_z]), np.array([1.0, 1.0, 1.35])

        def distance(p: Array) -> Array:
            q = (p - centre) / stretch
            ring = np.hypot(np.hypot(q[:, 0], q[:, 2]) - 0.0175, q[:, 1]) - 0.0055
            neck = solids.cone_distance(
                p, np.array([side * 0.004, 0, 0.09]), centre - [side * 0.006, 0, 0.024], 0.006, 0.006
            )
            nearest: Array = np.minimum(ring, neck)
            return nearest

        return distance

    left, right = loop(-1.0, 0.163), loop(1.0, 0.158)
    box = np.array([[-0.055, -0.009, -0.002], [0.055, 0.009, 0.2]])
    metal, grip = plain(rng, (0.7, 0.71, 0.73), 0.06), plain(rng, (0.85, 0.32, 0.05))
    return ObjectModel(
        "scissors",
        [
            Part(Sculpture(blade, box, 0.0014), metal, 0.8),
            Part(Sculpture(lambda p: np.minimum(left(p), right(p)), box, 0.0016), grip, 0.3),
        ],
    )


def banana(rng: np.random.Generator) -> ObjectModel:
    t = np.linspace(-0.95, 0.95, 12)
    path = np.column_stack([0.075 * (np.cos(t) - 0.8), np.zeros(12), 0.095 + 0.105 * np.sin(t)])
    thick = 0.0175 * np.sqrt(np.clip(1 - (np.abs(t) / 1.05) ** 5, 0, 1))
    thick[-1], thick[-2] = 0.0065, 0.009
    stem = np.array([path[-1], path[-1] + [-0.012, 0, 0.014]])

    def distance(p: Array) -> Array:
        body = solids.path_distance(p, path, thick)
        angle = np.arctan2(p[:, 1], p[:, 0] - 0.0)
        body = body + 0.0006 * np.cos(5 * angle)
        return solids.smooth_min(body, solids.cone_distance(p, stem[0], stem[1], 0.0055, 0.005), 0.006)

    yellow = Speckled(
        plain(rng, (0.93, 0.78, 0.16)),
        (0.36, 0.22, 0.08),
        noise_image(rng, (64, 96), (1.5, 3.0)),
        1.4,
        (0.08, 0.06),
    )
    tip = plain(rng, (0.33, 0.27, 0.1))
    box = np.array([[-0.06, -0.022, -0.012], [0.04, 0.022, 0.21]])
    paint = Banded((0.013, 0.193), (tip, yellow, tip))
    return ObjectModel("banana", [Part(Sculpture(distance, box, 0.002), paint, 0.2)])


def power_drill(rng: np.random.Generator) -> ObjectModel:
    """A power drill that stands on its battery, with the grip in the middle and the motor along x on top."""

    def motor(p: Array) -> Array:
        return solids.path_distance(p, [(-0.07, 0, 0.155), (0.03, 0, 0.155)], [0.026, 0.027])

    def chuck(p: Array) -> Array:
        return solids.path_distance(
            p, [(0.05, 0, 0.155), (0.09, 0, 0.155), (0.112, 0, 0.155)], [0.021, 0.018, 0.009]
        )

    def grip(p: Array) -> Array:
        return solids.path_distance(p, [(-0.03, 0, 0.03), (-0.018, 0, 0.14)], [0.019, 0.021])

    def battery(p: Array) -> Array:
        return solids.box_distance(p - [-0.025, 0, 0.02], np.array([0.042, 0.03, 0.014])) - 0.006

    def trigger(p: Array) -> Array:
        return solids.path_distance(p, [(0.004, 0, 0.115), (0.002, 0, 0.126)], [0.008, 0.008])

    def whole(p: Array) -> Array:
        body = solids.smooth_min(solids.smooth_min(motor(p), grip(p), 0.02), battery(p), 0.012)
        return np.minimum(np.minimum(body, chuck(p)), trigger(p))

    orange, black = plain(rng, (0.86, 0.32, 0.05)), plain(rng, (0.09, 0.09, 0.1))
    paint = Nearest([(motor, orange), (chuck, black), (grip, black), (battery, orange), (trigger, black)])
    box = np.array([[-0.105, -0.04, -0.003], [0.125, 0.04, 0.188]])
    return ObjectModel("power_drill", [Part(Sculpture(whole, box, 0.0022), paint, 0.3)])


def blackboard_eraser(rng: np.random.Generator) -> ObjectModel:
    wood = Speckled(
        plain(rng, (0.72, 0.52, 0.3)), (0.5, 0.33, 0.17), noise_image(rng, (64, 64), (1, 6)), 0.6, (0.01, 0.3)
    )
    felt = plain(rng, (0.16, 0.16, 0.19), 0.12)
    return ObjectModel("blackboard_eraser", [
        Part(RoundedBox((0.05, 0.014, 0.145), 0.003), wood, 0.2, SE3(np.eye(3), np.array([0, 0.012, 0.0725]))),
        Part(RoundedBox((0.05, 0.024, 0.143), 0.003), felt, 0.0, SE3(np.eye(3), np.array([0, -0.006, 0.0725]))),
    ])  # fmt: skip


def screwdriver(rng: np.random.Generator) -> ObjectModel:
    """A screwdriver of 0.215 m, held by the shaft, handle up."""
    shaft = [(0, 0), (0.0012, 0), (0.0032, 0.006), (0.0032, 0.115), (0, 0.115)]
    handle = [(0, 0.112), (0.008, 0.112), (0.01, 0.118), (0.0085, 0.128), (0.0145, 0.145), (0.0155, 0.18),
              (0.0135, 0.205), (0.008, 0.214), (0, 0.215)]  # fmt: skip
    grip, black = plain(rng, (0.75, 0.1, 0.08)), plain(rng, (0.08, 0.08, 0.09))
    return ObjectModel(
        "screwdriver",
        [
            Part(Lathe(filleted(shaft, 0.0005, 2), segments=24), plain(rng, (0.68, 0.68, 0.7), 0.05), 0.9),
            Part(Lathe(filleted(handle, 0.004)), Banded((0.14, 0.2), (black, grip, black)), 0.45),
        ],
    )


MAKERS: dict[str, Callable[[np.random.Generator], ObjectModel]] = {
    "mustard_bottle": mustard_bottle,
    "tomato_soup_can": tomato_soup_can,
    "potted_meat_can": potted_meat_can,
    "blue_kettle": pitcher,
    "gelatin_box": gelatin_box,
    "red_bowl": red_bowl,
    "scissors": scissors,
    "banana": banana,
    "power_drill": power_drill,
    "master_chef_can": master_chef_can,
    "cracker_box": cracker_box,
    "blackboard_eraser": blackboard_eraser,
    "screwdriver": screwdriver,
}
OBJECT_NAMES = tuple(MAKERS)
# As the YCB object set's paper lists them, full; the pitcher with its lid. Nobody weighed the blackboard eraser.
MASSES_KG = {
    "mustard_bottle": 0.603, "tomato_soup_can": 0.349, "potted_meat_can": 0.370, "blue_kettle": 0.244,
    "gelatin_box": 0.097, "red_bowl": 0.147, "scissors": 0.082, "banana": 0.066, "power_drill": 0.895,
    "master_chef_can": 0.414, "cracker_box": 0.411, "screwdriver": 0.097, "sugar_box": 0.514, "pudding_box": 0.187,
    "tuna_fish_can": 0.171, "bleach_cleanser": 1.131, "wood_block": 0.729, "foam_brick": 0.028, "mug": 0.118,
    "large_marker": 0.016, "large_clamp": 0.125, "chips_can": 0.205, "tennis_ball": 0.058,
}  # fmt: skip
ALL_NAMES = (*OBJECT_NAMES, *YCB_OBJECTS)


def make_object(name: str, rng: np.random.Generator) -> ObjectModel:
    """Makes an object by its name.

    Raises:
        CaptureError: No object has this name.
    """
    makers = MAKERS | YCB_OBJECTS
    if name not in makers:
        raise CaptureError(
            f"no object is called {name!r}; there are {', '.join(ALL_NAMES)}, 'random', and mesh files"
        )
    return replace(makers[name](rng), mass_kg=MASSES_KG.get(name))

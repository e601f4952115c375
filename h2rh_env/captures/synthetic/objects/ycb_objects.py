"""The YCB objects that people hold in DexYCB and that the paper does not use, with their real dimensions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .. import solids
from ..rendering.paints import Nearest, Speckled, Wrapped, plain
from ..rendering.textures import noise_image, print_label
from ..solids import Array, Lathe, RoundedBox, Sculpture, filleted
from .parts import ObjectModel, Part, can, carton, raised


def sugar_box(rng: np.random.Generator) -> ObjectModel:
    return carton(rng, "sugar_box", (0.089, 0.038, 0.175), (0.95, 0.85, 0.25), (0.12, 0.2, 0.55), "SUGAR")


def pudding_box(rng: np.random.Generator) -> ObjectModel:
    return carton(rng, "pudding_box", (0.11, 0.035, 0.089), (0.45, 0.22, 0.12), (0.93, 0.85, 0.7), "PUDDING")


def tuna_fish_can(rng: np.random.Generator) -> ObjectModel:
    return can(rng, "tuna_fish_can", 0.085, 0.033, (0.1, 0.3, 0.6), (0.9, 0.9, 0.88), "TUNA")


def bleach_cleanser(rng: np.random.Generator) -> ObjectModel:
    white, blue = (0.9, 0.9, 0.88), (0.1, 0.3, 0.65)
    body = [(0, 0), (0.045, 0), (0.05, 0.006), (0.05, 0.11), (0.042, 0.15), (0.046, 0.185), (0.03, 0.21),
            (0.018, 0.222), (0, 0.222)]  # fmt: skip
    cap = [(0, 0.218), (0.018, 0.218), (0.019, 0.223), (0.0165, 0.25), (0, 0.25)]
    label = print_label(rng, (0.26, 0.085), white, (0.2, 0.6, 0.2), "CLEAN", 2)
    return ObjectModel(
        "bleach_cleanser",
        [
            Part(
                Lathe(filleted(body, 0.014), (1.0, 0.66)), Wrapped(label, 0.03, 0.115, plain(rng, white)), 0.4
            ),
            Part(Lathe(filleted(cap, 0.002)), plain(rng, blue), 0.35),
        ],
    )


def wood_block(rng: np.random.Generator) -> ObjectModel:
    wood = Speckled(
        plain(rng, (0.74, 0.55, 0.33)),
        (0.55, 0.37, 0.2),
        noise_image(rng, (64, 64), (1, 5)),
        0.5,
        (0.02, 0.3),
    )
    return ObjectModel("wood_block", [Part(RoundedBox((0.07, 0.07, 0.2), 0.002), wood, 0.1, raised(0.1))])


def foam_brick(rng: np.random.Generator) -> ObjectModel:
    foam = plain(rng, (0.62, 0.2, 0.16), 0.1)
    return ObjectModel(
        "foam_brick", [Part(RoundedBox((0.051, 0.053, 0.078), 0.002), foam, 0.0, raised(0.039))]
    )


def mug(rng: np.random.Generator) -> ObjectModel:
    """YCB's red mug: 93 mm across, 82 mm high, with a handle."""
    r, height, wall = 0.0465, 0.082, 0.004
    outline = [
        (0, 0),
        (r - 0.004, 0),
        (r, 0.004),
        (r, height),
        (r - wall, height),
        (r - wall, 0.008),
        (0, 0.006),
    ]
    t = np.linspace(-1.3, 1.3, 9)
    path = np.column_stack([r - 0.004 + 0.028 * np.cos(t), np.zeros(9), 0.042 + 0.028 * np.sin(t)])
    box = np.stack([path.min(axis=0) - 0.008, path.max(axis=0) + 0.008])
    handle = Sculpture(lambda p: solids.path_distance(p, path, np.full(9, 0.0055)), box, 0.0018)
    red = plain(rng, (0.66, 0.09, 0.08))
    return ObjectModel("mug", [Part(Lathe(filleted(outline, 0.002)), red, 0.6), Part(handle, red, 0.6)])


def large_marker(rng: np.random.Generator) -> ObjectModel:
    """A marker, 121 mm long and 18 mm thick, cap up."""
    body = [(0, 0), (0.007, 0), (0.009, 0.003), (0.009, 0.081), (0.0078, 0.084), (0, 0.084)]
    cap = [(0, 0.078), (0.0095, 0.078), (0.0092, 0.114), (0.006, 0.121), (0, 0.121)]
    label = print_label(rng, (2 * np.pi * 0.009, 0.06), (0.9, 0.9, 0.88), (0.08, 0.08, 0.1), "MARKER")
    paint = Wrapped(label, 0.012, 0.072, plain(rng, (0.9, 0.9, 0.88)))
    return ObjectModel(
        "large_marker",
        [
            Part(Lathe(filleted(body, 0.002), segments=36), paint, 0.35),
            Part(Lathe(filleted(cap, 0.002), segments=36), plain(rng, (0.07, 0.07, 0.08)), 0.35),
        ],
    )


def large_clamp(rng: np.random.Generator) -> ObjectModel:
    """A spring clamp, 0.2 m long, held by the jaws, its two arms apart above."""

    def arms(p: Array) -> Array:
        one = solids.path_distance(
            p, [(-0.008, 0, 0.07), (0.03, 0, 0.125), (0.05, 0, 0.198)], [0.01, 0.009, 0.009]
        )
        two = solids.path_distance(
            p, [(0.008, 0, 0.07), (-0.03, 0, 0.125), (-0.05, 0, 0.198)], [0.01, 0.009, 0.009]
        )
        return np.minimum(one, two)

    def jaws(p: Array) -> Array:
        one = solids.path_distance(
            p, [(0.01, 0, 0.075), (0.022, 0, 0.035), (0.006, 0, 0.006)], [0.011, 0.009, 0.006]
        )
        two = solids.path_distance(
            p, [(-0.01, 0, 0.075), (-0.022, 0, 0.035), (-0.006, 0, 0.006)], [0.011, 0.009, 0.006]
        )
        return np.minimum(one, two)

    def spring(p: Array) -> Array:
        return np.hypot(np.hypot(p[:, 0], p[:, 2] - 0.085) - 0.011, p[:, 1]) - 0.004

    black, orange = plain(rng, (0.08, 0.08, 0.09)), plain(rng, (0.85, 0.35, 0.06))
    paint = Nearest([(arms, black), (jaws, orange), (spring, plain(rng, (0.7, 0.7, 0.72)))])
    box = np.array([[-0.064, -0.018, -0.003], [0.064, 0.018, 0.212]])

    def whole(p: Array) -> Array:
        return np.minimum(np.minimum(arms(p), jaws(p)), spring(p))

    return ObjectModel("large_clamp", [Part(Sculpture(whole, box), paint, 0.35)])


def chips_can(rng: np.random.Generator) -> ObjectModel:
    return can(rng, "chips_can", 0.075, 0.25, (0.72, 0.08, 0.1), (0.95, 0.85, 0.2), "CHIPS")


def tennis_ball(rng: np.random.Generator) -> ObjectModel:
    r = 0.0325
    felt = plain(rng, (0.72, 0.83, 0.18), 0.08)

    def seam(p: Array) -> Array:
        u = p - [0, 0, r]
        signed: Array = np.abs(u[:, 2] - 0.55 * r * np.sin(2 * np.arctan2(u[:, 1], u[:, 0]))) - 0.0016
        return signed

    def ball(p: Array) -> Array:
        signed: Array = np.linalg.norm(p - [0, 0, r], axis=1) - r
        return signed

    paint = Nearest([(seam, plain(rng, (0.92, 0.92, 0.86))), (lambda p: np.zeros(len(p)), felt)])
    box = np.array([[-r, -r, 0.0], [r, r, 2 * r]]) + np.array([[-0.002], [0.002]])
    return ObjectModel("tennis_ball", [Part(Sculpture(ball, box), paint, 0.0)])


YCB_OBJECTS: dict[str, Callable[[np.random.Generator], ObjectModel]] = {
    "sugar_box": sugar_box,
    "pudding_box": pudding_box,
    "tuna_fish_can": tuna_fish_can,
    "bleach_cleanser": bleach_cleanser,
    "wood_block": wood_block,
    "foam_brick": foam_brick,
    "mug": mug,
    "large_marker": large_marker,
    "large_clamp": large_clamp,
    "chips_can": chips_can,
    "tennis_ball": tennis_ball,
}

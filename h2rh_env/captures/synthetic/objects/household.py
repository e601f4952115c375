"""Random household objects: bottles, cans, boxes, mugs, bowls, tools, tubes, fruit."""

from __future__ import annotations

import colorsys
from collections.abc import Callable

import numpy as np

from .. import solids
from ..rendering.paints import Banded, Paint, Speckled, Wrapped, plain
from ..rendering.textures import muted, noise_image, print_label, vivid, word
from ..solids import Array, Lathe, Sculpture, filleted
from . import toys
from .parts import ObjectModel, Part, can, carton


def random_object(rng: np.random.Generator) -> ObjectModel:
    """Makes a random object; the same state of the generator gives the same object."""
    weights = np.array(list(FAMILIES.values()))
    return list(FAMILIES)[int(rng.choice(len(FAMILIES), p=weights / weights.sum()))](rng)


def _bottle(rng: np.random.Generator) -> ObjectModel:
    height, r = rng.uniform(0.1, 0.29), rng.uniform(0.018, 0.044)
    neck, shoulder = rng.uniform(0.009, 0.016), rng.uniform(0.6, 0.78)
    waist = r * rng.uniform(0.8, 1.0)
    top = 0.88 * height
    outline = [
        (0, 0),
        (r * 0.95, 0),
        (r, 0.006),
        (r, 0.25 * height),
        (waist, 0.42 * height),
        (r, shoulder * height),
        (neck * 1.1, (shoulder + 0.14) * height),
        (neck, top),
        (0, top),
    ]
    cap = [
        (0, top - 0.012),
        (neck + 0.002, top - 0.012),
        (neck + 0.0025, top),
        (neck + 0.0015, height),
        (0, height),
    ]
    squash = (1.0, float(rng.uniform(0.6, 1.0)))
    ground, accent = vivid(rng), vivid(rng)
    body_colour = ground if rng.uniform() < 0.5 else muted(rng)
    label = print_label(rng, (2 * np.pi * r, 0.34 * height), ground, accent, word(rng), 2)
    paint = Wrapped(label, 0.2 * height, (shoulder - 0.05) * height, plain(rng, body_colour))
    return ObjectModel(
        "random_bottle",
        [
            Part(Lathe(filleted(outline, 0.012), squash), paint, rng.uniform(0.2, 0.6)),
            Part(Lathe(filleted(cap, 0.002), segments=36), plain(rng, vivid(rng)), 0.35),
        ],
    )


def _can(rng: np.random.Generator) -> ObjectModel:
    diameter, height = rng.uniform(0.04, 0.09), rng.uniform(0.045, 0.19)
    return can(rng, "random_can", diameter, height, vivid(rng), vivid(rng), word(rng))


def _carton(rng: np.random.Generator) -> ObjectModel:
    x, y, z = rng.uniform(0.03, 0.16), rng.uniform(0.012, 0.075), rng.uniform(0.05, 0.25)
    return carton(rng, "random_box", (x, y, z), vivid(rng), vivid(rng), word(rng), rng.uniform(0.001, 0.006))


def _mug(rng: np.random.Generator) -> ObjectModel:
    r, height, wall = rng.uniform(0.028, 0.042), rng.uniform(0.075, 0.11), 0.004
    flare = rng.uniform(-0.004, 0.006)
    outline = [
        (0, 0),
        (r - 0.004, 0),
        (r, 0.006),
        (r + flare, height),
        (r + flare - wall, height),
        (r - wall, 0.01),
        (0, 0.007),
    ]
    t = np.linspace(-1.35, 1.35, 8)
    out, tall = rng.uniform(0.022, 0.03), rng.uniform(0.24, 0.32) * height
    path = np.column_stack([r - 0.004 + out * np.cos(t), np.zeros(8), height * 0.52 + tall * np.sin(t) * 1.1])
    handle = Sculpture(
        lambda p: solids.path_distance(p, path, np.full(8, 0.0052)),
        np.stack([path.min(axis=0) - 0.008, path.max(axis=0) + 0.008]),
        0.0018,
    )
    colour = plain(rng, vivid(rng) if rng.uniform() < 0.6 else muted(rng))
    label = print_label(rng, (2 * np.pi * r, 0.6 * height), muted(rng), vivid(rng), word(rng), 2)
    paint = Wrapped(label, 0.2 * height, 0.8 * height, colour, r - 0.003) if rng.uniform() < 0.5 else colour
    return ObjectModel(
        "random_mug", [Part(Lathe(filleted(outline, 0.003)), paint, 0.55), Part(handle, colour, 0.55)]
    )


def _bowl(rng: np.random.Generator) -> ObjectModel:
    r, height, wall = rng.uniform(0.05, 0.085), rng.uniform(0.035, 0.065), 0.004
    foot = rng.uniform(0.4, 0.6) * r
    outside = [(0, 0), (foot, 0), (foot + 0.002, 0.004), (0.82 * r, 0.4 * height), (r, height)]
    inside = [(r - wall, height), (0.82 * r - wall, 0.42 * height), (foot - 0.002, 0.008), (0, 0.007)]
    paint: Paint = plain(rng, vivid(rng))
    if rng.uniform() < 0.5:
        paint = Banded((0.6 * height, 0.8 * height), (paint, plain(rng, muted(rng)), paint))
    return ObjectModel(
        "random_bowl", [Part(Lathe(filleted(outside + inside, 0.006)), paint, rng.uniform(0.3, 0.6))]
    )


def _tool(rng: np.random.Generator) -> ObjectModel:
    """A handle on a thinner working end: brush, spoon, screwdriver, torch, marker."""
    handle, total = rng.uniform(0.08, 0.12), rng.uniform(0.16, 0.25)
    r, thin, head = rng.uniform(0.009, 0.017), rng.uniform(0.003, 0.008), rng.uniform(0.003, 0.02)
    split = total - handle
    outline = [(0, 0), (head * 0.8, 0), (head, 0.012), (head * 0.9, 0.35 * split), (thin, 0.55 * split),
               (thin, split), (r * 0.85, split + 0.004), (r, split + 0.3 * handle), (r * 0.85, split + 0.7 * handle),
               (r, total - 0.008), (r * 0.6, total), (0, total)]  # fmt: skip
    metal = plain(rng, (0.68, 0.68, 0.7), 0.05) if rng.uniform() < 0.6 else plain(rng, muted(rng))
    grip, ring = plain(rng, vivid(rng)), plain(rng, muted(rng))
    paint = Banded((split, split + 0.3 * handle, split + 0.4 * handle), (metal, grip, ring, grip))
    return ObjectModel(
        "random_tool", [Part(Lathe(filleted(outline, 0.005), segments=36), paint, rng.uniform(0.2, 0.7))]
    )


def _tube(rng: np.random.Generator) -> ObjectModel:
    """A tube, as of toothpaste: round at the cap, flat at the crimp, held by the crimp."""
    height, r = rng.uniform(0.11, 0.18), rng.uniform(0.016, 0.026)
    top = 0.88 * height

    def body(p: Array) -> Array:
        share = np.clip(p[:, 2] / top, 0, 1)
        depth, width = np.maximum(r * share**0.6, 0.0022), r * (1.35 - 0.35 * share)
        scaled = np.hypot(p[:, 0] / width, p[:, 1] / depth)
        slope = np.hypot(p[:, 0] / width**2, p[:, 1] / depth**2) / np.maximum(scaled, 1e-9)
        ends = np.maximum(-p[:, 2], p[:, 2] - top)
        signed: Array = np.maximum((scaled - 1) / np.maximum(slope, 1 / width), ends)
        return signed

    cap = [(0, top - 0.003), (r * 0.8, top - 0.003), (r * 0.8, top), (r * 0.6, height), (0, height)]
    ground = muted(rng)
    label = print_label(rng, (2 * np.pi * r, height * 0.7), ground, vivid(rng), word(rng), 2)
    paint = Wrapped(label, 0.08 * height, 0.8 * height, plain(rng, ground))
    box = np.array([[-1.4 * r, -1.1 * r, -0.002], [1.4 * r, 1.1 * r, top + 0.002]])
    return ObjectModel(
        "random_tube",
        [
            Part(Sculpture(body, box), paint, 0.4),
            Part(Lathe(filleted(cap, 0.002)), plain(rng, vivid(rng)), 0.3),
        ],
    )


def _fruit(rng: np.random.Generator) -> ObjectModel:
    """A fruit, like an apple, pear, lemon or aubergine: a lathed body with a stem."""
    r, stretch, pear = rng.uniform(0.022, 0.043), rng.uniform(0.85, 2.0), rng.uniform(0.0, 0.35)
    t = np.linspace(0, np.pi, 22)
    swell = 1 - pear * (1 - np.cos(t)) / 2
    outline = np.column_stack([r * np.sin(t) * swell, r * stretch * (1 - np.cos(t))])
    outline[[0, -1], 0] = 0
    hue = rng.choice([0.0, 0.03, 0.08, 0.14, 0.22, 0.3, 0.78])
    base = plain(rng, colorsys.hsv_to_rgb(hue, rng.uniform(0.6, 0.9), rng.uniform(0.45, 0.9)), 0.05)
    other = colorsys.hsv_to_rgb((hue + 0.08) % 1, 0.7, 0.6)
    paint = Speckled(base, other, noise_image(rng, (64, 64), (1, 5)), 0.5, (0.2, 0.15))
    height = outline[-1, 1]
    stem = Sculpture(
        lambda p: solids.path_distance(
            p, [(0, 0, height - 0.005), (0.003, 0, height + 0.012)], [0.003, 0.0022]
        ),
        np.array([[-0.005, -0.005, height - 0.008], [0.008, 0.005, height + 0.016]]),
        0.0014,
    )
    return ObjectModel(
        "random_fruit", [Part(Lathe(outline), paint, 0.3), Part(stem, plain(rng, (0.3, 0.22, 0.1)))]
    )


def _remote(rng: np.random.Generator) -> ObjectModel:
    """A flat, long object: a remote control, phone, comb case, soap or bar of chocolate."""
    x, y, z = rng.uniform(0.035, 0.075), rng.uniform(0.012, 0.028), rng.uniform(0.1, 0.19)
    ground = muted(rng) if rng.uniform() < 0.6 else (0.07, 0.07, 0.08)
    return carton(
        rng, "random_flat", (x, y, z), ground, vivid(rng), word(rng), min(x, y) * rng.uniform(0.15, 0.4), 0.4
    )


FAMILIES: dict[Callable[[np.random.Generator], ObjectModel], float] = {
    _bottle: 2.0, _can: 1.6, _carton: 2.2, _mug: 1.0, _bowl: 0.5, _tool: 1.2, _tube: 0.9, _fruit: 0.9, _remote: 1.0,
    toys.toy: 2.2, toys.spray_bottle: 1.0, toys.headed_tool: 1.2, toys.cup: 1.0, toys.jar: 0.9,
}  # fmt: skip

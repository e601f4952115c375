"""Random objects of less common shapes: toys of a few solids, spray bottles, tools with a head, cups and jars."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .. import solids
from ..rendering.paints import Banded, Nearest, Paint, Wrapped, plain
from ..rendering.textures import muted, print_label, vivid, word
from ..solids import Array, Distance, Lathe, Sculpture, filleted
from .parts import ObjectModel, Part


def toy(rng: np.random.Generator) -> ObjectModel:
    """A toy of two to five balls, bricks and rods, each of its own colour, on top of and beside each other."""
    solids_and_paints: list[tuple[Distance, Paint]] = []
    centre, extent = np.zeros(3), []
    for _ in range(int(rng.integers(2, 6))):
        distance, half = _lump(rng, centre.copy())
        solids_and_paints.append((distance, plain(rng, vivid(rng) if rng.uniform() < 0.75 else muted(rng))))
        extent += [centre - half, centre + half]
        step = rng.normal(0, 1, 3) * [0.5, 0.5, 1.0]
        centre = centre + 0.85 * half * step / np.abs(step).max()
        centre[2] = abs(centre[2])
    low, high = np.min(extent, axis=0), np.max(extent, axis=0)
    shift = np.array([*(low + high)[:2] / 2, low[2]])
    regions = [(_shifted(distance, shift), paint) for distance, paint in solids_and_paints]
    joint = rng.uniform(0.001, 0.012)

    def whole(points: Array) -> Array:
        total = regions[0][0](points)
        for distance, _ in regions[1:]:
            total = solids.smooth_min(total, distance(points), joint)
        return total

    box = np.stack([low - shift - 0.006, high - shift + 0.006])
    return ObjectModel("random_toy", [Part(Sculpture(whole, box), Nearest(regions), rng.uniform(0.05, 0.6))])


def _lump(rng: np.random.Generator, centre: Array) -> tuple[Distance, Array]:
    """Makes a ball, an edged or rounded brick, or a rod about a centre; returns its distance and half size (3,)."""
    kind = rng.uniform()
    if kind < 0.3:
        r = rng.uniform(0.011, 0.031)
        return (lambda p: np.linalg.norm(p - centre, axis=1) - r), np.full(3, r)
    if kind < 0.65:
        half = rng.uniform([0.008, 0.007, 0.012], [0.032, 0.023, 0.05])
        round_m = float(min(half) * rng.uniform(0.05, 0.9))
        return (lambda p: solids.box_distance(p - centre, half - round_m) - round_m), half
    along = rng.normal(0, 1, 3) * [0.5, 0.5, 1.2]
    along *= rng.uniform(0.02, 0.06) / np.linalg.norm(along)
    radii = rng.uniform(0.007, 0.02, 2)
    half = np.abs(along) + radii.max()
    return (lambda p: solids.cone_distance(p, centre - along, centre + along, *radii)), half


def _shifted(distance: Distance, shift: Array) -> Distance:
    return lambda points: distance(points + shift)


def spray_bottle(rng: np.random.Generator) -> ObjectModel:
    """A flat or round bottle with a trigger head."""
    height, r = rng.uniform(0.13, 0.19), rng.uniform(0.026, 0.04)
    outline = [
        (0, 0),
        (r * 0.95, 0),
        (r, 0.006),
        (r, 0.5 * height),
        (0.62 * r, 0.78 * height),
        (0.014, 0.9 * height),
        (0.014, height),
        (0, height),
    ]
    ground, accent = vivid(rng), vivid(rng)
    label = print_label(rng, (2 * np.pi * r, 0.35 * height), muted(rng), accent, word(rng), 2)
    paint = Wrapped(label, 0.1 * height, 0.45 * height, plain(rng, ground))
    reach, drop = rng.uniform(0.035, 0.055), rng.uniform(0.03, 0.045)
    top = height + 0.028

    def head(p: Array) -> Array:
        body = solids.path_distance(p, [(-0.022, 0, top - 0.006), (reach, 0, top)], [0.013, 0.009])
        neck = solids.path_distance(p, [(0, 0, height - 0.012), (0, 0, top)], [0.0165, 0.013])
        trigger = solids.path_distance(
            p,
            [(0.02, 0, top - 0.006), (0.03, 0, top - drop / 2), (0.026, 0, top - drop)],
            [0.006, 0.005, 0.0045],
        )
        return np.minimum(solids.smooth_min(body, neck, 0.008), trigger)

    box = np.array([[-0.04, -0.02, height - 0.03], [reach + 0.012, 0.02, top + 0.018]])
    squash = (1.0, float(rng.uniform(0.65, 1.0)))
    return ObjectModel(
        "random_spray",
        [
            Part(Lathe(filleted(outline, 0.01), squash), paint, rng.uniform(0.2, 0.6)),
            Part(
                Sculpture(head, box, 0.0018),
                plain(rng, vivid(rng) if rng.uniform() < 0.5 else muted(rng)),
                0.3,
            ),
        ],
    )


def headed_tool(rng: np.random.Generator) -> ObjectModel:
    """A handle with a head across its end, like a hammer, ladle, brush or spatula; the handle points up."""
    total, r = rng.uniform(0.16, 0.3), rng.uniform(0.007, 0.014)
    head, paint_of_head = _tool_head(rng)

    def handle(p: Array) -> Array:
        return solids.path_distance(
            p, [(0, 0, 0.012), (0, 0, 0.55 * total), (0, 0, total - r)], [0.55 * r, 0.8 * r, r]
        )

    metal, grip = plain(rng, muted(rng)), plain(rng, vivid(rng) if rng.uniform() < 0.7 else muted(rng))
    stick = Banded((rng.uniform(0.3, 0.6) * total,), (metal, grip))
    box = np.array([[-0.06, -0.05, -0.025], [0.06, 0.05, total + 0.002]])
    paint = Nearest([(handle, stick), (head, paint_of_head)])
    return ObjectModel(
        "random_headed_tool",
        [
            Part(
                Sculpture(lambda p: np.minimum(handle(p), head(p)), box, 0.0019), paint, rng.uniform(0.1, 0.6)
            )
        ],
    )


def _tool_head(rng: np.random.Generator) -> tuple[Callable[[Array], Array], Paint]:
    """Makes a head about the origin that reaches no more than 5 cm to any side."""
    kind = int(rng.integers(3))
    if kind == 0:
        half, r = rng.uniform(0.025, 0.045), rng.uniform(0.01, 0.018)
        return (lambda p: solids.path_distance(p, [(-half, 0, 0), (half, 0, 0)], [r, r * 0.8])), plain(
            rng, muted(rng)
        )
    if kind == 1:
        size = rng.uniform([0.02, 0.003, 0.012], [0.042, 0.016, 0.02])
        return (lambda p: solids.box_distance(p, size - 0.002) - 0.002), plain(rng, vivid(rng))
    r = rng.uniform(0.02, 0.034)

    def bowl(p: Array) -> Array:
        off = (p - [0, 0.3 * r, 0.2 * r]) / [1.0, 0.55, 1.0]
        shell = np.abs(np.linalg.norm(off, axis=1) - r) * 0.55 - 0.0016
        signed: Array = np.maximum(shell, 0.9 * (p[:, 1] - 0.3 * r))
        return signed

    return bowl, plain(rng, (0.7, 0.7, 0.72), 0.05)


def cup(rng: np.random.Generator) -> ObjectModel:
    """A beaker, glass or paper cup: a cone without a handle, open or with a lid."""
    height, r, wall = rng.uniform(0.07, 0.15), rng.uniform(0.024, 0.036), 0.0025
    top = r * rng.uniform(1.05, 1.35)
    outline = [(0, 0), (r, 0), (top, height), (top - wall, height), (r - wall, 0.006), (0, 0.006)]
    colour = plain(rng, vivid(rng) if rng.uniform() < 0.5 else muted(rng))
    label = print_label(rng, (2 * np.pi * top, 0.7 * height), muted(rng), vivid(rng), word(rng), 2)
    paint: Paint = (
        Wrapped(label, 0.12 * height, 0.85 * height, colour, r * 0.9) if rng.uniform() < 0.6 else colour
    )
    parts = [Part(Lathe(filleted(outline, 0.002)), paint, rng.uniform(0.05, 0.6))]
    if rng.uniform() < 0.4:
        lid = [
            (0, height - 0.002),
            (top + 0.002, height - 0.002),
            (top, height + 0.008),
            (0.8 * top, height + 0.012),
            (0, height + 0.012),
        ]
        parts.append(Part(Lathe(filleted(lid, 0.002)), plain(rng, muted(rng)), 0.3))
    return ObjectModel("random_cup", parts)


def jar(rng: np.random.Generator) -> ObjectModel:
    """A jar with a screw lid, or the lid alone."""
    r = rng.uniform(0.024, 0.042)
    lid_height = rng.uniform(0.012, 0.028)
    height = rng.uniform(0.05, 0.12)
    lid = filleted(
        [
            (0, height),
            (r * 0.97, height),
            (r, height + 0.002),
            (r * 0.96, height + lid_height),
            (0, height + lid_height),
        ],
        0.0025,
    )
    body = [(0, 0), (r * 0.9, 0), (r, 0.008), (r, height * 0.85), (r * 0.85, height), (0, height)]
    label = print_label(rng, (2 * np.pi * r, 0.5 * height), vivid(rng), vivid(rng), word(rng), 2)
    paint = Wrapped(label, 0.2 * height, 0.72 * height, plain(rng, muted(rng)))
    lid_paint = plain(rng, vivid(rng))
    return ObjectModel(
        "random_jar",
        [Part(Lathe(filleted(body, 0.006)), paint, rng.uniform(0.3, 0.7)), Part(Lathe(lid), lid_paint, 0.4)],
    )

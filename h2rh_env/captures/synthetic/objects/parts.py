"""ObjectModel: parts, which are solids with a material, in a frame in which they stand; also tins and cartons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from ....core.geometry import SE3
from ..rendering.paints import Paint, Printed, Wrapped, plain
from ..rendering.textures import Rgb, print_label
from ..solids import Lathe, Mesh, Placed, RoundedBox, Solid, filleted

Array = npt.NDArray[np.float64]

STANDING = SE3.identity()


@dataclass(frozen=True, eq=False)
class Part:
    """A solid of one material; `gloss` is the strength of its highlights, from 0 (cloth) to 1 (polished metal)."""

    solid: Solid
    paint: Paint
    gloss: float = 0.25
    parent_from_part: SE3 = STANDING

    @cached_property
    def placed(self) -> Solid:
        return Placed(self.solid, self.parent_from_part)


@dataclass(frozen=True, eq=False)
class ObjectModel:
    """An object in its own frame, z up as it stands or is held; the person takes its lower half.

    Attributes:
        name: the name of the object.
        parts: what the object consists of.
        mass_kg: its measured mass, kg; None if it was never weighed.
    """

    name: str
    parts: Sequence[Part]
    mass_kg: float | None = None

    def distance(self, points: Array) -> Array:
        """Returns the signed distance (P,), m, from points (P, 3) to the nearest part."""
        nearest: Array = np.min([part.placed.distance(points) for part in self.parts], axis=0)
        return nearest

    @cached_property
    def bounds(self) -> Array:
        """The lower and the upper corner (2, 3), m."""
        vertices = np.concatenate([mesh.vertices for mesh in self.meshes])
        return np.stack([vertices.min(axis=0), vertices.max(axis=0)])

    @cached_property
    def meshes(self) -> list[Mesh]:
        """A mesh of each part, in the object's frame."""
        return [part.placed.mesh() for part in self.parts]


def turned(model: ObjectModel, new_from_old: SE3) -> ObjectModel:
    """Expresses the object in another frame."""
    parts = [replace(part, parent_from_part=new_from_old @ part.parent_from_part) for part in model.parts]
    return replace(model, parts=parts)


def raised(z_m: float) -> SE3:
    return SE3(np.eye(3), np.array([0.0, 0.0, z_m]))


def can(
    rng: np.random.Generator, name: str, diameter: float, height: float, ground: Rgb, accent: Rgb, title: str
) -> ObjectModel:
    """A tin: rolled rims, ribless wall with a paper label, sunken lid."""
    r = diameter / 2
    rim = 0.0018
    outline = [(0, 0.003), (r - 0.005, 0.003), (r - 0.0045, 0), (r, 0), (r, 0.004), (r - rim, 0.006),
               (r - rim, height - 0.006), (r, height - 0.004), (r, height), (r - 0.0045, height),
               (r - 0.005, height - 0.004), (0, height - 0.004)]  # fmt: skip
    metal = plain(rng, (0.74, 0.74, 0.75), 0.05)
    label = print_label(rng, (np.pi * diameter, height - 0.013), ground, accent, title, 2)
    paint = Wrapped(label, 0.0065, height - 0.0065, metal, r - 0.004)
    return ObjectModel(name, [Part(Lathe(filleted(outline, 0.0012, 2)), paint, 0.5)])


def carton(
    rng: np.random.Generator,
    name: str,
    size: tuple[float, float, float],
    ground: Rgb,
    accent: Rgb,
    title: str,
    radius: float = 0.0015,
    gloss: float = 0.2,
) -> ObjectModel:
    """A printed box, standing."""
    x, y, z = size
    sides = [print_label(rng, area, ground, accent, title) for area in ((y, z), (x, z), (x, y))]
    box = RoundedBox(size, radius)
    return ObjectModel(name, [Part(box, Printed(size, sides[0], sides[1], sides[2]), gloss, raised(z / 2))])

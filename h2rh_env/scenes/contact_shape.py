"""ContactShape: what can be touched in a scene: the held object as boxes with a mass, the hand as spheres."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from ..core.errors import SceneError
from ..core.geometry import SE3, Array

ShapeSource = Literal["true", "cloud"]
HAND_UNIT_M = 0.001  # hand spheres are placed on whole millimetres
MAX_BOXES = 20_000
MAX_SPHERES = 50_000
LARGEST_CELL_M = 0.1
MASSES_KG = (1e-3, 50.0)


@dataclass(frozen=True, eq=False)
class ContactShape:
    """The bodies of a handover, in the units that files keep.

    Attributes:
        source: "true" if a generator or a model of the object told them, "cloud" if they were filled in from points.
        scene_from_shape: the frame of the boxes, whose axes are the object's.
        cell_m: (3,) size of a cell along each axis, m.
        boxes: (B, 2, 3) uint16, lower and upper corner of each box, in cells; boxes do not overlap.
        mass_kg: of the object.
        hand_origin_m: (3,) of the hand's spheres, scene frame.
        hand_spheres: (S, 3) uint16, centres in millimetres from that origin, along the scene's axes.
        hand_radius_m: of every sphere.
    """

    source: ShapeSource
    scene_from_shape: SE3
    cell_m: Array
    boxes: npt.NDArray[np.uint16]
    mass_kg: float
    hand_origin_m: Array
    hand_spheres: npt.NDArray[np.uint16]
    hand_radius_m: float

    def __post_init__(self) -> None:
        faults = [fault for wrong, fault in self._faults() if wrong]
        if faults:
            raise SceneError(f"a contact shape is wrong: {faults[0]}")

    def _faults(self) -> list[tuple[bool, str]]:
        """Everything that is checked, in an order in which each check can rely on those before."""
        boxes, spheres = self.boxes, self.hand_spheres
        if boxes.dtype != np.uint16 or boxes.ndim != 3 or boxes.shape[1:] != (2, 3):
            return [(True, f"boxes are {boxes.dtype} {boxes.shape}; expected uint16 (B, 2, 3)")]
        if spheres.dtype != np.uint16 or spheres.ndim != 2 or spheres.shape[1] != 3:
            return [(True, f"hand spheres are {spheres.dtype} {spheres.shape}; expected uint16 (S, 3)")]
        cell, origin = np.asarray(self.cell_m), np.asarray(self.hand_origin_m)
        return [
            (self.source not in get_args(ShapeSource),
             f"source is {self.source!r}; expected one of {', '.join(get_args(ShapeSource))}"),
            (not 1 <= len(boxes) <= MAX_BOXES, f"it has {len(boxes)} boxes; expected 1 to {MAX_BOXES}"),
            (len(spheres) > MAX_SPHERES, f"it has {len(spheres)} hand spheres; at most {MAX_SPHERES}"),
            (bool((boxes[:, 0] >= boxes[:, 1]).any()), "a box has no volume"),
            (cell.shape != (3,) or not bool(((cell > 0) & (cell < LARGEST_CELL_M)).all()),
             f"cells are {cell.tolist()} m; expected three lengths below {LARGEST_CELL_M}"),
            (origin.shape != (3,) or not bool(np.isfinite(origin).all()), "the hand's origin is no point"),
            (not MASSES_KG[0] <= self.mass_kg <= MASSES_KG[1],
             f"mass is {self.mass_kg} kg; expected {MASSES_KG[0]} to {MASSES_KG[1]}"),
            (not 0 < self.hand_radius_m < LARGEST_CELL_M, f"hand radius is {self.hand_radius_m} m"),
        ]  # fmt: skip

    @cached_property
    def box_corners_m(self) -> Array:
        """(B, 2, 3) lower and upper corners, m, in the shape's frame."""
        return self.boxes.astype(np.float64) * self.cell_m

    @cached_property
    def centre_m(self) -> Array:
        """(3,) centre of mass in the shape's frame: the boxes are filled evenly."""
        return np.average(self.box_corners_m.mean(axis=1), axis=0, weights=self._volumes)

    @cached_property
    def inertia(self) -> Array:
        """(3, 3) kg m2 about the centre of mass, along the shape's axes."""
        sizes = np.diff(self.box_corners_m, axis=1)[:, 0]
        masses = self.mass_kg * self._volumes / self._volumes.sum()
        offsets = self.box_corners_m.mean(axis=1) - self.centre_m
        second = np.einsum("b,bi,bj->ij", masses, offsets, offsets)
        second += np.diag((masses[:, None] * sizes**2).sum(axis=0) / 12)
        return np.asarray(np.trace(second) * np.eye(3) - second)

    @property
    def volume_m3(self) -> float:
        """Volume of all boxes together."""
        return float(self._volumes.sum())

    @cached_property
    def _volumes(self) -> Array:
        return np.asarray(np.diff(self.box_corners_m, axis=1)[:, 0].prod(axis=1))

    @cached_property
    def hand_centres(self) -> Array:
        """(S, 3) centres of the hand's spheres, m, scene frame."""
        return np.asarray(self.hand_origin_m) + HAND_UNIT_M * self.hand_spheres

    @cached_property
    def digest(self) -> str:
        """SHA-256 of everything; equal for equal shapes."""
        numbers = np.concatenate([
            self.scene_from_shape.matrix.ravel(), self.cell_m, self.hand_origin_m, [self.mass_kg, self.hand_radius_m],
        ])  # fmt: skip
        parts = (self.source.encode(), numbers.tobytes(), self.boxes.tobytes(), self.hand_spheres.tobytes())
        return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """Everything but the boxes and spheres, as JSON values."""
        return {
            "source": self.source,
            "scene_from_shape": self.scene_from_shape.matrix.tolist(),
            "cell_m": np.asarray(self.cell_m).tolist(),
            "mass_kg": self.mass_kg,
            "hand_origin_m": np.asarray(self.hand_origin_m).tolist(),
            "hand_radius_m": self.hand_radius_m,
        }

    @classmethod
    def from_json(
        cls, value: dict[str, Any], boxes: npt.NDArray[np.uint16], hand_spheres: npt.NDArray[np.uint16]
    ) -> ContactShape:
        """The inverse of `to_json`.

        Raises:
            SceneError: a value is out of range. KeyError, TypeError, ValueError: one is missing or malformed.
        """
        return cls(
            value["source"],
            SE3.from_matrix(value["scene_from_shape"]),
            np.array(value["cell_m"], np.float64),
            boxes,
            float(value["mass_kg"]),
            np.array(value["hand_origin_m"], np.float64),
            hand_spheres,
            float(value["hand_radius_m"]),
        )

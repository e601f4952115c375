"""A capture: what a few calibrated RGB-D cameras saw of a person holding an object."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ..core.camera import PinholeCamera
from ..core.errors import CaptureError
from ..core.geometry import SE3, Array


@dataclass(frozen=True, eq=False)
class RgbdView:
    """The images of one camera, all of the same height H and width W.

    Attributes:
        name: the camera's serial or name.
        rgb: (H, W, 3) uint8.
        depth_m: (H, W) float32, m along z, aligned to colour; 0 where not measured.
        labels: (H, W) uint8, values of `core.labels.Label`.
    """

    name: str
    camera: PinholeCamera
    world_from_camera: SE3
    rgb: npt.NDArray[np.uint8]
    depth_m: npt.NDArray[np.float32]
    labels: npt.NDArray[np.uint8]

    def __post_init__(self) -> None:
        shape = (self.camera.height, self.camera.width)
        for key, value, expected in (
            ("rgb", self.rgb, (*shape, 3)),
            ("depth", self.depth_m, shape),
            ("labels", self.labels, shape),
        ):
            if value.shape != expected:
                raise CaptureError(f"view {self.name}: {key} has shape {value.shape}; expected {expected}")


@dataclass(frozen=True, eq=False)
class TrueShapes:
    """What a generator knows of the bodies that it made, hollows included.

    Attributes:
        scene_from_object: pose of the object's own frame.
        object_bounds: (2, 3) lower and upper corner in the object's frame, m.
        object_distance: signed distance of points (P, 3) in the object's frame, (P,), m; negative inside.
        mass_kg: the mass of the object; None where nobody ever weighed it.
        hand_vertices, hand_normals: (P, 3) of the labelled hand's surface, m, scene frame, normals outwards.
        hand_faces: (F, 3) int64.
    """

    scene_from_object: SE3
    object_bounds: Array
    object_distance: Callable[[Array], Array]
    mass_kg: float | None
    hand_vertices: Array
    hand_normals: Array
    hand_faces: npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class HandoverCapture:
    """Views of one moment, in one metric world frame with z up.

    Attributes:
        name: the name of the capture.
        object_name: the name of the held object.
        provenance: where the capture came from, as JSON values: path, frame, hash, generator seed.
        truth: the bodies themselves, where a generator made them; None for what cameras saw.
    """

    name: str
    views: tuple[RgbdView, ...]
    object_name: str = "object"
    provenance: dict[str, Any] = field(default_factory=dict)
    truth: TrueShapes | None = None

"""Which Gaussians a camera around a scene can see, so that the hidden ones are not even projected.

View space is cut into directions from the scene's centre times distances. For each sample of it, one image is
drawn on a canvas that holds the whole scene, and the Gaussians whose summed weight is too small to matter are noted
as hidden. A camera sees what is not hidden from all of the directions around it, as seen from no farther away.
Samples are made when first needed, and depend on nothing but the scene and the camera's focal length: order and
threads cannot change an image.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ...core.camera import MAX_SIDE_PX, PinholeCamera
from ...core.geometry import Array, look_at
from .blend import sum_weights
from .frame import Workspace, strips
from .project import pack_camera
from .scene import Rows, lane_bits

DIRECTIONS = 96
NEIGHBOURS = 5  # directions whose samples are united
DISTANCE_RATIO = 2.0  # between shells of samples
WEIGHT_MIN_PX = 0.01  # summed over the image
CORE_FRACTION = 0.99  # of the Gaussians lie within the scene's radius
NEAREST_RADII = 1.5  # nearer than this, everything counts as visible


class Visibility:
    """The visibility of one scene, for cameras of one focal length."""

    def __init__(self, rows: Rows, camera: PinholeCamera) -> None:
        self._rows, self._camera = rows, camera
        means = rows.values[:, :3].transpose(0, 2, 1).reshape(-1, 3)[rows.index >= 0].astype(np.float64)
        self.centre = np.median(means, axis=0) if len(means) else np.zeros(3)
        distances = np.linalg.norm(means - self.centre, axis=1)
        self.radius = float(np.quantile(distances, CORE_FRACTION)) if len(means) else 0.0
        self._directions = fibonacci_sphere(DIRECTIONS)
        self._samples: dict[tuple[int, int], npt.NDArray[np.uint16]] = {}

    def seen_from(self, eye: Array, memory: Workspace) -> npt.NDArray[np.uint16]:
        """Returns the lanes of the rows, (R,), that a camera at `eye` (3,), m, may see."""
        offset = eye - self.centre
        distance = float(np.linalg.norm(offset))
        if distance <= NEAREST_RADII * self.radius or self.radius == 0:
            return self._rows.lanes
        nearest = np.argsort(-(self._directions @ offset), kind="stable")[:NEIGHBOURS]
        shell = int(np.floor(np.log(distance / self.radius) / np.log(DISTANCE_RATIO)))
        seen = np.zeros_like(self._rows.lanes)
        for direction in nearest:
            seen |= self._sample(int(direction), shell, memory)
        return seen

    def _sample(self, direction: int, shell: int, memory: Workspace) -> npt.NDArray[np.uint16]:
        sample = self._samples.get((direction, shell))
        if sample is None:
            distance = self.radius * DISTANCE_RATIO**shell
            sample = self._draw(self.centre + distance * self._directions[direction], distance, memory)
            self._samples[direction, shell] = sample
        return sample

    def _draw(self, eye: Array, distance: float, memory: Workspace) -> npt.NDArray[np.uint16]:
        """Returns the lanes that matter in an image of the whole scene; those outside of it count as seen."""
        rows, camera = self._rows, self._camera
        tangent = 1.0 if distance < 1.5 * self.radius else self.radius / np.sqrt(distance**2 - self.radius**2)
        width, height = (min(MAX_SIDE_PX, int(2 * tangent * f) + 16) for f in (camera.fx, camera.fy))
        canvas = PinholeCamera(width, height, camera.fx, camera.fy, width / 2, height / 2)
        packed = pack_camera(canvas, look_at(eye, self.centre).inverse())
        weights = np.zeros(len(rows.index), np.float32)
        seen = rows.index >= 0
        for strip in strips(rows, canvas, packed, memory):
            sum_weights(strip.records, *strip.pairs, width, strip.parts(1)[0], memory.chunk(), weights)
            drawn = strip.sources[: strip.count]
            seen[drawn] = weights[: strip.count] >= WEIGHT_MIN_PX
        return lane_bits(seen)


def fibonacci_sphere(count: int) -> Array:
    """Returns (count, 3) unit vectors, evenly spread."""
    z = 1 - (2 * np.arange(count) + 1) / count
    turn = np.pi * (1 + np.sqrt(5)) * np.arange(count)
    across = np.sqrt(1 - z * z)
    return np.stack([across * np.cos(turn), across * np.sin(turn), z], axis=1)

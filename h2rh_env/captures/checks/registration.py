"""Registers the cameras of a capture to each other by depth and brightness, to a millimetre.

All cameras are corrected together: a small motion each and a factor of its depth. The motions are held near zero by
a penalty that grows with their length, not its square, so that one camera that was moved bears its error alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import map_coordinates
from scipy.spatial.transform import Rotation

from ...core.camera import PIXEL_CENTRE_PX
from ...core.geometry import SE3
from ...core.labels import Label
from .sampling import Array, Index, look_up
from .surface import Surface

POINTS = 1500  # of a camera
FARTHEST_M = 2.5
NEIGHBOURS = 6
ITERATIONS = 5
GATE_M = 0.03  # the farthest that two points of one surface lie apart; half of it from the third iteration
ALIKE = 0.6  # cosine between normals
LEAST_POINTS = 30
DEPTH_NOISE_M, LUMA_NOISE = 0.003, 12.0
INDEPENDENT = 60.0  # points of a pair that err independently of each other
DEPTH_FACTOR = 0.004  # usual error of a camera's depth, as a share
USUAL = np.array([0.0015] * 3 + [0.003] * 3)  # usual error of a pose: m, rad


@dataclass(frozen=True, eq=False)
class Corrections:
    """What would make the cameras agree.

    Attributes:
        centre: (3,) m, the point that poses turn about.
        values: (V, 7) of each camera: shift, m, and turn, rad, in the world's axes, and relative error of depth.
        residual_m: median distance that is left between surfaces.
        compared: (V,) number of points of each camera that another camera saw.
    """

    centre: Array
    values: Array
    residual_m: float
    compared: Index

    def world_from_corrected(self, k: int) -> SE3:
        """Returns the motion to apply to the pose of camera k."""
        rotation = Rotation.from_rotvec(self.values[k, 3:6]).as_matrix()
        return SE3(rotation, self.centre - rotation @ self.centre + self.values[k, :3])


def register(surfaces: Sequence[Surface], centre: Array) -> Corrections:
    """Corrects all cameras by what they see of anything."""
    return _Problem(surfaces, centre, held_only=False).solve(np.zeros((len(surfaces), 7)), free=7)


def register_held(surfaces: Sequence[Surface], start: Corrections) -> Corrections:
    """Corrects what each camera sees of object and hand by a further shift, after its pose was corrected."""
    return _Problem(surfaces, start.centre, held_only=True).solve(start.values, free=3)


class _Problem:
    def __init__(self, surfaces: Sequence[Surface], centre: Array, held_only: bool) -> None:
        self.surfaces, self.centre, self.held_only = surfaces, centre, held_only
        self.poses = [surface.view.world_from_camera for surface in surfaces]
        forward = np.array([pose.rotation[:, 2] for pose in self.poses])
        self.near = [
            [int(j) for j in np.argsort(-forward @ forward[i]) if j != i][:NEIGHBOURS]
            for i in range(len(surfaces))
        ]
        self.pixels = [_pixels(surface, held_only) for surface in surfaces]

    def solve(self, start: Array, free: int) -> Corrections:
        count = len(self.surfaces)
        values = start.copy()
        distances: list[Array] = []
        compared = np.zeros(count, np.int64)
        for iteration in range(ITERATIONS):
            gate_m = GATE_M if iteration < 2 else GATE_M / 2
            normal, right = np.zeros((count, 7, count, 7)), np.zeros((count, 7))
            distances, compared = [], np.zeros(count, np.int64)
            for i in range(count):
                for j in self.near[i]:
                    rows = self._rows(values, i, j, gate_m)
                    for jacobian_i, jacobian_j, error, weight in rows:
                        weighted_i, weighted_j = jacobian_i * weight[:, None], jacobian_j * weight[:, None]
                        normal[i, :, i] += jacobian_i.T @ weighted_i
                        normal[j, :, j] += jacobian_j.T @ weighted_j
                        normal[i, :, j] += jacobian_i.T @ weighted_j
                        normal[j, :, i] += jacobian_j.T @ weighted_i
                        right[i] += weighted_i.T @ error
                        right[j] += weighted_j.T @ error
                    if rows:
                        distances.append(np.abs(rows[0][2]))
                        compared[i] += len(rows[0][2])
            values[:, :free] -= _step(normal, right, values - start, free)
        left = float(np.median(np.concatenate(distances))) if distances else np.nan
        return Corrections(self.centre, values, left, compared)

    def _corrected(self, values: Array, k: int, points_world: Array) -> Array:
        value, eye = values[k], self.poses[k].translation
        stretched = eye + (points_world - eye) * (1 + value[6])
        turned: Array = (stretched - self.centre) @ Rotation.from_rotvec(value[3:6]).as_matrix().T
        points: Array = turned + self.centre + value[:3]
        return points

    def _uncorrected(self, values: Array, k: int, points_world: Array) -> Array:
        rotation = Rotation.from_rotvec(values[k, 3:6]).as_matrix()
        points: Array = (points_world - self.centre - values[k, :3]) @ rotation + self.centre
        return points

    def _rows(self, values: Array, i: int, j: int, gate_m: float) -> list[tuple[Array, Array, Array, Array]]:
        """Returns the linear equations of camera i's points on the surface of camera j: of depth, and of brightness.

        Each has the derivatives (P, 7) by both corrections, the errors (P,) and the weights (P,).
        """
        one, two = self.surfaces[i], self.surfaces[j]
        rows, columns = self.pixels[i]
        points = self._corrected(values, i, self.poses[i].apply(one.points[rows, columns]))
        found = look_up(two.view, self._uncorrected(values, j, points))
        at = found.rows, found.columns
        theirs = self._corrected(values, j, self.poses[j].apply(two.points[at]))
        normals = two.normals[at] @ self.poses[j].rotation.T
        alike = ((one.normals[rows, columns] @ self.poses[i].rotation.T) * normals).sum(1) > ALIKE
        error = ((points - theirs) * normals).sum(1)
        near = (np.abs(error) < gate_m) & (np.linalg.norm(points - theirs, axis=1) < 2 * gate_m)
        kept = found.inside & two.good[at] & alike & near
        if self.held_only:
            kept &= two.view.labels[at] != Label.BACKGROUND
        if kept.sum() < LEAST_POINTS:
            return []
        points, error = points[kept], error[kept]
        share = min(1.0, INDEPENDENT / len(error))
        weight = share / DEPTH_NOISE_M**2 / np.maximum(1, np.abs(error) / DEPTH_NOISE_M)
        eyes = [self.poses[k].translation for k in (i, j)]
        depth = (
            _derivatives(normals[kept], points, self.centre, eyes[0]),
            -_derivatives(normals[kept], points, self.centre, eyes[1]),
            error,
            weight,
        )
        mine = one.luma[rows[kept], columns[kept]]
        return [depth, self._brightness(values, i, j, points, mine, share)]

    def _brightness(
        self, values: Array, i: int, j: int, points: Array, mine: Array, share: float
    ) -> tuple[Array, Array, Array, Array]:
        two, pose = self.surfaces[j], self.poses[j]
        camera = two.view.camera
        local = pose.inverse().apply(self._uncorrected(values, j, points))
        column, row = (camera.project(local) - PIXEL_CENTRE_PX).T
        theirs, along_x, along_y = (
            map_coordinates(image, [row, column], order=1, mode="nearest")
            for image in (two.luma, *two.slopes)
        )
        gain = np.exp(np.median(np.log(np.maximum(theirs, 1) / np.maximum(mine, 1))))
        error = theirs - gain * mine
        x, y, z = local.T
        slope_x, slope_y = along_x * camera.fx / z, along_y * camera.fy / z
        slope = np.stack([slope_x, slope_y, -(slope_x * x + slope_y * y) / z], axis=-1) @ pose.rotation.T
        weight = share / LUMA_NOISE**2 / np.maximum(1, np.abs(error) / LUMA_NOISE) ** 2
        mine_by = _derivatives(slope, points, self.centre, self.poses[i].translation)
        theirs_by = -_derivatives(slope, points, self.centre, pose.translation)
        theirs_by[:, 6] = 0.0  # where a point falls in an image does not depend on that camera's depth
        return mine_by, theirs_by, error, weight


def _pixels(surface: Surface, held_only: bool) -> tuple[Index, Index]:
    """Chooses points of what stands still around object and hand, or of these where little else is seen."""
    view = surface.view
    held = surface.good & (view.labels != Label.BACKGROUND)
    around = surface.good & (view.labels == Label.BACKGROUND) & (view.depth_m < FARTHEST_M)
    return _some(held if held_only or around.sum() < POINTS else around, POINTS)


def _some(mask: npt.NDArray[np.bool_], most: int) -> tuple[Index, Index]:
    rows, columns = np.nonzero(mask)
    if len(rows) > most:
        chosen = np.random.default_rng(0).permutation(len(rows))[:most]
        rows, columns = rows[chosen], columns[chosen]
    return rows, columns


def _derivatives(direction: Array, points: Array, centre: Array, eye: Array) -> Array:
    """Returns how the coordinate of points along a direction changes with a camera's seven corrections, (P, 7)."""
    stretch = ((points - eye) * direction).sum(1)
    return np.concatenate([direction, np.cross(points - centre, direction), stretch[:, None]], axis=1)


def _step(normal: Array, right: Array, values: Array, free: int) -> Array:
    """Returns the step (V, free) to subtract, with the penalties of `values` (V, 7), the corrections so far."""
    size = np.sqrt(((values[:, :6] / USUAL) ** 2).mean(axis=1))
    penalty = np.zeros((len(values), 7))
    penalty[:, :6] = USUAL**-2.0 / np.maximum(1, size)[:, None]
    penalty[:, 6] = DEPTH_FACTOR**-2.0
    gradient = (right + penalty * values)[:, :free].ravel()
    system = normal[:, :free, :, :free].reshape(len(gradient), len(gradient))
    step = np.linalg.solve(system + np.diag(penalty[:, :free].ravel()), gradient)
    return step.astype(np.float64).reshape(-1, free)

"""Rigid motions and directions, in float64 numpy. A transform is named `target_from_source`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

Array = npt.NDArray[np.float64]

WORLD_UP = np.array([0.0, 0.0, 1.0])  # z points up against gravity in every scene


@dataclass(frozen=True, eq=False)
class SE3:
    """A rigid motion x -> R x + t, from a source frame to a target frame.

    Attributes:
        rotation: (3, 3) float64, orthonormal with determinant 1.
        translation: (3,) float64, m.
    """

    rotation: Array
    translation: Array

    @classmethod
    def identity(cls) -> SE3:
        return cls(np.eye(3), np.zeros(3))

    @classmethod
    def from_matrix(cls, matrix: npt.ArrayLike) -> SE3:
        """From a (4, 4) or (3, 4) matrix [R | t].

        Raises:
            ValueError: wrong shape, not finite, or R off a rotation by more than 1e-3.
        """
        m = np.asarray(matrix, np.float64)
        if m.shape not in {(4, 4), (3, 4)}:
            raise ValueError(f"a rigid motion is a (4, 4) or (3, 4) matrix, not {m.shape}")
        rotation = m[:3, :3]
        off = np.abs(rotation @ rotation.T - np.eye(3)).max() if np.isfinite(m).all() else np.inf
        if not off < 1e-3 or np.linalg.det(rotation) < 0:
            raise ValueError(f"not a rotation: R R^T differs from the identity by {off:.3g}")
        return cls(rotation.copy(), m[:3, 3].copy())

    @property
    def matrix(self) -> Array:
        """(4, 4) homogeneous matrix."""
        m = np.eye(4)
        m[:3, :3] = self.rotation
        m[:3, 3] = self.translation
        return m

    def inverse(self) -> SE3:
        return SE3(self.rotation.T, -self.rotation.T @ self.translation)

    def __matmul__(self, other: SE3) -> SE3:
        """`a_from_b @ b_from_c` is `a_from_c`."""
        return SE3(self.rotation @ other.rotation, self.rotation @ other.translation + self.translation)

    def apply(self, points: npt.ArrayLike) -> Array:
        """Maps points (..., 3) from the source to the target frame."""
        return np.asarray(points, np.float64) @ self.rotation.T + self.translation


def rotation_from_euler_xyz(angles_rad: npt.ArrayLike) -> Array:
    """Extrinsic xyz Euler angles (..., 3), rad, to rotations (..., 3, 3): R = Rz(c) Ry(b) Rx(a)."""
    return Rotation.from_euler("xyz", np.asarray(angles_rad, np.float64)).as_matrix()


def euler_xyz_from_rotation(rotation: Array) -> Array:
    """Rotations (..., 3, 3) to extrinsic xyz Euler angles (..., 3), rad."""
    return Rotation.from_matrix(rotation).as_euler("xyz", suppress_warnings=True)


def rotation_from_wxyz(wxyz: npt.ArrayLike) -> Array:
    """Quaternions (..., 4) in wxyz order, of any length but zero, to rotations (..., 3, 3)."""
    return Rotation.from_quat(np.asarray(wxyz, np.float64), scalar_first=True).as_matrix()


def rotation_angle(rotation: Array) -> float:
    """Angle of a rotation (3, 3), rad in [0, pi]; exact at 0 and at pi."""
    return float(Rotation.from_matrix(rotation).magnitude())


def slerp(start: Array, end: Array, fraction: float) -> Array:
    """Spherical linear interpolation of rotations (3, 3); fraction 0 gives `start`, 1 gives `end`."""
    turn = Rotation.from_matrix(start.T @ end).as_rotvec()
    return start @ Rotation.from_rotvec(fraction * turn).as_matrix()


def between(start: SE3, end: SE3, fraction: float) -> SE3:
    """The pose at a fraction of the straight way, turning evenly; 0 gives `start`, 1 gives `end`."""
    way = end.translation - start.translation
    return SE3(slerp(start.rotation, end.rotation, fraction), start.translation + fraction * way)


def angle_between(a: npt.ArrayLike, b: npt.ArrayLike) -> Array:
    """Angle between vectors (..., 3), rad in [0, pi]; accurate near both ends (Kahan)."""
    u, v = np.asarray(a, np.float64), np.asarray(b, np.float64)
    u = u / np.linalg.norm(u, axis=-1, keepdims=True)
    v = v / np.linalg.norm(v, axis=-1, keepdims=True)
    return 2 * np.arctan2(np.linalg.norm(u - v, axis=-1), np.linalg.norm(u + v, axis=-1))


def aim(rotation: Array, direction: npt.ArrayLike) -> Array:
    """Turns a frame by the least angle so that its z axis points along `direction` (3,).

    Keeps the roll about the axis. For a direction exactly behind, the turn is about the frame's own y.
    """
    axis = rotation[:, 2]
    direction = np.asarray(direction, np.float64)
    angle = float(angle_between(axis, direction))
    normal = np.cross(axis, direction)
    length = float(np.linalg.norm(normal))
    if length < 1e-12 * np.linalg.norm(direction):
        normal, length = rotation[:, 1], 1.0
    return Rotation.from_rotvec(normal / length * angle).as_matrix() @ rotation


def upright_rotation(forward: npt.ArrayLike, up: npt.ArrayLike = WORLD_UP) -> Array:
    """world_from_camera rotations (..., 3, 3) of OpenCV cameras that look along `forward` (..., 3), images upright.

    Looking straight along `up`, where upright means nothing, image right is world x.
    """
    z = np.asarray(forward, np.float64)
    z = z / np.linalg.norm(z, axis=-1, keepdims=True)
    x = np.cross(z, np.asarray(up, np.float64))
    length = np.linalg.norm(x, axis=-1, keepdims=True)
    x = np.where(length > 1e-9, x / np.maximum(length, 1e-9), [1.0, 0.0, 0.0])
    x = x - z * (x * z).sum(axis=-1, keepdims=True)
    x /= np.linalg.norm(x, axis=-1, keepdims=True)
    return np.stack([x, np.cross(z, x), z], axis=-1)


def look_at(eye: npt.ArrayLike, target: npt.ArrayLike) -> SE3:
    """world_from_camera of an upright camera at `eye` (3,) that looks at `target` (3,), m."""
    eye = np.asarray(eye, np.float64)
    return SE3(upright_rotation(np.asarray(target, np.float64) - eye), eye)


def uniform_directions(rng: np.random.Generator, count: int) -> Array:
    """(count, 3) unit vectors, uniform on the sphere."""
    v = rng.normal(size=(count, 3))
    return v / np.linalg.norm(v, axis=1, keepdims=True)

"""Rigid motions and directions, in float64 numpy. A transform is named `target_from_source`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

WORLD_UP = np.array([0.0, 0.0, 1.0])  # z points up against gravity in every scene
GIMBAL_LOCK = 1e-8  # cosine of the second Euler angle below which the other two cannot be told apart


@dataclass(frozen=True, eq=False)
class SE3:
    """A rigid motion x -> R x + t from a source frame to a target frame, or a batch of them.

    A batch has leading dimensions, the same in both arrays; a single motion has none. Composition and `apply`
    broadcast as numpy does, so a camera before each of B goals is `camera_from_world @ world_from_goals`.

    Attributes:
        rotation: (..., 3, 3) float64, orthonormal with determinant 1.
        translation: (..., 3) float64, m.
    """

    rotation: Array
    translation: Array

    @classmethod
    def identity(cls, shape: tuple[int, ...] = ()) -> SE3:
        """The motion that moves nothing, as often as `shape` says."""
        if not shape:
            return cls(np.eye(3), np.zeros(3))
        return cls(np.tile(np.eye(3), (*shape, 1, 1)), np.zeros((*shape, 3)))

    @classmethod
    def from_matrix(cls, matrix: npt.ArrayLike) -> SE3:
        """Reads matrices [R | t] of shape (..., 4, 4) or (..., 3, 4).

        Raises:
            ValueError: The shape is wrong, a value is not finite, or R is mirrored or off a rotation by over 1e-3.
        """
        m = np.asarray(matrix, np.float64)
        if m.shape[-2:] not in {(4, 4), (3, 4)}:
            raise ValueError(f"a rigid motion is a (..., 4, 4) or (..., 3, 4) matrix, not {m.shape}")
        rotation = m[..., :3, :3]
        off = np.inf
        if np.isfinite(m).all():
            deviations = np.abs(rotation @ np.swapaxes(rotation, -1, -2) - np.eye(3))
            off = float(deviations.max()) if deviations.size else 0.0
        if not off < 1e-3:
            raise ValueError(f"not a rotation: R R^T differs from the identity by {off:.3g}")
        if np.any(np.linalg.det(rotation) < 0):
            raise ValueError(
                "not a rotation but a mirror image: its determinant is -1, as between a left-handed frame (Unity, "
                "Unreal) and a right-handed one; turn one axis round in both frames"
            )
        return cls(rotation.copy(), m[..., :3, 3].copy())

    @classmethod
    def stack(cls, motions: Iterable[SE3]) -> SE3:
        """A batch (N, ...) of N motions whose batches have one shape.

        Raises:
            ValueError: There is no motion.
        """
        rotations, translations = zip(*((m.rotation, m.translation) for m in motions), strict=True)
        return cls(np.stack(rotations), np.stack(translations))

    @property
    def shape(self) -> tuple[int, ...]:
        """The leading dimensions; () for a single motion."""
        return self.translation.shape[:-1]

    @property
    def matrix(self) -> Array:
        """(..., 4, 4) homogeneous matrices."""
        m = np.zeros((*self.shape, 4, 4))
        m[..., :3, :3] = self.rotation
        m[..., :3, 3] = self.translation
        m[..., 3, 3] = 1.0
        return m

    def __getitem__(self, index: Any) -> SE3:
        """Motions of a batch, chosen as numpy chooses along the leading dimensions.

        Raises:
            IndexError: There are not so many, or it is a single motion.
        """
        where = index if isinstance(index, tuple) else (index,)
        return SE3(
            self.rotation[(*where, ..., slice(None), slice(None))],
            self.translation[(*where, ..., slice(None))],
        )

    def __iter__(self) -> Iterator[SE3]:
        """The motions of a batch along its first dimension.

        Raises:
            TypeError: It is a single motion.
        """
        if not self.shape:
            raise TypeError("a single rigid motion cannot be iterated over")
        return (self[i] for i in range(self.shape[0]))

    def inverse(self) -> SE3:
        """The motion from the target back to the source frame."""
        if self.rotation.ndim == 2:
            return SE3(self.rotation.T, -self.rotation.T @ self.translation)
        back = np.swapaxes(self.rotation, -1, -2)
        return SE3(back, -_turned(back, self.translation))

    def __matmul__(self, other: SE3) -> SE3:
        """`a_from_b @ b_from_c` is `a_from_c`."""
        if self.rotation.ndim == other.rotation.ndim == 2:
            return SE3(self.rotation @ other.rotation, self.rotation @ other.translation + self.translation)
        translation = _turned(self.rotation, other.translation) + self.translation
        return SE3(self.rotation @ other.rotation, translation)

    def apply(self, points: npt.ArrayLike) -> Array:
        """Maps points (..., 3) from the source to the target frame.

        A batch (B,) of motions maps points (B, 3) one by one; `motions[:, None]` maps (B, P, 3), or (P, 3) by all.
        """
        points = np.asarray(points, np.float64)
        if self.rotation.ndim == 2:
            return points @ self.rotation.T + self.translation
        return _turned(self.rotation, points) + self.translation


def _turned(rotation: Array, vectors: Array) -> Array:
    """Vectors (..., 3) turned by rotations (..., 3, 3), broadcast."""
    return np.asarray((rotation @ vectors[..., None])[..., 0])


def rotation_from_euler_xyz(angles_rad: npt.ArrayLike) -> Array:
    """Turns extrinsic xyz Euler angles (..., 3), rad, into rotations (..., 3, 3): R = Rz(c) Ry(b) Rx(a)."""
    angles = np.asarray(angles_rad, np.float64)
    sines, cosines = np.sin(angles), np.cos(angles)
    sa, sb, sc = sines[..., 0], sines[..., 1], sines[..., 2]
    ca, cb, cc = cosines[..., 0], cosines[..., 1], cosines[..., 2]
    rotation = np.empty((*angles.shape, 3))
    rotation[..., 0, 0], rotation[..., 1, 0], rotation[..., 2, 0] = cc * cb, sc * cb, -sb
    rotation[..., 0, 1], rotation[..., 0, 2] = cc * sb * sa - sc * ca, cc * sb * ca + sc * sa
    rotation[..., 1, 1], rotation[..., 1, 2] = sc * sb * sa + cc * ca, sc * sb * ca - cc * sa
    rotation[..., 2, 1], rotation[..., 2, 2] = cb * sa, cb * ca
    return rotation


def euler_xyz_from_rotation(rotation: Array) -> Array:
    """Turns rotations (..., 3, 3) into extrinsic xyz Euler angles (..., 3), rad.

    Where the second is a right angle, and only the sum or difference of the others is told, the third is 0.
    """
    r = rotation
    cosine = np.hypot(r[..., 0, 0], r[..., 1, 0])
    free = cosine < GIMBAL_LOCK
    a = np.where(free, np.arctan2(-r[..., 1, 2], r[..., 1, 1]), np.arctan2(r[..., 2, 1], r[..., 2, 2]))
    c = np.where(free, 0.0, np.arctan2(r[..., 1, 0], r[..., 0, 0]))
    return np.stack([a, np.arctan2(-r[..., 2, 0], cosine), c], axis=-1)


def rotation_from_wxyz(wxyz: npt.ArrayLike) -> Array:
    """Turns quaternions (..., 4) in wxyz order, of any length but zero, into rotations (..., 3, 3).

    Raises:
        ValueError: A quaternion is zero.
    """
    q = np.asarray(wxyz, np.float64)
    length = np.linalg.norm(q, axis=-1, keepdims=True)
    if not length.all():
        raise ValueError("a quaternion is zero, which turns nothing; the identity is (1, 0, 0, 0)")
    w, x, y, z = np.moveaxis(q / length, -1, 0)
    rotation = np.empty((*q.shape[:-1], 3, 3))
    rotation[..., 0, 0], rotation[..., 1, 1] = 1 - 2 * (y * y + z * z), 1 - 2 * (x * x + z * z)
    rotation[..., 2, 2] = 1 - 2 * (x * x + y * y)
    rotation[..., 0, 1], rotation[..., 1, 0] = 2 * (x * y - w * z), 2 * (x * y + w * z)
    rotation[..., 0, 2], rotation[..., 2, 0] = 2 * (x * z + w * y), 2 * (x * z - w * y)
    rotation[..., 1, 2], rotation[..., 2, 1] = 2 * (y * z - w * x), 2 * (y * z + w * x)
    return rotation


def rotation_from_rotvec(rotvec_rad: npt.ArrayLike) -> Array:
    """Turns axes times angles (..., 3), rad, into rotations (..., 3, 3)."""
    rotvec = np.asarray(rotvec_rad, np.float64)
    angle = np.linalg.norm(rotvec, axis=-1, keepdims=True)
    along = 0.5 * np.sinc(angle / (2 * np.pi)) * rotvec  # sin(angle / 2) times the axis, at zero too
    return rotation_from_wxyz(np.concatenate([np.cos(angle / 2), along], axis=-1))


def rotation_angle(rotation: Array) -> float:
    """The angle of a rotation (3, 3), rad in [0, pi]; it is exact at 0 and at pi."""
    (_, xy, xz), (yx, _, yz), (zx, zy, _) = rows = rotation.tolist()
    twice_sine = math.hypot(zy - yz, xz - zx, yx - xy)
    return math.atan2(twice_sine, rows[0][0] + rows[1][1] + rows[2][2] - 1)


def rotation_about(axis: npt.ArrayLike, angle_rad: float) -> Array:
    """The rotation (3, 3) by an angle about a unit vector (3,)."""
    x, y, z = np.asarray(axis, np.float64).tolist()
    sine, cosine, versine = math.sin(angle_rad), math.cos(angle_rad), 2 * math.sin(angle_rad / 2) ** 2
    xy, yz, zx = x * y * versine, y * z * versine, z * x * versine
    return np.array(
        [
            [cosine + x * x * versine, xy - z * sine, zx + y * sine],
            [xy + z * sine, cosine + y * y * versine, yz - x * sine],
            [zx - y * sine, yz + x * sine, cosine + z * z * versine],
        ]
    )


def rotvec_from_rotation(rotation: Array) -> Array:
    """The axis of a rotation (3, 3) times its angle, rad in [0, pi]; (3,). It is accurate at 0 and at pi.

    By way of the unit quaternion, whose largest part is found first (Shepperd 1978).
    """
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = rotation.tolist()
    candidates = (xx + yy + zz, xx, yy, zz)
    largest = candidates.index(max(candidates))
    if largest == 0:
        w, x, y, z = 1 + xx + yy + zz, zy - yz, xz - zx, yx - xy
    elif largest == 1:
        w, x, y, z = zy - yz, 1 + xx - yy - zz, xy + yx, xz + zx
    elif largest == 2:
        w, x, y, z = xz - zx, xy + yx, 1 - xx + yy - zz, yz + zy
    else:
        w, x, y, z = yx - xy, xz + zx, yz + zy, 1 - xx - yy + zz
    length = math.hypot(x, y, z)
    if length == 0:
        return np.zeros(3)
    scale = math.copysign(2 * math.atan2(length, abs(w)) / length, w)
    return np.array([scale * x, scale * y, scale * z])


def slerp(start: Array, end: Array, fraction: npt.ArrayLike) -> Array:
    """Spherical linear interpolation of rotations (3, 3): fraction 0 gives `start`, 1 gives `end`; (..., 3, 3)."""
    rotvec = rotvec_from_rotation(start.T @ end)
    x, y, z = rotvec.tolist()
    angle = math.hypot(x, y, z)
    if angle == 0:
        return np.broadcast_to(start, (*np.shape(fraction), 3, 3)).copy()
    axis = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]]) / angle
    turned = angle * np.asarray(fraction, np.float64)[..., None, None]
    turn = np.eye(3) + np.sin(turned) * axis + 2 * np.sin(turned / 2) ** 2 * (axis @ axis)
    rotation: Array = start @ turn
    return rotation


def between(start: SE3, end: SE3, fraction: float) -> SE3:
    """The pose at a fraction of the straight path, turning evenly; 0 gives `start`, 1 gives `end`."""
    displacement = end.translation - start.translation
    return SE3(slerp(start.rotation, end.rotation, fraction), start.translation + fraction * displacement)


def angle_between(a: npt.ArrayLike, b: npt.ArrayLike) -> Array:
    """The angle between vectors (..., 3), rad in [0, pi]; it is accurate near both ends (Kahan)."""
    u, v = np.asarray(a, np.float64), np.asarray(b, np.float64)
    u = u / np.linalg.norm(u, axis=-1, keepdims=True)
    v = v / np.linalg.norm(v, axis=-1, keepdims=True)
    angle_rad: Array = 2 * np.arctan2(np.linalg.norm(u - v, axis=-1), np.linalg.norm(u + v, axis=-1))
    return angle_rad


def aim(rotation: Array, direction: npt.ArrayLike) -> Array:
    """Turns a frame by the least angle so that its z axis points along `direction` (3,).

    Keeps the roll about the axis. For a direction exactly behind, the turn is about the frame's own y.
    """
    axis = rotation[:, 2]
    direction = np.asarray(direction, np.float64)
    normal = cross(axis, direction)
    length, along = math.sqrt(normal @ normal), float(axis @ direction)
    if length < 1e-12 * math.hypot(length, along):
        return rotation_about(rotation[:, 1], math.atan2(0.0, along)) @ rotation
    aimed: Array = rotation_about(normal / length, math.atan2(length, along)) @ rotation
    return aimed


def cross(a: Array, b: Array) -> Array:
    """The cross product of two vectors (3,), many times faster than numpy's, which is for many."""
    ax, ay, az = a.tolist()
    bx, by, bz = b.tolist()
    return np.array([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx])


def upright_rotation(forward: npt.ArrayLike, up: npt.ArrayLike = WORLD_UP) -> Array:
    """Rotations `world_from_camera` (..., 3, 3) of OpenCV cameras that look along `forward` (..., 3), images upright.

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
    """The pose `world_from_camera` of an upright camera at `eye` (3,) that looks at `target` (3,), m."""
    eye = np.asarray(eye, np.float64)
    return SE3(upright_rotation(np.asarray(target, np.float64) - eye), eye)


def uniform_directions(rng: np.random.Generator, count: int) -> Array:
    """Draws unit vectors (count, 3), uniform on the sphere."""
    v = rng.normal(size=(count, 3))
    directions: Array = v / np.linalg.norm(v, axis=1, keepdims=True)
    return directions

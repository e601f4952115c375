"""Ray-cast images of meshes: baked soft shadows and sky light, paint, highlights, true depth and labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ....core.camera import PinholeCamera
from ....core.geometry import SE3
from ..solids import Mesh, merged
from .paints import Paint

Array = npt.NDArray[np.float64]
Float = npt.NDArray[np.float32]

SKY_DIRECTIONS = 48
KEY_SAMPLES = 12
LIFT_M = 0.0015  # rays start this far off the surface
BOUNCE = 0.35  # of the sky's light comes back from below
INDIRECT = 0.12  # reaches even where the sky is hidden
SUBPIXELS = np.array([[-0.25, -0.125], [0.125, -0.25], [-0.125, 0.25], [0.25, 0.125]])


@dataclass(frozen=True, eq=False)
class Body:
    """A mesh in the world frame.

    Attributes:
        colours: (P, 3) sRGB per vertex, or a paint in the frame of `part_from_world`.
        gloss: strength of highlights in [0, 1].
        label: the `core.labels.Label` of its pixels.
        fine: whether it deserves four rays a pixel.
        casts_shadow: whether it casts a shadow; False for what surrounds everything.
    """

    mesh: Mesh
    colours: Array | Paint
    part_from_world: SE3 = SE3(np.eye(3), np.zeros(3))  # noqa: RUF009
    gloss: float = 0.0
    label: int = 0
    fine: bool = True
    casts_shadow: bool = True


@dataclass(frozen=True, eq=False)
class Lights:
    """One soft key light and a sky.

    Attributes:
        key_position: (3,), m.
        key_size_m: the side of its square.
        key_rgb, sky_rgb: (3,), linear colours.
    """

    key_position: Array
    key_size_m: float
    key_rgb: Array
    sky_rgb: Array


@dataclass(frozen=True, eq=False)
class Picture:
    """What a perfect camera sees.

    Attributes:
        linear: (H, W, 3), linear colour.
        depth_m: (H, W), true depth along z.
        labels: (H, W), values of `core.labels.Label`.
        gloss: (H, W), strength of highlights.
        facing: (H, W), cosine between the surface normal and the ray.
    """

    linear: Float
    depth_m: Float
    labels: npt.NDArray[np.uint8]
    gloss: Float
    facing: Float


class Studio:
    """Bodies under lights, ready to be photographed."""

    def __init__(self, bodies: Sequence[Body], lights: Lights, rng: np.random.Generator) -> None:
        self.bodies, self.lights = bodies, lights
        whole = merged([body.mesh for body in bodies])
        self._faces = whole.faces.astype(np.int32)
        self._normals = whole.normals.astype(np.float32)
        self._body_of_face = np.repeat(np.arange(len(bodies)), [len(b.mesh.faces) for b in bodies]).astype(
            np.uint8
        )
        self._scene = _embree(whole)
        shadowing = _embree(merged([body.mesh for body in bodies if body.casts_shadow]))
        self._light = _bake(shadowing, whole, lights, rng)
        self._colours = np.concatenate(
            [
                b.colours if isinstance(b.colours, np.ndarray) else np.zeros((len(b.mesh.vertices), 3))
                for b in bodies
            ]
        ).astype(np.float32)
        self._gloss = np.array([b.gloss for b in bodies], np.float32)
        self._label = np.array([b.label for b in bodies], np.uint8)
        self._fine = np.array([b.fine for b in bodies])

    def picture(self, camera: PinholeCamera, world_from_camera: SE3) -> Picture:
        """Takes the image that a perfect camera sees."""
        h, w = camera.height, camera.width
        columns, rows = np.meshgrid(np.arange(w) + 0.5, np.arange(h) + 0.5)
        pixels = np.stack([columns.ravel(), rows.ravel()], axis=1)
        linear, depth, body, facing = self._cast(camera, world_from_camera, pixels)
        body_image = body.reshape(h, w)
        edge = ndimage.maximum_filter(body_image, 3) != ndimage.minimum_filter(body_image, 3)
        refine = np.flatnonzero((edge | self._fine[body_image]).ravel())
        four = [self._cast(camera, world_from_camera, pixels[refine] + offset)[0] for offset in SUBPIXELS]
        linear[refine] = np.mean(four, axis=0)
        return Picture(
            linear.reshape(h, w, 3),
            depth.reshape(h, w),
            self._label[body_image],
            self._gloss[body_image],
            facing.reshape(h, w),
        )

    def _cast(
        self, camera: PinholeCamera, world_from_camera: SE3, pixels: Array
    ) -> tuple[Float, Float, npt.NDArray[np.uint8], Float]:
        rays = np.ones((len(pixels), 3), np.float32)
        rays[:, 0] = (pixels[:, 0] - camera.cx) / camera.fx
        rays[:, 1] = (pixels[:, 1] - camera.cy) / camera.fy
        directions = rays @ world_from_camera.rotation.T.astype(np.float32)
        origin = world_from_camera.translation.astype(np.float32)
        hit = self._scene.run(np.broadcast_to(origin, directions.shape).copy(), directions, output=1)
        face = np.maximum(hit["primID"], 0)
        missed = hit["primID"] < 0
        depth = np.where(missed, 0, hit["tfar"]).astype(np.float32)
        weights = np.column_stack([1 - hit["u"] - hit["v"], hit["u"], hit["v"]]).astype(np.float32)
        corners = self._faces[face]
        body = self._body_of_face[face]
        position = origin + depth[:, None] * directions
        view = directions / _length(directions)
        normal = _interpolated(self._normals, corners, weights)
        normal /= np.maximum(_length(normal), 1e-6)
        light = _interpolated(self._light, corners, weights)
        linear = self._albedo(body, position, normal, corners, weights)
        linear *= light[:, :1] * self.lights.sky_rgb.astype(np.float32) + light[
            :, 1:
        ] * self.lights.key_rgb.astype(np.float32)
        linear += self._highlights(body, position, normal, view, light[:, 1])
        linear[missed] = 0
        return linear, depth, body, np.abs(_dot(normal, view))

    def _albedo(
        self,
        body: npt.NDArray[np.uint8],
        position: Float,
        normal: Float,
        corners: npt.NDArray[np.int32],
        weights: Float,
    ) -> Float:
        srgb = np.zeros((len(body), 3), np.float32)
        for k in np.unique(body):
            on = np.flatnonzero(body == k)
            one = self.bodies[k]
            if isinstance(one.colours, np.ndarray):
                srgb[on] = _interpolated(self._colours, corners[on], weights[on])
            else:
                local = one.part_from_world.apply(position[on])
                srgb[on] = one.colours(local, normal[on] @ one.part_from_world.rotation.T)
        return srgb * srgb * (0.3 * srgb + 0.7)  # sRGB decoding to within a percent

    def _highlights(
        self, body: npt.NDArray[np.uint8], position: Float, normal: Float, view: Float, key: Float
    ) -> Float:
        """Adds highlights of the key light (Blinn-Phong), and the sky's reflection at grazing angles."""
        out = np.zeros_like(position)
        on = np.flatnonzero(self._gloss[body] > 0)
        gloss = self._gloss[body[on]]
        to_light = self.lights.key_position.astype(np.float32) - position[on]
        to_light /= _length(to_light)
        half = to_light - view[on]
        half /= np.maximum(_length(half), 1e-6)
        sharp = np.maximum(_dot(normal[on], half), 0) ** (12 + 120 * gloss)
        fresnel = (1 - np.abs(_dot(normal[on], view[on]))) ** 5
        lit = np.minimum(key[on] * 3, 1)
        out[on] += (0.5 * gloss * sharp * lit)[:, None] * self.lights.key_rgb.astype(np.float32)
        out[on] += (0.25 * gloss * fresnel)[:, None] * self.lights.sky_rgb.astype(np.float32)
        return out


def _dot(a: Float, b: Float) -> Float:
    """Multiplies row by row: (R, 3) with (R, 3) to (R,)."""
    products: Float = a[:, 0] * b[:, 0] + a[:, 1] * b[:, 1] + a[:, 2] * b[:, 2]
    return products


def _length(vectors: Float) -> Float:
    """Returns the lengths (R, 1) of vectors (R, 3)."""
    return np.sqrt(_dot(vectors, vectors))[:, None]


def _interpolated(values: Float, corners: npt.NDArray[np.int32], weights: Float) -> Float:
    """Interpolates vertex values (P, C) at barycentric weights (R, 3) of corners (R, 3)."""
    out = values[corners[:, 0]] * weights[:, :1]
    out += values[corners[:, 1]] * weights[:, 1:2]
    out += values[corners[:, 2]] * weights[:, 2:]
    return out


def _embree(mesh: Mesh) -> Any:
    from embreex.mesh_construction import TriangleMesh
    from embreex.rtcore_scene import EmbreeScene

    scene = EmbreeScene()
    TriangleMesh(scene, mesh.vertices.astype(np.float32), mesh.faces.astype(np.int32))
    return scene


def _bake(scene: Any, mesh: Mesh, lights: Lights, rng: np.random.Generator) -> Float:
    """Returns per vertex (P, 2) the share of the sky that it receives, and of the key light with its cosine."""
    start = (mesh.vertices + LIFT_M * mesh.normals).astype(np.float32)
    normals = mesh.normals.astype(np.float32)
    light = np.zeros((len(start), 2), np.float32)
    for direction in _sphere(SKY_DIRECTIONS):
        cosine = normals @ direction.astype(np.float32)
        on = np.flatnonzero(cosine > 0)
        radiance = 1.0 if direction[2] > -0.05 else BOUNCE
        free = _unblocked(scene, start[on], np.broadcast_to(direction, (len(on), 3)))
        light[on, 0] += cosine[on] * radiance * (4 / SKY_DIRECTIONS) * (INDIRECT + (1 - INDIRECT) * free)
    for k in range(KEY_SAMPLES):
        spot = (np.array([k % 4, k // 4]) + rng.uniform(size=2)) / [4, 3] - 0.5
        towards = lights.key_position + np.array([*spot, 0]) * lights.key_size_m - start
        towards = (towards / np.linalg.norm(towards, axis=1, keepdims=True)).astype(np.float32)
        cosine = (normals * towards).sum(axis=1)
        on = np.flatnonzero(cosine > 0)
        light[on, 1] += cosine[on] * _unblocked(scene, start[on], towards[on]) / KEY_SAMPLES
    return light


def _unblocked(scene: Any, origins: Float, directions: npt.NDArray[np.floating]) -> Float:
    rays = np.ascontiguousarray(directions, np.float32)
    free: Float = (scene.run(origins, rays, query="OCCLUDED") != 0).astype(np.float32)
    return free


def _sphere(count: int) -> Array:
    """Returns directions (count, 3) that are spread evenly, by a Fibonacci spiral."""
    k = np.arange(count) + 0.5
    z = 1 - 2 * k / count
    angle = np.pi * (1 + 5**0.5) * k
    r = np.sqrt(1 - z * z)
    return np.column_stack([r * np.cos(angle), r * np.sin(angle), z])

"""Reads a textured mesh as an object to hold: OBJ or PLY with z up, GLB with y up as glTF has it; in metres."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.spatial import cKDTree

from ....core.errors import CaptureError
from ..solids import Mesh
from .parts import ObjectModel, Part

Array = npt.NDArray[np.float64]

SUFFIXES = (".obj", ".ply", ".glb")
MAX_BYTES = 200_000_000
MAX_FACES = 2_000_000
SIZE_M = (0.01, 0.6)
SAMPLES = 150_000
LONGEST_EDGE_M = 0.01  # so that light baked on vertices is fine enough
PLAIN_GREY = 0.6
Z_UP_FROM_Y_UP = np.array([[1.0, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, 0], [0, 0, 0, 1]])


@dataclass(frozen=True, eq=False)
class Scan:
    """A triangle mesh and dense samples of its surface with their outward normals and sRGB colours."""

    surface: Mesh
    samples: Array
    sample_normals: Array
    sample_colours: Array

    @cached_property
    def _tree(self) -> cKDTree:
        return cKDTree(self.samples)

    @property
    def bounds(self) -> Array:
        return np.stack([self.surface.vertices.min(axis=0), self.surface.vertices.max(axis=0)])

    def distance(self, points: Array) -> Array:
        """Returns the signed distance (P,), m: to the nearest sample's tangent plane, or from afar to the sample."""
        gap, nearest = self._tree.query(points)
        along = ((points - self.samples[nearest]) * self.sample_normals[nearest]).sum(axis=1)
        signed: Array = np.where(gap < 0.003, along, np.copysign(gap, along))
        return signed

    def mesh(self) -> Mesh:
        return self.surface

    def paint(self, points: Array, normals: Array) -> Array:
        """Returns the mean sRGB colour (P, 3) of the three samples nearest to each point."""
        srgb: Array = self.sample_colours[self._tree.query(points, 3)[1]].mean(axis=1)
        return srgb


def load_scan(path: Path | str) -> ObjectModel:
    """Reads a mesh; its lowest point comes to z = 0 and its middle to x = y = 0.

    Args:
        path: an OBJ, PLY or GLB file. Colours come from its texture, its vertices, its faces or its material.

    Raises:
        CaptureError: The mesh or its texture cannot be read, or the mesh has no size that a hand can hold.
    """
    path = Path(path)
    if not path.is_file():
        raise CaptureError(f"there is no file {path}; an object's mesh is {', '.join(SUFFIXES)}")
    if path.stat().st_size > MAX_BYTES:
        raise CaptureError(f"{path} has {path.stat().st_size} bytes; at most {MAX_BYTES} are supported")
    mesh = _read(path)
    size = np.asarray(mesh.extents)
    if not SIZE_M[0] <= size.max() <= SIZE_M[1]:
        raise CaptureError(
            f"{path} is {np.round(size, 3).tolist()} large; expected metres, {SIZE_M[0]} to {SIZE_M[1]} "
            "at its longest side (scale a mesh in millimetres by 0.001)"
        )
    low, high = np.asarray(mesh.bounds)
    mesh.apply_translation(-np.array([*((low + high) / 2)[:2], low[2]]))
    try:
        scan = _scanned(mesh)
    except (OSError, ValueError, IndexError, Image.DecompressionBombError) as error:
        reason = " ".join(str(error).split())[:200]
        raise CaptureError(f"the colours of {path} cannot be read ({reason}); export it again") from None
    return ObjectModel(path.stem, [Part(scan, scan.paint, 0.25)])


def _read(path: Path) -> Any:
    import trimesh

    try:
        mesh: Any = trimesh.load(path, force="mesh", file_type=path.suffix.lower()[1:])
        if path.suffix.lower() == ".glb":
            mesh.apply_transform(Z_UP_FROM_Y_UP)
        usable = len(mesh.faces) > 3 and bool(np.isfinite(mesh.vertices).all())
    except Exception as error:  # trimesh's readers raise whatever the file makes them trip over
        reason = " ".join(str(error).split())[:200]
        raise CaptureError(f"{path} cannot be read as a mesh ({type(error).__name__}: {reason})") from None
    if not usable:
        raise CaptureError(f"{path} holds no triangles with finite corners")
    if len(mesh.faces) > MAX_FACES:
        raise CaptureError(f"{path} has {len(mesh.faces)} triangles; at most {MAX_FACES} are supported")
    return mesh


def _scanned(mesh: Any) -> Scan:
    import trimesh

    samples, face, colours = _coloured_samples(mesh)
    if mesh.is_watertight and mesh.volume < 0:
        mesh.invert()
    vertices, faces = trimesh.remesh.subdivide_to_size(mesh.vertices, mesh.faces, LONGEST_EDGE_M, max_iter=12)
    fine = trimesh.Trimesh(vertices, faces, process=True)
    surface = Mesh(np.array(fine.vertices), np.array(fine.vertex_normals), np.array(fine.faces, np.int64))
    return Scan(surface, samples, np.array(mesh.face_normals)[face], colours)


def _coloured_samples(mesh: Any) -> tuple[Array, npt.NDArray[np.int64], Array]:
    """Returns points (S, 3) spread over the surface, their faces (S,) and their sRGB colours (S, 3)."""
    import trimesh

    points, face = trimesh.sample.sample_surface(mesh, SAMPLES, seed=0)[:2]
    weights = trimesh.triangles.points_to_barycentric(mesh.triangles[face], points)
    visual = mesh.visual
    if getattr(visual, "kind", None) == "texture" and visual.uv is not None and _image(visual) is not None:
        uv = (visual.uv[mesh.faces[face]] * weights[..., None]).sum(axis=1)
        image = np.asarray(_image(visual).convert("RGB"), np.float64) / 255
        row = ((1 - uv[:, 1]) % 1 * image.shape[0]).astype(int) % image.shape[0]
        column = (uv[:, 0] % 1 * image.shape[1]).astype(int) % image.shape[1]
        colours = image[row, column]
    elif getattr(visual, "kind", None) == "vertex":
        rgb = np.asarray(visual.vertex_colors, np.float64)[:, :3] / 255
        colours = (rgb[mesh.faces[face]] * weights[..., None]).sum(axis=1)
    elif getattr(visual, "kind", None) == "face":
        colours = np.asarray(visual.face_colors, np.float64)[face, :3] / 255
    else:
        colours = np.tile(_material_colour(visual), (len(points), 1))
    return np.asarray(points), np.asarray(face, np.int64), colours


def _material_colour(visual: Any) -> Array:
    """Returns the sRGB colour (3,) of a material without an image; grey if there is no material."""
    colour = getattr(getattr(visual, "material", None), "main_color", None)
    return np.full(3, PLAIN_GREY) if colour is None else np.asarray(colour, np.float64)[:3] / 255


def _image(visual: Any) -> Any:
    """Returns the texture of a simple or a physically based material, or None."""
    return getattr(visual.material, "image", None) or getattr(visual.material, "baseColorTexture", None)

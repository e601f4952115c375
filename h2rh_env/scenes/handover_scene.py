"""HandoverScene: a Gaussian scene, the points of object and hand, the chosen grasp, and what can be touched.

One folder on disk:

gaussians.ply   the splat, with a label per Gaussian, in the 3DGS layout or the compressed one
points.npz      object_points and hand_points, (P, 3) float32, m, scene frame; or of_gaussians, (N / 8) uint8, a bit
                for each Gaussian whose mean is a point of its label
contact.npz     boxes (B, 2, 3) of the object and hand_spheres (S, 3), uint16; where scene.json has "contact"
grasps.npz      the acceptable grasps, see `acceptable_grasps`; where scene.json says how many there are
scene.json      format, name, object, grasp, acceptable_grasps (their number), contact (the rest of the shape, such as
                its mass; or null), provenance

Format 2 added the contact shape and the acceptable grasps; folders of format 1 load without them.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
import zlib
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..core.clearance import Clearance
from ..core.errors import SceneError
from ..core.geometry import SE3
from ..core.labels import Label
from ..grasps.base import GraspCandidate
from ..utils import files
from .acceptable_grasps import read_grasps, write_grasps
from .contact_shape import MAX_BOXES, MAX_SPHERES, ContactShape
from .gaussians import GaussianScene
from .ply import read_ply, write_compressed_ply, write_ply

FORMAT = "h2rh-scene-2"
FORMATS = ("h2rh-scene-1", FORMAT)
FILES = ("gaussians.ply", "points.npz", "scene.json")
CONTACT_FILE = "contact.npz"
GRASPS_FILE = "grasps.npz"
MAX_POINTS = 10_000_000
SHIPPED_SCENES = Path(__file__).parents[1] / "assets" / "scenes"


@dataclass(frozen=True, eq=False)
class HandoverScene:
    """Everything an episode needs, in the scene's frame, which is the capture's world frame (metric, z up).

    Attributes:
        name: of the scene; object_name: of the held object.
        gaussians: what is rendered.
        object_points, hand_points: (P, 3) float32, m; what distances and safety are measured to.
        grasp: the chosen grasp.
        provenance: JSON values: capture and its hash, settings, version.
        scene_hash: SHA-256 of the scene's files; empty for a scene that was never saved.
        contact_shape: what can be touched; None for a scene that was saved without.
        acceptable_grasps: all grasps that are safe and hold in contact, thinned so that they differ, the chosen one
            first; none for a scene that was not verified, or whose object nothing holds.
    """

    name: str
    object_name: str
    gaussians: GaussianScene
    object_points: npt.NDArray[np.float32]
    hand_points: npt.NDArray[np.float32]
    grasp: GraspCandidate
    provenance: dict[str, Any] = field(default_factory=dict)
    scene_hash: str = ""
    contact_shape: ContactShape | None = None
    acceptable_grasps: tuple[GraspCandidate, ...] = ()

    def __post_init__(self) -> None:
        for key in ("object_points", "hand_points"):
            points = getattr(self, key)
            if points.ndim != 2 or points.shape[1] != 3 or not np.isfinite(points).all():
                raise SceneError(
                    f"{key} of scene {self.name!r} must be finite and (P, 3); got {points.shape}"
                )
        if not len(self.object_points):
            raise SceneError(f"scene {self.name!r} has no object points; there is nothing to hand over")

    @cached_property
    def object_centre(self) -> npt.NDArray[np.float64]:
        """T_o of Eq. 4: mean of the object's points, (3,), m."""
        centre: npt.NDArray[np.float64] = self.object_points.mean(axis=0, dtype=np.float64)
        return centre

    @cached_property
    def hand_centre(self) -> npt.NDArray[np.float64]:
        """T_h of Eq. 4: mean of the hand's points, (3,), m; the object's centre if there is no hand."""
        return (
            self.hand_points.mean(axis=0, dtype=np.float64) if len(self.hand_points) else self.object_centre
        )

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 of what is rendered, measured and grasped; names and provenance are left out."""
        splat, grasp = self.gaussians, self.grasp
        arrays = [np.asarray(getattr(splat, item.name)) for item in fields(splat)]
        arrays += [self.object_points, self.hand_points, grasp.scene_from_grasp.matrix]
        arrays += [np.array([grasp.width_m, grasp.score, grasp.graspable])]
        if self.acceptable_grasps:
            arrays.append(np.array([other.scene_from_grasp.matrix for other in self.acceptable_grasps]))
        digest = hashlib.sha256()
        for array in arrays:
            digest.update(f"{array.dtype} {array.shape}".encode())
            digest.update(array.tobytes())
        return digest.hexdigest()

    @cached_property
    def hand_clearance(self) -> Clearance:
        """To the giver's hand alone."""
        from ..core.clearance.numba_clearance import SceneClearance

        return SceneClearance(self.hand_points)

    @cached_property
    def clearance(self) -> Clearance:
        """To hand and object together, P_o U P_h of Eq. 14."""
        from ..core.clearance.numba_clearance import SceneClearance

        return SceneClearance(np.concatenate([self.object_points, self.hand_points]))

    @cached_property
    def object_clearance(self) -> Clearance:
        return Clearance(self.object_points)

    def save(self, folder: Path | str, *, compressed: bool = False) -> None:
        """Writes the scene as a folder of three files, and one each for contact shape and acceptable grasps.

        Each file is written atomically.

        Args:
            compressed: 16 bytes per Gaussian, whose order changes, instead of 69; points that are means of
                Gaussians are not written again.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        if compressed:
            order = write_compressed_ply(folder / "gaussians.ply", self.gaussians)
            chosen = _points_among_means(self)
            bits = None if chosen is None else np.packbits(chosen[order])
        else:
            write_ply(folder / "gaussians.ply", self.gaussians)
            bits = None
        if bits is None:
            clouds = {"object_points": self.object_points, "hand_points": self.hand_points}
            _write_arrays(
                folder / "points.npz", {key: np.asarray(value, np.float32) for key, value in clouds.items()}
            )
        else:
            _write_arrays(folder / "points.npz", {"of_gaussians": bits})
        self.save_contact(folder)

    def save_contact(self, folder: Path | str) -> None:
        """Writes all but the Gaussians and points, which stay as they lie there."""
        folder, shape = Path(folder), self.contact_shape
        if shape is None:
            (folder / CONTACT_FILE).unlink(missing_ok=True)
        else:
            columns = {
                "boxes": shape.boxes,
                "hand_spheres": shape.hand_spheres,
            }  # columns pack better than rows
            _write_arrays(folder / CONTACT_FILE, {key: np.asfortranarray(a) for key, a in columns.items()})
        self.save_grasps(folder)

    def save_grasps(self, folder: Path | str) -> None:
        """Writes the acceptable grasps and scene.json alone; whatever else lies there stays as it is."""
        folder = Path(folder)
        if self.acceptable_grasps:
            write_grasps(folder / GRASPS_FILE, self.acceptable_grasps)
        else:
            (folder / GRASPS_FILE).unlink(missing_ok=True)
        files.write_json(folder / "scene.json", self._meta())

    def _meta(self) -> dict[str, Any]:
        """The content of scene.json."""
        return {
            "format": FORMAT,
            "name": self.name,
            "object": self.object_name,
            "grasp": {
                "world_from_grasp": self.grasp.scene_from_grasp.matrix.tolist(),
                "width_m": self.grasp.width_m,
                "score": self.grasp.score,
                "graspable": self.grasp.graspable,
            },
            "acceptable_grasps": len(self.acceptable_grasps),
            "contact": self.contact_shape.to_json() if self.contact_shape else None,
            "provenance": self.provenance,
        }

    @classmethod
    def load(cls, folder: Path | str) -> HandoverScene:
        """Reads and checks a scene folder.

        Raises:
            SceneError: a file is missing, truncated or not of this format.
        """
        folder = Path(folder)
        missing = [name for name in FILES if not (folder / name).is_file()]
        if missing:
            raise SceneError(
                f"{folder} is not a handover scene: {', '.join(missing)} missing; "
                "make one with: python -m h2rh_env.build CAPTURE --out SCENE"
            )
        try:
            meta = json.loads((folder / "scene.json").read_text())
            if meta.get("format") not in FORMATS:
                raise SceneError(
                    f"{folder}/scene.json has format {meta.get('format')!r}; expected {' or '.join(FORMATS)}"
                )
            grasp = meta["grasp"]
            candidate = GraspCandidate(
                SE3.from_matrix(grasp["world_from_grasp"]),
                float(grasp["width_m"]),
                float(grasp["score"]),
                bool(grasp["graspable"]),
            )
            name, object_name, provenance = str(meta["name"]), str(meta["object"]), dict(meta["provenance"])
            contact = meta.get("contact")
            shape = (
                ContactShape.from_json(contact, *_read_contact(folder / CONTACT_FILE)) if contact else None
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise SceneError(f"{folder}/scene.json is malformed ({error!r}); build the scene again") from None
        gaussians = read_ply(folder / "gaussians.ply")
        object_points, hand_points = _read_points(folder / "points.npz", gaussians)
        acceptable = read_grasps(folder / GRASPS_FILE) if meta.get("acceptable_grasps") else ()
        read = (*FILES, *([CONTACT_FILE] if shape else []), *([GRASPS_FILE] if acceptable else []))
        return cls(
            name, object_name, gaussians, object_points, hand_points, candidate, provenance,
            files.sha256_of(*(folder / name for name in read)), shape, acceptable,
        )  # fmt: skip


def _points_among_means(scene: HandoverScene) -> npt.NDArray[np.bool_] | None:
    """The Gaussians (N,) whose means are the points of their label; None if some point is no Gaussian's mean."""
    chosen = np.zeros(len(scene.gaussians), bool)
    for points, label in ((scene.object_points, Label.OBJECT), (scene.hand_points, Label.HAND)):
        mine = np.flatnonzero(scene.gaussians.labels == label)
        among = np.isin(_as_items(scene.gaussians.means[mine]), _as_items(points))
        if among.sum() != len(points):
            return None
        chosen[mine[among]] = True
    return chosen


def _as_items(points: npt.NDArray[np.float32]) -> npt.NDArray[np.void]:
    """Points (P, 3) as P values that are equal or not."""
    return np.ascontiguousarray(points, np.float32).view("V12").reshape(-1)


def _write_arrays(path: Path, arrays: dict[str, npt.NDArray[Any]]) -> None:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    files.write_bytes(path, buffer.getvalue())


def _read_points(
    path: Path, gaussians: GaussianScene
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Clouds of object and hand; sizes are read from headers before memory is taken."""
    try:
        with zipfile.ZipFile(path) as archive:
            too_big = [i.filename for i in archive.infolist() if i.file_size > MAX_POINTS * 12 + 4096]
        if too_big:
            raise SceneError(f"{path}: {', '.join(too_big)} is larger than {MAX_POINTS} points")
        with np.load(path, allow_pickle=False) as archive:
            if "of_gaussians" not in archive:
                return archive["object_points"].astype(np.float32), archive["hand_points"].astype(np.float32)
            bits = archive["of_gaussians"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise SceneError(f"{path} cannot be read ({error}); build the scene again") from None
    expected = (-(-len(gaussians) // 8),)
    if bits.dtype != np.uint8 or bits.shape != expected:
        raise SceneError(f"{path}: of_gaussians is {bits.dtype} {bits.shape}; expected uint8 {expected}")
    chosen = np.unpackbits(bits, count=len(gaussians)).astype(bool)
    of_object, of_hand = (
        gaussians.means[chosen & (gaussians.labels == label)] for label in (Label.OBJECT, Label.HAND)
    )
    return of_object, of_hand


def _read_contact(path: Path) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.uint16]]:
    """Boxes of the object and spheres of the hand; sizes are read from headers before memory is taken."""
    most = {"boxes.npy": MAX_BOXES * 12 + 4096, "hand_spheres.npy": MAX_SPHERES * 6 + 4096}
    try:
        with zipfile.ZipFile(path) as archive:
            too_big = [i.filename for i in archive.infolist() if i.file_size > most.get(i.filename, 0)]
        if too_big:
            raise SceneError(f"{path}: {', '.join(too_big)} is too large, or no part of a contact shape")
        with np.load(path, allow_pickle=False) as archive:
            return np.ascontiguousarray(archive["boxes"]), np.ascontiguousarray(archive["hand_spheres"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise SceneError(f"{path} cannot be read ({error}); build the scene again") from None


def scene_folders(path: Path | str | None = None) -> list[Path]:
    """The folder itself if it is a scene, or the scenes in the folder's folders, in order of name.

    Args:
        path: None for the scenes that ship with the package.

    Raises:
        SceneError: there is no scene there.
    """
    folder = SHIPPED_SCENES if path is None else Path(path)
    if (folder / "scene.json").exists():
        return [folder]
    found = sorted(meta.parent for meta in folder.glob("*/scene.json"))
    if not found:
        raise SceneError(
            f"no handover scene in {folder}: expected scene.json there or in its folders; "
            "make one with: python -m h2rh_env.build CAPTURE --out SCENE"
        )
    return found


def load_scenes(path: Path | str | None = None) -> list[HandoverScene]:
    """Loads what `scene_folders` finds."""
    return [HandoverScene.load(folder) for folder in scene_folders(path)]

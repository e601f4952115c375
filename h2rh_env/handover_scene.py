"""HandoverScene: a Gaussian scene, the points of object and hand, and the chosen grasp; one folder on disk.

gaussians.ply   the splat, in the 3DGS layout, with a label per Gaussian
points.npz      object_points and hand_points, (P, 3) float32, m, world frame
scene.json      format, name, object, grasp, provenance
"""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from . import files
from .clearance import Clearance
from .errors import SceneError
from .geometry import SE3
from .grasps.base import GraspCandidate
from .scenes.gaussians import GaussianScene
from .scenes.ply import read_ply, write_ply

FORMAT = "h2rh-scene-1"
FILES = ("gaussians.ply", "points.npz", "scene.json")
MAX_POINTS = 10_000_000
SHIPPED_SCENES = Path(__file__).parent / "assets" / "scenes"


@dataclass(frozen=True, eq=False)
class HandoverScene:
    """Everything an episode needs, in the capture's world frame (metric, z up).

    Attributes:
        name: of the scene; object_name: of the held object.
        gaussians: what is rendered.
        object_points, hand_points: (P, 3) float32, m; what distances and safety are measured to.
        grasp: the chosen grasp.
        provenance: JSON values: capture and its hash, settings, version.
        scene_hash: SHA-256 of the scene's files; empty for a scene that was never saved.
    """

    name: str
    object_name: str
    gaussians: GaussianScene
    object_points: npt.NDArray[np.float32]
    hand_points: npt.NDArray[np.float32]
    grasp: GraspCandidate
    provenance: dict[str, Any] = field(default_factory=dict)
    scene_hash: str = ""

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
        return self.object_points.mean(axis=0, dtype=np.float64)

    @cached_property
    def hand_centre(self) -> npt.NDArray[np.float64]:
        """T_h of Eq. 4: mean of the hand's points, (3,), m; the object's centre if there is no hand."""
        return (
            self.hand_points.mean(axis=0, dtype=np.float64) if len(self.hand_points) else self.object_centre
        )

    @cached_property
    def clearance(self) -> Clearance:
        """To hand and object together, P_o U P_h of Eq. 14."""
        return Clearance(np.concatenate([self.object_points, self.hand_points]))

    @cached_property
    def object_clearance(self) -> Clearance:
        return Clearance(self.object_points)

    def save(self, folder: Path | str) -> None:
        """Writes the scene as a folder of three files, each atomically."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        write_ply(folder / "gaussians.ply", self.gaussians)
        _write_points(folder / "points.npz", self.object_points, self.hand_points)
        files.write_json(
            folder / "scene.json",
            {
                "format": FORMAT,
                "name": self.name,
                "object": self.object_name,
                "grasp": {
                    "world_from_grasp": self.grasp.world_from_grasp.matrix.tolist(),
                    "width_m": self.grasp.width_m,
                    "score": self.grasp.score,
                    "graspable": self.grasp.graspable,
                },
                "provenance": self.provenance,
            },
        )

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
            if meta.get("format") != FORMAT:
                raise SceneError(
                    f"{folder}/scene.json has format {meta.get('format')!r}; expected {FORMAT!r}"
                )
            grasp = meta["grasp"]
            candidate = GraspCandidate(
                SE3.from_matrix(grasp["world_from_grasp"]),
                float(grasp["width_m"]),
                float(grasp["score"]),
                bool(grasp["graspable"]),
            )
            name, object_name, provenance = str(meta["name"]), str(meta["object"]), dict(meta["provenance"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise SceneError(f"{folder}/scene.json is malformed ({error!r}); build the scene again") from None
        object_points, hand_points = _read_points(folder / "points.npz")
        return cls(
            name, object_name, read_ply(folder / "gaussians.ply"), object_points, hand_points, candidate,
            provenance, files.sha256_of(*(folder / name for name in FILES)),
        )  # fmt: skip


def _write_points(
    path: Path, object_points: npt.NDArray[np.float32], hand_points: npt.NDArray[np.float32]
) -> None:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, object_points=np.float32(object_points), hand_points=np.float32(hand_points))
    files.write_bytes(path, buffer.getvalue())


def _read_points(path: Path) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """The two clouds; sizes are read from headers before memory is taken."""
    try:
        with zipfile.ZipFile(path) as archive:
            too_big = [i.filename for i in archive.infolist() if i.file_size > MAX_POINTS * 12 + 4096]
        if too_big:
            raise SceneError(f"{path}: {', '.join(too_big)} is larger than {MAX_POINTS} points")
        with np.load(path, allow_pickle=False) as archive:
            return archive["object_points"].astype(np.float32), archive["hand_points"].astype(np.float32)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
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

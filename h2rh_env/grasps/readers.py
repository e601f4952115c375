"""Readers: grasps that other methods proposed, from the files they leave, in this project's grasp frame.

| format | file | what it holds |
|---|---|---|
| graspnet | .json or .h5 of 6-DOF GraspNet and ACRONYM, see below; .npz with `grasps` (N, 4, 4) and `scores` (N,) | Panda's hand frame |
| acronym | .h5: `grasps/transforms` (N, 4, 4), `grasps/qualities/flex/object_in_gripper` (N,); .json: `transforms`, `quality_flex_object_in_gripper` | Panda's hand frame, in the mesh's frame at the file's scale |
| contact_graspnet | .npz: `pred_grasps_cam` (N, 4, 4), `scores` (N,), `gripper_openings` (N,) | Panda's hand frame, in the camera's |
| graspnet_1b | .npy of a GraspGroup: (N, 17) score, width, height, depth, rotation (9), translation (3), object | x approaches, y closes, in the camera's frame |

Nothing is unpickled. Contact-GraspNet saves dictionaries, which only pickle can hold: the error says how to convert
such a file.
"""  # noqa: E501

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import h5py
import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from ..core.errors import GraspError
from ..core.geometry import SE3, Array
from ..core.gripper import FINGERTIP_DEPTH_M, PANDA, upright_half_turn
from .base import GraspCandidate

Format = Literal["graspnet", "acronym", "contact_graspnet", "graspnet_1b"]

MAX_GRASPS = 1_000_000
MAX_FILE_BYTES = 1 << 30
FAR_M = 0.1  # from the object: where no grasp of it can close
# How far ahead of its origin each method's own gripper drawing has the midpoint of the fingertips, m.
ACRONYM_DEPTH_M = 0.11217
CONTACT_GRASPNET_DEPTH_M = 0.1034
# Columns: where x (closing), y and z (approach) of the grasp frame are in GraspNet-1Billion's.
AXES_1B = [1, 2, 0]
UNPICKLE = (
    'python -c "import numpy as np, sys; d = np.load(sys.argv[1], allow_pickle=True); '
    "np.savez(sys.argv[2], **{k: np.concatenate(list(d[k].item().values())) for k in "
    "('pred_grasps_cam', 'scores', 'gripper_openings') if k in d})\" {path} converted.npz"
)


@dataclass(frozen=True, eq=False)
class _Found:
    """What a file says: rotations (N, 3, 3), contacts (N, 3), m, scores (N,) and widths (N,), m."""

    rotations: Array
    contacts: Array
    scores: Array
    widths_m: Array


@dataclass(frozen=True)
class GraspFile:
    """A `GraspProposer` whose proposals lie in a file.

    Attributes:
        path: The file.
        format: What wrote it; see the table above.
        scene_from_source: The pose of the frame that the file's grasps are in: the camera's, or the object mesh's.
        about_mean: Whether the grasps are about the mean of the object's points, which GraspNet takes away before it
            looks; Eq. 2 adds it again: G_GS = G_o + Mean_o. Of the source only the axes count then.
        min_score: Grasps that score less are left out.
    """

    path: Path
    format: Format
    scene_from_source: SE3 | None = None
    about_mean: bool = False
    min_score: float = 0.0

    def propose(
        self, object_points_scene: npt.NDArray[np.float32], rng: np.random.Generator
    ) -> list[GraspCandidate]:
        """Returns the file's grasps; of the points only their mean may matter.

        Raises:
            GraspError: The file cannot be read, no grasp scores enough, or none is anywhere near the object.
        """
        points = np.asarray(object_points_scene, np.float64)
        scene_from_source = self.scene_from_source or SE3.identity()
        if self.about_mean:
            scene_from_source = SE3(scene_from_source.rotation, points.mean(axis=0))
        read = read_grasps(self.path, self.format, scene_from_source)
        candidates = [candidate for candidate in read if candidate.score >= self.min_score]
        if not candidates:
            raise GraspError(f"{self.path} has {len(read)} grasps, none that scores {self.min_score} or more")
        contacts = np.array([candidate.contact_scene for candidate in candidates])
        apart_m = float(cKDTree(points).query(contacts)[0].min())
        if apart_m > FAR_M:
            raise GraspError(
                f"the nearest of the {len(candidates)} grasps in {self.path} would close {apart_m:.2f} m beside the "
                "object; they are in another frame than was said: see --grasp-camera, --grasp-frame and "
                "--grasp-about-mean"
            )
        return candidates


def read_grasps(
    path: Path | str, format: Format, scene_from_source: SE3 | None = None
) -> list[GraspCandidate]:
    """Returns the grasps in a file, in its order, each in the half turn that keeps its camera upright.

    Args:
        path: The file.
        format: What wrote it; see the table above.
        scene_from_source: The pose of the frame that the file's grasps are in; the identity by default.

    Raises:
        GraspError: The format is unknown, or the file is one that is missing, malformed, too large or pickled.
    """
    path = Path(path)
    if format not in READERS:
        raise GraspError(f"no grasp format {format!r}; there are {', '.join(get_args(Format))}")
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise GraspError(f"{path} has {path.stat().st_size} bytes; at most {MAX_FILE_BYTES} are read")
        found = READERS[format](path)
    except GraspError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, zipfile.BadZipFile) as error:
        if "allow_pickle" in str(error):
            raise GraspError(
                f"{path} is pickled, which runs whatever its maker wrote, and is not opened. If you trust it, "
                f"convert it: {UNPICKLE.replace('{path}', str(path))}"
            ) from None
        raise GraspError(f"{path} cannot be read as {format} grasps ({error})") from None
    return _candidates(found, scene_from_source or SE3.identity(), path)


def _acronym(path: Path) -> _Found:
    matrices, scores = _transforms(path, "transforms", "quality_flex_object_in_gripper")
    return _panda(matrices, scores, None, ACRONYM_DEPTH_M)


def _graspnet(path: Path) -> _Found:
    """6-DOF GraspNet's frame is this project's: its control points put the fingertips at 0.105 m."""
    if path.suffix == ".npz":
        with _archive(path) as archive:
            return _panda(archive["grasps"], archive["scores"], None, FINGERTIP_DEPTH_M)
    matrices, scores = _transforms(path, "transforms", "quality_flex_object_in_gripper")
    return _panda(matrices, scores, None, FINGERTIP_DEPTH_M)


def _contact_graspnet(path: Path) -> _Found:
    with _archive(path) as archive:
        openings_m = archive.get("gripper_openings")
        return _panda(archive["pred_grasps_cam"], archive["scores"], openings_m, CONTACT_GRASPNET_DEPTH_M)


def _graspnet_1b(path: Path) -> _Found:
    with path.open("rb") as file:
        np.lib.format.read_magic(file)
        shape = np.lib.format.read_array_header_1_0(file)[0]
    if len(shape) != 2 or shape[1] not in {16, 17} or shape[0] > MAX_GRASPS:
        raise ValueError(f"a GraspGroup is (N, 17) with N up to {MAX_GRASPS}; got {shape}")
    table = np.load(path, allow_pickle=False).astype(np.float64)
    scores, widths_m, depths_m = table[:, 0], table[:, 1], table[:, 3]
    rotations, centres = table[:, 4:13].reshape(-1, 3, 3), table[:, 13:16]
    contacts = centres + depths_m[:, None] * rotations[:, :, 0]  # the tips reach this much past the centre
    return _Found(rotations[:, :, AXES_1B], contacts, scores, widths_m)


READERS: dict[str, Callable[[Path], _Found]] = {
    "graspnet": _graspnet,
    "acronym": _acronym,
    "contact_graspnet": _contact_graspnet,
    "graspnet_1b": _graspnet_1b,
}


def _transforms(path: Path, grasps: str, quality: str) -> tuple[Array, Array]:
    """Reads matrices (N, 4, 4) and whether each held in simulation, in the layout of ACRONYM and its forerunner."""
    if path.suffix == ".json":
        data = json.loads(path.read_text())
        return np.asarray(data[grasps], np.float64), np.asarray(data[quality], np.float64)
    with h5py.File(path, "r") as file:
        group = file["grasps"]
        matrices, scores = group["transforms"], group["qualities/flex/object_in_gripper"]
        _check_count(matrices.shape)
        return matrices[()].astype(np.float64), scores[()].astype(np.float64)


def _archive(path: Path) -> Any:
    """Opens an .npz whose arrays fit in memory."""
    with zipfile.ZipFile(path) as archive:
        size = sum(member.file_size for member in archive.infolist())
    if size > MAX_FILE_BYTES:
        raise ValueError(f"unpacked it has {size} bytes; at most {MAX_FILE_BYTES} are read")
    return np.load(path, allow_pickle=False)


def _panda(
    matrices: npt.ArrayLike, scores: npt.ArrayLike, openings_m: npt.ArrayLike | None, depth_m: float
) -> _Found:
    """Converts poses (N, 4, 4) of the Panda's hand: z approaches, x closes, the fingertips are `depth_m` ahead."""
    poses = np.asarray(matrices, np.float64)
    if poses.ndim != 3 or poses.shape[1:] != (4, 4):
        raise ValueError(f"grasps are (N, 4, 4); got {poses.shape}")
    _check_count(poses.shape)
    rotations = poses[:, :3, :3]
    widths = np.full(len(poses), PANDA.max_width_m) if openings_m is None else np.ravel(openings_m)
    return _Found(
        rotations, poses[:, :3, 3] + depth_m * rotations[:, :, 2], np.ravel(scores).astype(np.float64), widths
    )


def _check_count(shape: tuple[int, ...]) -> None:
    if shape[0] > MAX_GRASPS:
        raise ValueError(f"{shape[0]} grasps; at most {MAX_GRASPS} are read")


def _candidates(found: _Found, scene_from_source: SE3, path: Path) -> list[GraspCandidate]:
    count = len(found.rotations)
    if len(found.scores) != count or len(found.widths_m) != count:
        raise GraspError(
            f"{path} has {count} grasps but {len(found.scores)} scores and {len(found.widths_m)} widths"
        )
    candidates = []
    for i in range(count):
        matrix = np.eye(4)
        matrix[:3, :3] = found.rotations[i]
        matrix[:3, 3] = found.contacts[i] - FINGERTIP_DEPTH_M * found.rotations[i, :, 2]
        try:
            pose = scene_from_source @ SE3.from_matrix(matrix)
        except ValueError as error:
            raise GraspError(f"{path}: grasp {i} is {error}") from None
        score = float(np.clip(found.scores[i], 0, 1)) if np.isfinite(found.scores[i]) else 0.0
        candidates.append(GraspCandidate(upright_half_turn(pose), float(found.widths_m[i]), score))
    return candidates

"""GraspSource: whose grasps a scene is built with: the built-in sampler's, a file's, or a user's proposer's."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..captures.base import HandoverCapture
from ..core.errors import GraspError
from ..core.geometry import SE3
from ..utils import files
from ..utils.plugins import make_plugin
from .antipodal import AntipodalProposer
from .base import GraspCandidate, GraspProposer
from .readers import Format, GraspFile, read_grasps

METHODS = {"propose": "propose(object_points_scene, rng) -> list[GraspCandidate]"}


@dataclass(frozen=True)
class GraspSource:
    """Where grasps come from, as options of a command line."""

    grasps: str | None = None
    """A file of grasps that another method proposed, or "module:Class" of your own proposer (see
    h2rh_env/grasps/base.py). Default: the built-in antipodal sampler."""
    grasp_format: Format | None = None
    """What wrote that file. docs/grasps.md tells each layout and frame."""
    grasp_camera: str | None = None
    """The capture's camera in whose frame the file's grasps are. Default: the scene's frame."""
    grasp_frame: Path | None = None
    """JSON file of the 4x4 matrix scene_from_source of any other frame that they are in, such as a mesh's."""
    grasp_about_mean: bool = False
    """The file's grasps are about the mean of the object's points, as 6-DOF GraspNet's are (Eq. 2); the frame's axes
    count, its origin does not."""

    def __post_init__(self) -> None:
        given = [
            f"--{name.replace('_', '-')}"
            for name in ("grasp_format", "grasp_camera", "grasp_frame", "grasp_about_mean")
            if getattr(self, name)
        ]
        if given and not self.is_file:
            raise GraspError(f"{given[0]} tells of a file of grasps; name it with --grasps FILE")
        if self.is_file and self.grasp_format is None:
            raise GraspError(
                f"which method wrote {self.grasps}? Say so with --grasp-format; to name a proposer of your own "
                "instead, give --grasps module:Class"
            )
        if self.grasp_camera is not None and self.grasp_frame is not None:
            raise GraspError("--grasp-camera and --grasp-frame both say where the grasps are; give one")

    @property
    def is_file(self) -> bool:
        """Whether a file of grasps is named, not a proposer."""
        return self.grasps is not None and (Path(self.grasps).exists() or ":" not in self.grasps)

    def proposer(self, capture: HandoverCapture) -> GraspProposer:
        """Returns what proposes the grasps on a capture's object.

        Raises:
            GraspError: The file or the proposer cannot be used, or its frame is not known.
        """
        if self.grasps is None:
            return AntipodalProposer()
        if not self.is_file:
            proposer: GraspProposer = make_plugin(self.grasps, "proposer of grasps", METHODS, GraspError)
            return proposer
        assert self.grasp_format is not None
        path, scene_from_source = Path(self.grasps), self._scene_from_source(capture)
        read_grasps(path, self.grasp_format)  # what is wrong with it is told before a scene is optimised
        return GraspFile(path, self.grasp_format, scene_from_source, self.grasp_about_mean)

    def provenance(self) -> dict[str, Any]:
        """Returns JSON values that tell where the grasps came from; none for the built-in sampler."""
        if self.grasps is None:
            return {}
        if not self.is_file:
            return {"grasps": {"proposer": self.grasps}}
        path = Path(self.grasps)
        frame = self.grasp_frame and {"scene_from_source": _read_frame(self.grasp_frame).matrix.tolist()}
        return {
            "grasps": {
                "file": path.name, "sha256": files.sha256_of(path), "format": self.grasp_format,
                "camera": self.grasp_camera, "about_mean": self.grasp_about_mean, **(frame or {}),
            }
        }  # fmt: skip

    def _scene_from_source(self, capture: HandoverCapture) -> SE3:
        if self.grasp_frame is not None:
            return _read_frame(self.grasp_frame)
        if self.grasp_camera is None:
            return SE3.identity()
        for view in capture.views:
            if view.name == self.grasp_camera:
                return view.world_from_camera
        known = ", ".join(view.name for view in capture.views)
        raise GraspError(f"the capture has no camera {self.grasp_camera!r}; it has {known}")


def propose(
    proposer: GraspProposer, object_points_scene: npt.NDArray[np.float32], seed: int
) -> list[GraspCandidate]:
    """Returns what a proposer proposes, after checking it.

    Raises:
        GraspError: Something is no `GraspCandidate`, is not finite, or scores outside of [0, 1].
    """
    name = type(proposer).__name__
    candidates = proposer.propose(object_points_scene, np.random.default_rng(seed))
    for number, candidate in enumerate(candidates):
        if not isinstance(candidate, GraspCandidate):
            kind = type(candidate).__name__
            raise GraspError(f"{name} proposes a {kind} as grasp {number}; expected a GraspCandidate")
        if not (np.isfinite(candidate.scene_from_grasp.matrix).all() and 0 <= candidate.score <= 1):
            raise GraspError(
                f"{name}: grasp {number} has score {candidate.score} at {candidate.scene_from_grasp.translation}; "
                "expected a score in [0, 1] and a finite pose"
            )
    return candidates


def _read_frame(path: Path) -> SE3:
    try:
        return SE3.from_matrix(np.array(json.loads(path.read_text()), np.float64))
    except (OSError, ValueError, TypeError) as error:
        raise GraspError(
            f"{path} is no frame ({error}); expected a JSON list of 4 rows of 4 numbers, scene_from_source"
        ) from None

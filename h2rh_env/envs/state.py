"""EpisodeState: one episode as it stands: the scene, where the camera is and was, and what was done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ..core.episode import EpisodeRecord
from ..core.errors import StateError
from ..core.geometry import SE3, Array
from ..scenes.handover_scene import HandoverScene
from .giver_motion import GiverMotion
from .observer import View

FORMAT = "h2rh-state-3"


@dataclass(eq=False)
class EpisodeState:
    """Everything of an episode but the pixels, in the scene's frame.

    Attributes:
        scene_index: the scene's place among those that the environment holds.
        camera_from_gripper: the hand-eye offset's inverse.
        giver: how hand and object are carried; None if they stand still.
        contact_seed: of what contact will draw when the fingers close; None where they never do.
        path: `scene_from_gripper` of every pose so far. actions: those taken, (7,) each.
        masks: (H, W, 2) uint8, as last seen; of this state alone, never handed out.
    """

    scene: HandoverScene
    scene_index: int
    scene_from_camera: SE3
    camera_from_gripper: SE3
    giver: GiverMotion | None = None
    contact_seed: int | None = None
    path: list[SE3] = field(default_factory=list)
    actions: list[npt.NDArray[np.float32]] = field(default_factory=list)
    declared: bool = False
    masks: npt.NDArray[np.uint8] | None = None

    def __post_init__(self) -> None:
        if not self.path:
            self.path.append(self.scene_from_gripper)

    @property
    def scene_from_gripper(self) -> SE3:
        return self.scene_from_camera @ self.camera_from_gripper

    @property
    def view(self) -> View:
        """What the camera is to see."""
        return View(self.scene.gaussians, self.scene_from_camera, self.camera_from_gripper.inverse())

    @property
    def world_from_scene(self) -> SE3:
        """Where the giver has carried the scene's frame; the identity if nobody moves."""
        if self.giver is None:
            return SE3.identity()
        return self.giver.world_from_scene(self.scene.object_centre, len(self.path) - 1)

    @property
    def world_from_camera(self) -> SE3:
        return self.world_from_scene @ self.scene_from_camera

    @property
    def clearance_m(self) -> float:
        """From the gripper's frame to hand and object."""
        return float(self.scene.clearance.distance(self.path[-1].translation))

    def move(self, camera_from_next_camera: SE3) -> None:
        """The camera moves in the world, and the giver meanwhile."""
        moved = self.scene_from_camera @ camera_from_next_camera
        if self.giver is not None:
            before, after = (
                self.giver.world_from_scene(self.scene.object_centre, step)
                for step in (len(self.path) - 1, len(self.path))
            )
            moved = after.inverse() @ before @ moved
        self.scene_from_camera = moved
        self.path.append(self.scene_from_gripper)

    def record(self, policy: str = "", seed: int = 0, step_seconds: npt.ArrayLike = ()) -> EpisodeRecord:
        """The episode so far, for metrics and reports."""
        assert self.masks is not None
        return EpisodeRecord(
            scene=self.scene.name,
            scene_hash=self.scene.scene_hash,
            policy=policy,
            seed=seed,
            scene_from_gripper=np.stack([pose.matrix for pose in self.path]),
            actions=np.array(self.actions, np.float32).reshape(-1, 7),
            declared=self.declared,
            end_object_mask=self.masks[..., 0] > 0,
            step_seconds=np.asarray(step_seconds, np.float64),
        )

    def to_json(self) -> dict[str, Any]:
        """Without scene and pixels, in values that JSON keeps exactly."""
        giver = self.giver
        return {
            "format": FORMAT,
            "scene": self.scene.name,
            "content_hash": self.scene.content_hash,
            "scene_from_camera": self.scene_from_camera.matrix.tolist(),
            "path": [pose.matrix.tolist() for pose in self.path],
            "actions": [action.tolist() for action in self.actions],
            "declared": self.declared,
            "contact_seed": self.contact_seed,
            "giver": giver
            and {"offsets": giver.offsets_world.tolist(), "rotvecs": giver.rotvecs_world.tolist()},
        }

    @classmethod
    def from_json(
        cls, value: Mapping[str, Any], scenes: Sequence[HandoverScene], camera_from_gripper: SE3
    ) -> EpisodeState:
        """The inverse of `to_json`; the masks are not yet seen.

        Raises:
            StateError: malformed, or of a scene that is not among `scenes`.
        """
        try:
            if value["format"] != FORMAT:
                raise StateError(f"a state has format {value['format']!r}; expected {FORMAT!r}")
            index = place_by_content(scenes, value["scene"], value["content_hash"])
            if index is None:
                known = ", ".join(f"{scene.name} ({scene.content_hash[:12]})" for scene in scenes)
                raise StateError(
                    f"the state is of scene {value['scene']!r} with content hash {value['content_hash'][:12]}; "
                    f"this environment holds: {known}"
                )
            giver = value["giver"]
            return cls(
                scene=scenes[index],
                scene_index=index,
                scene_from_camera=SE3.from_matrix(value["scene_from_camera"]),
                camera_from_gripper=camera_from_gripper,
                giver=giver and GiverMotion(_rows(giver["offsets"], 3), _rows(giver["rotvecs"], 3)),
                path=[SE3.from_matrix(pose) for pose in value["path"]],
                actions=[*_rows(value["actions"], 7).astype(np.float32)],
                declared=bool(value["declared"]),
                contact_seed=None if value["contact_seed"] is None else int(value["contact_seed"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise StateError(f"the state is malformed ({error!r}); take one from get_state()") from None


def place_by_content(scenes: Sequence[HandoverScene], name: str, content_hash: str) -> int | None:
    """The place of a scene by its content, preferably one of the same name; None without one."""
    alike = [i for i, scene in enumerate(scenes) if scene.content_hash == content_hash]
    return next((i for i in alike if scenes[i].name == name), alike[0] if alike else None)


def _rows(values: Any, width: int) -> Array:
    array = np.asarray(values, np.float64).reshape(-1, width)
    if not np.isfinite(array).all():
        raise ValueError("not finite")
    return array

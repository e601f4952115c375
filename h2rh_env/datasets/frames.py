"""Views and demonstrations: frames with the expert's answers, and their place in an HDF5 file."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from ..core.action import encode_action
from ..core.geometry import SE3, Array

MAX_STEPS = 1000
POSES = ("scene_from_camera", "camera_from_goal")


@dataclass(frozen=True, eq=False)
class Views:
    """Views of one scene with the expert's answers, in no order: the tuples (I, M, T, Cls) of Sec. III-B.

    Attributes:
        rgb: (T, H, W, 3) uint8. masks: (T, H, W, 2) uint8 in {0, 255}, object and hand.
        actions: (T, 7) float32, the expert's answer there: motion, and Cls as the grasp score.
        scene_from_camera: (T, 4, 4) float64. camera_from_goal: (T, 4, 4) float64, from there the pose in which the
            task ends: the pre-grasp pose, or the grasp.
        clearance_m: (T,) float64, to hand and object.
        scene, scene_hash: where it is.
        seed: names the randomness in the collection.
    """

    rgb: npt.NDArray[np.uint8]
    masks: npt.NDArray[np.uint8]
    actions: npt.NDArray[np.float32]
    scene_from_camera: Array
    camera_from_goal: Array
    clearance_m: Array
    scene: str
    scene_hash: str
    seed: int

    def __len__(self) -> int:
        return len(self.actions)


@dataclass(frozen=True, eq=False)
class Demonstration(Views):
    """An expert's episode of T steps: what it saw before each step, and what it answered.

    Attributes:
        reward: the sparse reward of the last step; no other step has one.
        declared: whether the episode ended by a score, as a declaration or as the closing of the fingers.
    """

    reward: float = 0.0
    declared: bool = True

    @property
    def executed(self) -> npt.NDArray[np.float32]:
        """The actions (T, 7) taken: `actions` with the injected noise; only the last one ends the episode."""
        poses = [SE3.from_matrix(pose) for pose in self.scene_from_camera]
        motions = [before.inverse() @ after for before, after in pairwise(poses)]
        scores = [0.0] * len(motions) + [float(self.declared)]
        return np.stack(
            [encode_action(*each) for each in zip([*motions, SE3.identity()], scores, strict=True)]
        )


def encode(demonstration: Demonstration) -> bytes:
    """A demonstration as the bytes of its episode file. Minari keeps T + 1 observations: the last is repeated."""
    ended = np.arange(len(demonstration)) == len(demonstration) - 1
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        episode = file.create_group("episode")
        _write_frames(episode, demonstration, repeated=1)
        episode["actions"] = demonstration.executed
        episode["rewards"] = ended * demonstration.reward
        episode["terminations"] = ended & demonstration.declared
        episode["truncations"] = ended & (not demonstration.declared)
    return buffer.getvalue()


def encode_views(views: Views) -> bytes:
    """Views as the bytes of their file."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        _write_frames(file.create_group("views"), views, repeated=0)
    return buffer.getvalue()


def _write_frames(group: h5py.Group, views: Views, repeated: int) -> None:
    """What all frames have; the last one so many times more."""
    group.attrs.update({
        "seed": views.seed, "total_steps": len(views), "scene_hash": views.scene_hash, "options/scene": views.scene,
    })  # fmt: skip
    rows = [*range(len(views)), *[len(views) - 1] * repeated]
    for name in ("rgb", "masks"):
        frames = getattr(views, name)[rows]
        group.create_dataset(
            f"observations/{name}",
            data=frames,
            chunks=(1, *frames.shape[1:]),
            compression="gzip",
            compression_opts=1,
        )
    group["infos/label"] = views.actions[rows]
    for name in (*POSES, "clearance_m"):
        group[f"infos/{name}"] = getattr(views, name)[rows]


def read_frames(group: h5py.Group, names: Mapping[str, str]) -> dict[str, Any]:
    """The fields of `Views`, without what is there more than once."""
    steps = int(group.attrs["total_steps"])

    def rows(name: str) -> Any:
        return group[names.get(name, name)][:steps]

    return {
        "rgb": rows("observations/rgb"), "masks": rows("observations/masks"), "actions": rows("infos/label"),
        **{name: rows(f"infos/{name}") for name in (*POSES, "clearance_m")},
        "scene": str(group.attrs["options/scene"]), "scene_hash": str(group.attrs["scene_hash"]),
        "seed": int(group.attrs["seed"]),
    }  # fmt: skip


def check_shapes(
    group: h5py.Group,
    steps: int,
    rows: int,
    image: tuple[int, int],
    names: Mapping[str, str],
    labels: int | None = None,
) -> None:
    """Checks what all frames have against the number of rows that a file says it holds."""
    if not 0 < steps <= MAX_STEPS or int(group.attrs["total_steps"]) != steps:
        raise ValueError(f"{steps} steps; expected 1 to {MAX_STEPS}, as many as its header says")
    expected = {
        "observations/rgb": (rows, *image, 3), "observations/masks": (rows, *image, 2),
        "infos/label": (rows if labels is None else labels, 7), "infos/scene_from_camera": (rows, 4, 4),
        "infos/camera_from_goal": (rows, 4, 4), "infos/clearance_m": (rows,),
    }  # fmt: skip
    for name, shape in expected.items():
        found = group[names.get(name, name)].shape
        if found != shape:
            raise ValueError(f"{names.get(name, name)} has shape {found}; expected {shape}")

"""Frames to learn from: demonstrations as inputs of a network, kept in memory as bytes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor
from torch.nn import functional

from h2rh_env.core.errors import DatasetError
from h2rh_env.core.geometry import SE3
from h2rh_env.datasets.read import describe, read_demonstrations
from h2rh_env.perturbations.demonstrations import corrupted
from h2rh_env.utils import files

from ..networks.base import HandoverNetwork
from ..tracking.tracker import track_episode

TENSORS = ("images", "geometry", "actions", "goals")
MIRRORED_ACTION_SIGNS = (1.0, -1.0, -1.0, -1.0, 1.0, 1.0, 1.0)

Batch = tuple[Tensor, Tensor, Tensor, Tensor]  # images float32, geometry, actions, goals


@dataclass(frozen=True, eq=False)
class Frames:
    """N frames with the expert's answers.

    Attributes:
        images: (N, C, h, w) uint8, from `HandoverNetwork.preprocess`.
        geometry: (N, G) float32, likewise.
        actions: (N, 7) float32.
        goals: (N, 3, 4) float32, `camera_from_goal`, the pre-grasp pose before the camera that took the frame.
        scenes: name of the scene of each frame.
        image_rows: (N,) which of the images are theirs, where a selection shares them; None for the first N.
    """

    images: Tensor
    geometry: Tensor
    actions: Tensor
    goals: Tensor
    scenes: tuple[str, ...]
    image_rows: Tensor | None = None

    def __len__(self) -> int:
        return len(self.actions)

    def select(self, keep: Sequence[int]) -> Frames:
        """The frames of these numbers; the images, which may fill most of the memory, are shared and not copied."""
        rows = torch.as_tensor(keep, dtype=torch.long)
        geometry, actions, goals = self.geometry[rows], self.actions[rows], self.goals[rows]
        scenes = tuple(self.scenes[i] for i in keep)
        return Frames(self.images, geometry, actions, goals, scenes, self._image_rows(rows))

    def at(self, rows: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Images, geometry, actions and goals of some rows (B,)."""
        return (
            self.images[self._image_rows(rows)],
            self.geometry[rows],
            self.actions[rows],
            self.goals[rows],
        )

    def _image_rows(self, rows: Tensor) -> Tensor:
        return rows if self.image_rows is None else self.image_rows[rows]


def load_frames(
    dataset: Path | str,
    network: HandoverNetwork,
    progress: Callable[[int], None] = lambda frames: None,
    corruption: float = 0.0,
    seed: int = 0,
) -> Frames:
    """Reads a dataset and preprocesses every frame once.

    Args:
        progress: called after each episode with its number of frames.
        corruption: strength, in [0, 1], of what cameras, segmenters and calibrations do, see `corrupted`.
        seed: of the corruptions; the n-th episode's depend on seed and n alone.

    Raises:
        DatasetError: The dataset cannot be read, is empty, or was taken by another camera than the policy's.
    """
    summary, camera = describe(dataset), network.config.camera
    if not summary.steps:
        raise DatasetError(f"{dataset} holds no episode; collect some first")
    if (summary.width, summary.height) != (camera.width, camera.height):
        raise DatasetError(
            f"{dataset} holds images of {summary.width}x{summary.height} px; the policy's camera takes "
            f"{camera.width}x{camera.height}"
        )
    parts = episodes(dataset, network, corruption, seed)
    return _joined(_told(parts, progress), summary.steps)


def _told(parts: Iterator[Frames], progress: Callable[[int], None]) -> Iterator[Frames]:
    for part in parts:
        yield part
        progress(len(part))


def episodes(
    dataset: Path | str, network: HandoverNetwork, corruption: float, seed: int, first: int = 0
) -> Iterator[Frames]:
    """Preprocesses the episodes of a dataset, one in memory at a time.

    Args:
        corruption, seed: as in `load_frames`.
        first: the number of the first episode, where a dataset is a part of a larger one.

    Raises:
        DatasetError: The dataset cannot be read.
    """
    for number, plain in enumerate(read_demonstrations(dataset), first):
        rng = np.random.default_rng([seed, number])
        demonstration = corrupted(plain, rng, corruption) if corruption else plain
        scene_from_cameras = SE3.from_matrix(demonstration.scene_from_camera)
        tracks = track_episode(demonstration.rgb, demonstration.masks, scene_from_cameras, network.config)
        images, geometry = network.preprocess(tracks)
        camera_from_frames = SE3.stack(seen.camera_from_frame for seen in tracks)
        frame_from_goals = camera_from_frames.inverse() @ SE3.from_matrix(demonstration.camera_from_goal)
        names = (demonstration.scene,) * len(demonstration)
        actions = torch.from_numpy(np.float32(demonstration.actions))
        goals = torch.from_numpy(frame_from_goals.matrix[:, :3].astype(np.float32))
        yield Frames(images, geometry, actions, goals, names)


def concatenate(parts: Sequence[Frames]) -> Frames:
    """All frames of at least one part, in order."""
    return _joined(iter(parts), sum(map(len, parts)))


def _joined(parts: Iterator[Frames], count: int) -> Frames:
    """`count` frames, all there are, of at least one part; every image is in memory once, besides one part's."""
    part = next(parts)
    images = torch.empty((count, *part.images.shape[1:]), dtype=part.images.dtype)
    rest: list[tuple[Tensor, Tensor, Tensor]] = []
    scenes: list[str] = []
    for each in chain([part], parts):
        first = len(scenes)
        images[first : first + len(each)], *others = each.at(torch.arange(len(each)))
        rest.append((others[0], others[1], others[2]))
        scenes += each.scenes
    geometry, actions, goals = (torch.cat(column) for column in zip(*rest, strict=True))
    return Frames(images, geometry, actions, goals, tuple(scenes))


def held_out_scenes(names: Sequence[str], fraction: float, seed: int) -> set[str]:
    """Draws the names of the scenes to validate on: a fraction of all, at random, but never all."""
    distinct = sorted(set(names))
    count = min(round(fraction * len(distinct)), len(distinct) - 1)
    return set(np.random.default_rng(seed).permutation(distinct)[:count].tolist())


def split_by_scene(frames: Frames, held_out: set[str]) -> tuple[Frames, Frames]:
    """Frames to train on, and frames of the scenes held out."""
    train = [i for i, name in enumerate(frames.scenes) if name not in held_out]
    validate = [i for i, name in enumerate(frames.scenes) if name in held_out]
    return frames.select(train), frames.select(validate)


def save_frames(path: Path | str, frames: Frames) -> None:
    """Writes frames as one file, which `read_frames` reads."""
    tensors = dict(zip(TENSORS, frames.at(torch.arange(len(frames))), strict=True))
    files.write_bytes(path, save(tensors, {"scenes": json.dumps(frames.scenes)}))


def read_frames(path: Path | str) -> Frames:
    """Reads what `save_frames` wrote.

    Raises:
        DatasetError: The file is damaged.
    """
    try:
        with safe_open(path, "pt") as file:
            scenes = tuple(json.loads(file.metadata()["scenes"]))
            images, geometry, actions, goals = (file.get_tensor(name) for name in TENSORS)
            return Frames(images, geometry, actions, goals, scenes)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise DatasetError(f"{path} cannot be read ({error}); delete it to make it again") from None


def mirrored(batch: Batch, signs: Sequence[int]) -> Batch:
    """The same frames in a world reflected left to right, where the same expert acts.

    The reflection S = diag(-1, 1, 1) takes a motion (R, t) to (S R S, S t): x of the translation changes sign, and
    so do the rotations about y and z. The gripper is its own mirror image.

    Args:
        signs: what each number of the geometry is multiplied by, `HandoverNetwork.geometry_signs`.
    """
    images, geometry, actions, goals = batch
    reflection = goals.new_tensor([-1.0, 1, 1])
    return (
        images.flip(-1),
        geometry * geometry.new_tensor(signs),
        actions * actions.new_tensor(MIRRORED_ACTION_SIGNS),
        goals * reflection[:, None] * functional.pad(reflection, (0, 1), value=1.0),
    )

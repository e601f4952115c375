"""Samples on disk: one file for each scene and seed, and all of them in memory for training."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from h2rh_env.core.errors import DatasetError
from h2rh_env.utils import files
from h2rh_env.utils.parallel import map_tasks

from ..hand import FAR_AWAY_M
from ..inputs import GraspInputs
from .losses import Targets
from .samples import Sample, Sampling, samples_of


class Batch(NamedTuple):
    """Samples as the network takes them.

    Attributes:
        crop: (B, 6, S, S). planes: (B, D, 4, P, P), both in [0, 1]. geometry: (B, 5). targets: what is right.
    """

    crop: Tensor
    planes: Tensor
    geometry: Tensor
    targets: Targets


@dataclass(frozen=True)
class SampleJob:
    """The samples of one scene; all that a worker needs."""

    scene: Path
    out: Path
    count: int
    seed: int
    inputs: GraspInputs
    sampling: Sampling


def write_samples(job: SampleJob) -> int:
    """Draws and writes the samples of one scene, unless that was done before; returns how many were written."""
    if job.out.exists():
        return 0
    found = samples_of(job.scene, job.count, job.seed, job.inputs, job.sampling)
    save_samples(job.out, found)
    return len(found)


def save_samples(path: Path, samples: Sequence[Sample]) -> None:
    """Writes samples as one file, atomically; an empty file's name is kept so that nobody tries again."""
    buffer = io.BytesIO()
    if samples:
        arrays = {name: np.stack([getattr(s, name) for s in samples]) for name in Sample._fields}
        np.savez(buffer, **arrays)  # type: ignore[arg-type]
    files.write_bytes(path, buffer.getvalue())


def sample_scenes(
    scenes: Sequence[Path], out: Path, count: int, seed: int, inputs: GraspInputs, sampling: Sampling,
    workers: int = 1,
) -> int:  # fmt: skip
    """Writes `count` samples of each scene to a folder; what lies there already is left. Returns how many are new."""
    jobs = [
        SampleJob(scene, out / f"{scene.name}.npz", count, seed + i, inputs, sampling)
        for i, scene in enumerate(scenes)
    ]
    missing = [job for job in jobs if not job.out.exists()]
    return sum(map_tasks(write_samples, missing, workers))


class Samples:
    """All samples of some files, in memory."""

    def __init__(self, paths: Sequence[Path]) -> None:
        """Reads the files.

        Raises:
            DatasetError: There is no sample in them.
        """
        parts: dict[str, list[np.ndarray]] = {name: [] for name in Sample._fields}
        for path in paths:
            if path.stat().st_size == 0:
                continue
            with np.load(path, allow_pickle=False) as arrays:
                for name in Sample._fields:
                    parts[name].append(arrays[name])
        if not parts["crop"]:
            raise DatasetError(
                f"no sample in {len(paths)} files; python -m policies.grasping SCENES draws them "
                "from scenes that can be grasped"
            )
        self._arrays = {name: torch.from_numpy(np.concatenate(part)) for name, part in parts.items()}

    def __len__(self) -> int:
        return len(self._arrays["crop"])

    def batch(self, index: Tensor) -> Batch:
        """The samples of an index (B,)."""
        arrays = {name: array[index] for name, array in self._arrays.items()}
        grasps = arrays["grasps"]
        valid = ~grasps.isnan().any(-1)
        filled = torch.where(valid[..., None], grasps, grasps.new_tensor([0, 0, 1.0, 0, 0, 1.0, 1.0, 0, 0]))
        hand = arrays["hand"].nan_to_num(FAR_AWAY_M)
        targets = Targets(filled[..., :3], filled[..., 3:6], filled[..., 6:], valid, arrays["depth_m"], hand)
        return Batch(
            arrays["crop"].float() / 255, arrays["planes"].bfloat16() / 255, arrays["geometry"], targets
        )

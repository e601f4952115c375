"""Regrasp: verifies the grasps of scenes that lie on disk, replaces those that do not hold, and stores all that do.

    python -m h2rh_env.contact.regrasp scenes/train
    python -m h2rh_env.contact.regrasp scenes/train --anew

Gaussians, points and what can be touched stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from ..grasps.antipodal import AntipodalProposer
from ..grasps.base import GraspCandidate
from ..grasps.selection import safe_grasps
from ..scenes.handover_scene import HandoverScene, scene_folders
from ..utils import cli
from ..utils.parallel import map_tasks
from .shapes import shape_of
from .verified_grasps import (
    DEFAULT,
    Verification,
    VerifiedGrasps,
    acceptable_grasps,
    choose_grasps,
    first_failure,
)


@dataclass(frozen=True)
class RegraspConfig:
    """Which scenes to give new grasps."""

    scenes: Annotated[Path | None, tyro.conf.Positional] = None
    """A scene folder, or a folder of scene folders; the shipped ones by default."""
    anew: bool = False
    """Choose anew even where the scene's grasp holds, as a new build would."""
    workers: int = 1
    """Processes that verify scenes side by side."""


def regrasped(
    scene: HandoverScene, anew: bool = False, verification: Verification = DEFAULT
) -> tuple[HandoverScene, str]:
    """Returns the scene with a verified grasp and its acceptable ones, and a sentence that says what became of it."""
    seed = int(scene.provenance.get("settings", {}).get("seed", 0))
    candidates = AntipodalProposer().propose(scene.object_points, np.random.default_rng(seed))
    shape, safe = shape_of(scene), safe_grasps(candidates, scene.object_points, scene.hand_points)
    before, failure = scene.grasp, "it was no grasp"
    if before.graspable:
        failure = "it is not safe"
        if safe.objective.allows(before.scene_from_grasp):
            failure = first_failure(shape, before, verification.draws, verification.conditions) or ""
    if not failure and not anew:
        kept = acceptable_grasps(before, safe, shape, verification)
        return replace(scene, acceptable_grasps=kept), f"kept its grasp, one of {len(kept)}"
    found = choose_grasps(candidates, scene.object_points, scene.hand_points, shape, verification)
    if not found.grasp.graspable and not before.graspable:
        found = replace(found, grasp=before)  # one approach is as good as another
    return _with(scene, found), _sentence(before, found, failure)


def _with(scene: HandoverScene, found: VerifiedGrasps) -> HandoverScene:
    kept = {
        key: value for key, value in scene.provenance.items() if key not in ("grasp_faults", "grasp_failures")
    }
    return replace(
        scene, grasp=found.grasp, acceptable_grasps=found.acceptable, provenance=kept | found.provenance()
    )


def _sentence(before: GraspCandidate, found: VerifiedGrasps, failure: str) -> str:
    if not found.grasp.graspable:
        tried = sum(found.failures.values())
        return f"no grasp holds, of {tried} that were tried" + (
            f"; its own: {failure}" if before.graspable else ""
        )
    new = f"a new grasp, one of {len(found.acceptable)}"
    return f"{new}; the old one: {failure or 'held as well'}"


def _job(job: tuple[Path, bool]) -> str:
    folder, anew = job
    scene, sentence = regrasped(HandoverScene.load(folder), anew)
    scene.save_grasps(folder)
    return f"{folder.name}: {sentence}"


def regrasp_folders(config: RegraspConfig) -> Iterator[str]:
    """Regrasps scenes in their folders, and yields a line for each that is done."""
    yield from map_tasks(
        _job, [(folder, config.anew) for folder in scene_folders(config.scenes)], config.workers
    )


def main(config: RegraspConfig) -> None:
    for line in regrasp_folders(config):
        print(line, flush=True)


if __name__ == "__main__":
    cli.run(main, RegraspConfig, __doc__)

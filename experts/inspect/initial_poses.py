"""Counts how many tries for an initial pose were turned down for what.

python -m experts.inspect.initial_poses scenes/train
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from rich.console import Console
from rich.table import Table

from h2rh_env.core.errors import SceneError
from h2rh_env.envs.initial_poses import INITIAL_POSES, InitialPoseSampler, InitialPoseStatistics
from h2rh_env.scenes.handover_scene import load_scenes
from h2rh_env.utils import cli


@dataclass(frozen=True)
class InitialPoseConfig:
    """Options of the command."""

    scenes: Annotated[Path | None, tyro.conf.Positional] = None
    """A scene folder, or a folder of scene folders; the shipped ones by default."""
    initial_poses: int = INITIAL_POSES
    """Initial poses in each scene."""
    seed: int = 0
    """Seed of the initial poses."""

    def __post_init__(self) -> None:
        if self.initial_poses < 1:
            raise SceneError(f"--initial-poses is {self.initial_poses}; it must be at least 1")


def main(settings: InitialPoseConfig) -> None:
    """Prints how many tries each scene took, and what was wrong with the others."""
    view = Table(
        "scene", "tried", "accepted", "beside hand (Eq. 4)", "turned away (Eq. 6)", "too near (Eq. 14)"
    )
    total = InitialPoseStatistics()
    for scene in load_scenes(settings.scenes):
        _, found = InitialPoseSampler(scene).sample(
            np.random.default_rng(settings.seed), settings.initial_poses
        )
        view.add_row(scene.name, *_shares(found))
        total += found
    view.add_section()
    view.add_row("all", *_shares(total))
    Console().print(view)


def _shares(found: InitialPoseStatistics) -> list[str]:
    counts = (found.accepted, found.beside_hand, found.turned_away, found.too_near)
    return [str(found.tried), *(f"{count} ({100 * count / found.tried:.0f} %)" for count in counts)]


if __name__ == "__main__":
    cli.run(main, InitialPoseConfig, __doc__)

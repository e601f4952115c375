"""Exports demonstrations as a LeRobot dataset of format v3.0.

    python -m h2rh_env.datasets.lerobot data/train --out data/train-lerobot

`h2rh_env/datasets/lerobot/export.py` lists the files of the dataset. Demonstrations have no clock, so that `--fps`
only says how fast their videos play.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from ...core.errors import DatasetError
from ...utils import cli
from ..minari import describe
from .export import VERSION, export


@dataclass(frozen=True)
class ExportConfig:
    """Options of the command: what to export, and where to."""

    data: Annotated[Path, tyro.conf.Positional]
    """Folder of the demonstrations, as experts.collect writes it."""
    out: Path
    """Folder to write the LeRobot dataset to; it must not exist."""
    fps: int = 10
    """Frames per second at which the videos play."""

    def __post_init__(self) -> None:
        if self.fps < 1:
            raise DatasetError(f"--fps is {self.fps}; it must be at least 1")


def main(settings: ExportConfig) -> None:
    export(settings.data, settings.out, settings.fps)
    print(f"{settings.out}: a LeRobot {VERSION} dataset of {describe(settings.data).episodes} episodes")


if __name__ == "__main__":
    cli.run(main, ExportConfig, __doc__)

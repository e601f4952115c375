"""Calibrates where the fixed cameras of a rig stand, from shots of one ChArUco board.

    python -m real_robot.calibration.calibrate_rig rig_images --out rig.json

Reads a folder of shots, prints how far corners are off, draws them, and refuses a rig whose cameras do not agree.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated

import tyro
from PIL import Image

from h2rh_env.utils import cli, files

from .rig import fit_rig
from .rig_check import check_rig
from .rig_drawing import draw_rig
from .rig_images import RigImages


@dataclass(frozen=True)
class CalibrateRigConfig:
    """Options of the command."""

    images: Annotated[Path, tyro.conf.Positional]
    """Folder with board.json, cameras.json, and for each shot a folder of images SERIAL.png."""
    out: Path = Path("rig.json")
    """File of the rig."""
    drawing: Path = Path("rig_check.png")
    """Picture to check the rig by: corners as seen, and where the fit has them."""


def calibrate(config: CalibrateRigConfig) -> None:
    """Writes the drawing, and the rig if its cameras agree.

    Raises:
        RobotError: The images do not determine the rig, or its cameras do not agree.
    """
    images = RigImages.load(config.images)
    shots = images.corners()
    fit = fit_rig(shots, images.cameras)
    buffer = io.BytesIO()
    Image.fromarray(draw_rig(images, shots, fit)).save(buffer, "PNG")
    files.write_bytes(config.drawing, buffer.getvalue())
    print(fit)
    print(f"drawn: {config.drawing}")
    check_rig(fit, shots, images.cameras)
    fit.rig(date.today()).save(config.out)
    print(f"saved: {config.out}")


if __name__ == "__main__":
    cli.run(calibrate, CalibrateRigConfig, __doc__)

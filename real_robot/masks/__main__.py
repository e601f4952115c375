"""Makes the masks of a capture that has none, in its folder, and says how they were made.

    pip download --no-deps --only-binary=:all: --python-version 3.11 mediapipe==0.10.21
    python -m real_robot.masks my_capture --hand-model mediapipe-0.10.21-cp311-cp311-manylinux_2_28_x86_64.whl

The hand is found in several views and put together in 3D; depth within its reach gives what it holds, colour the
outlines. Masks that are there already are kept.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from PIL import Image

from h2rh_env.captures.folder import load_folder, mask_files
from h2rh_env.captures.load import load_capture
from h2rh_env.core.errors import CaptureError
from h2rh_env.core.labels import Label
from h2rh_env.utils import cli, files

from .estimate import Masks, iou, masks_by_hand_model, masks_by_network


@dataclass(frozen=True)
class MasksConfig:
    """Options of the command."""

    capture: Annotated[Path, tyro.conf.Positional]
    """Capture whose masks are missing: a plain folder. With --compare also a DexYCB session."""
    hand_model: Path | None = None
    """File of the wheel mediapipe==0.10.21, which has a hand detector. The default is the robot's own segmenter."""
    overwrite: bool = False
    """Replace masks that are there already."""
    compare: bool = False
    """Write nothing, and print how well the masks agree with those that are there."""

    def __post_init__(self) -> None:
        if self.compare:
            cli.refuse_ignored(self, ("overwrite",), "with --compare")


def make_masks(config: MasksConfig) -> Masks:
    """Makes the masks and writes those that are missing.

    Raises:
        CaptureError: The capture cannot be read, all its masks are there, or nobody's hand is found.
        RobotError: The wheel holds no hand model.
    """
    if config.compare:
        capture = load_capture(config.capture)
    else:
        if not (config.capture / "cameras.json").is_file():
            raise CaptureError(
                f"{config.capture} is no plain folder (it has no cameras.json), so masks have no place in it; make "
                "one with h2rh import, or compare with --compare"
            )
        capture = load_folder(config.capture, needs_masks=False)
        wanted = {
            name: path
            for name, path in mask_files(config.capture).items()
            if config.overwrite or not path.is_file()
        }
        if not wanted:
            raise CaptureError(f"{config.capture} has all its masks; give --overwrite to replace them")
    masks = (
        masks_by_network(capture)
        if config.hand_model is None
        else masks_by_hand_model(capture, config.hand_model)
    )
    if config.compare:
        true = [view.labels for view in capture.views]
        for label in (Label.OBJECT, Label.HAND):
            print(
                f"IoU of the {label.name.lower()} with the masks that are there: {iou(masks.labels, true, label):.3f}"
            )
        return masks
    for view, labels in zip(capture.views, masks.labels, strict=True):
        if view.name in wanted:
            files.write_bytes(wanted[view.name], _png(labels))
    return masks


def _png(labels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(labels).save(buffer, "PNG")
    return buffer.getvalue()


def _report(config: MasksConfig) -> None:
    masks = make_masks(config)
    print(f"masks by {masks.made_by}")
    empty = sum(not labels.any() for labels in masks.labels)
    if empty:
        print(f"note: {empty} of {len(masks.labels)} views show neither hand nor object, as far as was found")
    if not config.compare:
        print(f"next: look at the masks, then h2rh check {config.capture}")


if __name__ == "__main__":
    cli.run(_report, MasksConfig, __doc__)

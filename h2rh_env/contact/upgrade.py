"""Upgrade: adds the contact shape to scenes that were built before scenes held one.

    python -m h2rh_env.contact.upgrade scenes/train

Synthetic scenes get the true shape, made again from the seed that they name; other scenes get the shape that their
points enclose, as a new build would give them. Gaussians and points stay as they are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from ..captures.base import TrueShapes
from ..captures.synthetic.generate import GENERATOR_VERSION, stage, true_shapes
from ..captures.synthetic.objects.catalogue import ALL_NAMES
from ..core.errors import CaptureError
from ..scenes.handover_scene import HandoverScene, scene_folders
from ..utils import cli
from .shapes import shape_of_clouds, true_shape

SAME_M = 0.002  # median distance of the scene's points from the surface made again, at most


@dataclass(frozen=True)
class UpgradeConfig:
    """Which scenes to upgrade."""

    scenes: Annotated[Path, tyro.conf.Positional]
    """A scene folder, or a folder of scene folders."""


def upgraded(scene: HandoverScene) -> tuple[HandoverScene, str]:
    """The scene with a contact shape, and a sentence that says whose."""
    try:
        truth = remade(scene)
    except CaptureError as error:
        return replace(scene, contact_shape=shape_of_clouds(scene.object_points, scene.hand_points)), (
            f"shape from its points: {error}"
        )
    apart_m = surface_gap_m(scene, truth)
    return replace(
        scene, contact_shape=true_shape(truth)
    ), f"true shape, points {1e3 * apart_m:.2f} mm off it"


def remade(scene: HandoverScene) -> TrueShapes:
    """The bodies of a synthetic scene, made again from its seed.

    Raises:
        CaptureError: the scene is not synthetic, or what its seed makes today is not what it shows.
    """
    capture = scene.provenance.get("capture", {})
    if capture.get("layout") != "synthetic" or capture.get("generator_version") != GENERATOR_VERSION:
        raise CaptureError("its capture did not come from today's generator")
    named = capture["object"] if capture["object"] in ALL_NAMES else None
    truth = true_shapes(stage(int(capture["seed"]), named))
    apart_m = surface_gap_m(scene, truth)
    if apart_m > SAME_M:
        raise CaptureError(
            f"its seed makes another object, whose surface is {1e3 * apart_m:.0f} mm off its points"
        )
    return truth


def surface_gap_m(scene: HandoverScene, truth: TrueShapes) -> float:
    """Median distance of the scene's object points from the true surface, m."""
    local = truth.scene_from_object.inverse().apply(scene.object_points)
    return float(np.median(np.abs(truth.object_distance(local))))


def main(config: UpgradeConfig) -> None:
    for folder in scene_folders(config.scenes):
        scene = HandoverScene.load(folder)
        if scene.contact_shape is not None:
            print(f"{folder}: has a shape already")
            continue
        scene, sentence = upgraded(scene)
        scene.save_contact(folder)
        print(f"{folder}: {sentence}")


if __name__ == "__main__":
    cli.run(main, UpgradeConfig, __doc__)

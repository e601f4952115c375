"""Draws demonstrations as a video, with masks, the grasp's axes and the expert's phases.

python -m experts.inspect.preview data/train scenes/train --out preview.mp4
python -m experts.inspect.preview data/train scenes/train --out preview.mp4 --episodes 20
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
import tyro
from PIL import Image, ImageDraw
from scipy.ndimage import binary_erosion

from h2rh_env.core.camera import HAND_EYE_CAMERA, PinholeCamera
from h2rh_env.core.errors import DatasetError
from h2rh_env.core.geometry import SE3
from h2rh_env.core.gripper import FINGERTIP_DEPTH_M
from h2rh_env.core.task import STANDOFF_M
from h2rh_env.datasets.read import Demonstration, describe, read_demonstrations
from h2rh_env.scenes.handover_scene import load_scenes
from h2rh_env.utils import cli
from h2rh_env.utils.video import VideoWriter

from ..three_phase import Phase
from .statistics import phases_of, scene_of

SCALE = 3  # pixels of the video for one that the policy sees
TINTS = np.array([[255, 170, 40], [70, 190, 255]])  # object, hand
TINT = 0.12
AXES = ((235, 70, 60), (80, 200, 90), (70, 120, 245))  # x, y, z
AXIS_M = 0.05
NEAREST_M = 0.05  # what is nearer to the camera's plane is not drawn
INK, FAINT, PAPER = (245, 245, 245), (150, 150, 155), (20, 22, 26)
CROSS_PX = 9
PHASE_COLOURS = {
    Phase.AVOID: (240, 80, 80), Phase.TURN: (190, 140, 250), Phase.APPROACH: (250, 190, 90),
    Phase.SETTLE: (120, 210, 150), Phase.DECLARE: (90, 230, 230),
}  # fmt: skip


@dataclass(frozen=True)
class PreviewConfig:
    """Options of the command: what to draw, and where to write it."""

    data: Annotated[Path, tyro.conf.Positional]
    """Folder of the demonstrations, as experts.collect writes it."""
    scenes: Annotated[Path, tyro.conf.Positional]
    """Folder of the scenes that the demonstrations come from."""
    out: Path = Path("preview.mp4")
    """The MP4 file to write."""
    episodes: int = 5
    """Number of demonstrations to draw, picked evenly from all."""
    fps: int = 6
    """Frames per second of the video."""

    def __post_init__(self) -> None:
        for name in ("episodes", "fps"):
            if getattr(self, name) < 1:
                raise DatasetError(f"--{name} is {getattr(self, name)}; it must be at least 1")


def draw(demonstration: Demonstration, step: int, phase: Phase, camera: PinholeCamera) -> Image.Image:
    """One frame: outlined masks, the grasp's axes where the fingers will close, the image's middle, phase and Cls."""
    shown = _tinted(demonstration.rgb[step], demonstration.masks[step])
    size = (SCALE * shown.shape[1], SCALE * shown.shape[0])
    image = Image.fromarray(shown).resize(size, Image.Resampling.NEAREST)
    pen = ImageDraw.Draw(image)
    _draw_cross(pen, size)
    _draw_axes(pen, SE3.from_matrix(demonstration.camera_from_goal[step]), camera)
    _draw_caption(pen, demonstration, step, phase, size)
    return image


def _tinted(rgb: npt.NDArray[np.uint8], masks: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    shown = rgb.astype(np.float64)
    for mask, tint in zip(np.moveaxis(masks > 0, 2, 0), TINTS, strict=True):
        shown[mask] = (1 - TINT) * shown[mask] + TINT * tint
        shown[mask & ~binary_erosion(mask)] = tint
    return shown.astype(np.uint8)


def _draw_cross(pen: ImageDraw.ImageDraw, size: tuple[int, int]) -> None:
    """The middle of the image, where phase 1 brings the object."""
    u, v = size[0] / 2, size[1] / 2
    pen.line([(u - CROSS_PX, v), (u + CROSS_PX, v)], fill=FAINT)
    pen.line([(u, v - CROSS_PX), (u, v + CROSS_PX)], fill=FAINT)


def _draw_axes(pen: ImageDraw.ImageDraw, camera_from_goal: SE3, camera: PinholeCamera) -> None:
    ends = np.concatenate([np.zeros((1, 3)), AXIS_M * np.eye(3)]) + [0, 0, STANDOFF_M + FINGERTIP_DEPTH_M]
    points = camera_from_goal.apply(ends)
    if (points[:, 2] < NEAREST_M).any():
        return
    u = SCALE * (camera.fx * points[:, 0] / points[:, 2] + camera.cx)
    v = SCALE * (camera.fy * points[:, 1] / points[:, 2] + camera.cy)
    for axis in np.argsort(-points[1:, 2]):
        pen.line([(u[0], v[0]), (u[axis + 1], v[axis + 1])], fill=AXES[axis], width=4)
    pen.ellipse([u[0] - 5, v[0] - 5, u[0] + 5, v[0] + 5], fill=INK, outline=PAPER)


def _draw_caption(
    pen: ImageDraw.ImageDraw, demonstration: Demonstration, step: int, phase: Phase, size: tuple[int, int]
) -> None:
    pen.rectangle([0, size[1] - 34, size[0], size[1]], fill=PAPER)
    pen.text((12, size[1] - 29), phase.name.lower(), fill=PHASE_COLOURS[phase], font_size=20)
    progress = f"{step + 1}/{len(demonstration)}"
    distance = f"{100 * np.linalg.norm(demonstration.camera_from_goal[step, :3, 3]):.0f} cm to go"
    caption = f"{demonstration.scene}   {progress}   {distance}   Cls {demonstration.actions[step, 6]:.0f}"
    pen.text((size[0] - 12, size[1] - 27), caption, fill=INK, font_size=17, anchor="ra")


def frames(settings: PreviewConfig) -> Iterator[Image.Image]:
    """The video's pictures.

    Raises:
        DatasetError: no dataset, an empty one, or one of other scenes.
    """
    summary = describe(settings.data)
    if not summary.episodes:
        raise DatasetError(f"{settings.data} holds no episode")
    by_name = {scene.name: scene for scene in load_scenes(settings.scenes)}
    camera = HAND_EYE_CAMERA.resized(summary.width, summary.height)
    every = max(1, summary.episodes // settings.episodes)
    picked = islice(read_demonstrations(settings.data), 0, None, every)
    for demonstration in islice(picked, settings.episodes):
        phases = phases_of(demonstration, scene_of(demonstration, by_name))
        for step, phase in enumerate(phases):
            yield draw(demonstration, step, phase, camera)


def main(settings: PreviewConfig) -> None:
    """Writes the video."""
    summary = describe(settings.data)
    with VideoWriter(settings.out, SCALE * summary.width, SCALE * summary.height, settings.fps) as video:
        for image in frames(settings):
            video.add(np.asarray(image))
    print(settings.out)


if __name__ == "__main__":
    cli.run(main, PreviewConfig, __doc__)

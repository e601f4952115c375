"""Draws a contact sheet of synthetic captures: from the rig, from a robot's hand, and as a policy sees them.

python -m h2rh_env.captures.synthetic.sheet --objects mustard_bottle banana random my.obj --out sheet.png
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from ...core.camera import PinholeCamera
from ...core.errors import CaptureError
from ...core.geometry import SE3, look_at
from ...core.labels import Label
from ...utils import cli, files
from .generate import RANDOM_OBJECT, Stage, common_exposure, stage
from .rendering.rig import RigCamera
from .rendering.sensor import expose

Image8 = npt.NDArray[np.uint8]

WIDTH, HEIGHT = 240, 180
FOCAL_PX = 231.0  # of the paper's camera at this width
DISTANCES_M = (0.42, 0.55)
MOST_CLEAR = 24  # directions from which the one that sees most of the object is looked for


@dataclass(frozen=True)
class SheetConfig:
    """What to show."""

    objects: tuple[str, ...] = (RANDOM_OBJECT,)
    """Names of objects, "random", or meshes of your own (OBJ, PLY, GLB, in m)."""
    out: Path = Path("sheet.png")
    """PNG file."""
    each: int = 2
    """Captures of each object, with the seeds from `seed` on."""
    seed: int = 0
    """First seed."""

    def __post_init__(self) -> None:
        if not 1 <= self.each <= 100:
            raise CaptureError(f"each is {self.each}; it must be from 1 to 100")


def main(config: SheetConfig) -> None:
    rows = []
    with cli.progress_bar() as progress:
        task = progress.add_task("photographing", total=len(config.objects) * config.each, note="")
        for name in config.objects:
            row = []
            for seed in range(config.seed, config.seed + config.each):
                progress.update(task, note=f"{name} {seed}")
                row.append(tiles(stage(seed, name), seed))
                progress.update(task, advance=1)
            rows.append(np.concatenate(row, axis=1))
    buffer = io.BytesIO()
    Image.fromarray(np.concatenate(rows)).save(buffer, "PNG")
    files.write_bytes(config.out, buffer.getvalue())
    print(config.out)


def tiles(scene: Stage, seed: int) -> Image8:
    """Returns four images side by side, (HEIGHT, 4 WIDTH, 3).

    One is seen from the rig, two from the hand-eye camera's distance; the last is repeated without its background.
    """
    rng = np.random.default_rng(seed)
    overview = scene.rig[int(rng.integers(len(scene.rig)))]
    cameras = [(overview.camera.resized(WIDTH, HEIGHT), overview.world_from_camera)]
    near = PinholeCamera(WIDTH, HEIGHT, FOCAL_PX, FOCAL_PX, WIDTH / 2, HEIGHT / 2)
    cameras += [(near, pose) for pose in _clear_poses(scene, near, rng)]
    pictures = [scene.studio.picture(camera, pose) for camera, pose in cameras]
    exposure = common_exposure(pictures, rng)
    shown = []
    for picture, (camera, pose) in zip(pictures, cameras, strict=True):
        shown.append(expose(picture, exposure, RigCamera("", camera, pose, 1.0, np.ones(3)), rng))
    masked = shown[-1] * (pictures[-1].labels > 0)[..., None].astype(np.uint8)
    sheet = Image.fromarray(np.concatenate([*shown, masked], axis=1))
    ImageDraw.Draw(sheet).text(
        (4, 3), f"{scene.model.name} {seed}: {scene.giver['grip']}", fill=(255, 255, 255)
    )
    return np.asarray(sheet)


def _clear_poses(scene: Stage, camera: PinholeCamera, rng: np.random.Generator) -> list[SE3]:
    """Returns one world_from_camera per distance, each the clearest of many tries."""
    centre = (scene.object_mesh.vertices.min(axis=0) + scene.object_mesh.vertices.max(axis=0)) / 2
    small = camera.resized(48, 36)
    found = []
    for distance in DISTANCES_M:
        directions = rng.normal(size=(MOST_CLEAR, 3))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        directions[:, 2] = np.abs(directions[:, 2])
        poses = [look_at(centre + distance * direction, centre) for direction in directions]
        seen = [int((scene.studio.picture(small, pose).labels == Label.OBJECT).sum()) for pose in poses]
        found.append(poses[int(np.argmax(seen))])
    return found


if __name__ == "__main__":
    cli.run(main, SheetConfig, __doc__)

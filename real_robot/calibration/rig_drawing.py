"""Draws how well a rig fits: of each camera the shot that fits worst, with corners as seen and as fitted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from h2rh_env.core.geometry import Array

from .board import misses_px, rms
from .rig import RigFit
from .rig_corners import Shot
from .rig_images import RigImages

TILE_PX, COLUMNS, CAPTION_PX = 640, 2, 18
SEEN, SHOULD_BE, AXES = (60, 220, 60), (255, 60, 60), ((255, 70, 70), (70, 220, 70), (90, 120, 255))
MAGNIFIED = 20
AXIS_M = 0.1


def draw_rig(images: RigImages, shots: Sequence[Shot], fit: RigFit) -> npt.NDArray[np.uint8]:
    """Returns one picture (H, W, 3) with a tile for each camera.

    Circles are corners as seen; lines lead to where the fit has them, magnified twenty times; the three axes are the
    world's, red x, green y, blue z, 0.1 m long.
    """
    tiles = [_tile(images, shots, fit, serial) for serial in fit.world_from_cameras]
    height, width = (max(tile.shape[k] for tile in tiles) for k in (0, 1))
    rows = -(-len(tiles) // COLUMNS)
    sheet = np.zeros((rows * height, COLUMNS * width, 3), np.uint8)
    for k, tile in enumerate(tiles):
        top, left = k // COLUMNS * height, k % COLUMNS * width
        sheet[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
    return sheet


def _tile(images: RigImages, shots: Sequence[Shot], fit: RigFit, serial: str) -> npt.NDArray[np.uint8]:
    camera, camera_from_world = images.cameras[serial], fit.world_from_cameras[serial].inverse()
    off = {
        number: misses_px(shot[serial], camera, camera_from_world @ board)
        for number, shot in enumerate(shots)
        if serial in shot and (board := fit.world_from_boards[number]) is not None
    }
    number = max(off, key=lambda k: rms(off[k]))
    board, seen = fit.world_from_boards[number], shots[number][serial]
    assert board is not None
    scale = TILE_PX / camera.width
    picture = Image.fromarray(images.image(number, serial)).convert("RGB")
    picture = picture.resize((TILE_PX, round(camera.height * scale)))
    canvas = ImageDraw.Draw(picture)
    fitted = camera.project((camera_from_world @ board).apply(seen.points_board))
    for at, there in zip(seen.points_px, seen.points_px + MAGNIFIED * (fitted - seen.points_px), strict=True):
        canvas.line([*(scale * at), *(scale * there)], fill=SHOULD_BE, width=2)
        canvas.ellipse([*(scale * at - 4), *(scale * at + 4)], outline=SEEN, width=1)
    _draw_axes(
        canvas, scale * camera.project(camera_from_world.apply(np.vstack([np.zeros(3), AXIS_M * np.eye(3)])))
    )
    canvas.rectangle([0, 0, TILE_PX, CAPTION_PX], fill=(0, 0, 0))
    caption = (
        f"{serial}: {fit.residuals_px[serial]:.2f} px RMS; shot {number} is worst, {rms(off[number]):.2f} px"
    )
    canvas.text((4, 3), caption, fill=(255, 255, 255))
    return np.asarray(picture, np.uint8)


def _draw_axes(canvas: ImageDraw.ImageDraw, ends_px: Array) -> None:
    """Draws the world's axes from their ends (4, 2): origin, x, y, z; none that begins or ends behind the camera."""
    for end, colour in zip(ends_px[1:], AXES, strict=True):
        if np.isfinite([*ends_px[0], *end]).all():
            canvas.line([*ends_px[0], *end], fill=colour, width=3)

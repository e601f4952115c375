"""Measures quality on cameras that were left out, method by method, at several numbers of training views."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from ..captures.base import HandoverCapture, RgbdView
from ..core.errors import CaptureError
from ..core.labels import Label
from ..rendering.base import Rasteriser
from ..scenes.gaussians import GaussianScene
from ..utils import files
from .initialisation.depth_scale import metric
from .initialisation.fusion import around
from .quality import Quality, measure

COUNTS = (3, 4, 6, 7)
SHEET_VIEWS = 4
TILE_PX = 240

Reconstruct = Callable[[HandoverCapture, str], GaussianScene]


@dataclass(frozen=True)
class HoldoutRow:
    """The figures of one method at one number of training views, on all cameras left out."""

    method: str
    views: int
    left_out: int
    quality: Quality
    seconds: float
    gaussians: int

    def to_json(self) -> dict[str, Any]:
        """Returns JSON values; NaN, which no view could measure, becomes None."""
        quality = {k: v if np.isfinite(v) else None for k, v in asdict(self.quality).items()}
        return asdict(self) | {"quality": quality}


def spread_order(capture: HandoverCapture) -> list[int]:
    """Orders the cameras so that each is as far as possible from those before it; it begins with the first."""
    eyes = np.stack([view.world_from_camera.translation for view in capture.views])
    order, gap = [0], np.linalg.norm(eyes - eyes[0], axis=1)
    while len(order) < len(eyes):
        gap[order] = -1
        order.append(int(gap.argmax()))
        gap = np.minimum(gap, np.linalg.norm(eyes - eyes[order[-1]], axis=1))
    return order


def study(
    capture: HandoverCapture,
    methods: Sequence[str],
    reconstruct: Reconstruct,
    rasteriser: Rasteriser,
    counts: Sequence[int] = COUNTS,
    progress: Callable[[str], None] = lambda _: None,
) -> tuple[list[HoldoutRow], npt.NDArray[np.uint8]]:
    """Trains on the first cameras of `spread_order` and measures on the others.

    Returns:
        A row for each method and each number of views that leaves a camera out; and a sheet of true images beside
        renders, at the largest number of views.

    Raises:
        CaptureError: There are too few cameras to leave one out.
    """
    usable = [count for count in counts if count < len(capture.views)]
    if not usable:
        raise CaptureError(
            f"capture {capture.name} has {len(capture.views)} cameras; to leave some out, at least "
            f"{min(counts) + 1} are needed"
        )
    order, true = spread_order(capture), metric(capture).views
    rows: list[HoldoutRow] = []
    shown: list[GaussianScene] = []
    for count in usable:
        part = replace(capture, views=tuple(capture.views[i] for i in sorted(order[:count])))
        out = [true[i] for i in order[count:]]
        shown = []
        for method in methods:
            progress(f"{method} on {count} views")
            begin = time.perf_counter()
            scene = reconstruct(part, method)
            seconds = time.perf_counter() - begin
            quality = measure(scene, out, rasteriser)
            rows.append(HoldoutRow(method, count, len(out), quality, seconds, len(scene)))
            shown.append(scene)
    views = [true[i] for i in order[usable[-1] :]]
    return rows, contact_sheet(shown, views, rasteriser)


def contact_sheet(
    scenes: Sequence[GaussianScene], views: Sequence[RgbdView], rasteriser: Rasteriser
) -> npt.NDArray[np.uint8]:
    """Draws a row for each view: the true object and hand, then every scene's render."""
    rows = []
    for view in [v for v in views if (v.labels != Label.BACKGROUND).any()][:SHEET_VIEWS]:
        mask = view.labels != Label.BACKGROUND
        box = around(mask)
        images = [np.where(mask[..., None], view.rgb, 0)]
        for scene in scenes:
            rgb = rasteriser.render(scene, view.camera, view.world_from_camera).rgb
            images.append((np.clip(rgb, 0, 1) * 255 + 0.5).astype(np.uint8))
        rows.append(np.concatenate([_tile(image[box]) for image in images], axis=1))
    return np.concatenate(rows, axis=0)


def _tile(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Fits an image into a square, centred on black."""
    picture = Image.fromarray(image)
    scale = TILE_PX / max(picture.size)
    size = [max(1, round(side * scale)) for side in picture.size]
    tile = Image.new("RGB", (TILE_PX, TILE_PX))
    at = (TILE_PX - size[0]) // 2, (TILE_PX - size[1]) // 2
    tile.paste(picture.resize((size[0], size[1]), Image.Resampling.LANCZOS), at)
    return np.asarray(tile)


def table(rows: Sequence[HoldoutRow]) -> str:
    """Formats the rows as a Markdown table."""
    lines = [
        "| views | left out | method | PSNR dB | SSIM | GMSD | depth mm | IoU | Gaussians | seconds |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        q = row.quality
        lines.append(
            f"| {row.views} | {row.left_out} | {row.method} | {q.psnr_db:.2f} | {q.ssim:.3f} | {q.gmsd:.3f} | "
            f"{q.depth_mae_mm:.2f} | {q.iou:.3f} | {row.gaussians} | {row.seconds:.1f} |"
        )
    return "\n".join(lines)


def write_report(folder: Path, name: str, rows: Sequence[HoldoutRow], sheet: npt.NDArray[np.uint8]) -> None:
    """Writes quality.json, quality.md and quality.png."""
    files.write_json(folder / "quality.json", {"capture": name, "rows": [row.to_json() for row in rows]})
    text = (
        f"# {name}: cameras left out\n\n{table(rows)}\n\n"
        "Brightness is fitted for each view; depth is compared with what the camera measured.\n"
        "Sheet: the true image, then "
        + ", then ".join(dict.fromkeys(row.method for row in rows))
        + ", at the largest number of views.\n\n![true and rendered views](quality.png)\n"
    )
    files.write_bytes(folder / "quality.md", text.encode())
    buffer = io.BytesIO()
    Image.fromarray(sheet).save(buffer, "PNG")
    files.write_bytes(folder / "quality.png", buffer.getvalue())

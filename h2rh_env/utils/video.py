"""VideoWriter: writes frames to an H.264 MP4 file, one at a time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import numpy.typing as npt


class VideoWriter:
    """A context in which frames are added to a file; the file is whole when the context is left."""

    def __init__(
        self, path: Path, width: int, height: int, fps: int, coding: Sequence[str] = ("-crf", "18")
    ) -> None:
        """Opens the file.

        Args:
            path: The MP4 file to write; its folder is made.
            width: The width of the frames, px, an even number.
            height: The height of the frames, px, an even number.
            fps: Frames per second.
            coding: Further arguments of ffmpeg, such as the quality.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        self._writer = imageio_ffmpeg.write_frames(
            str(path),
            (width, height),
            fps=fps,
            codec="libx264",
            quality=None,
            macro_block_size=2,
            pix_fmt_out="yuv420p",
            output_params=[*coding, "-g", "2", "-preset", "veryfast"],
        )

    def __enter__(self) -> VideoWriter:
        self._writer.send(None)
        return self

    def add(self, frame: npt.ArrayLike) -> None:
        """Adds a frame (H, W, 3) uint8."""
        self._writer.send(np.ascontiguousarray(frame, np.uint8))

    def __exit__(self, *error: object) -> None:
        self._writer.close()

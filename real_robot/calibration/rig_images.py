"""A folder of shots for a rig: one folder for each shot, in it an image of each camera.

    rig_images/
      board.json           squares_x, squares_y, square_m, marker_m, dictionary
      cameras.json         {"0123": {"width": 640, "height": 480, "fx": 615, "fy": 615, "cx": 320, "cy": 240}, ...}
      00/0123.png ...      the board lies on the table, face up
      01/0123.png ...      moved and tilted; an image is not needed of a camera that does not see it

Images are undistorted; numbers of cameras.json are px from the image's corner, as in a camera.json for the hand's.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from h2rh_env.captures.documents import read_json
from h2rh_env.captures.images import read_grey
from h2rh_env.core.camera import PinholeCamera
from h2rh_env.core.errors import RenderError, RobotError
from h2rh_env.utils import files

from .board import Board, SeenCorners, find_corners

LAYOUT = "real_robot/calibration/rig_images.py"


@dataclass(frozen=True, eq=False)
class RigImages:
    """What a folder holds: the board, the cameras by serial, and where each shot's images are, by serial."""

    board: Board
    cameras: dict[str, PinholeCamera]
    shots: tuple[dict[str, Path], ...]

    @classmethod
    def load(cls, folder: Path) -> RigImages:
        """Reads the folder's descriptions, and finds its images.

        Raises:
            CaptureError: A description is missing, or not JSON.
            RobotError: It is malformed, or there is no image.
        """
        board = Board.load(folder / "board.json")
        try:
            cameras = {
                str(serial): PinholeCamera(**numbers)
                for serial, numbers in read_json(folder / "cameras.json", LAYOUT).items()
            }
        except (TypeError, RenderError) as error:
            raise RobotError(
                f"{folder}/cameras.json describes no cameras ({error}); "
                "expected width, height, fx, fy, cx, cy of each"
            ) from None
        shots = tuple(
            {path.stem: path for path in sorted(shot.glob("*.png")) if path.stem in cameras}
            for shot in sorted(path for path in folder.iterdir() if path.is_dir())
        )
        if len(cameras) < 2 or not any(shots):
            raise RobotError(
                f"{folder} has {len(cameras)} cameras and {len(shots)} shots; expected two cameras or more, and "
                "images SHOT/SERIAL.png with the serials of cameras.json"
            )
        return cls(board, cameras, shots)

    @staticmethod
    def write_board(folder: Path, board: Board, cameras: Mapping[str, PinholeCamera]) -> None:
        """Writes the descriptions, before any shot."""
        files.write_json(folder / "board.json", vars(board))
        files.write_json(folder / "cameras.json", {serial: c.to_json() for serial, c in cameras.items()})

    @staticmethod
    def write_shot(folder: Path, number: int, images: Mapping[str, npt.NDArray[np.uint8]]) -> None:
        """Writes the images (H, W[, 3]) of one shot, by serial."""
        for serial, image in images.items():
            buffer = io.BytesIO()
            Image.fromarray(image).save(buffer, "PNG")
            files.write_bytes(folder / f"{number:02d}" / f"{serial}.png", buffer.getvalue())

    def image(self, shot: int, serial: str) -> npt.NDArray[np.uint8]:
        """Reads an image, (H, W) grey.

        Raises:
            CaptureError: It cannot be read, or is of another size than its camera's.
        """
        camera = self.cameras[serial]
        return read_grey(self.shots[shot][serial], (camera.width, camera.height))

    def corners(self) -> list[dict[str, SeenCorners]]:
        """Finds the board in all images; what shows too little of it is left out."""
        return [self._corners(number, sorted(shot)) for number, shot in enumerate(self.shots)]

    def _corners(self, shot: int, serials: Sequence[str]) -> dict[str, SeenCorners]:
        found = {serial: find_corners(self.image(shot, serial), self.board) for serial in serials}
        return {serial: seen for serial, seen in found.items() if seen is not None}

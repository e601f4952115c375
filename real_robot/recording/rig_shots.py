"""Shots of the board, written as they come in the folder that the calibration of a rig reads."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ..calibration.board import Board, find_corners
from ..calibration.rig_images import RigImages
from .recorder import Shot


def write_rig_shots(folder: Path, board: Board, shots: Iterable[Shot]) -> int:
    """Writes each shot as it comes, and prints by which cameras the board was found.

    Returns:
        The number of shots.
    """
    count = 0
    for number, shot in enumerate(shots):
        if not number:
            RigImages.write_board(folder, board, {p.serial: p.camera for p in shot.photographs})
        RigImages.write_shot(folder, number, {p.serial: p.rgb for p in shot.photographs})
        found = [p.serial for p in shot.photographs if find_corners(p.rgb, board) is not None]
        print(f"shot {number + 1}: the board is seen by {', '.join(found) or 'no camera'}")
        count = number + 1
    return count

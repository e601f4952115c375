"""Boxes: a solid of cells as few boxes that do not overlap."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def greedy_boxes(solid: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint16]:
    """Covers the filled cells (X, Y, Z) exactly.

    Each box starts at the first cell that is not covered yet and grows along z, then y, then x.

    Returns:
        (B, 2, 3) uint16: lower corner and upper corner (exclusive) of each box, in cells.
    """
    left = solid.copy()
    boxes: list[tuple[tuple[int, int, int], tuple[int, int, int]]] = []
    for x, y, z in np.argwhere(solid).tolist():
        if not left[x, y, z]:
            continue
        z1 = z + _run(left[x, y, z:])
        y1 = y + _run(np.asarray(left[x, y:, z:z1].all(axis=1)))
        x1 = x + _run(np.asarray(left[x:, y:y1, z:z1].all(axis=(1, 2))))
        left[x:x1, y:y1, z:z1] = False
        boxes.append(((x, y, z), (x1, y1, z1)))
    return np.array(boxes, np.uint16).reshape(-1, 2, 3)


def _run(filled: npt.NDArray[np.bool_]) -> int:
    """How many are filled from the first on."""
    return len(filled) if filled.all() else int(filled.argmin())

"""Held-out objects: those that the paper's training had not seen, by name and by shape."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

# Extents in m as the catalogue makes them: master chef can, and cracker box (Table I, unseen).
HELD_OUT_SIZES_M = {"master_chef_can": (0.102, 0.102, 0.139), "cracker_box": (0.16, 0.06, 0.213)}
LIKENESS = 0.15  # within this share along every axis, a body has the size of another


def is_held_out(object_name: str, size_m: npt.ArrayLike) -> bool:
    """Tells whether an object belongs to no training set, as in the paper's split.

    Excluded are the master chef can and the cracker box by name, and every object whose extents, in any order, are
    all within 15 % of theirs: a random can of a coffee can's size teaches the unseen object under another name.

    Args:
        object_name: a name of the catalogue, or "random".
        size_m: (3,) extents of the object along the axes of its own frame, m.
    """
    if object_name in HELD_OUT_SIZES_M:
        return True
    met = np.sort(np.asarray(size_m, np.float64))
    return any(
        bool((np.abs(met / np.sort(size) - 1) <= LIKENESS).all()) for size in HELD_OUT_SIZES_M.values()
    )

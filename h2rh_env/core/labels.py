"""Label: what a Gaussian, a point or a pixel belongs to."""

from __future__ import annotations

from enum import IntEnum


class Label(IntEnum):
    """What a Gaussian, a point or a pixel belongs to."""

    BACKGROUND = 0
    OBJECT = 1
    HAND = 2

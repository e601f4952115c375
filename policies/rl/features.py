"""ResidualFeatures: what a learner sees of a cloned policy; names, order and units of its numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, get_args, get_type_hints

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]


@dataclass(frozen=True)
class Recent:
    """What is remembered of a frame, to compare later ones with it; each field is (..., n).

    Attributes:
        moving_step: translation and grasp score of the action for an object that moves, in [-1, 1] of the action
            space.
        still_score: the grasp score of the action for an object that stands still, likewise.
        log_distances: to the middle of what is seen of the object and to the nearest point of it, as logarithms in
            units of `typical_m`, divided by `typical_log`.
    """

    moving_step: Annotated[Floats, 4]
    still_score: Annotated[Floats, 1]
    log_distances: Annotated[Floats, 2]

    def pack(self) -> npt.NDArray[np.float32]:
        """The numbers (..., 7) in the order of the fields."""
        return _packed(self)


@dataclass(frozen=True)
class ResidualFeatures:
    """Everything that a learner sees; each field is (..., n).

    Attributes:
        still_action: the checkpoint's action for an object that stands still, in [-1, 1] of the action space.
        to_moving: from there to the action for an object that moves: translation and grasp score.
        log_ratios: of the distance for an object that moves over the one for an object that stands still, and over
            the one of the motion's estimate, as logarithms divided by `typical_ratio`.
        log_sigmas: uncertainties of the distance and of the motion's estimate, as logarithms in `typical_sigma`.
        velocity: of the object in the camera's axes, in `typical_mps`.
        free_gap: room between the gripper's advance and the hand, at most 1, in `typical_gap_m`.
        time: from -1 at the episode's beginning to 1 at its end.
        recent: what is remembered of this frame, packed.
        changes: `recent` less that of earlier frames, one after the other.
    """

    still_action: Annotated[Floats, 7]
    to_moving: Annotated[Floats, 4]
    log_ratios: Annotated[Floats, 2]
    log_sigmas: Annotated[Floats, 2]
    velocity: Annotated[Floats, 3]
    free_gap: Annotated[Floats, 1]
    time: Annotated[Floats, 1]
    recent: Annotated[Floats, 7]
    changes: Annotated[Floats, -1]  # 7 for each earlier frame

    def pack(self) -> npt.NDArray[np.float32]:
        """The numbers (..., N) in the order of the fields."""
        return _packed(self)

    @classmethod
    def unpack(cls, packed: Floats) -> ResidualFeatures:
        """Reads numbers (..., N) in the order of the fields."""
        sizes = list(SIZES[cls.__name__].values())
        parts = np.split(packed, np.cumsum(sizes[:-1]), axis=-1)
        return cls(*parts)

    @classmethod
    def count(cls, earlier_frames: int) -> int:
        """N, the number of numbers, where a frame is compared with so many earlier ones."""
        return sum(list(SIZES[cls.__name__].values())[:-1]) + earlier_frames * sum(
            SIZES[Recent.__name__].values()
        )


def _sizes(kind: type[Recent] | type[ResidualFeatures]) -> dict[str, int]:
    hints = get_type_hints(kind, include_extras=True)
    return {name: int(get_args(hint)[1]) for name, hint in hints.items()}


def _packed(numbers: Recent | ResidualFeatures) -> npt.NDArray[np.float32]:
    parts = []
    for name, size in SIZES[type(numbers).__name__].items():
        part = np.asarray(getattr(numbers, name))
        if size not in {part.shape[-1], -1}:
            raise ValueError(f"{name} has {part.shape[-1]} numbers; it must have {size}")
        parts.append(part)
    return np.concatenate(parts, axis=-1).astype(np.float32)


SIZES = {kind.__name__: _sizes(kind) for kind in (Recent, ResidualFeatures)}  # of each field

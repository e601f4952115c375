"""Masks of a capture that has none: by a hand detector and depth, or else by the robot's segmenter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from h2rh_env.captures.base import HandoverCapture
from h2rh_env.core.errors import CaptureError
from h2rh_env.core.labels import Label

from .hand_3d import hand_in_3d
from .hand_model import HandModel
from .held import held_by
from .outline import outlined

Labels = npt.NDArray[np.uint8]
NO_HAND = (
    "{count} of {views} views show a hand that the model finds, and no two of them agree where it is; check that the "
    "hand is in view and bare, and that poses are right (h2rh check), or make masks with another tool"
)


@dataclass(frozen=True, eq=False)
class Masks:
    """Labels of the views, in their order, and a sentence about how they were made."""

    labels: tuple[Labels, ...]
    made_by: str


def masks_by_hand_model(capture: HandoverCapture, wheel: Path) -> Masks:
    """Finds the hand in several views, what it holds by depth, and outlines both by colour.

    Raises:
        CaptureError: No two views agree about a hand, or nothing was measured there.
        RobotError: The wheel holds no hand model.
        MissingPackageError: ai-edge-litert or OpenCV is not installed.
    """
    model = HandModel(wheel)
    found = [model.hands(view.rgb) for view in capture.views]
    hand = hand_in_3d(capture.views, found)
    if hand is None:
        raise CaptureError(NO_HAND.format(count=sum(map(bool, found)), views=len(found)))
    held = held_by(hand, capture.views)
    if held is None:
        raise CaptureError("the hand was found, but no camera measured depth there; no mask can be made")
    agreeing = f"hand model, agreed by {len(hand.views)} of {len(capture.views)} views"
    return Masks(tuple(outlined(view, held) for view in capture.views), agreeing)


def masks_by_network(capture: HandoverCapture) -> Masks:
    """Labels each view for itself with the robot's own segmenter, which is less exact."""
    from ..segmentation.network import NetworkSegmenter

    segmenter = NetworkSegmenter()
    labels = tuple(segmenter.labels(view.rgb, view.depth_m) for view in capture.views)
    return Masks(labels, "the robot's segmenter, each view for itself, which is less exact than --hand-model")


def iou(found: Sequence[Labels], true: Sequence[Labels], label: Label) -> float:
    """Returns the intersection over the union of a label over all views; nan where neither has it."""
    both = sum(int(((a == label) & (b == label)).sum()) for a, b in zip(found, true, strict=True))
    either = sum(int(((a == label) | (b == label)).sum()) for a, b in zip(found, true, strict=True))
    return both / either if either else float("nan")

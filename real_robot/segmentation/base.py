"""Which segmenter: the masks that come with a frame, or one of the user's; none at all means stop."""

from __future__ import annotations

from typing import Self

import numpy as np
import numpy.typing as npt

from h2rh_env.core.errors import RobotError
from h2rh_env.utils.plugins import make_plugin

from ..interfaces import Frame, Segmenter

BUILT_IN = {"network": "real_robot.segmentation.network:NetworkSegmenter"}
METHODS = {
    "segment": "segment(frame) -> masks (H, W, 2)",
    "__enter__": "__enter__()",
    "__exit__": "__exit__(*exception)",
}


class GivenMasks:
    """Hands on the masks that a frame came with; refuses a frame without any."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    def segment(self, frame: Frame) -> npt.NDArray[np.uint8]:
        if frame.masks is None:
            raise RobotError(
                "this frame carries no masks, as only one of a simulated camera or of a `ThreadedCamera` does; "
                "name a segmenter for real images with --segmenter my_pkg.mine:MySegmenter"
            )
        return frame.masks


def make_segmenter(name: str) -> Segmenter:
    """ "network", the built-in one; "labels"; "sam2=WEIGHTS" or "fastsam=WEIGHTS", in the built-in one's boxes;
    or "module:Class" of the user's own, constructed without arguments.

    Raises:
        RobotError: no segmenter of this name. There is no fallback: an arm that cannot see a hand must not move.
        MissingPackageError: its package is not installed.
    """
    if name == "labels":
        return GivenMasks()
    if "=" in name:
        from .prompted import boxes_of, prompted

        return prompted(name, boxes_of(make_segmenter("network")))
    target = BUILT_IN.get(name, name)
    if ":" not in target:
        raise RobotError(
            f"no segmenter {name!r}; known are 'network', 'sam2=WEIGHTS', 'fastsam=WEIGHTS' and 'labels' "
            "(rehearsal only), or name module:Class"
        )
    segmenter: Segmenter = make_plugin(target, "segmenter", METHODS, RobotError)
    return segmenter


def checked_masks(masks: npt.NDArray[np.uint8], frame: Frame) -> npt.NDArray[np.uint8]:
    """The masks of a frame, if they are (H, W, 2) uint8 in {0, 255}.

    Raises:
        RobotError: they are not.
    """
    expected = (*frame.depth_m.shape, 2)
    if masks.shape != expected or masks.dtype != np.uint8 or ((masks != 0) & (masks != 255)).any():
        raise RobotError(
            f"the segmenter must give {expected} uint8 in {{0, 255}}; got {masks.shape} {masks.dtype}"
        )
    return masks

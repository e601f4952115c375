"""Segmenters of others, for users who have them and their weights: boxes of object and hand first, outlines then.

    --segmenter sam2=sam2.1_hiera_tiny.pt       SAM 2
    --segmenter fastsam=FastSAM-s.pt            Fast Segment Anything, as in the paper

The boxes are those of the built-in network. The paper's come from a hand-object detector, and its hand mask from
FrankMocap; neither is a package. Whoever has them writes a `Finder` about them and names a class of their own:

    class Mine(PromptedSegmenter):
        def __init__(self):
            super().__init__(my_detector, FastSam("FastSAM-s.pt"), my_hand_masks)
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt

from h2rh_env.core.errors import MissingPackageError, RobotError

from ..interfaces import Frame, Segmenter

Mask = npt.NDArray[np.bool_]
Box = tuple[float, float, float, float]  # left, top, right, bottom, px
MARGIN = 0.05  # of a box's sides, on each
SAM2_CONFIGS = {"tiny": "t", "small": "s", "base_plus": "b+", "large": "l"}

Finder = Callable[[Frame], tuple[Box | None, Box | None]]
"""The boxes of the held object and of the hand that holds it, or None."""
HandMasks = Callable[[Frame, Box], Mask]
"""The mask (H, W) of the hand in a box."""


class Outliner(Protocol):
    """Outlines what is in a box."""

    def outline(self, rgb: npt.NDArray[np.uint8], box: Box) -> Mask:
        """(H, W) bool for an image (H, W, 3)."""


class PromptedSegmenter:
    """A `Segmenter`: a finder's boxes, outlined. What is both is hand, which the gripper keeps off."""

    def __init__(self, finder: Finder, outliner: Outliner, hand_masks: HandMasks | None = None) -> None:
        self._find, self._outliner, self._hand_masks = finder, outliner, hand_masks

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    def segment(self, frame: Frame) -> npt.NDArray[np.uint8]:
        nothing = np.zeros(frame.depth_m.shape, bool)
        object_box, hand_box = self._find(frame)
        if hand_box is None:
            hand = nothing
        elif self._hand_masks is not None:
            hand = self._hand_masks(frame, hand_box)
        else:
            hand = self._outliner.outline(frame.rgb, hand_box)
        held = nothing if object_box is None else self._outliner.outline(frame.rgb, object_box) & ~hand
        return np.stack([np.uint8(255) * held, np.uint8(255) * hand], axis=2)


def boxes_of(segmenter: Segmenter) -> Finder:
    """A finder from another segmenter's masks."""

    def find(frame: Frame) -> tuple[Box | None, Box | None]:
        masks = segmenter.segment(frame) > 0
        return _box(masks[..., 0]), _box(masks[..., 1])

    return find


def _box(mask: Mask) -> Box | None:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return None
    height, width = mask.shape
    more_x, more_y = MARGIN * (columns[-1] - columns[0] + 1), MARGIN * (rows[-1] - rows[0] + 1)
    return (
        max(0.0, columns[0] - more_x),
        max(0.0, rows[0] - more_y),
        min(float(width), columns[-1] + 1 + more_x),
        min(float(height), rows[-1] + 1 + more_y),
    )


class Sam2:
    """SAM 2 as an `Outliner`, by the package `sam2`."""

    def __init__(self, weights: Path | str) -> None:
        path = _existing(weights, "sam2.1_hiera_tiny.pt of github.com/facebookresearch/sam2")
        size = next((short for name, short in SAM2_CONFIGS.items() if name in path.name), None)
        if size is None:
            raise RobotError(
                f"{path.name} does not say its size; keep SAM 2's names: sam2.1_hiera_tiny.pt, ..."
            )
        family = "sam2.1" if path.name.startswith("sam2.1") else "sam2"
        build = _package("sam2.build_sam", "sam2", "SAM 2")
        predictor = _package("sam2.sam2_image_predictor", "sam2", "SAM 2")
        model = build.build_sam2(f"configs/{family}/{family}_hiera_{size}.yaml", str(path), device=_device())
        self._predictor = predictor.SAM2ImagePredictor(model)
        self._shown: npt.NDArray[np.uint8] | None = None

    def outline(self, rgb: npt.NDArray[np.uint8], box: Box) -> Mask:
        if rgb is not self._shown:
            self._predictor.set_image(rgb)
            self._shown = rgb
        masks, _, _ = self._predictor.predict(box=np.array(box), multimask_output=False)
        return np.asarray(masks[0]) > 0


class FastSam:
    """Fast Segment Anything as an `Outliner`, by the package `ultralytics`."""

    def __init__(self, weights: Path | str) -> None:
        path = _existing(weights, "FastSAM-s.pt of docs.ultralytics.com/models/fast-sam")
        self._model = _package("ultralytics", "ultralytics", "FastSAM").FastSAM(str(path))

    def outline(self, rgb: npt.NDArray[np.uint8], box: Box) -> Mask:
        bgr = np.ascontiguousarray(rgb[..., ::-1])
        found = self._model.predict(
            bgr, bboxes=[list(box)], device=_device(), retina_masks=True, imgsz=max(rgb.shape), verbose=False
        )[0].masks
        if found is None or not len(found.data):
            return np.zeros(rgb.shape[:2], bool)
        return np.asarray(found.data[0].cpu()) > 0


OUTLINERS: dict[str, Callable[[str], Outliner]] = {"sam2": Sam2, "fastsam": FastSam}


def prompted(name: str, finder: Finder) -> PromptedSegmenter:
    """By a name and a file of weights, "sam2=PATH" or "fastsam=PATH".

    Raises:
        RobotError: an unknown name, or no such file.
        MissingPackageError: the package is not installed.
    """
    kind, _, weights = name.partition("=")
    if kind not in OUTLINERS:
        raise RobotError(f"no segmenter {kind!r} takes weights; known are {', '.join(OUTLINERS)}")
    return PromptedSegmenter(finder, OUTLINERS[kind](weights))


def _existing(weights: Path | str, example: str) -> Path:
    path = Path(weights)
    if not path.is_file():
        raise RobotError(f"{path} is no file of weights; download one, such as {example}")
    return path


def _package(module: str, package: str, name: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingPackageError(
            f"{name} cannot be imported ({error}); type: pip install {package}"
        ) from None


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"

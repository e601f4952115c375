"""A hand detector from the wheel of mediapipe: palms in an image, and the 21 landmarks of each hand.

The wheel `mediapipe==0.10.21` (Apache-2.0) holds the models but cannot be installed beside numpy 2; `ai-edge-litert`
reads them from it. Conventions of both models (anchors, boxes, crops) are those of mediapipe's hand tracking graph.
"""

from __future__ import annotations

import importlib
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from h2rh_env.core.errors import MissingPackageError, RobotError

Array = npt.NDArray[np.float64]
Rgb = npt.NDArray[np.uint8]

PALM = "mediapipe/modules/palm_detection/palm_detection_full.tflite"
LANDMARKS = "mediapipe/modules/hand_landmark/hand_landmark_full.tflite"
LARGEST_BYTES = 1 << 25
GET = (
    "pip download --no-deps --only-binary=:all: --python-version 3.11 mediapipe==0.10.21, "
    "and give the file with --hand-model"
)
PALM_PX, CROP_PX = 192, 224
LAYERS = ((24, 2), (12, 6))  # cells a side, and anchors a cell
LEAST_PALM, LEAST_HAND = 0.5, 0.5  # scores
SAME_PALM = 0.3  # overlap of boxes of one palm
WRIST, MIDDLE = 0, 2  # keypoints of a palm that give its direction
CROP_SCALE, CROP_AHEAD = 2.6, 0.5  # of a palm's box, and of its side towards the fingers
WINDOW_PX = 320  # of a part of the image in which smaller palms are found


@dataclass(frozen=True, eq=False)
class Hand:
    """A hand in an image.

    Attributes:
        landmarks_px: (21, 2); 0 the wrist, 4, 8, 12, 16, 20 the fingertips.
        score: how sure the model is that it is a hand, in [0, 1].
    """

    landmarks_px: Array
    score: float


class HandModel:
    """Both models, ready to run."""

    def __init__(self, wheel: Path) -> None:
        """Reads the models.

        Raises:
            RobotError: The file is missing or is no such wheel.
            MissingPackageError: ai-edge-litert is not installed.
        """
        palm, landmarks = _models(wheel)
        try:
            litert: Any = importlib.import_module("ai_edge_litert.interpreter")
        except ImportError as error:
            raise MissingPackageError(
                f"ai-edge-litert, which runs the hand model, cannot be imported ({error}); type: "
                'pip install "h2rh-env[masks]"'
            ) from None
        self._palm, self._landmarks = (_Runner(litert, content) for content in (palm, landmarks))
        self._anchors = np.concatenate([_anchors(side, count) for side, count in LAYERS])

    def hands(self, rgb: Rgb) -> list[Hand]:
        """Returns the hands in an image (H, W, 3), the surest first."""
        found = []
        for palm in self._palms(rgb):
            hand = self._hand(rgb, palm)
            if hand is not None:
                found.append(hand)
        return sorted(found, key=lambda hand: -hand.score)

    def _palms(self, rgb: Rgb) -> list[Array]:
        """Returns of each palm wrist and middle knuckle, centre and side of its box, (4, 2), px."""
        palms, scores = [], []
        for left, top, side in _windows(rgb.shape[1], rgb.shape[0]):
            crop = Image.fromarray(rgb).crop((left, top, left + side, top + side))
            image = np.asarray(crop.resize((PALM_PX, PALM_PX), Image.Resampling.BILINEAR), np.float32) / 255
            boxes, logits = self._palm.run(image, ((2016, 18), (2016, 1)))
            score = 1 / (1 + np.exp(-np.clip(logits[:, 0], -100, 100)))
            for k in np.flatnonzero(score > LEAST_PALM):
                points = boxes[k, 4:].reshape(7, 2)[[WRIST, MIDDLE]] / PALM_PX + self._anchors[k]
                centre, size = boxes[k, :2] / PALM_PX + self._anchors[k], boxes[k, 2:4] / PALM_PX
                palm = np.concatenate([points, centre[None]]) * side + [left, top]
                palms.append(np.concatenate([palm, size[None] * side]))
                scores.append(score[k])
        kept: list[Array] = []
        for k in np.argsort(scores)[::-1]:
            if all(_overlap(palms[k], other) < SAME_PALM for other in kept):
                kept.append(palms[k])
        return kept

    def _hand(self, rgb: Rgb, palm: Array) -> Hand | None:
        wrist, middle, centre, size = palm
        up = (middle - wrist) / max(float(np.linalg.norm(middle - wrist)), 1e-6)
        side = CROP_SCALE * float(size.max())
        centre = centre + CROP_AHEAD * float(size.max()) * up
        across = np.array([-up[1], up[0]])  # x of the crop, whose y points from the fingers to the wrist
        corner = centre - 0.5 * side * across + 0.5 * side * up
        steps = np.stack([across, -up], axis=1) * (side / CROP_PX)
        matrix = (steps[0, 0], steps[0, 1], corner[0], steps[1, 0], steps[1, 1], corner[1])
        crop = Image.fromarray(rgb).transform(
            (CROP_PX, CROP_PX), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR
        )
        landmarks, score = self._landmarks.first_two(np.asarray(crop, np.float32) / 255)
        if score < LEAST_HAND:
            return None
        return Hand(landmarks.reshape(21, 3)[:, :2] @ steps.T + corner, score)


class _Runner:
    def __init__(self, litert: Any, content: bytes) -> None:
        self._interpreter = litert.Interpreter(model_content=content, num_threads=1)
        self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._outputs = self._interpreter.get_output_details()

    def _invoke(self, image: npt.NDArray[np.floating]) -> None:
        self._interpreter.set_tensor(self._input, image[None].astype(np.float32))
        self._interpreter.invoke()

    def run(self, image: npt.NDArray[np.floating], shapes: tuple[tuple[int, int], ...]) -> list[Array]:
        """Returns the outputs of these shapes."""
        self._invoke(image)
        by_shape = {tuple(o["shape"][1:]): self._interpreter.get_tensor(o["index"])[0] for o in self._outputs}
        return [np.asarray(by_shape[shape], np.float64) for shape in shapes]

    def first_two(self, image: npt.NDArray[np.floating]) -> tuple[Array, float]:
        """Returns landmarks (63,) in pixels of the crop, and whether there is a hand, in [0, 1]."""
        self._invoke(image)
        named = {o["name"].split(":")[0]: self._interpreter.get_tensor(o["index"])[0] for o in self._outputs}
        return np.asarray(named["Identity"], np.float64), float(named["Identity_1"].ravel()[0])


def _models(wheel: Path) -> tuple[bytes, bytes]:
    try:
        with zipfile.ZipFile(wheel) as archive:
            if any(archive.getinfo(name).file_size > LARGEST_BYTES for name in (PALM, LANDMARKS)):
                raise RobotError(f"{wheel} holds models of more than {LARGEST_BYTES >> 20} MiB; {GET}")
            return archive.read(PALM), archive.read(LANDMARKS)
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise RobotError(
            f"{wheel} is no wheel of mediapipe with its hand models ({error}); type {GET}"
        ) from None


def _anchors(cells: int, count: int) -> Array:
    """Returns the centres (N, 2) of a layer's anchors, as shares of the image, row by row."""
    middle = (np.arange(cells) + 0.5) / cells
    grid = np.stack(np.meshgrid(middle, middle), axis=-1).reshape(-1, 2)
    return grid.repeat(count, axis=0)


def _windows(width: int, height: int) -> Iterator[tuple[int, int, int]]:
    """Gives left, top and side, px, of the whole image and of overlapping parts of it."""
    whole = max(width, height)
    yield (width - whole) // 2, (height - whole) // 2, whole
    side = round(WINDOW_PX * whole / 640)
    for top in np.linspace(0, height - side, max(1, 2 * round(height / side) - 1)):
        for left in np.linspace(0, width - side, max(1, 2 * round(width / side) - 1)):
            yield round(left), round(top), side


def _overlap(one: Array, two: Array) -> float:
    low = np.maximum(one[2] - one[3] / 2, two[2] - two[3] / 2)
    high = np.minimum(one[2] + one[3] / 2, two[2] + two[3] / 2)
    both = float(np.prod(np.maximum(high - low, 0)))
    return both / max(float(np.prod(one[3]) + np.prod(two[3])) - both, 1e-9)

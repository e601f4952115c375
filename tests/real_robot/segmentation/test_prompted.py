"""Segmenters of others: what they are asked, what becomes of their answers, and what is said when they are not there.

Neither package is installed here: modules of the same interface stand for them.
"""

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch

from h2rh_env.core.camera import D435I
from h2rh_env.core.errors import MissingPackageError, RobotError
from real_robot.interfaces import Frame
from real_robot.segmentation.base import checked_masks, make_segmenter
from real_robot.segmentation.prompted import FastSam, PromptedSegmenter, Sam2, boxes_of

SHAPE = (D435I.height, D435I.width)


@pytest.fixture
def frame():
    return Frame(0.0, D435I, np.zeros((*SHAPE, 3), np.uint8), np.zeros(SHAPE, np.float32))


def filled(box):
    mask = np.zeros(SHAPE, bool)
    left, top, right, bottom = map(round, box)
    mask[top:bottom, left:right] = True
    return mask


class Filling:
    def outline(self, rgb, box):
        return filled(box)


def test_boxes_are_outlined_and_the_hand_wins_where_both_are(frame):
    masks = PromptedSegmenter(lambda f: ((100, 100, 200, 200), (150, 100, 300, 150)), Filling()).segment(
        frame
    )
    checked_masks(masks, frame)
    assert np.array_equal(masks[..., 1] > 0, filled((150, 100, 300, 150)))
    assert np.array_equal(masks[..., 0] > 0, filled((100, 100, 200, 200)) & ~filled((150, 100, 300, 150)))


def test_what_is_not_found_is_not_outlined(frame):
    assert not PromptedSegmenter(lambda f: (None, None), Filling()).segment(frame).any()


def test_hand_masks_of_ones_own_take_the_outliners_place(frame):
    hand = filled((0, 0, 50, 60))
    masks = PromptedSegmenter(lambda f: (None, (1, 1, 2, 2)), Filling(), lambda f, box: hand).segment(frame)
    assert np.array_equal(masks[..., 1] > 0, hand)


def test_boxes_of_masks_hold_them_and_stay_in_the_image(frame):
    masks = np.stack([filled((600, 10, 640, 30)), np.zeros(SHAPE, bool)], axis=2).astype(np.uint8) * 255
    found, nothing = boxes_of(SimpleNamespace(segment=lambda f: masks))(frame)
    assert nothing is None
    assert found == (598, 9, 640, 31)


def test_sam2_is_shown_each_image_once_and_asked_by_box(frame, tmp_path, monkeypatch):
    asked = []

    class Predictor:
        def __init__(self, model):
            assert model == "model"

        def set_image(self, rgb):
            asked.append("image")

        def predict(self, box, multimask_output):
            asked.append(tuple(box))
            return filled(box)[None].astype(np.float32), None, None

    def build_sam2(config, weights, device):
        asked.append(config)
        return "model"

    build, predict = ModuleType("sam2.build_sam"), ModuleType("sam2.sam2_image_predictor")
    build.build_sam2, predict.SAM2ImagePredictor = build_sam2, Predictor
    for module in (ModuleType("sam2"), build, predict):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    weights = tmp_path / "sam2.1_hiera_base_plus.pt"
    weights.touch()
    boxes = (10, 20, 30, 40), (50, 60, 70, 80)
    masks = PromptedSegmenter(lambda f: boxes, Sam2(weights)).segment(frame)
    assert asked == ["configs/sam2.1/sam2.1_hiera_b+.yaml", "image", boxes[1], boxes[0]]
    assert np.array_equal(masks[..., 0] > 0, filled(boxes[0]))


def test_fastsam_is_asked_by_box_and_may_find_nothing(frame, tmp_path, monkeypatch):
    class FastSAM:
        def __init__(self, weights):
            pass

        def predict(self, image, bboxes, **options):
            if bboxes[0][0] > 300:
                return [SimpleNamespace(masks=None)]
            return [SimpleNamespace(masks=SimpleNamespace(data=torch.from_numpy(filled(bboxes[0]))[None]))]

    module = ModuleType("ultralytics")
    module.FastSAM = FastSAM
    monkeypatch.setitem(sys.modules, "ultralytics", module)
    (tmp_path / "FastSAM-s.pt").touch()
    masks = PromptedSegmenter(
        lambda f: ((10, 20, 30, 40), (400, 20, 420, 40)), FastSam(tmp_path / "FastSAM-s.pt")
    ).segment(frame)
    assert np.array_equal(masks[..., 0] > 0, filled((10, 20, 30, 40)))
    assert not masks[..., 1].any()


@pytest.mark.parametrize(("name", "package"), [("sam2", "sam2"), ("fastsam", "ultralytics")])
def test_what_is_missing_is_named_with_what_to_type(tmp_path, monkeypatch, name, package):
    with pytest.raises(RobotError, match="no file of weights"):
        make_segmenter(f"{name}={tmp_path / 'none.pt'}")
    weights = tmp_path / "sam2_hiera_tiny.pt"
    weights.touch()
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingPackageError, match=f"pip install {package}"):
        make_segmenter(f"{name}={weights}")


def test_an_unknown_name_is_told_the_known_ones():
    with pytest.raises(RobotError, match="sam2, fastsam"):
        make_segmenter("sam3=weights.pt")

"""The built-in segmenter: its masks fit any frame, are the same each time, and its weights are checked."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from h2rh_env.camera import D435I
from h2rh_env.errors import RobotError
from real_robot.interfaces import Frame
from real_robot.segmentation import checked_masks, make_segmenter
from real_robot.segmenter_network import WEIGHTS, NetworkSegmenter, SegmenterNetwork
from real_robot.train_segmenter import measure

CAPTURES = Path(__file__).parents[2] / "../shared/captures/dexycb_like"


def frame():
    rng = np.random.default_rng(0)
    shape = (D435I.height, D435I.width)
    return Frame(0.0, D435I, rng.integers(0, 255, (*shape, 3), np.uint8), rng.random(shape, np.float32))


def test_it_comes_with_the_package_and_is_small():
    assert WEIGHTS.stat().st_size < 2_000_000


def test_masks_fit_the_frame_and_do_not_overlap():
    with make_segmenter("network") as segmenter:
        masks = checked_masks(segmenter.segment(frame()), frame())
        assert np.array_equal(masks, segmenter.segment(frame()))
    assert not masks.all(axis=2).any()


def test_weights_of_another_network_or_none_are_named(tmp_path):
    with pytest.raises(RobotError, match="train one"):
        NetworkSegmenter(tmp_path / "none.safetensors")
    save_file({"weight": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(RobotError, match="another network"):
        NetworkSegmenter(tmp_path / "other.safetensors")


def test_saved_weights_give_the_same_masks(tmp_path):
    network = SegmenterNetwork()
    save_file(network.state_dict(), tmp_path / "mine.safetensors")
    first, second = (NetworkSegmenter(tmp_path / "mine.safetensors").segment(frame()) for _ in range(2))
    assert np.array_equal(first, second)


@pytest.mark.nightly
@pytest.mark.skipif(not CAPTURES.exists(), reason="labelled captures are not here")
def test_it_finds_hands_and_objects_that_no_generator_made():
    object_iou, hand_iou, count = measure(NetworkSegmenter(), CAPTURES, with_depth=True)
    assert count > 0
    assert hand_iou > 0.35
    assert object_iou > 0.28

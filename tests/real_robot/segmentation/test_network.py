"""The built-in segmenter: its masks fit any frame, are the same each time, and its weights are checked."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from h2rh_env.core.camera import D435I
from h2rh_env.core.errors import CaptureError, RobotError
from h2rh_env.core.labels import Label
from real_robot.interfaces import Frame
from real_robot.segmentation import network as network_module
from real_robot.segmentation.augmentation import Sample, _change_background, changed
from real_robot.segmentation.base import checked_masks, make_segmenter
from real_robot.segmentation.network import (
    HEIGHT_PX,
    REACH_M,
    WEIGHTS,
    WHAT_PX,
    WIDTH_PX,
    NetworkSegmenter,
    SegmenterNetwork,
    cleaned,
    middle_of,
    window_about,
)
from real_robot.segmentation.train import loss_of, measure, train
from real_robot.segmentation.training_images import Pictures, take_pictures

CAPTURES = Path(__file__).parents[3] / "../shared/captures/dexycb_like"
NO_HAND = CAPTURES.parent / "real" / "no_hand"


def frame():
    rng = np.random.default_rng(0)
    shape = (D435I.height, D435I.width)
    return Frame(0.0, D435I, rng.integers(0, 255, (*shape, 3), np.uint8), rng.random(shape, np.float32))


def test_it_comes_with_the_package_and_is_small():
    assert WEIGHTS.stat().st_size < 6_000_000


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


@pytest.mark.parametrize("corner", [(0, 0), (30, 50), (78, 100), (0, 100)])
def test_a_window_holds_what_is_held_and_stays_in_the_image(corner):
    held = np.zeros((84, 112), np.float32)
    held[corner[0] : corner[0] + 6, corner[1] : corner[1] + 12] = 0.9
    held[40, 3] = 0.5  # a smaller piece elsewhere
    rows, columns = window_about(held, (480, 640))
    shown = np.zeros((480, 640), bool)
    shown[rows, columns] = True
    assert shown.sum() == (rows.stop - rows.start) * (columns.stop - columns.start)
    top, left = corner[0] * 480 / 84, corner[1] * 640 / 112
    assert rows.start <= top + 1
    assert rows.stop >= top + 6 * 480 / 84 - 1
    assert columns.start <= left + 1
    assert columns.stop >= left + 12 * 640 / 112 - 1


def test_nothing_held_has_no_window_and_everything_has_the_whole_image():
    assert window_about(np.zeros((84, 112), np.float32), (168, 224)) is None
    assert window_about(np.ones((84, 112), np.float32), (168, 224)) == (slice(0, 168), slice(0, 224))


def test_the_middle_is_that_of_what_is_held_and_unknown_depth_says_nothing():
    held = np.zeros((84, 112), np.float32)
    held[20:40, 30:60] = 1
    depth = np.full((168, 224), 2.0, np.float32)
    depth[40:80, 60:120] = 0.5
    depth[40:50, 60:120] = 0.0
    assert middle_of(held, depth) == 0.5
    assert middle_of(held, np.zeros_like(depth)) == 0.0


def test_what_is_too_far_or_apart_is_neither_object_nor_hand():
    labels = np.zeros((100, 100), np.uint8)
    labels[20:50, 20:50], labels[50:60, 20:50] = Label.OBJECT, Label.HAND
    labels[90:93, 90:93] = Label.HAND
    depth = np.full((100, 100), 0.5, np.float32)
    depth[20:50, 45:50] = 0.5 + 1.1 * REACH_M
    depth[20:25, 20:25] = 0.0
    found = cleaned(labels.copy(), depth, 0.5)
    assert not found[20:50, 45:50].any()
    assert not found[90:93, 90:93].any()
    assert (found[20:50, 20:45] == Label.OBJECT).all()
    assert (found[50:60, 20:50] == Label.HAND).all()


@pytest.mark.parametrize(("part", "looks"), [(0.25, 2), (0.6, 1)])
def test_it_looks_again_only_where_that_shows_more(monkeypatch, part, looks):
    """The first net finds most of the image, whatever there is; the second finds what is white."""
    rgb, asked = np.zeros((480, 640, 3), np.uint8), []
    rows, columns = (slice(round(side * (1 - part) / 2), round(side * (1 + part) / 2)) for side in (480, 640))
    rgb[rows, columns] = 255

    def scores(self, net, image, size=(42, 56)):
        asked.append((net, size))
        white = torch.nn.functional.interpolate(image[None, :1], size=size)[0, 0]
        held = (white > 0.5).float()
        if net == "where":
            held[8:34, 10:46] = 1
        return 20 * torch.stack([1 - held, held, torch.zeros_like(held)])

    monkeypatch.setattr(NetworkSegmenter, "_scores", scores)
    monkeypatch.setattr(network_module, "_shows_a_hand", lambda scores: True)
    found = NetworkSegmenter().labels(rgb, np.ones((480, 640), np.float32)) == Label.OBJECT
    assert asked[:2] == [("where", (42, 56)), ("what", (480, 640))]
    assert len(asked) == 1 + looks
    assert asked[-1][1][0] == 480 if looks == 1 else asked[-1][1][0] < 240
    white = rgb[..., 0] > 0
    assert (found & white).sum() / (found | white).sum() > 0.97


def frames_without_a_hand():
    for entry in json.loads((NO_HAND / "frames.json").read_text()).values():
        counts = np.asarray(Image.open(NO_HAND / entry["depth"]))
        rgb = np.asarray(Image.open(NO_HAND / entry["rgb"]).convert("RGB"))
        yield rgb, (counts * entry["depth_scale_m"]).astype(np.float32)


@pytest.mark.skipif(not NO_HAND.is_dir(), reason="the real frames are not beside this checkout")
def test_nothing_is_held_in_real_frames_without_a_hand(monkeypatch):
    segmenter = NetworkSegmenter()
    frames = list(frames_without_a_hand())
    assert not any(segmenter.labels(*frame).any() for frame in frames)
    monkeypatch.setattr(network_module, "_shows_a_hand", lambda scores: True)
    assert all(
        segmenter.labels(*frame).any() for frame in frames
    )  # it is the hand that is asked for that tells


@pytest.mark.skipif(not CAPTURES.is_dir(), reason="the captures to build on are not beside this checkout")
def test_it_tells_object_from_hand_in_captures_that_it_was_not_trained_on():
    object_iou, hand_iou, count = measure(NetworkSegmenter(), CAPTURES, with_depth=True)
    assert count > 0
    assert object_iou > 0.8
    assert hand_iou > 0.7


@pytest.fixture(scope="module")
def pictures():
    return take_pictures(5, 0)


def test_the_same_seed_takes_the_same_pictures_which_are_kept(pictures, tmp_path):
    again = take_pictures(5, 0)
    pictures.save(tmp_path / "some.npz")
    for mine in (again, Pictures.load(tmp_path)):
        assert all(
            np.array_equal(a, b) for a, b in zip(vars(pictures).values(), vars(mine).values(), strict=True)
        )
    with pytest.raises(CaptureError, match="take some"):
        Pictures.load(tmp_path / "nowhere")


def test_windows_show_more_of_what_is_held(pictures):
    near, whole = pictures.of(True), pictures.of(False)
    assert len(near) + len(whole) == len(pictures)
    assert pictures.rgb.shape[1:] == (HEIGHT_PX, WIDTH_PX, 3)
    assert (near.labels > 0).mean() > (whole.labels > 0).mean()


def test_changes_are_those_of_their_seed(pictures):
    first, second = (changed(pictures, 0, WHAT_PX, np.random.default_rng(3)) for _ in range(2))
    assert first.rgb.shape == (WHAT_PX[1], WHAT_PX[0], 3)
    assert np.array_equal(first.rgb, second.rgb)
    assert np.array_equal(first.depth, second.depth)
    assert set(np.unique(first.labels)) <= set(Label)


@pytest.mark.parametrize("seed", range(4))
def test_another_background_leaves_nothing_unlabelled(seed):
    labels = np.zeros((60, 80), np.uint8)
    labels[20:40, 30:50] = Label.HAND
    sample = Sample(np.full((60, 80, 3), -1e4, np.float32), np.full((60, 80), 0.5, np.float32), labels)
    other = Sample(
        np.full((60, 80, 3), 90, np.float32), np.full((60, 80), 2.0, np.float32), np.zeros_like(labels)
    )
    _change_background(sample, other, np.random.default_rng(seed))
    assert (sample.rgb[labels == 0][:, 0] > -1e4).all()
    far = np.ones_like(labels, bool)
    far[15:45, 25:55] = False
    assert (sample.rgb[far] > -1e3).all()
    assert ((sample.depth[far] == 0) | (sample.depth[far] >= 0.5)).all()
    assert (sample.depth[labels > 0] == 0.5).all()


def test_the_loss_is_least_where_the_scores_are_right():
    labels = torch.randint(0, 3, (2, 8, 8))
    right = 20 * torch.nn.functional.one_hot(labels, 3).movedim(3, 1).float()
    assert loss_of(right, labels) < 0.01
    assert loss_of(-right, labels) > loss_of(0 * right, labels) > loss_of(right, labels)


def test_trained_weights_are_loaded(pictures, tmp_path):
    train(pictures, 2.0, 0, None, tmp_path / "mine.safetensors")
    masks = NetworkSegmenter(tmp_path / "mine.safetensors").segment(frame())
    checked_masks(masks, frame())

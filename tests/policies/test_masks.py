"""Specks go, parts stay, and what has no specks is left as it is."""

from __future__ import annotations

import numpy as np

from policies.masks import without_specks


def frame() -> tuple[np.ndarray, np.ndarray]:
    """An object that a finger parts in two, and a hand."""
    masks = np.zeros((60, 80, 2), np.uint8)
    masks[10:40, 20:30, 0] = masks[10:40, 34:40, 0] = 255
    masks[10:50, 30:34, 1] = 255
    rgb = np.random.default_rng(0).integers(1, 256, (60, 80, 3), np.uint8) * (masks > 0).any(
        -1, keepdims=True
    )
    return rgb.astype(np.uint8), masks


def test_a_clean_frame_is_left_as_it_is() -> None:
    rgb, masks = frame()
    same_rgb, same_masks = without_specks(rgb, masks)
    assert same_rgb is rgb
    assert same_masks is masks


def test_specks_of_either_mask_go_black_and_come_out_the_same_twice() -> None:
    rgb, masks = frame()
    specked, dirty = rgb.copy(), masks.copy()
    dirty[50:55, 60:65, 0] = dirty[2:5, 2:6, 1] = 255
    specked[50:55, 60:65] = specked[2:5, 2:6] = 99
    for _ in range(2):
        specked, dirty = without_specks(specked, dirty)
        np.testing.assert_array_equal(dirty, masks)
        np.testing.assert_array_equal(specked, rgb)


def test_nothing_stays_nothing() -> None:
    rgb, masks = np.zeros((8, 9, 3), np.uint8), np.zeros((8, 9, 2), np.uint8)
    for part, same in zip((rgb, masks), without_specks(rgb, masks), strict=True):
        np.testing.assert_array_equal(part, same)

"""Laws of the biases of frames, on a sphere that six cameras measure, each wrong by another amount."""

from dataclasses import replace

import numpy as np
import pytest

from h2rh_env.captures.base import HandoverCapture, RgbdView
from h2rh_env.core.camera import PinholeCamera
from h2rh_env.core.geometry import look_at
from h2rh_env.core.labels import Label
from h2rh_env.reconstruction.initialisation.frame_bias import aligned, frame_biases
from h2rh_env.reconstruction.initialisation.fusion import clean_depth

CAMERA = PinholeCamera(200, 150, 260.0, 260.0, 100.0, 75.0)
CENTRE, RADIUS_M = np.array([0.0, 0.0, 0.3]), 0.06
BIASES_M = np.array([0.004, -0.006, 0.002, -0.003, 0.005, -0.002])


def see(number: int, bias_m: float) -> RgbdView:
    """Ray-casts a sphere that nothing surrounds."""
    angle = 2 * np.pi * number / 6
    pose = look_at([0.4 * np.cos(angle), 0.4 * np.sin(angle), 0.35 + 0.1 * (number % 2)], CENTRE)
    rays = CAMERA.unproject(np.ones((CAMERA.height, CAMERA.width))) @ pose.rotation.T
    offset = pose.translation - CENTRE
    a, b = (rays**2).sum(axis=2), rays @ offset
    root = b * b - a * (offset @ offset - RADIUS_M**2)
    depth = np.where(root > 0, (-b - np.sqrt(np.maximum(root, 0))) / a + bias_m, 0)
    labels = np.where(root > 0, Label.OBJECT, Label.BACKGROUND).astype(np.uint8)
    rgb = np.full((*labels.shape, 3), 120, np.uint8)
    return RgbdView(f"c{number}", CAMERA, pose, rgb, depth.astype(np.float32), labels)


def ball(scale: float) -> HandoverCapture:
    return HandoverCapture("ball", tuple(see(k, scale * bias) for k, bias in enumerate(BIASES_M)))


def test_biases_are_found_and_taken_out() -> None:
    assert BIASES_M.sum() == pytest.approx(0)
    capture, true = ball(1.0), ball(0.0)
    found = aligned(capture)
    assert np.abs(found.biases_m - BIASES_M).max() < 0.0006
    off = [np.abs(v.depth_m - t.depth_m).max() for v, t in zip(found.capture.views, true.views, strict=True)]
    assert max(off) < 0.0006
    for before, after in zip(capture.views, found.capture.views, strict=True):
        assert ((before.depth_m == 0) == (after.depth_m == 0)).all()  # a hole stays a hole


def test_what_agrees_is_left_alone() -> None:
    assert not aligned(ball(0.05)).biases_m.any()
    single = replace(ball(1.0), views=ball(1.0).views[:1])
    assert not aligned(single).biases_m.any()


def test_an_empty_mask_and_outliers_do_no_harm() -> None:
    views = list(ball(1.0).views)
    rng = np.random.default_rng(0)
    stray = (rng.uniform(size=views[1].depth_m.shape) < 0.1) & (views[1].depth_m > 0)
    views[1] = replace(views[1], depth_m=np.where(stray, views[1].depth_m + 0.02, views[1].depth_m))
    views[3] = replace(views[3], labels=np.zeros_like(views[3].labels))
    biases = frame_biases([clean_depth(view) for view in views])
    others = np.array([0, 1, 2, 4, 5])
    off = (biases - BIASES_M)[others]
    assert np.abs(off - off.mean()).max() < 0.001

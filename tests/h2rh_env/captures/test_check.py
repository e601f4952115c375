"""Laws of the check: a sound capture passes, and each contradiction is named with its camera."""

import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from h2rh_env.captures.base import HandoverCapture, RgbdView
from h2rh_env.captures.check import check, doubts
from h2rh_env.captures.checks.agreement import agreement
from h2rh_env.captures.folder import write_folder
from h2rh_env.captures.synthetic.generate import OBJECT_NAMES, generate_capture
from h2rh_env.core.geometry import SE3


@pytest.fixture(scope="module")
def capture() -> HandoverCapture:
    return generate_capture(5, "mustard_bottle")


def with_first(capture: HandoverCapture, **changes: object) -> HandoverCapture:
    first = replace(capture.views[0], **changes)  # type: ignore[arg-type]
    return replace(capture, views=(first, *capture.views[1:]))


def test_a_sound_capture_passes(capture: HandoverCapture, tmp_path: Path) -> None:
    assert doubts(capture) == []
    write_folder(capture, tmp_path)
    assert check(tmp_path) == []


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(100, 120))
def test_no_sound_capture_is_doubted_and_of_a_part_of_its_cameras_only_their_number(seed: int) -> None:
    name = OBJECT_NAMES[seed % len(OBJECT_NAMES)] if seed % 2 else "random"
    capture = generate_capture(seed, name)
    views = capture.views
    for some in (views, views[:3]):
        assert doubts(replace(capture, views=some)) == []
    for some in ((views[0], views[4]), views[:1]):
        assert [sentence[:9] for sentence in doubts(replace(capture, views=some))] == [f"{len(some)} camera"]


def all_with(capture: HandoverCapture, change: Callable[[RgbdView], RgbdView]) -> HandoverCapture:
    return replace(capture, views=tuple(change(view) for view in capture.views))


def in_opengl_axes(view: RgbdView) -> RgbdView:
    opencv_from_opengl = SE3(np.diag([1.0, -1.0, -1.0]), np.zeros(3))
    return replace(view, world_from_camera=view.world_from_camera @ opencv_from_opengl)


def inverted(view: RgbdView) -> RgbdView:
    return replace(view, world_from_camera=view.world_from_camera.inverse())


def scaled(factor: float) -> Callable[[RgbdView], RgbdView]:
    return lambda view: replace(view, depth_m=(view.depth_m * factor).astype(np.float32))


@pytest.mark.parametrize(
    ("change", "repair"),
    [
        (in_opengl_axes, r"OpenGL axes .* multiply world_from_camera by diag\(1, -1, -1, 1\)"),
        (inverted, "inverse, camera_from_world: invert it"),
        (scaled(0.25), "multiply depth_scale_m by 4 "),
        (scaled(2.0), "multiply depth_scale_m by 0.5 "),
    ],
)
def test_a_mistake_in_all_cameras_is_doubted_once_and_its_repair_named(
    capture: HandoverCapture, change: Callable[[RgbdView], RgbdView], repair: str
) -> None:
    found = [sentence for sentence in doubts(all_with(capture, change)) if "contradict" in sentence]
    assert len(found) == 1
    assert re.search(repair, found[0])


def test_a_mistake_in_one_camera_is_named_with_its_repair(capture: HandoverCapture) -> None:
    found = doubts(replace(capture, views=(in_opengl_axes(capture.views[0]), *capture.views[1:])))
    assert len(found) == 1
    assert f"camera {capture.views[0].name} " in found[0]
    assert "OpenGL axes" in found[0]


def test_what_no_mistake_explains_is_doubted_without_one(capture: HandoverCapture) -> None:
    shuffled = [*capture.views[1:], capture.views[0]]
    views = [
        replace(view, world_from_camera=other.world_from_camera)
        for view, other in zip(capture.views, shuffled, strict=True)
    ]
    found = doubts(replace(capture, views=tuple(views)))
    assert any("check world_from_camera" in sentence for sentence in found)


def test_a_point_that_nobody_else_can_see_is_not_confirmed(capture: HandoverCapture) -> None:
    view, *others = capture.views
    away = SE3(view.world_from_camera.rotation, view.world_from_camera.translation + [0, 0, 50.0])
    share = agreement(replace(view, world_from_camera=away), others)
    assert share is not None
    assert (share.confirmed, share.refuted) == (0.0, 0.0)


def test_a_single_camera_with_a_wrong_depth_scale_is_doubted_by_size(capture: HandoverCapture) -> None:
    alone = replace(capture, views=capture.views[:1])
    assert any("the hand measures" in sentence for sentence in doubts(all_with(alone, scaled(0.25))))
    assert any("the object measures" in sentence for sentence in doubts(all_with(alone, scaled(10.0))))


def test_labels_without_a_hand_are_named(capture: HandoverCapture) -> None:
    bare = all_with(capture, lambda view: replace(view, labels=(view.labels == 1).astype(np.uint8)))
    assert any("not annotated" in sentence and "safe" in sentence for sentence in doubts(bare))


def test_an_inverted_pose_is_named(capture: HandoverCapture) -> None:
    view = capture.views[0]
    found = doubts(with_first(capture, world_from_camera=view.world_from_camera.inverse()))
    assert any(view.name in sentence and "inverse" in sentence for sentence in found)


def test_a_wrong_depth_scale_is_named(capture: HandoverCapture) -> None:
    view = capture.views[0]
    found = doubts(with_first(capture, depth_m=(view.depth_m * 0.5).astype(np.float32)))
    assert any(view.name in sentence and "depth scale" in sentence for sentence in found)


def test_missing_depth_is_named(capture: HandoverCapture) -> None:
    view = capture.views[0]
    bare = np.where(view.labels == 1, 0, view.depth_m).astype(np.float32)
    assert any("measured depth on 0%" in sentence for sentence in doubts(with_first(capture, depth_m=bare)))


def test_the_command_says_what_is_wrong_and_fails(tmp_path: Path) -> None:
    answer = subprocess.run(
        [sys.executable, "-m", "h2rh_env.captures.check", str(tmp_path)], capture_output=True, text=True
    )
    assert answer.returncode == 1
    assert "holds no capture" in answer.stdout
    assert "Traceback" not in answer.stderr

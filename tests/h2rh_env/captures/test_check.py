"""Laws of the check: a sound capture passes, and each contradiction is named with its camera."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from h2rh_env.captures.base import HandoverCapture
from h2rh_env.captures.check import check, doubts
from h2rh_env.captures.folder import write_folder
from h2rh_env.captures.synthetic.generate import generate_capture


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

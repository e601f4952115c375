"""Laws of the check: each known mistake is named, and what is certain is corrected."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from h2rh_env.captures.base import HandoverCapture
from h2rh_env.captures.check import check, doubts, examine, fixed
from h2rh_env.captures.folder import load_folder, write_folder
from h2rh_env.captures.images import undistorted
from h2rh_env.captures.synthetic.generate import generate_capture
from h2rh_env.core.errors import CaptureError

from .mistakes import MISTAKES

QUICK = (
    "OpenGL axes",
    "BGR",
    "a camera moved",
    "a late camera",
    "empty labels",
    "y up",
    "distances along the ray",
)
CORRECTED = (
    "OpenGL axes",
    "inverted poses",
    "positions in millimetres",
    "y up",
    "swapped labels in one camera",
)


@pytest.fixture(scope="module")
def sound() -> HandoverCapture:
    return generate_capture(100, "random")


def nightly_unless(names: tuple[str, ...], name: str) -> object:
    return pytest.param(name, marks=[] if name in names else pytest.mark.nightly)


@pytest.mark.parametrize("name", [nightly_unless(QUICK, name) for name in MISTAKES])
def test_a_mistake_is_named(sound: HandoverCapture, name: str) -> None:
    change, words = MISTAKES[name]
    found = doubts(change(sound))
    assert any(re.search(words, sentence) for sentence in found), found


@pytest.mark.parametrize("name", [nightly_unless(("y up",), name) for name in CORRECTED])
def test_what_is_certain_is_corrected(sound: HandoverCapture, name: str) -> None:
    change, words = MISTAKES[name]
    better, corrected, left = fixed(change(sound))
    assert left == []
    assert any(re.search(words, sentence) for sentence in corrected)
    points = [view.world_from_camera.apply(view.camera.unproject(view.depth_m)) for view in better.views]
    truth = [view.world_from_camera.apply(view.camera.unproject(view.depth_m)) for view in sound.views]
    off = [between_points(one, two) for one, two in zip(points, truth, strict=True)]
    assert max(off) < 1e-4


def between_points(one: np.ndarray, two: np.ndarray) -> float:
    """The largest difference of distances among points: zero if one is the other, turned and shifted."""
    a, b = (points.reshape(-1, 3)[::5003] for points in (one, two))
    distances = [np.linalg.norm(points[:, None] - points, axis=-1) for points in (a, b)]
    return float(np.abs(distances[0] - distances[1]).max())


def test_a_sound_capture_has_nothing_to_correct(sound: HandoverCapture) -> None:
    better, corrected, left = fixed(sound)
    assert (corrected, left) == ([], [])
    assert better is sound


def test_what_would_be_wrong_as_a_whole_is_told_from_what_is_not(sound: HandoverCapture) -> None:
    def refused(name: str) -> bool:
        return any(doubt.refused for doubt in examine(MISTAKES[name][0](sound)))

    assert refused("y up")
    assert not refused("two cameras")


def edited(sound: HandoverCapture, folder: Path, **changes: object) -> Path:
    write_folder(sound, folder)
    path = folder / "cameras.json"
    meta = json.loads(path.read_text())
    for camera in meta["cameras"]:
        camera.update(changes)
    path.write_text(json.dumps(meta))
    return folder


def test_distortion_is_undone_and_never_ignored(sound: HandoverCapture, tmp_path: Path) -> None:
    coefficients = [0.1, -0.05, 0.001, -0.001, 0.0]
    read = load_folder(edited(sound, tmp_path / "a", distortion=coefficients)).views[0]
    k = sound.views[0].camera.opencv_matrix
    assert np.array_equal(read.rgb, undistorted(sound.views[0].rgb, k, np.array(coefficients), smooth=True))
    assert np.array_equal(
        read.labels, undistorted(sound.views[0].labels, k, np.array(coefficients), smooth=False)
    )
    assert not np.array_equal(read.labels, sound.views[0].labels)
    assert any(
        "would be ignored" in s for s in check(edited(sound, tmp_path / "b", dist_coeffs=coefficients))
    )
    with pytest.raises(CaptureError, match="expected OpenCV"):
        load_folder(edited(sound, tmp_path / "c", distortion=[0.1]))


def test_undistorted_shows_a_point_where_the_pinhole_has_it() -> None:
    k = np.array([[600.0, 0, 319.5], [0, 600.0, 239.5], [0, 0, 1]])
    x, y, k1 = 0.3, -0.2, 0.2
    radial = 1 + k1 * (x**2 + y**2)
    image = np.zeros((480, 640), np.uint8)
    column, row = round(600 * x * radial + 319.5), round(600 * y * radial + 239.5)
    image[row - 1 : row + 2, column - 1 : column + 2] = 1
    seen = np.argwhere(undistorted(image, k, np.array([k1, 0, 0, 0]), smooth=False)).mean(0)
    assert np.abs(seen - [600 * y + 239.5, 600 * x + 319.5]).max() < 1


def test_a_far_plane_is_not_measured(sound: HandoverCapture, tmp_path: Path) -> None:
    write_folder(sound, tmp_path)
    for path in tmp_path.glob("*_depth.png"):
        counts = np.array(Image.open(path)).astype(np.uint16)
        counts[counts == 0] = 10_000
        Image.fromarray(counts).save(path)
    for read, view in zip(load_folder(tmp_path).views, sound.views, strict=True):
        assert np.array_equal(read.depth_m > 0, view.depth_m > 0)


def test_images_of_several_moments_are_doubted(sound: HandoverCapture, tmp_path: Path) -> None:
    write_folder(sound, tmp_path)
    path = tmp_path / "cameras.json"
    meta = json.loads(path.read_text())
    for k, entry in enumerate(meta["cameras"]):
        entry["time_s"] = 100.0 + 0.01 * k
    path.write_text(json.dumps(meta))
    assert any("within 70 ms" in sentence for sentence in check(tmp_path))

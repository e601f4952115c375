"""Laws of the plain RGB-D folder: write then read is identity, problems are all named, nothing outside is read."""

import contextlib
import io
import json
import re
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from h2rh_env.captures.base import HandoverCapture, RgbdView
from h2rh_env.captures.folder import load_folder, problems, write_folder
from h2rh_env.captures.load import load_capture
from h2rh_env.core.camera import PinholeCamera
from h2rh_env.core.errors import CaptureError
from h2rh_env.core.geometry import look_at


def make_capture(seed: int = 0, cameras: int = 2) -> HandoverCapture:
    rng = np.random.default_rng(seed)
    views = []
    for k in range(cameras):
        w, h = int(rng.integers(4, 40)), int(rng.integers(4, 40))
        labels = rng.integers(0, 3, (h, w)).astype(np.uint8)
        labels[0, 0] = 1
        depth = (rng.integers(1, 60_000, (h, w)) * 0.001).astype(np.float32)
        camera = PinholeCamera(
            w, h, rng.uniform(10, 900), rng.uniform(10, 900), w * rng.uniform(), h * rng.uniform()
        )
        pose = look_at(rng.normal(size=3) + [2, 0, 0], [0, 0, 0])
        views.append(
            RgbdView(f"cam{k}", camera, pose, rng.integers(0, 256, (h, w, 3)).astype(np.uint8), depth, labels)
        )
    return HandoverCapture("capture", tuple(views), "mug")


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), cameras=st.integers(1, 4))
def test_write_then_read_is_identity(
    tmp_path_factory: pytest.TempPathFactory, seed: int, cameras: int
) -> None:
    folder = tmp_path_factory.mktemp("x") / "capture"
    written = make_capture(seed, cameras)
    write_folder(written, folder)
    read = load_capture(folder)
    assert (read.name, read.object_name) == ("capture", "mug")
    for a, b in zip(written.views, read.views, strict=True):
        assert a.name == b.name
        assert np.array_equal(a.rgb, b.rgb)
        assert np.array_equal(a.labels, b.labels)
        assert np.allclose(a.depth_m, b.depth_m, atol=1e-6)
        assert np.allclose(a.camera.matrix, b.camera.matrix)
        assert np.allclose(a.world_from_camera.matrix, b.world_from_camera.matrix)
    assert problems(folder) == []


def test_the_largest_count_means_not_measured(tmp_path: Path) -> None:
    capture = make_capture()
    write_folder(capture, tmp_path)
    file = tmp_path / "cam0_depth.png"
    counts = np.array(Image.open(file)).astype(np.uint16)
    counts[0, 1:] = 65535
    image(file.name, counts)(tmp_path)
    depth_m = load_folder(tmp_path).views[0].depth_m
    assert (depth_m[0, 1:] == 0).all()
    assert np.allclose(depth_m[1:], capture.views[0].depth_m[1:], atol=1e-6)


def test_depth_that_only_the_largest_count_could_hold_is_not_written(tmp_path: Path) -> None:
    capture = make_capture()
    far = replace(capture.views[0], depth_m=np.full_like(capture.views[0].depth_m, 65.535))
    with pytest.raises(CaptureError, match="too far for 16 bit"):
        write_folder(replace(capture, views=(far,)), tmp_path)


# What a viewer does to show an image of this EXIF orientation, undone.
STORED_AS = {
    1: lambda upright: upright,
    2: np.fliplr,
    3: lambda upright: np.rot90(upright, 2),
    4: np.flipud,
    5: lambda upright: upright.swapaxes(0, 1),
    6: lambda upright: np.rot90(upright, 1),
    7: lambda upright: np.rot90(upright, 2).swapaxes(0, 1),
    8: lambda upright: np.rot90(upright, -1),
}


@pytest.mark.parametrize("orientation", STORED_AS)
def test_an_image_that_says_how_it_lies_is_turned_upright(tmp_path: Path, orientation: int) -> None:
    capture = make_capture()
    write_folder(capture, tmp_path)
    exif = Image.Exif()
    exif[0x0112] = orientation
    for kind in ("rgb", "depth", "mask"):
        file = tmp_path / f"cam0_{kind}.png"
        stored = STORED_AS[orientation](np.array(Image.open(file)))
        Image.fromarray(np.ascontiguousarray(stored)).save(file, exif=exif)
    read = load_folder(tmp_path).views[0]
    assert np.array_equal(read.rgb, capture.views[0].rgb)
    assert np.array_equal(read.labels, capture.views[0].labels)
    assert np.allclose(read.depth_m, capture.views[0].depth_m, atol=1e-6)


def test_an_unreadable_orientation_is_refused_or_ignored_but_no_crash(tmp_path: Path) -> None:
    for garbage in (b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0", b"Exif\0\0MM\0*\0\0\0\x08\0\x01"):
        write_folder(make_capture(), tmp_path)
        Image.open(tmp_path / "cam0_rgb.png").save(tmp_path / "cam0_rgb.png", exif=garbage)
        with contextlib.suppress(CaptureError):
            load_folder(tmp_path)


def change(key: str, value: Any) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        meta = json.loads((folder / "cameras.json").read_text())
        target = meta if key in meta else meta["cameras"][0]
        target[key] = value
        (folder / "cameras.json").write_text(json.dumps(meta))

    return edit


def image(name: str, array: np.ndarray) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        buffer = io.BytesIO()
        Image.fromarray(array).save(buffer, "PNG")
        (folder / name).write_bytes(buffer.getvalue())

    return edit


def content(name: str, data: bytes) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        (folder / name).write_bytes(data)

    return edit


def big_png() -> bytes:
    """The header of an image of 81 megapixels."""
    buffer = io.BytesIO()
    Image.new("RGB", (1, 1)).save(buffer, "PNG")
    size = (9_000).to_bytes(4, "big") * 2
    data = buffer.getvalue()
    chunk = b"IHDR" + size + data[24:29]
    return data[:12] + chunk + zlib.crc32(chunk).to_bytes(4, "big") + data[33:]


FAULTS: dict[str, tuple[Callable[[Path], None], str]] = {
    "not json": (content("cameras.json", b"{"), "read as JSON"),
    "nested deep": (content("cameras.json", b"[" * 200_000), "read as JSON"),
    "a list": (content("cameras.json", b"[]"), "expected a mapping"),
    "another format": (change("format", "x"), "format"),
    "no cameras": (change("cameras", []), "cameras"),
    "camera no mapping": (change("cameras", [3]), "missing"),
    "mirrored": (change("world_from_camera", np.diag([-1.0, 1, 1, 1]).tolist()), "mirror image.*left-handed"),
    "depth in metres": (change("depth_scale_m", 1.0), "depth_scale_m"),
    "depth scale a string": (change("depth_scale_m", "0.001"), "depth_scale_m"),
    "object unnamed": (change("object_name", ""), "object_name"),
    "K of wrong shape": (change("K", [1, 2]), "K is"),
    "K with skew": (change("K", [[600, 5, 3], [0, 600, 3], [0, 0, 1]]), "K is"),
    "K of strings": (change("K", "abc"), "K is"),
    "focal length zero": (change("K", [[0, 0, 3], [0, 600, 3], [0, 0, 1]]), "focal"),
    "no rotation": (change("world_from_camera", np.zeros((4, 4)).tolist()), "rigid"),
    "outside": (change("rgb", "../../secret.png"), "must lie in the folder"),
    "absolute": (change("rgb", "/etc/passwd"), "must lie in the folder"),
    "name no string": (change("depth", 3), "must lie in the folder"),
    "file missing": (change("mask", "none.png"), "missing"),
    "mask of 255": (lambda f: image("cam0_mask.png", np.full(read_shape(f), 255, np.uint8))(f), "holds 255"),
    "mask of another size": (image("cam0_mask.png", np.zeros((3, 3), np.uint8)), "3x3"),
    "depth of 8 bit": (lambda f: image("cam0_depth.png", np.zeros(read_shape(f), np.uint8))(f), "mode 'L'"),
    "rgb no image": (content("cam0_rgb.png", b"nothing"), "cannot be read"),
    "name leads elsewhere": (change("name", "../cam0"), "name is"),
    "name of two lines": (change("name", "a\nb"), "name is"),
    "object of two lines": (change("object_name", "a\nb"), "object_name"),
    "pose not finite": (change("world_from_camera", np.full((4, 4), np.nan).tolist()), "rigid"),
    "K not finite": (change("K", [[float("nan"), 0, 3], [0, 600, 3], [0, 0, 1]]), "finite|focal"),
    "rgb a poster": (content("cam0_rgb.png", big_png()), "at most 8192"),
    "one name twice": (change("name", "cam1"), "same name"),
}


def read_shape(folder: Path) -> tuple[int, int]:
    with Image.open(folder / "cam0_rgb.png") as opened:
        return opened.size[1], opened.size[0]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_malformed_folder_is_refused_in_one_sentence(tmp_path: Path, fault: str) -> None:
    write_folder(make_capture(), tmp_path)
    damage, words = FAULTS[fault]
    damage(tmp_path)
    with pytest.raises(CaptureError, match=words) as caught:
        load_folder(tmp_path)
    assert "\n" not in str(caught.value)
    assert any(re.search(words, problem) for problem in problems(tmp_path))


@pytest.mark.parametrize("keep", [0.0, 0.5, 0.8])
@pytest.mark.parametrize("name", ["cameras.json", "cam0_rgb.png", "cam0_depth.png", "cam0_mask.png"])
def test_every_file_cut_short_is_refused_by_name(tmp_path: Path, name: str, keep: float) -> None:
    write_folder(make_capture(), tmp_path)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: int(keep * len(whole))])
    with pytest.raises(CaptureError, match=name) as caught:
        load_folder(tmp_path)
    assert "\n" not in str(caught.value)


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(["cameras.json", "cam0_rgb.png", "cam0_depth.png", "cam0_mask.png"]),
    at=st.floats(0, 1),
    noise=st.binary(min_size=1, max_size=30),
)
def test_noise_is_a_capture_or_a_capture_error(
    tmp_path_factory: pytest.TempPathFactory, name: str, at: float, noise: bytes
) -> None:
    folder = tmp_path_factory.mktemp("noise")
    write_folder(make_capture(cameras=1), folder)
    whole = (folder / name).read_bytes()
    start = int(at * len(whole))
    (folder / name).write_bytes(whole[:start] + noise + whole[start + len(noise) :])
    with contextlib.suppress(CaptureError):
        load_folder(folder)


def test_the_documented_example_is_a_capture(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "captures.md").read_text()
    (tmp_path / "cameras.json").write_text(page.split("```json\n")[1].split("```")[0])
    image("left_rgb.png", np.zeros((480, 640, 3), np.uint8))(tmp_path)
    image("left_depth.png", np.full((480, 640), 600, np.uint16))(tmp_path)
    image("left_mask.png", np.ones((480, 640), np.uint8))(tmp_path)
    (view,) = load_folder(tmp_path).views
    assert np.allclose(view.world_from_camera.translation, [0, -0.5, 0.4])
    assert np.allclose(view.world_from_camera.rotation[:, 2], [0, 1, 0])
    assert view.depth_m[0, 0] == pytest.approx(0.6)


def test_all_problems_are_listed_at_once(tmp_path: Path) -> None:
    write_folder(make_capture(cameras=3), tmp_path)
    content("cam0_rgb.png", b"")(tmp_path)
    content("cam2_depth.png", b"")(tmp_path)
    assert len(problems(tmp_path)) == 2


def test_a_capture_without_object_is_refused(tmp_path: Path) -> None:
    capture = make_capture()
    bare = tuple(replace(view, labels=np.zeros_like(view.labels)) for view in capture.views)
    write_folder(replace(capture, views=bare), tmp_path)
    with pytest.raises(CaptureError, match="no mask marks the object"):
        load_folder(tmp_path)


def test_depth_beyond_16_bit_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match="too far"):
        write_folder(make_capture(), tmp_path, depth_scale_m=1e-4)

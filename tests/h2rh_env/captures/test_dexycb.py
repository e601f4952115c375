"""Laws of the DexYCB layout: write then read is identity, and whatever is malformed is refused in one sentence."""

import contextlib
import io
import re
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from h2rh_env.captures.base import HandoverCapture, RgbdView
from h2rh_env.captures.dexycb import load_dexycb
from h2rh_env.captures.load import load_capture
from h2rh_env.captures.write_dexycb import write_dexycb
from h2rh_env.core.camera import PinholeCamera
from h2rh_env.core.errors import CaptureError
from h2rh_env.core.geometry import look_at

SHARED = Path(__file__).parents[3] / "../shared/captures/dexycb_like"


def make_capture(object_name: str = "gelatin_box") -> HandoverCapture:
    rng = np.random.default_rng(0)
    views = []
    for name, eye in (("0001", [1.0, 0, 0.5]), ("0002", [0, 1.0, 0.7])):
        rgb = np.kron(rng.integers(0, 255, (6, 8, 3)), np.ones((80, 80, 1))).astype(np.uint8)
        depth = rng.integers(0, 3000, (480, 640)).astype(np.float32) / np.float32(1000)
        labels = rng.integers(0, 3, (480, 640)).astype(np.uint8)
        camera = PinholeCamera(640, 480, 613.0, 612.0, 313.5, 245.25)
        views.append(RgbdView(name, camera, look_at(eye, [0, 0, 0.1]), rgb, depth, labels))
    return HandoverCapture("20250101_000000", tuple(views), object_name)


@pytest.fixture
def session(tmp_path: Path) -> Path:
    return write_dexycb(make_capture(), tmp_path)


@pytest.mark.parametrize("object_name", ["gelatin_box", "blue_kettle", "random_mug"])
def test_write_then_read_is_identity(tmp_path: Path, object_name: str) -> None:
    written = make_capture(object_name)
    read = load_capture(write_dexycb(written, tmp_path))
    assert (read.name, read.object_name) == (written.name, object_name)
    for a, b in zip(written.views, read.views, strict=True):
        assert a.name == b.name
        assert np.array_equal(a.labels, b.labels)
        assert np.array_equal(a.depth_m, b.depth_m)
        assert np.allclose(a.camera.matrix, b.camera.matrix)
        assert np.allclose(a.world_from_camera.matrix, b.world_from_camera.matrix, atol=1e-12)
        assert np.abs(a.rgb.astype(int) - b.rgb).mean() < 3


def test_lists_that_the_authors_tag_as_python_tuples_are_read(session: Path) -> None:
    plain = load_dexycb(session)
    file = session.parents[1] / "calibration/extrinsics_20250101_000000/extrinsics.yml"
    tagged = re.sub(r"(?m)^(  (?:'\d+'|apriltag):)$", r"\1 !!python/tuple", file.read_text())
    assert tagged.count("!!python/tuple") == 3
    file.write_text(tagged)
    for a, b in zip(plain.views, load_dexycb(session).views, strict=True):
        assert np.allclose(a.world_from_camera.matrix, b.world_from_camera.matrix)


def test_no_other_python_tag_is_obeyed(session: Path) -> None:
    (session / "meta.yml").write_text("serials: !!python/object/apply:os.getcwd []\n")
    with pytest.raises(CaptureError, match="cannot be read as YAML"):
        load_dexycb(session)


def test_principal_point_moves_from_pixel_centre_to_image_corner(session: Path) -> None:
    file = session.parents[1] / "calibration/intrinsics/0001_640x480.yml"
    assert yaml.safe_load(file.read_text())["color"]["ppx"] == 313.0
    assert load_dexycb(session).views[0].camera.cx == 313.5


def test_the_last_frame_is_the_default(session: Path) -> None:
    assert load_dexycb(session).provenance["frame"] == 0
    with pytest.raises(CaptureError, match="no frame 1"):
        load_dexycb(session, 1)
    with pytest.raises(CaptureError, match="no frame -1"):
        load_dexycb(session, -1)


def edit_meta(**changes: object):
    def edit(session: Path) -> None:
        file = session / "meta.yml"
        file.write_text(yaml.safe_dump(yaml.safe_load(file.read_text()) | changes))

    return edit


def replace_file(name: str, content: bytes | None):
    def edit(session: Path) -> None:
        (file,) = [f for base in (session, session.parents[1]) for f in base.glob(name)][:1]
        file.unlink() if content is None else file.write_bytes(content)

    return edit


def truncate(name: str):
    def edit(session: Path) -> None:
        file = session / name
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])

    return edit


def everywhere(name: str, content: bytes):
    def edit(session: Path) -> None:
        for file in session.glob(name.replace("0001", "*")):
            file.write_bytes(content)

    return edit


def png(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return buffer.getvalue()


def npz(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def pickled() -> bytes:
    return npz(seg=np.array([{"a": 1}], object))


def huge_header() -> bytes:
    """An archive whose seg claims 10 TB."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|u1", "fortran_order": False, "shape": (10**7, 10**6)}
    )
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("seg.npy", header.getvalue())
    return buffer.getvalue()


COLOR, DEPTH, LABELS = (
    f"0001/{stem}_000000.{end}"
    for stem, end in (("color", "jpg"), ("aligned_depth_to_color", "png"), ("labels", "npz"))
)
EXTRINSICS = "calibration/extrinsics_*/extrinsics.yml"
INTRINSICS = "calibration/intrinsics/0001_640x480.yml"
FAULTS = {
    "no meta": (replace_file("meta.yml", None), "no capture"),
    "meta not yaml": (replace_file("meta.yml", b"{: ["), "YAML"),
    "meta not text": (replace_file("meta.yml", b"\xff\xfe\x00"), "YAML"),
    "meta nested deep": (replace_file("meta.yml", b"[" * 100_000), "YAML"),
    "meta a list": (replace_file("meta.yml", b"- 1"), "expected a mapping"),
    "meta runs code": (replace_file("meta.yml", b"!!python/object/apply:os.getcwd []"), "YAML"),
    "meta huge": (replace_file("meta.yml", b"# " + b"x" * 2_000_000), "bytes"),
    "serial leads elsewhere": (edit_meta(serials=["../../etc"]), "a serial"),
    "serials no list": (edit_meta(serials=3), "serials"),
    "serial twice": (edit_meta(serials=["0001", "0001"]), "twice"),
    "no such grasp": (edit_meta(ycb_grasp_ind=4), "ycb_grasp_ind"),
    "grasp a bool": (edit_meta(ycb_grasp_ind=True), "ycb_grasp_ind"),
    "ids of strings": (edit_meta(ycb_ids=["a"]), "ycb_ids"),
    "id the hand's": (edit_meta(ycb_ids=[255]), "ycb_ids"),
    "no frames": (edit_meta(num_frames=0), "num_frames"),
    "another object": (edit_meta(ycb_ids=[3]), "no camera sees"),
    "extrinsics elsewhere": (edit_meta(extrinsics="../x"), "extrinsics"),
    "extrinsics missing": (replace_file(EXTRINSICS, None), "missing"),
    "extrinsics without tag": (replace_file(EXTRINSICS, b"extrinsics: {'0001': []}"), "apriltag"),
    "extrinsics of 3": (replace_file(EXTRINSICS, b"extrinsics: {apriltag: [1, 2, 3]}"), "12 numbers"),
    "extrinsics no rotation": (
        replace_file(EXTRINSICS, b"extrinsics: {apriltag: [0,0,0,0,0,0,0,0,0,0,0,0]}"),
        "rigid",
    ),
    "intrinsics missing": (replace_file(INTRINSICS, None), "missing"),
    "intrinsics incomplete": (replace_file(INTRINSICS, b"color: {fx: 600}"), "ppx"),
    "intrinsics nan": (replace_file(INTRINSICS, b"color: {fx: .nan, fy: 1, ppx: 1, ppy: 1}"), "finite"),
    "color missing": (replace_file(COLOR, None), "missing"),
    "color truncated": (truncate(COLOR), "cannot be read"),
    "color no image": (replace_file(COLOR, b"hello"), "cannot be read"),
    "color small": (replace_file(COLOR, png(np.zeros((8, 8, 3), np.uint8))), "8x8"),
    "color grey": (replace_file(COLOR, png(np.zeros((480, 640), np.uint8))), "mode 'L'"),
    "depth 8 bit": (replace_file(DEPTH, png(np.zeros((480, 640), np.uint8))), "mode 'L'"),
    "depth all zero": (everywhere(DEPTH, png(np.zeros((480, 640), np.uint16))), "measured depth"),
    "depth truncated": (truncate(DEPTH), "cannot be read"),
    "labels missing": (replace_file(LABELS, None), "missing"),
    "labels truncated": (truncate(LABELS), "cannot be read"),
    "labels no archive": (replace_file(LABELS, b"hello"), "cannot be read"),
    "labels without seg": (replace_file(LABELS, npz(a=np.zeros(3))), "seg"),
    "labels of another shape": (replace_file(LABELS, npz(seg=np.zeros((3, 3), np.uint8))), "expected uint8"),
    "labels of floats": (replace_file(LABELS, npz(seg=np.zeros((480, 640)))), "expected uint8"),
    "labels pickled": (replace_file(LABELS, pickled()), "expected uint8"),
    "labels of terabytes": (replace_file(LABELS, huge_header()), "expected uint8"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_malformed_session_is_refused_in_one_sentence(session: Path, fault: str) -> None:
    damage, words = FAULTS[fault]
    damage(session)
    with pytest.raises(CaptureError, match=words) as caught:
        load_capture(session)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.fixture(scope="module")
def sound_session(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dexycb(make_capture(), tmp_path_factory.mktemp("noise"))


@settings(max_examples=40, deadline=None)
@given(
    name=st.sampled_from(["meta.yml", COLOR, DEPTH, LABELS]),
    at=st.floats(0, 1),
    noise=st.binary(min_size=1, max_size=30),
)
def test_noise_is_a_capture_or_a_capture_error(
    sound_session: Path, name: str, at: float, noise: bytes
) -> None:
    file = sound_session / name
    whole = file.read_bytes()
    start = int(at * len(whole))
    file.write_bytes(whole[:start] + noise + whole[start + len(noise) :])
    with contextlib.suppress(CaptureError):
        load_capture(sound_session)
    file.write_bytes(whole)


def test_a_session_without_its_root_says_where_it_belongs(session: Path, tmp_path: Path) -> None:
    shutil.move(session.parents[1] / "calibration", tmp_path / "elsewhere")
    with pytest.raises(CaptureError, match="calibration"):
        load_dexycb(session)


def test_a_missing_folder_names_both_layouts(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match=r"meta\.yml.*cameras\.json"):
        load_capture(tmp_path / "nothing")


def test_another_camera_of_the_same_name_is_not_overwritten(session: Path, tmp_path: Path) -> None:
    (session.parents[1] / "calibration/intrinsics/0001_640x480.yml").write_text("color: {fx: 1}")
    with pytest.raises(CaptureError, match="another camera"):
        write_dexycb(make_capture(), tmp_path)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the captures to build on are not beside this checkout")
def test_captures_of_the_real_layout_load() -> None:
    sessions = sorted(SHARED.glob("*-subject-*/*"))
    assert sessions
    for path in sessions:
        capture = load_dexycb(path)
        assert len(capture.views) == 8
        assert all((view.labels == 1).any() for view in capture.views)

"""The PLY reader and writer: what is written is read; what is broken is refused in one sentence."""

import contextlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from h2rh_env.core.errors import SceneError
from h2rh_env.scenes.gaussians import SH_COUNTS, GaussianScene
from h2rh_env.scenes.ply import COEFFICIENT_MAJOR, read_ply, write_ply

FIELDS = ("means", "wxyz", "log_scales", "opacity_logits", "sh", "labels", "antialiased")


def random_scene(count: int = 7, coefficients: int = 16, antialiased: bool = False) -> GaussianScene:
    rng = np.random.default_rng(count + coefficients)

    def normal(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(np.float32)

    labels = rng.integers(0, 3, count).astype(np.uint8)
    return GaussianScene(
        normal(count, 3),
        normal(count, 4),
        normal(count, 3),
        normal(count),
        normal(count, coefficients, 3),
        labels,
        antialiased,
    )


def assert_equal(a: GaussianScene, b: GaussianScene) -> None:
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)


def write_foreign(
    path: Path, columns: dict[str, np.ndarray], *lines: str, order: Literal["<", ">"] = "<"
) -> None:
    """A PLY with any properties, of each array's own type."""
    names = {"f4": "float", "f8": "double", "u1": "uchar", "i4": "int"}
    data = np.zeros(len(columns["x"]), [(k, v.dtype.newbyteorder(order)) for k, v in columns.items()])
    for key, value in columns.items():
        data[key] = value
    form = "binary_little_endian" if order == "<" else "binary_big_endian"
    header = ["ply", f"format {form} 1.0", *lines, f"element vertex {len(data)}"]
    header += [f"property {names[v.dtype.str[1:]]} {k}" for k, v in columns.items()]
    path.write_bytes("\n".join([*header, "end_header", ""]).encode() + data.tobytes())


def foreign_columns(scene: GaussianScene, coefficient_major: bool = False) -> dict[str, np.ndarray]:
    rest = scene.sh[:, 1:] if coefficient_major else scene.sh[:, 1:].transpose(0, 2, 1)
    rest = rest.reshape(len(scene), -1)
    columns = {f"f_rest_{i}": rest[:, i] for i in range(rest.shape[1])}
    columns |= {f"rot_{i}": scene.wxyz[:, i].astype(np.float64) for i in range(4)}
    columns |= {f"scale_{i}": scene.log_scales[:, i] for i in range(3)}
    columns |= {"opacity": scene.opacity_logits, "frame": np.arange(len(scene), dtype=np.int32)}
    columns |= {f"f_dc_{i}": scene.sh[:, 0, i] for i in range(3)}
    return columns | {axis: scene.means[:, i] for i, axis in enumerate("xyz")} | {"label": scene.labels}


@pytest.mark.parametrize("coefficients", SH_COUNTS)
@pytest.mark.parametrize("count", [0, 1, 7])
def test_write_then_read_is_identity(tmp_path: Path, count: int, coefficients: int) -> None:
    scene = random_scene(count, coefficients, antialiased=count == 7)
    write_ply(tmp_path / "a.ply", scene)
    assert_equal(read_ply(tmp_path / "a.ply"), scene)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("coefficient_major", [False, True])
def test_any_order_and_type_of_properties_reads_the_same(
    tmp_path: Path, coefficient_major: bool, order: Literal["<", ">"]
) -> None:
    scene = random_scene(5, 9)
    lines = [f"comment {COEFFICIENT_MAJOR}"] if coefficient_major else ["comment by hand", "obj_info none"]
    write_foreign(tmp_path / "a.ply", foreign_columns(scene, coefficient_major), *lines, order=order)
    assert_equal(read_ply(tmp_path / "a.ply"), scene)


def test_without_labels_everything_is_the_object(tmp_path: Path) -> None:
    columns = foreign_columns(random_scene(3))
    del columns["label"]
    write_foreign(tmp_path / "a.ply", columns)
    assert (read_ply(tmp_path / "a.ply").labels == 1).all()


def test_values_lie_where_3dgs_viewers_look_for_them(tmp_path: Path) -> None:
    scene = random_scene(2, 4)
    write_ply(tmp_path / "a.ply", scene)
    head, body = (tmp_path / "a.ply").read_bytes().split(b"end_header\n")
    names = [line.split()[2] for line in head.decode().splitlines() if line.startswith("property")]
    first = dict(zip(names, np.frombuffer(body[: 4 * (len(names) - 1)], "<f4"), strict=False))
    assert names[:9] == ["x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2"]
    assert names[-1] == "label"
    assert first["f_rest_1"] == scene.sh[0, 2, 0]  # second coefficient of red
    assert first["f_rest_3"] == scene.sh[0, 1, 1]  # first coefficient of green
    assert first["rot_0"] == scene.wxyz[0, 0]


def test_elements_around_the_vertices_are_skipped(tmp_path: Path) -> None:
    scene = random_scene(3, 1)
    write_ply(tmp_path / "a.ply", scene)
    head, body = (tmp_path / "a.ply").read_bytes().split(b"end_header\n")
    head = head.replace(b"element vertex", b"element camera 2\nproperty double fx\nelement vertex")
    faces = b"element face 1\nproperty list uchar int vertex_indices\n"
    (tmp_path / "b.ply").write_bytes(head + faces + b"end_header\n" + bytes(16) + body + bytes(13))
    assert_equal(read_ply(tmp_path / "b.ply"), scene)


def broken(content: bytes) -> dict[str, tuple[bytes, str]]:
    return {
        "empty": (b"", "not a PLY"),
        "no end": (content.split(b"end_header")[0], "not a PLY"),
        "truncated": (content[:-1], "truncated"),
        "huge": (content.replace(b"vertex 4", b"vertex 99999999999"), "at most"),
        "more than the file": (content.replace(b"vertex 4", b"vertex 400"), "truncated"),
        "negative": (content.replace(b"vertex 4", b"vertex -4"), "not understood"),
        "ascii": (content.replace(b"binary_little_endian", b"ascii"), "ascii"),
        "no opacity": (content.replace(b"float opacity", b"float capacity"), "lack opacity"),
        "twice": (content.replace(b"float opacity", b"float x"), "twice"),
        "half a degree": (content.replace(b"f_rest_8", b"g_rest_8"), "f_rest"),
        "no vertices": (content.replace(b"element vertex", b"element points"), "no element 'vertex'"),
        "unknown type": (content.replace(b"float opacity", b"quad opacity"), "not understood"),
        "unknown label": (content[:-1] + b"\x09", "label 9"),
        "not finite": (content[:-5] + np.float32(np.nan).tobytes() + content[-1:], "finite"),
    }


@pytest.mark.parametrize("fault", broken(b"").keys())
def test_each_fault_is_one_sentence_that_names_the_file(tmp_path: Path, fault: str) -> None:
    write_ply(tmp_path / "good.ply", random_scene(4, 4))
    content, message = broken((tmp_path / "good.ply").read_bytes())[fault]
    path = tmp_path / "bad.ply"
    path.write_bytes(content)
    with pytest.raises(SceneError, match=message) as error:
        read_ply(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "none.ply", tmp_path):
        with pytest.raises(SceneError, match="cannot be read"):
            read_ply(path)


@given(st.binary(max_size=300), st.integers(0, 700), st.integers(0, 3))
def test_noise_is_a_scene_or_a_scene_error(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes, at: int, keep: int
) -> None:
    path = tmp_path_factory.mktemp("noise") / "a.ply"
    write_ply(path, random_scene(2, 1))
    content = path.read_bytes()
    path.write_bytes(content[:at] + noise + content[at + keep * len(noise) :])
    with contextlib.suppress(SceneError):
        read_ply(path)


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "cp932", "utf-16-be"])
def test_comments_may_be_written_in_any_encoding(tmp_path: Path, encoding: str) -> None:
    scene = random_scene(antialiased=True)
    write_ply(tmp_path / "a.ply", scene)
    words = "ソフト 表" if encoding == "cp932" else "exported by Åsa, end_header"
    comment = b"comment " + words.encode(encoding) + b"\nelement vertex"
    content = (tmp_path / "a.ply").read_bytes()
    (tmp_path / "a.ply").write_bytes(content.replace(b"element vertex", comment, 1))
    assert_equal(read_ply(tmp_path / "a.ply"), scene)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (lambda g: {"log_scales": np.exp(g.log_scales)}, r"scales .* linear: write log\(scale\)"),
        (lambda g: {"opacity_logits": g.opacities}, r"opacities .* linear: write log\(opacity"),
    ],
)
def test_linear_scales_and_opacities_are_refused(
    tmp_path: Path, changes: Callable[[GaussianScene], dict[str, np.ndarray]], message: str
) -> None:
    scene = random_scene(500)
    scene = replace(scene, log_scales=scene.log_scales - 6, opacity_logits=3 * scene.opacity_logits)
    write_ply(tmp_path / "a.ply", scene)
    assert_equal(read_ply(tmp_path / "a.ply"), scene)
    write_ply(tmp_path / "a.ply", replace(scene, **changes(scene)))
    with pytest.raises(SceneError, match=message):
        read_ply(tmp_path / "a.ply")


def test_gaussians_that_are_all_equally_solid_are_no_fault(tmp_path: Path) -> None:
    scene = random_scene(500)
    scene = replace(scene, opacity_logits=np.full(500, 0.9, np.float32))
    write_ply(tmp_path / "a.ply", scene)
    assert_equal(read_ply(tmp_path / "a.ply"), scene)

"""The compressed layout: what is read is within a step of what was written; what is broken is refused."""

import contextlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from h2rh_env.core.camera import PinholeCamera
from h2rh_env.core.errors import SceneError
from h2rh_env.core.geometry import look_at
from h2rh_env.rendering.select import make_rasteriser
from h2rh_env.scenes.gaussians import SH_C0, SH_COUNTS, GaussianScene
from h2rh_env.scenes.packing import CHUNK, in_chunks
from h2rh_env.scenes.ply import CHUNK_NAMES, read_ply, write_compressed_ply, write_ply


def made_scene(count: int, coefficients: int = 1, antialiased: bool = True) -> GaussianScene:
    """Gaussians on a surface about as large as hand and object."""
    rng = np.random.default_rng(count + coefficients)
    directions = rng.normal(size=(count, 3))
    means = 0.1 * directions / np.maximum(np.linalg.norm(directions, axis=1, keepdims=True), 1e-9) + [
        0.6,
        0.2,
        0.3,
    ]
    return GaussianScene(
        means.astype(np.float32),
        rng.normal(size=(count, 4)).astype(np.float32),
        rng.uniform(-8, -6, (count, 3)).astype(np.float32),
        rng.uniform(-5, 5, count).astype(np.float32),
        rng.uniform(-1.5, 1.5, (count, coefficients, 3)).astype(np.float32),
        rng.integers(0, 3, count).astype(np.uint8),
        antialiased,
    )


def written_and_read(path: Path, scene: GaussianScene) -> tuple[GaussianScene, GaussianScene]:
    """The scene in the order of the file, and what is read back."""
    write_compressed_ply(path / "a.ply", scene)
    return scene.select(in_chunks(scene.means, scene.labels)), read_ply(path / "a.ply")


def unit(wxyz: np.ndarray) -> np.ndarray:
    return wxyz / np.linalg.norm(wxyz, axis=1, keepdims=True)


@pytest.mark.parametrize("coefficients", SH_COUNTS)
@pytest.mark.parametrize("count", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3000])
def test_every_value_comes_back_within_a_step(tmp_path: Path, count: int, coefficients: int) -> None:
    scene, read = written_and_read(tmp_path, made_scene(count, coefficients, antialiased=count % 2 == 0))
    assert np.array_equal(scene.labels, read.labels)
    assert scene.antialiased == read.antialiased
    assert scene.sh_degree == read.sh_degree
    extent = 0.21
    assert np.abs(scene.means - read.means).max(initial=0) <= 0.5 * extent / 1023 + 1e-6
    assert np.abs(scene.log_scales - read.log_scales).max(initial=0) <= 0.5 * 2 / 1023 + 1e-5
    assert np.abs(scene.opacities - read.opacities).max(initial=0) <= 0.5 / 255 + 1e-6
    assert np.abs(scene.sh[:, 0] - read.sh[:, 0]).max(initial=0) <= 0.5 * 3 / 255 + 1e-5
    assert np.abs(scene.sh[:, 1:] - read.sh[:, 1:]).max(initial=0) <= 0.5 * 8 / 255 + 1e-5
    if count:
        assert np.abs((unit(scene.wxyz) * unit(read.wxyz)).sum(axis=1)).min() > 1 - 3e-6


def test_points_of_a_scene_move_by_less_than_a_twentieth_of_a_millimetre(tmp_path: Path) -> None:
    scene, read = written_and_read(tmp_path, made_scene(12_000))
    assert np.percentile(np.linalg.norm(scene.means - read.means, axis=1), 99) < 5e-5


def test_a_gaussian_takes_sixteen_bytes(tmp_path: Path) -> None:
    write_compressed_ply(tmp_path / "a.ply", made_scene(20_000))
    assert (tmp_path / "a.ply").stat().st_size < 16.4 * 20_000 + 1200


def test_what_was_read_is_written_and_read_the_same_but_for_a_step(tmp_path: Path) -> None:
    _, once = written_and_read(tmp_path, made_scene(1000))
    again_in, again = written_and_read(tmp_path, once)
    assert np.abs(again_in.means - again.means).max() < 2e-4


@given(count=st.integers(0, 1500), labels=st.integers(1, 3))
@settings(max_examples=25, deadline=None)
def test_the_order_is_a_permutation_sorted_by_label(count: int, labels: int) -> None:
    rng = np.random.default_rng(count)
    means, of = (
        rng.normal(size=(count, 3)).astype(np.float32),
        rng.integers(0, labels, count).astype(np.uint8),
    )
    order = in_chunks(means, of)
    assert np.array_equal(np.sort(order), np.arange(count))
    assert (np.diff(of[order].astype(int)) >= 0).all()


def test_values_lie_where_viewers_look_for_them(tmp_path: Path) -> None:
    """The published layout, decoded here by hand: a = rot_0 ... in two bits and three times ten."""
    scene, _ = written_and_read(tmp_path, made_scene(300))
    head, body = (tmp_path / "a.ply").read_bytes().split(b"end_header\n")
    elements = [line.split()[1] for line in head.decode().splitlines() if line.startswith("element")]
    assert elements == ["chunk", "vertex"]
    bounds = np.frombuffer(body, "<f4", 2 * 18).reshape(2, 18)
    position, rotation, scale, colour = (int(w) for w in np.frombuffer(body, "<u4", 4, offset=bounds.nbytes))
    x = bounds[0, 0] + (position >> 21) / 2047 * (bounds[0, 3] - bounds[0, 0])
    y = bounds[0, 1] + (position >> 11 & 1023) / 1023 * (bounds[0, 4] - bounds[0, 1])
    assert np.allclose([x, y], scene.means[0, :2], atol=2e-4)
    z_scale = bounds[0, 8] + (scale & 2047) / 2047 * (bounds[0, 11] - bounds[0, 8])
    assert z_scale == pytest.approx(float(scene.log_scales[0, 2]), abs=1e-3)
    red = bounds[0, 12] + (colour >> 24) / 255 * (bounds[0, 15] - bounds[0, 12])
    assert red == pytest.approx(0.5 + SH_C0 * float(scene.sh[0, 0, 0]), abs=2e-3)
    assert (colour & 255) / 255 == pytest.approx(float(scene.opacities[0]), abs=2e-3)
    wxyz = unit(scene.wxyz)[0]
    largest = int(np.abs(wxyz).argmax())
    assert rotation >> 30 == largest
    rest = np.delete(wxyz * np.sign(wxyz[largest]), largest)
    coded = [((rotation >> shift & 1023) / 1023 - 0.5) * 2**0.5 for shift in (20, 10, 0)]
    assert np.allclose(coded, rest, atol=1e-3)


def test_files_without_bounds_of_colours_are_read(tmp_path: Path) -> None:
    """As the first version of the layout had it: colours lie between 0 and 1."""
    scene = made_scene(1)
    write_compressed_ply(tmp_path / "a.ply", scene)
    head, body = (tmp_path / "a.ply").read_bytes().split(b"end_header\n")
    for name in CHUNK_NAMES[12:]:
        head = head.replace(f"property float {name}\n".encode(), b"")
    body = body[:48] + body[72:76] + body[76:84] + bytes([255, 128, 0, 255])
    (tmp_path / "b.ply").write_bytes(head + b"end_header\n" + body)
    rgb = 0.5 + SH_C0 * read_ply(tmp_path / "b.ply").sh[0, 0]
    assert np.allclose(rgb, [1, 0, 128 / 255], atol=1e-5)


def test_a_file_of_another_program_is_all_object(tmp_path: Path) -> None:
    write_compressed_ply(tmp_path / "a.ply", made_scene(5))
    content = (tmp_path / "a.ply").read_bytes()
    start = content.index(b"comment labels")
    (tmp_path / "b.ply").write_bytes(content[:start] + content[content.index(b"\n", start) + 1 :])
    assert (read_ply(tmp_path / "b.ply").labels == 1).all()


def broken(content: bytes) -> dict[str, tuple[bytes, str]]:
    after = content.find(b"end_header\n") + 11
    nan = np.float32(np.nan).tobytes()
    return {
        "truncated": (content[:-1], "truncated"),
        "huge": (content.replace(b"vertex 300", b"vertex 99999999999"), "chunks"),
        "huge and consistent": (
            content.replace(b"vertex 300", b"vertex 25600000000").replace(b"chunk 2", b"chunk 100000000"),
            "at most",
        ),
        "too few chunks": (content.replace(b"chunk 2", b"chunk 1"), "need 2 chunks"),
        "no chunks": (content.replace(b"element chunk", b"element block"), "need 2 chunks"),
        "a bound missing": (content.replace(b"max_scale_y", b"top_scale_y"), "lacks max_scale_y"),
        "a word missing": (content.replace(b"packed_scale", b"parked_scale"), "lacks packed_scale"),
        "of another type": (
            content.replace(b"uint packed_color", b"float packed_color"),
            "lacks packed_color",
        ),
        "labels of others": (content.replace(b"comment labels", b"comment labels 7"), "does not count"),
        "bounds not finite": (content[:after] + nan + content[after + 4 :], "finite"),
    }


@pytest.mark.parametrize("fault", broken(b"").keys())
def test_each_fault_is_one_sentence_that_names_the_file(tmp_path: Path, fault: str) -> None:
    write_compressed_ply(tmp_path / "good.ply", made_scene(300))
    content, message = broken((tmp_path / "good.ply").read_bytes())[fault]
    (tmp_path / "bad.ply").write_bytes(content)
    with pytest.raises(SceneError, match=message) as error:
        read_ply(tmp_path / "bad.ply")
    assert str(tmp_path / "bad.ply") in str(error.value)
    assert "\n" not in str(error.value)


@given(noise=st.binary(max_size=200), at=st.integers(0, 900), keep=st.integers(0, 2))
@settings(max_examples=200, deadline=None)
def test_noise_is_a_scene_or_a_scene_error(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes, at: int, keep: int
) -> None:
    path = tmp_path_factory.mktemp("noise") / "a.ply"
    write_compressed_ply(path, made_scene(3, 4))
    content = path.read_bytes()
    path.write_bytes(content[:at] + noise + content[at + keep * len(noise) :])
    with contextlib.suppress(SceneError):
        read_ply(path)


def test_both_layouts_tell_themselves_apart(tmp_path: Path) -> None:
    scene = made_scene(400)
    write_ply(tmp_path / "plain.ply", scene)
    ordered, compressed = written_and_read(tmp_path, scene)
    plain = read_ply(tmp_path / "plain.ply")
    assert np.array_equal(plain.means, scene.means)
    assert np.abs(compressed.means - ordered.means).max() < 2e-4


def test_pictures_of_a_scene_stay_the_same(tmp_path: Path) -> None:
    surface = made_scene(6000)
    scene = GaussianScene(
        surface.means,
        surface.wxyz,
        np.full((6000, 3), np.log(0.002), np.float32),
        surface.opacity_logits,
        surface.sh,
        surface.labels,
        antialiased=True,
    )
    _, read = written_and_read(tmp_path, scene)
    camera = PinholeCamera(224, 168, 215.25, 215.25, 112, 84)
    rasteriser = make_rasteriser("auto")
    scene_from_camera = look_at([0.9, 0.4, 0.5], [0.6, 0.2, 0.3])
    before, after = (rasteriser.render(s, camera, scene_from_camera) for s in (scene, read))
    on = before.alpha > 0.5
    assert on.mean() > 0.1
    off = (before.rgb[on].astype(np.float64) - after.rgb[on]) / (255 if before.rgb.dtype == np.uint8 else 1)
    assert -10 * np.log10((off**2).mean()) > 45

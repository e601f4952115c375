"""Laws of strangers' meshes as objects to hold: true distance, true colour, or one sentence of refusal."""

from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from h2rh_env.captures.synthetic.generate import generate_capture, stage
from h2rh_env.captures.synthetic.objects.scan import load_scan
from h2rh_env.captures.synthetic.solids import RoundedBox
from h2rh_env.core.errors import CaptureError


@pytest.fixture(scope="module")
def mesh_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    bar = trimesh.creation.box((0.05, 0.03, 0.16))
    bar.visual = trimesh.visual.ColorVisuals(bar, vertex_colors=np.tile([10, 200, 30, 255], (8, 1)))
    file = tmp_path_factory.mktemp("scan") / "bar.ply"
    bar.export(file)
    return file


def test_anyones_mesh_is_a_thing_that_can_be_held(mesh_file: Path) -> None:
    model = load_scan(mesh_file)
    assert model.name == "bar"
    assert np.allclose(model.bounds, [[-0.025, -0.015, 0], [0.025, 0.015, 0.16]], atol=1e-6)
    truth = RoundedBox((0.05, 0.03, 0.16), 1e-6)
    points = np.random.default_rng(0).uniform(-0.1, 0.1, (2000, 3)) + [0, 0, 0.08]
    assert np.abs(model.distance(points) - truth.distance(points - [0, 0, 0.08])).max() < 0.002
    assert np.abs(model.parts[0].paint(points[:5], points[:5]) * 255 - [10, 200, 30]).max() < 2
    made = stage(0, str(mesh_file))
    in_object = made.world_from_object.inverse().apply(made.hand_mesh.vertices)
    assert truth.distance(in_object - [0, 0, 0.08]).min() > -0.001


def card(top: tuple[int, int, int] = (250, 0, 0)) -> trimesh.Trimesh:
    """A card standing along z, its upper half of one colour, its lower half blue."""
    mesh = trimesh.creation.box((0.08, 0.02, 0.1))
    uv = mesh.vertices[:, [0, 2]] / [0.08, 0.1] + 0.5
    image = Image.new("RGB", (20, 20), top)
    image.paste((0, 0, 250), (0, 10, 20, 20))
    mesh.visual = trimesh.visual.TextureVisuals(uv, image=image)
    return mesh


def assert_red_above_blue(file: Path) -> None:
    model = load_scan(file)
    assert np.allclose(model.bounds[1] - model.bounds[0], [0.08, 0.02, 0.1], atol=1e-6)
    paint = model.parts[0].paint
    high, low = np.array([[0.0, -0.01, 0.08]]), np.array([[0.0, -0.01, 0.02]])
    assert paint(high, high)[0] @ [1, 0, -1] > 0.8
    assert paint(low, low)[0] @ [-1, 0, 1] > 0.8


def test_texture_of_a_scan_is_sampled_where_it_lies(tmp_path: Path) -> None:
    (tmp_path / "obj").mkdir()
    card().export(tmp_path / "obj" / "card.obj")
    assert_red_above_blue(tmp_path / "obj" / "card.obj")


def test_a_glb_is_stood_up_from_y(tmp_path: Path) -> None:
    mesh = card()
    mesh.apply_transform([[1, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
    mesh.export(tmp_path / "card.glb")
    assert_red_above_blue(tmp_path / "card.glb")


def test_several_textured_meshes_in_one_file_keep_their_colours(tmp_path: Path) -> None:
    one, other = card((250, 0, 0)), card((0, 250, 0))
    other.apply_translation([0.1, 0, 0])
    scene = trimesh.Scene([one, other])
    scene.apply_transform([[1, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
    scene.export(tmp_path / "cards.glb")
    paint = load_scan(tmp_path / "cards.glb").parts[0].paint
    for x, colour in ((-0.05, 0), (0.05, 1)):
        point = np.array([[x, -0.01, 0.08]])
        assert int(paint(point, point)[0].argmax()) == colour


def test_a_material_without_an_image_gives_its_colour(tmp_path: Path) -> None:
    (tmp_path / "red.mtl").write_text("newmtl red\nKd 0.9 0.1 0.1\n")
    corners = b"v 0 0 0\nv .09 0 0\nv 0 .09 0\nv 0 0 .08\n"
    (tmp_path / "a.obj").write_bytes(b"mtllib red.mtl\n" + corners + b"usemtl red\n" + FACES)
    colour = load_scan(tmp_path / "a.obj").parts[0].paint(np.zeros((1, 3)), np.zeros((1, 3)))[0]
    assert np.allclose(colour, [0.9, 0.1, 0.1], atol=0.01)


def test_a_texture_cut_short_is_refused(tmp_path: Path) -> None:
    card().export(tmp_path / "card.obj")
    for image in tmp_path.glob("*.png"):
        image.write_bytes(image.read_bytes()[:-40])
    with pytest.raises(CaptureError, match="cannot be read") as caught:
        load_scan(tmp_path / "card.obj")
    assert "\n" not in str(caught.value)


FACES = b"f 1 2 3\nf 1 2 4\nf 1 3 4\nf 2 3 4\n"
FAULTS = {
    "missing": ("none.obj", None, "no file"),
    "truncated ply": ("a.ply", b"ply\nformat ascii 1.0\nelement vertex 9999\nend_header\n", "mesh|triangles"),
    "obj without triangles": ("a.obj", b"hello", "mesh|triangles"),
    "truncated glb": ("a.glb", b"glTF\x02\x00", "mesh|triangles"),
    "in millimetres": (
        "a.obj",
        b"v 0 0 0\nv 99 0 0\nv 0 90 0\nv 0 0 80\n" + FACES,
        "millimetres",
    ),
    "not finite": (
        "a.obj",
        b"v 0 0 nan\nv 1 0 0\nv 0 1 0\nv 0 0 1\n" + FACES,
        "finite|mesh",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_mesh_that_cannot_be_held_is_refused(tmp_path: Path, fault: str) -> None:
    name, content, words = FAULTS[fault]
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(CaptureError, match=words) as caught:
        generate_capture(0, str(tmp_path / name))
    assert "\n" not in str(caught.value)

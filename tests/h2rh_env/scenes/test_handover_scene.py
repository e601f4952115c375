"""Scene folders: what is saved is loaded, and what is broken is refused in one sentence."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial import cKDTree

from h2rh_env.core.errors import SceneError
from h2rh_env.core.geometry import SE3
from h2rh_env.scenes.contact_shape import ContactShape
from h2rh_env.scenes.handover_scene import CONTACT_FILE, FILES, HandoverScene, load_scenes


@pytest.fixture
def folder(tiny_scene, tmp_path):
    tiny_scene.save(tmp_path / "tiny")
    return tmp_path / "tiny"


def test_a_scene_round_trips(tiny_scene, folder):
    loaded = HandoverScene.load(folder)
    assert (loaded.name, loaded.object_name, loaded.provenance) == ("tiny", "can", {"made": "in a test"})
    np.testing.assert_array_equal(loaded.object_points, tiny_scene.object_points)
    np.testing.assert_array_equal(loaded.hand_points, tiny_scene.hand_points)
    np.testing.assert_array_equal(loaded.gaussians.means, tiny_scene.gaussians.means)
    np.testing.assert_array_equal(loaded.gaussians.labels, tiny_scene.gaussians.labels)
    np.testing.assert_allclose(
        loaded.grasp.scene_from_grasp.matrix, tiny_scene.grasp.scene_from_grasp.matrix, atol=0
    )


def test_the_hash_names_the_content(tiny_scene, folder):
    first = HandoverScene.load(folder).scene_hash
    assert HandoverScene.load(folder).scene_hash == first
    meta = json.loads((folder / "scene.json").read_text())
    meta["grasp"]["width_m"] += 0.001
    (folder / "scene.json").write_text(json.dumps(meta))
    assert HandoverScene.load(folder).scene_hash != first


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named_with_the_command_that_makes_it(folder, name):
    (folder / name).unlink()
    with pytest.raises(SceneError, match=f"{name}.*h2rh_env.build"):
        HandoverScene.load(folder)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("keep", [0.0, 0.3, 0.9])
def test_a_truncated_file_is_refused(folder, name, keep):
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: int(keep * len(content))])
    with pytest.raises(SceneError) as caught:
        HandoverScene.load(folder)
    assert name in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value"), [("format", "other"), ("grasp", {}), ("grasp", None), ("name", None), ("provenance", 3)]
)
def test_malformed_metadata_is_refused(folder, key, value):
    meta = json.loads((folder / "scene.json").read_text())
    meta[key] = value
    if value is None:
        del meta[key]
    (folder / "scene.json").write_text(json.dumps(meta))
    with pytest.raises(SceneError, match=r"scene\.json"):
        HandoverScene.load(folder)


def test_a_folder_of_scenes_loads_in_order_of_name_and_a_scene_alone(tiny_scene, tmp_path):
    for name in ("b", "a"):
        tiny_scene.save(tmp_path / name)
    assert len(load_scenes(tmp_path)) == 2
    assert len(load_scenes(tmp_path / "a")) == 1


def test_a_folder_without_scenes_says_how_to_make_one(tmp_path):
    with pytest.raises(SceneError, match=r"h2rh_env\.build"):
        load_scenes(tmp_path)


def test_points_that_are_not_finite_are_refused(tiny_scene):
    points = tiny_scene.object_points.copy()
    points[3, 1] = np.nan
    with pytest.raises(SceneError, match="object_points"):
        HandoverScene("x", "x", tiny_scene.gaussians, points, tiny_scene.hand_points, tiny_scene.grasp)


@pytest.mark.parametrize("every", [1, 3])
def test_a_compressed_scene_is_the_same_within_its_steps(tiny_scene, tmp_path, every):
    """Its points may be the means of all Gaussians of their label, or of some."""
    gaussians = tiny_scene.gaussians
    clouds = [gaussians.means[gaussians.labels == label][::-every] for label in (1, 2)]
    scene = replace(tiny_scene, object_points=clouds[0], hand_points=clouds[1])
    scene.save(tmp_path / "a")
    large = (tmp_path / "a" / "points.npz").stat().st_size
    scene.save(tmp_path / "a", compressed=True)
    assert (tmp_path / "a" / "points.npz").stat().st_size < max(400, 0.1 * large)
    loaded = HandoverScene.load(tmp_path / "a")
    for mine, theirs in ((loaded.object_points, clouds[0]), (loaded.hand_points, clouds[1])):
        assert len(mine) == len(theirs)
        assert cKDTree(mine).query(theirs)[0].max() < 3e-4
        assert np.isin(mine, loaded.gaussians.means).all()
    assert loaded.grasp.width_m == scene.grasp.width_m
    assert len(loaded.scene_hash) == 64


def test_a_mask_of_points_of_another_scene_is_refused(tiny_scene, tmp_path):
    np.savez_compressed(tmp_path / "points.npz", of_gaussians=np.zeros(3, np.uint16))
    tiny_scene.save(tmp_path / "a")
    (tmp_path / "points.npz").rename(tmp_path / "a" / "points.npz")
    with pytest.raises(SceneError, match=r"points\.npz: of_gaussians is uint16"):
        HandoverScene.load(tmp_path / "a")


def test_points_of_their_own_are_kept_by_compression(tiny_scene, tmp_path):
    points = tiny_scene.object_points + np.float32(0.01)
    replace(tiny_scene, object_points=points).save(tmp_path / "a", compressed=True)
    np.testing.assert_array_equal(HandoverScene.load(tmp_path / "a").object_points, points)


@pytest.fixture
def touchable(tiny_scene):
    """The tiny scene with two boxes and three spheres to touch."""
    boxes = np.array([[[0, 0, 0], [4, 5, 6]], [[4, 0, 0], [5, 5, 6]]], np.uint16)
    spheres = np.array([[0, 1, 2], [7, 8, 9], [3, 3, 3]], np.uint16)
    frame = SE3(np.array([[0, -1.0, 0], [1, 0, 0], [0, 0, 1]]), np.array([0.5, 0.3, 0.3]))
    return replace(
        tiny_scene,
        contact_shape=ContactShape("true", frame, np.full(3, 0.003), boxes, 0.2, np.zeros(3), spheres, 0.005),
    )


@pytest.mark.parametrize("compressed", [False, True])
def test_the_contact_shape_round_trips(touchable, tmp_path, compressed):
    touchable.save(tmp_path, compressed=compressed)
    assert HandoverScene.load(tmp_path).contact_shape.digest == touchable.contact_shape.digest


def test_a_scene_of_format_1_loads_without_a_shape(tiny_scene, folder):
    meta = json.loads((folder / "scene.json").read_text())
    del meta["contact"]
    (folder / "scene.json").write_text(json.dumps(meta | {"format": "h2rh-scene-1"}))
    assert HandoverScene.load(folder).contact_shape is None


def test_the_contact_shape_is_part_of_the_hash_and_leaves_no_trace(touchable, tiny_scene, tmp_path):
    tiny_scene.save(tmp_path)
    bare = HandoverScene.load(tmp_path).scene_hash
    before = {name: (tmp_path / name).read_bytes() for name in ("gaussians.ply", "points.npz")}
    touchable.save_contact(tmp_path)
    assert HandoverScene.load(tmp_path).scene_hash != bare
    assert before == {name: (tmp_path / name).read_bytes() for name in before}
    tiny_scene.save(tmp_path)
    assert HandoverScene.load(tmp_path).scene_hash == bare
    assert not (tmp_path / CONTACT_FILE).exists()


@pytest.mark.parametrize("keep", [0.0, 0.5, 0.95])
def test_a_truncated_contact_file_is_refused(touchable, tmp_path, keep):
    touchable.save(tmp_path)
    content = (tmp_path / CONTACT_FILE).read_bytes()
    (tmp_path / CONTACT_FILE).write_bytes(content[: int(keep * len(content))])
    with pytest.raises(SceneError, match=CONTACT_FILE):
        HandoverScene.load(tmp_path)


def test_a_missing_contact_file_is_refused(touchable, tmp_path):
    touchable.save(tmp_path)
    (tmp_path / CONTACT_FILE).unlink()
    with pytest.raises(SceneError, match=CONTACT_FILE):
        HandoverScene.load(tmp_path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("source", "guessed"),
        ("mass_kg", -1.0),
        ("mass_kg", float("nan")),
        ("cell_m", [0.003]),
        ("hand_radius_m", 0),
        ("scene_from_shape", [[1, 0], [0, 1]]),
        ("hand_origin_m", None),
    ],
)
def test_a_contact_shape_with_a_wrong_value_is_refused(touchable, tmp_path, key, value):
    touchable.save(tmp_path)
    meta = json.loads((tmp_path / "scene.json").read_text())
    meta["contact"][key] = value
    (tmp_path / "scene.json").write_text(json.dumps(meta))
    with pytest.raises(SceneError):
        HandoverScene.load(tmp_path)


def test_boxes_of_a_wrong_kind_are_refused(touchable):
    shape = touchable.contact_shape
    with pytest.raises(SceneError, match="uint16"):
        replace(shape, boxes=shape.boxes.astype(float))
    with pytest.raises(SceneError, match="no volume"):
        replace(shape, boxes=shape.boxes[:, ::-1])

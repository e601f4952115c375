"""Suites: the paper's objects by name, unseen objects by reserved seeds, and the same ones every time."""

from dataclasses import replace

import pytest

from h2rh_env.benchmark import suites
from h2rh_env.benchmark.paper import TABLE_I
from h2rh_env.benchmark.suites import UNSEEN_FIRST_SEED, make_suite, unseen_scenes
from h2rh_env.captures.synthetic.objects.catalogue import ALL_NAMES
from h2rh_env.core.errors import GraspError, HandoverError, SceneError
from h2rh_env.perturbations.conditions import AS_RENDERED
from h2rh_env.perturbations.images import PERTURBATIONS


@pytest.fixture
def invented(tiny_scene, monkeypatch):
    """Scenes in no time; the second seed gives none. Lists the seeds that were built."""
    built = []

    def build(capture, seed):
        built.append(seed)
        if seed == UNSEEN_FIRST_SEED + 1:
            raise GraspError("no safe approach")
        return tiny_scene

    monkeypatch.setattr(suites, "generate_capture", lambda seed, name: None)
    monkeypatch.setattr(suites, "build_scene", build)
    return built


def save(scene, folder, name, object_name):
    replace(scene, name=name, object_name=object_name).save(folder / name)


def test_every_object_of_the_papers_table_can_be_invented():
    assert set(TABLE_I) <= set(ALL_NAMES)
    assert len(TABLE_I) == 11


def test_table_one_takes_each_object_once_in_the_papers_order_and_names_what_is_missing(tiny_scene, tmp_path):
    for name, object_name in (("a", "banana"), ("b", "banana"), ("c", "mustard_bottle"), ("d", "spoon")):
        save(tiny_scene, tmp_path, name, object_name)
    suite = make_suite("table1", tmp_path)
    assert [scene.name for scene in suite.scenes] == ["mustard_bottle", "banana"]
    assert suite.by_object
    (note,) = suite.notes
    assert note.startswith("9 of Table I's 11 objects")
    assert "scissors" in note
    assert "banana" not in note


def test_a_folder_without_any_of_the_papers_objects_is_refused(tiny_scene, tmp_path):
    save(tiny_scene, tmp_path, "a", "spoon")
    with pytest.raises(SceneError, match="spoon"):
        make_suite("table1", tmp_path)


def test_unseen_objects_are_the_first_reserved_seeds_that_give_a_scene(invented, tmp_path):
    names = [scene.name for scene in unseen_scenes(tmp_path, 3)]
    assert names == [f"random-{UNSEEN_FIRST_SEED + i}" for i in (0, 2, 3)]
    assert invented == [UNSEEN_FIRST_SEED + i for i in range(4)]


def test_unseen_objects_are_built_once_and_fewer_are_the_first_of_more(invented, tmp_path):
    three = [scene.scene_hash for scene in unseen_scenes(tmp_path, 3)]
    invented.clear()
    assert [scene.scene_hash for scene in unseen_scenes(tmp_path, 3)] == three
    assert [scene.scene_hash for scene in unseen_scenes(tmp_path, 2)] == three[:2]
    assert invented == []


def test_what_another_generator_built_is_built_again(invented, tmp_path, monkeypatch):
    unseen_scenes(tmp_path, 2)
    invented.clear()
    monkeypatch.setattr(suites, "GENERATOR_VERSION", -1)
    unseen_scenes(tmp_path, 2)
    assert invented == [UNSEEN_FIRST_SEED + i for i in range(3)]


def test_robust_is_every_perturbation_at_growing_strength(tiny_scene, tmp_path):
    tiny_scene.save(tmp_path)
    suite = make_suite("robust", tmp_path, strengths=(0.5, 1.0))
    assert suite.conditions[0] == AS_RENDERED
    assert {c.perturbation for c in suite.conditions[1:]} == set(PERTURBATIONS)


def test_an_unknown_suite_lists_the_known_ones():
    with pytest.raises(HandoverError, match="scenes, table1, unseen, robust"):
        make_suite("table2")

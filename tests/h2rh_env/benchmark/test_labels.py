"""Scenes are told apart by content; names only label them."""

from dataclasses import replace

import pytest

from h2rh_env.benchmark.evaluation import evaluate
from h2rh_env.benchmark.labels import scene_labels
from h2rh_env.benchmark.rollout import scene_of
from h2rh_env.core.errors import SceneError
from h2rh_env.envs.handover import H2RHandoverEnv
from h2rh_env.report.pictures import film
from h2rh_env.report.save import as_json, differences

from .test_evaluation import Declares, Remembers


@pytest.fixture(scope="module")
def namesakes(tiny_scene):
    """Two scenes of one name: the second has no hand."""
    return [tiny_scene, replace(tiny_scene, hand_points=tiny_scene.hand_points[:1] - [0, 0, 1])]


def test_a_name_that_is_there_once_is_the_label(tiny_scene):
    assert scene_labels([tiny_scene, replace(tiny_scene, name="other")]) == ["tiny", "other"]


def test_labels_of_one_name_tell_contents_apart_in_any_order(namesakes):
    one, other = scene_labels(namesakes)
    assert one != other
    assert one.startswith("tiny (")
    assert scene_labels(namesakes[::-1]) == [other, one]


def test_the_same_content_twice_is_one_scene(tiny_scene):
    assert set(scene_labels([tiny_scene, replace(tiny_scene, provenance={})])) == {"tiny"}


def test_scenes_of_one_name_are_both_evaluated_and_by_any_number_of_workers(namesakes):
    one, two = (evaluate({"remembers": Remembers()}, namesakes, 2, 0, workers=workers) for workers in (1, 2))
    labels = scene_labels(namesakes)
    assert [e.scene for e in one["remembers"]] == [labels[0]] * 2 + [labels[1]] * 2
    assert one["remembers"][0].score.hand_clearance_m < 0.9 < one["remembers"][2].score.hand_clearance_m
    assert differences(as_json(one, {}), as_json(two, {})) == []
    assert len(as_json(one, {})["scenes"]) == 2


def test_a_film_is_of_the_episodes_own_scene(namesakes):
    env = H2RHandoverEnv(namesakes)
    for episode, scene in zip(evaluate({"d": Declares()}, namesakes, 1, 0)["d"], namesakes, strict=True):
        assert len(film(env, episode).frames) == 1
        assert env.scene is scene


def test_an_environment_refuses_a_name_that_two_scenes_have(namesakes):
    env = H2RHandoverEnv(namesakes)
    with pytest.raises(SceneError, match="2 different scenes have the name 'tiny'"):
        env.reset(options={"scene": "tiny"})
    env.reset(seed=0, options={"scene": namesakes[1]})
    assert env.scene is namesakes[1]


def test_an_episode_of_a_scene_that_is_not_at_hand_says_so(tiny_scene):
    (episode,) = evaluate({"d": Declares()}, [tiny_scene], 1, 0)["d"]
    with pytest.raises(SceneError, match=r"'tiny' is not among the scenes at hand: other"):
        scene_of(episode, [replace(tiny_scene, name="other")])

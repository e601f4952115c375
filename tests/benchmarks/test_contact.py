"""The contact benchmark counts what it judged, scenes that can be grasped apart from the others."""

from dataclasses import replace

import pytest

from benchmarks.contact import SHORT, ContactBenchmark, by_friction, judge_scene, row, summary, to_json
from h2rh_env.core.errors import HandoverError


@pytest.fixture(scope="module")
def judged(tiny_scene, tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes") / "tiny"
    tiny_scene.save(folder)
    return judge_scene((folder, ContactBenchmark(seeds=3)))


def test_every_seed_is_judged_and_told(judged):
    assert [outcome.shape_source for outcome in judged.outcomes] == ["cloud"] * 3
    assert row(judged)[:2] == ["tiny", f"{judged.handed_over}/3"]
    assert len(to_json([judged])[0]["outcomes"]) == 3


def test_failures_are_counted_under_their_own_names(judged):
    for k, failure in enumerate(SHORT):
        failed = tuple(replace(one, handed_over=False, first_failure=failure) for one in judged.outcomes)
        cells = row(replace(judged, outcomes=failed))
        assert cells[1] == "0/3"
        assert cells[5 : 5 + len(SHORT)] == ["3" if i == k else "" for i in range(len(SHORT))]


def test_bands_of_friction_share_out_all(judged):
    totals = [int(cell.split("/")[1]) for cell in by_friction(judged.outcomes)]
    assert sum(totals) == 3


def test_an_approach_only_does_not_count(judged):
    only = replace(judged, name="other", graspable=False)
    assert row(only)[0] == "(other)"
    assert "in 1 scenes" in summary([judged, only], wall_s=1.0)
    assert "360 judgements a minute" in summary([judged, only], wall_s=1.0)


def test_no_seeds_are_refused():
    with pytest.raises(HandoverError, match="--seeds"):
        ContactBenchmark(seeds=0)

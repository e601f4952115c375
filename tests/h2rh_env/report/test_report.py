"""A report says what happened, can be read back, and shows itself on one page."""

import json
import re
from dataclasses import replace

import imageio.v3 as iio
import numpy as np
import pytest

from h2rh_env import report
from h2rh_env.benchmark.evaluation import evaluate
from h2rh_env.benchmark.paper import TABLE_I
from h2rh_env.core.errors import HandoverError
from h2rh_env.core.task import MAX_EPISODE_STEPS
from h2rh_env.envs.handover import H2RHandoverEnv
from h2rh_env.perturbations.conditions import AS_RENDERED, Condition
from h2rh_env.report.pictures import film, sheet
from h2rh_env.report.plots import RIGHT
from h2rh_env.report.records import read_episodes, read_report
from h2rh_env.report.save import as_json, command, differences

CHARACTER_PX = 8  # at 13 px, half bold, at most
NOUGHT = np.zeros(7, np.float32)


class Acts:
    def __init__(self, action):
        self.action = np.array(action, np.float32)

    def reset(self, seed):
        pass

    def act(self, observation):
        return self.action


SETTINGS = {
    "policy": ["declares", "<b>stands</b>"],
    "seed": 4,
    "initial_poses": 3,
    "suite": "robust",
    "policy_hashes": {},
}


@pytest.fixture(scope="module")
def episodes(tiny_scene):
    policies = {"declares": Acts([0, 0, 0, 0, 0, 0, 1]), "<b>stands</b>": Acts(NOUGHT)}
    conditions = (AS_RENDERED, Condition("noise", 0.5), Condition("noise", 1.0))
    return evaluate(policies, [tiny_scene], 3, 4, seeds=2, conditions=conditions)


@pytest.fixture(scope="module")
def folder(episodes, tiny_scene, tmp_path_factory):
    out = tmp_path_factory.mktemp("report")
    report.save(out, episodes, SETTINGS, H2RHandoverEnv(tiny_scene))
    return out


def test_the_json_has_the_figures_with_counts_and_intervals(folder):
    saved = json.loads((folder / "report.json").read_text())
    assert saved["summary"]["<b>stands</b>"]["failures"]["not declared"] == 6
    declared = saved["summary"]["declares"]["declared"]
    assert (declared["count"], declared["total"]) == (6, 6)
    assert declared["interval_95"] == pytest.approx(
        [0.2065, 1.0], abs=1e-3
    )  # one scene tells little of others
    assert len(saved["episodes"]) == 2 * 3 * 2 * 3
    assert saved["pairs"][0]["neither"] == 6


def test_what_was_saved_is_read_back(folder, episodes):
    for kept, read in zip((e for run in episodes.values() for e in run), read_episodes(folder), strict=True):
        assert (read.seed, read.condition) == (kept.seed, kept.condition)
        assert read.score == kept.score
        assert read.handover == kept.handover
        for name in ("scene_from_gripper", "actions", "end_object_mask", "step_seconds"):
            np.testing.assert_array_equal(getattr(read.record, name), getattr(kept.record, name))


def test_the_headline_is_what_was_handed_over(folder, episodes):
    first = (folder / "report.md").read_text().split("###")[1]
    assert first.startswith(" Handed over\n")
    assert "policy (95 %: scenes resampled)" in first
    saved = json.loads((folder / "report.json").read_text())
    assert saved["handovers"]["<b>stands</b>"]["failures"]["not closed in time"] == 6
    assert saved["episodes"][0]["handover"]["first_failure"] == episodes["declares"][0].handover.first_failure


def test_without_contact_the_headline_is_the_papers_success(tiny_scene):
    run = evaluate({"declares": Acts([0, 0, 0, 0, 0, 0, 1])}, [tiny_scene], 1, 0, handover=None)
    titles = list(report.tables(run))
    assert "handed over" not in titles
    assert "success and distance by scene" in titles


def test_the_labels_beside_the_bars_are_whole(folder):
    page = (folder / "report.html").read_text()
    longest = max(len(text) for text in re.findall(r'class="value">([^<]*)<', page))
    assert longest * CHARACTER_PX < RIGHT - 14


def test_a_report_of_an_older_format_is_refused_in_one_sentence(folder, tmp_path):
    old = json.loads((folder / "report.json").read_text())
    del old["format"]
    (tmp_path / "report.json").write_text(json.dumps(old))
    with pytest.raises(
        HandoverError, match=r"'h2rh-report-1', whose figures were defined otherwise.*evaluate again"
    ):
        read_report(tmp_path)


def test_a_report_that_is_cut_short_is_refused(folder, tmp_path):
    with pytest.raises(HandoverError, match="cannot be read"):
        read_report(tmp_path / "report.json")
    (tmp_path / "report.json").write_bytes((folder / "report.json").read_bytes())
    (tmp_path / "records.npz").write_bytes((folder / "records.npz").read_bytes()[:-200])
    with pytest.raises(HandoverError, match="does not go with"):
        read_episodes(tmp_path)
    (tmp_path / "report.json").write_text("[]")
    with pytest.raises(HandoverError, match="is not a report"):
        read_report(tmp_path)


def test_equal_runs_differ_in_times_alone_and_unequal_ones_are_told_apart(episodes):
    one = as_json(episodes, SETTINGS)
    slower = {
        p: [replace(e, score=replace(e.score, seconds_per_step=9.0)) for e in run]
        for p, run in episodes.items()
    }
    assert differences(one, as_json(slower, SETTINGS)) == []
    moved = {
        p: [replace(e, score=replace(e.score, distance_m=e.score.distance_m + 1e-12)) for e in run]
        for p, run in episodes.items()
    }
    assert any("distance_m" in line for line in differences(one, as_json(moved, SETTINGS)))
    (other,) = differences(one, as_json(episodes, SETTINGS | {"policy_hashes": {"declares": "abc"}}))
    assert other.startswith("policy hashes")


def test_the_page_needs_nothing_else_and_quotes_names(folder):
    page = (folder / "report.html").read_text()
    assert not re.findall(r"""(?:src|href)=["']?(?!data:|\")""", page)
    assert "http" not in re.sub(r"data:[a-z/0-9]+;base64,[A-Za-z0-9+/=]+", "", page)
    assert "<b>stands</b>" not in page
    assert "&lt;b&gt;stands&lt;/b&gt;" in page
    assert page.count("<svg") >= 4
    assert "data:video/mp4" in page
    assert 'poster="data:image/jpeg' in page
    assert "data:image/jpeg" in page


def test_the_sheet_and_the_video_show_every_first_start(folder, episodes, tiny_scene):
    shown = [film(H2RHandoverEnv(tiny_scene), run[0]) for run in episodes.values()]
    assert iio.imread(folder / "episodes.png").shape == sheet(shown).shape
    frames = iio.imread(folder / "episodes.mp4")
    assert len(frames) == MAX_EPISODE_STEPS + 1 + 6
    assert frames.shape[2] == 2 * 224


def test_the_markdown_has_the_tables(folder):
    text = (folder / "report.md").read_text()
    assert "| <b>stands</b> | 0/6 (0-79) |" in text
    assert "| noise | declares | 0/6 | 0/6 | 0/6 |" in text
    assert "seed 5" in text


def test_table_one_stands_beside_the_papers(tiny_scene):
    scene = replace(tiny_scene, name="banana")
    run = evaluate({"declares": Acts([0, 0, 0, 0, 0, 0, 1])}, [scene], 2, 0)
    header, (papers, ours, papers_all, ours_seen, ours_all) = report.tables(run, by_object=True)["Table I"]
    assert papers == ["banana", "seen", "paper", "0.35 ± 0.01", "9/10", "10/10", "-", "-"]
    assert (ours[:3], len(ours)) == (["banana", "seen", "declares"], len(header))
    assert papers_all[4:6] == ["105/110", "106/110"]
    assert ours[3:] == ours_seen[3:] == ours_all[3:]


def test_table_one_says_which_objects_the_papers_training_had_not_seen(tiny_scene):
    scenes = [replace(tiny_scene, name=name) for name in ("banana", "cracker_box", "master_chef_can")]
    run = evaluate({"declares": Acts([0, 0, 0, 0, 0, 0, 1])}, scenes, 1, 0, handover=None)
    _, body = report.tables(run, by_object=True)["Table I"]
    unseen = {row[0] for row in body if row[1] == "unseen"}
    assert unseen == {"cracker_box", "master_chef_can", "all unseen here"}


def test_the_papers_table_has_the_totals_of_its_text():
    assert sum(safe for *_, safe, _ in TABLE_I.values()) == 105
    assert sum(centred for *_, centred in TABLE_I.values()) == 106
    assert sum(0.35 <= mean <= 0.45 for _, mean, *_ in TABLE_I.values()) == 8


def test_the_command_says_what_the_settings_are():
    settings = {
        "policy": ["a", "b c"],
        "scenes": None,
        "seeds": 3,
        "suite": "robust",
        "objects": 50,
        "strengths": [0.5, 1.0],
        "contact": {"friction": [0.3, 0.7]},
        "policy_hashes": {},
    }
    assert command(settings) == (
        "python evaluate.py --policy a --policy 'b c' --seeds 3 --suite robust --strengths 0.5 1.0 "
        "--contact.friction 0.3 0.7"
    )

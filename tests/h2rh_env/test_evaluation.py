"""Every policy meets the same starts, and a report says what happened and how to see it again."""

import json

import imageio.v3 as iio
import numpy as np
import pytest

from h2rh_env import report
from h2rh_env.evaluation import episode_seed, evaluate
from h2rh_env.interface import MAX_EPISODE_STEPS


class Declares:
    """Declares at once."""

    def reset(self, seed):
        pass

    def act(self, observation):
        return np.array([0, 0, 0, 0, 0, 0, 1], np.float32)


class Stands(Declares):
    """Never moves, never declares."""

    def act(self, observation):
        return np.zeros(7, np.float32)


class Privileged(Declares):
    """Counts how often it was shown the scene."""

    privileged = True
    shown = 0

    def observe_state(self, scene, world_from_camera):
        self.shown += 1


@pytest.fixture(scope="module")
def episodes(tiny_scene):
    return evaluate({"declares": Declares(), "stands": Stands()}, [tiny_scene], starts=3, seed=4)


def test_policies_get_the_same_starts_and_different_ones_differ(episodes):
    first, second = ([e.record.world_from_gripper[0] for e in episodes[p]] for p in ("declares", "stands"))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first[0], first[1])


def test_seeds_depend_on_scene_and_start_alone():
    assert episode_seed(1, 2, 3) == episode_seed(1, 2, 3)
    seeds = {episode_seed(s, i, j) for s in range(3) for i in range(4) for j in range(5)}
    assert len(seeds) == 60


def test_an_episode_ends_by_declaring_or_after_thirty_steps(episodes):
    assert all(e.record.declared and len(e.record.actions) == 1 for e in episodes["declares"])
    assert all(not e.record.declared and e.score.steps == MAX_EPISODE_STEPS for e in episodes["stands"])


def test_only_a_privileged_policy_is_shown_the_scene(tiny_scene):
    policy = Privileged()
    evaluate({"privileged": policy}, [tiny_scene], starts=2, seed=0)
    assert policy.shown == 2


def test_a_report_is_complete_and_reproduces_its_episodes(episodes, tiny_scene, tmp_path):
    report.save(tmp_path, episodes, {"seed": 4, "starts": 3})
    saved = json.loads((tmp_path / "report.json").read_text())
    assert saved["summary"]["stands"]["failures"]["not declared"] == 3
    assert saved["summary"]["declares"]["declared"] == {
        "count": 3, "total": 3, "wilson_95": [pytest.approx(0.4385, abs=1e-3), 1.0],
    }  # fmt: skip
    again = evaluate(
        {"declares": Declares()}, [tiny_scene], saved["settings"]["starts"], saved["settings"]["seed"]
    )
    for entry, episode in zip(saved["episodes"], again["declares"], strict=False):
        np.testing.assert_array_equal(entry["world_from_start"], episode.record.world_from_gripper[0])
        assert entry["distance_m"] == episode.score.distance_m


def test_the_sheet_and_the_video_show_every_kept_episode(episodes, tmp_path):
    report.save(tmp_path, episodes, {})
    sheet = iio.imread(tmp_path / "episodes.png")
    strip = report.episode_sheet([episodes["stands"][0]])
    assert sheet.shape[0] == 2 * strip.shape[0]
    frames = iio.imread(tmp_path / "episodes.mp4")
    assert len(frames) == MAX_EPISODE_STEPS + 1 + 6
    assert frames.shape[2] == 2 * 224
    text = (tmp_path / "report.md").read_text()
    assert "| stands | 0/3 (0-56) |" in text

"""The expert's benchmark judges its episodes as a policy's, and tells which bar an episode misses."""

from dataclasses import replace

import pytest

from benchmarks.expert import episodes, missed, row
from h2rh_env.envs.metrics import UNSAFE
from h2rh_env.rendering.select import make_rasteriser


@pytest.fixture(scope="module")
def scores(tiny_scene):
    return episodes(tiny_scene, 4, 0, make_rasteriser())


def test_on_a_scene_that_can_be_grasped_all_bars_hold(scores):
    assert missed(scores) == []
    assert row("tiny", scores)[:6] == ["tiny", "4", "4", "4", "4", "4"]


@pytest.mark.parametrize(
    ("change", "bar"),
    [
        ({"in_band": False}, "in_band in all"),
        ({"unsafe": UNSAFE[0]}, "safe in all"),
        ({"steps": 30}, "at most 30 steps"),
        ({"graspable": False}, "graspable in 98%"),
        ({"clearance_m": 0.1}, "no pose within 0.1 m"),
    ],
)
def test_one_episode_that_misses_a_bar_is_enough(scores, change, bar):
    assert missed([*scores[1:], replace(scores[0], **change)]) == [bar]


def test_where_no_grasp_fits_there_is_nothing_to_grasp(scores):
    without = [replace(one, graspable=None) for one in scores]
    assert missed(without) == []
    assert row("wide", without)[5] == "-"

"""The arithmetic of rates, held to published figures and to textbook ones."""

import math

import pytest

from h2rh_env.utils.proportions import Rate, compare, mean_and_spread, wilson

# HandoverSim's lists of statuses: success, contact with the hand, drop, time-out; and the rates it printed.
HANDOVERSIM = [
    ((93, 25, 17, 9), (64.58, 17.36, 11.81, 6.25)),
    ((98, 15, 23, 8), (68.06, 10.42, 15.97, 5.56)),
]


@pytest.mark.parametrize(("counts", "printed"), HANDOVERSIM)
def test_lists_of_statuses_give_handoversims_printed_rates(counts, printed):
    statuses = [kind for kind, count in enumerate(counts) for _ in range(count)]
    assert len(statuses) == 144
    rates = [Rate.of(status == kind for status in statuses) for kind in range(4)]
    assert [round(100 * rate.value, 2) for rate in rates] == list(printed)
    assert sum(rate.value for rate in rates) == pytest.approx(1)


def test_wilson_intervals_hold_their_rate_and_shrink_with_the_count():
    low, high = Rate(8, 10).interval
    assert (low, high) == pytest.approx((0.4902, 0.9433), abs=1e-4)  # Wilson (1927), 95 %
    wide, narrow = Rate(8, 10).interval, Rate(80, 100).interval
    assert narrow[1] - narrow[0] < wide[1] - wide[0]
    assert Rate(10, 10).interval[1] == pytest.approx(1.0)
    assert Rate(0, 0).interval == (0.0, 1.0)
    assert math.isnan(Rate(0, 0).value)


def test_resampling_scenes_widens_an_interval_where_scenes_agree_within():
    verdicts = [i < 50 for i in range(100)]
    alone = Rate.of(verdicts, range(100)).interval
    by_scene = Rate.of(verdicts, [i // 10 for i in range(100)]).interval
    assert alone == pytest.approx((0.4, 0.6), abs=0.02)
    assert by_scene[0] <= 0.2
    assert by_scene[1] >= 0.8
    assert by_scene == Rate.of(verdicts, [i // 10 for i in range(100)]).interval


def test_the_order_of_episodes_within_and_of_scenes_changes_the_rate_of_none():
    verdicts, scenes = [True, False, True, True], ["a", "a", "b", "c"]
    forth, back = Rate.of(verdicts, scenes), Rate.of(verdicts[::-1], scenes[::-1])
    assert sorted(forth.clusters) == sorted(back.clusters)
    assert (forth.count, forth.total) == (back.count, back.total) == (3, 4)


def test_where_all_scenes_agree_the_interval_is_that_of_as_many_draws_as_scenes():
    assert Rate.of([True] * 100, [i // 10 for i in range(100)]).interval == Rate(10, 10).interval
    assert Rate.of([True, False] * 5, [0] * 10).interval == wilson(0.5, 1)


def test_a_difference_within_one_scene_alone_is_not_told_from_chance():
    first, second = [True] * 20, [True] * 10 + [False] * 10
    one_scene, ten_scenes = [i // 10 for i in range(20)], list(range(10)) * 2
    assert compare(first, second).p_value < 0.01
    assert compare(first, second, one_scene).p_value > 0.9
    found = compare(first, second, ten_scenes)
    assert found.difference == 0.5
    assert found.p_value < 0.01
    assert found.interval == pytest.approx((0.5, 0.5))


def test_pairs_of_verdicts_are_counted_and_judged_by_the_exact_mcnemar_test():
    first = [True] * 6 + [True] * 10 + [False] * 1 + [False] * 3
    second = [True] * 6 + [False] * 10 + [True] * 1 + [False] * 3
    found = compare(first, second)
    assert (found.both, found.first_only, found.second_only, found.neither) == (6, 10, 1, 3)
    assert found.p_value == pytest.approx(2 * (1 + 11) / 2**11)  # 0 or 1 of 11 fair coins, on either side
    assert compare(second, first).p_value == pytest.approx(found.p_value)


def test_policies_that_agree_do_not_differ():
    assert compare([True, False], [True, False]).p_value == 1
    assert compare([], []).p_value == 1


def test_verdicts_on_different_starts_are_not_compared():
    with pytest.raises(ValueError, match=r"shorter|longer"):
        compare([True], [True, False])


def test_a_spread_needs_two_values():
    assert mean_and_spread([1.0, 3.0]) == pytest.approx((2, math.sqrt(2)))
    assert math.isnan(mean_and_spread([1.0])[1])

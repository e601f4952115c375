"""No training set has the paper's unseen objects, by name or by shape."""

from types import SimpleNamespace

import numpy as np
import pytest

from h2rh_env.benchmark.paper import TABLE_I
from h2rh_env.build import refuse_held_out
from h2rh_env.captures.synthetic.objects.catalogue import OBJECT_NAMES, make_object
from h2rh_env.captures.synthetic.objects.held_out import HELD_OUT_SIZES_M, is_held_out
from h2rh_env.core.errors import CaptureError

TINY = (0.01, 0.01, 0.01)


def size_of(name):
    low, high = make_object(name, np.random.default_rng(0)).bounds
    return high - low


def test_the_names_are_those_that_the_papers_table_calls_unseen():
    assert {name for name, row in TABLE_I.items() if not row[0]} == set(HELD_OUT_SIZES_M)


@pytest.mark.parametrize("name", HELD_OUT_SIZES_M)
def test_an_unseen_object_is_held_out_by_its_name_and_by_its_shape_under_another(name):
    assert is_held_out(name, TINY)
    assert is_held_out("random", size_of(name))


@pytest.mark.parametrize("name", [name for name in OBJECT_NAMES if name not in HELD_OUT_SIZES_M])
def test_no_other_object_of_the_catalogue_is_held_out(name):
    assert not is_held_out(name, size_of(name))


def test_a_shape_is_alike_within_fifteen_percent_along_every_axis_in_any_order():
    can = np.array(HELD_OUT_SIZES_M["master_chef_can"])
    assert is_held_out("random", can[::-1] * 1.14)
    assert is_held_out("random", can * 0.86)
    assert not is_held_out("random", can * [1, 1, 1.2])
    assert not is_held_out("random", can * 0.8)


@pytest.mark.parametrize(
    ("name", "refused"), [("master_chef_can", True), ("cracker_box", True), ("banana", False)]
)
def test_a_build_of_a_training_set_leaves_them_out(name, refused):
    bounds = make_object(name, np.random.default_rng(0)).bounds
    capture = SimpleNamespace(object_name="random", truth=SimpleNamespace(object_bounds=bounds))
    if not refused:
        refuse_held_out(capture)
        return
    with pytest.raises(CaptureError, match="unseen in the paper's split"):
        refuse_held_out(capture)

"""Laws of the action code."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from h2rh_env.core.action import decode_action, encode_action
from h2rh_env.core.errors import ActionError
from h2rh_env.core.spaces import action_space


@given(st.integers(0, 2**32 - 1))
def test_an_action_in_the_space_round_trips(seed):
    space = action_space()
    space.seed(seed)
    action = space.sample()
    motion, score = decode_action(action)
    np.testing.assert_allclose(encode_action(motion, score), action, atol=1e-6)


def test_what_is_outside_the_space_is_clipped_to_it():
    space = action_space()
    motion, score = decode_action(np.full(7, 10.0))
    np.testing.assert_allclose(encode_action(motion, score), space.high, atol=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("index", range(7))
def test_no_value_that_is_not_finite_becomes_a_motion(bad, index):
    action = np.zeros(7)
    action[index] = bad
    with pytest.raises(ActionError, match="finite"):
        decode_action(action)


@pytest.mark.parametrize("shape", [(6,), (8,), (1, 7), ()])
def test_a_wrong_shape_is_named(shape):
    with pytest.raises(ActionError, match=r"shape \(7,\)"):
        decode_action(np.zeros(shape))

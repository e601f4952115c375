"""Of two checkpoints, the better one succeeds more often; among equals, the one that errs less."""

import json
from dataclasses import asdict

from policies.training.validation import Validation


def test_success_comes_first_then_the_goal_s_error() -> None:
    rarely = Validation(1, 0.5, 0.01, 0.0)
    often, nearer, better_aimed = (
        Validation(2, 0.9, 0.05, 0.2),
        Validation(3, 0.9, 0.04, 0.2),
        Validation(4, 0.9, 0.05, 0.1),
    )
    assert often.better_than(rarely)
    assert nearer.better_than(often)
    assert better_aimed.better_than(often)
    assert not any(each.better_than(each) for each in (rarely, often))
    assert not rarely.better_than(often)


def test_a_validation_is_read_as_it_was_written() -> None:
    validation = Validation(3, 0.98, 0.021, 0.13)
    assert Validation.from_json(json.loads(json.dumps(asdict(validation)))) == validation

"""Of two checkpoints, the better one hands more over; among equals, the one that errs less."""

import json
from dataclasses import asdict

from policies.training.validation import Validation


def test_handovers_come_first_then_the_goal_s_error() -> None:
    rarely = Validation(1, 0.2, 1.0, 0.01, 0.0)
    often, nearer, better_aimed = (
        Validation(2, 0.6, 0.9, 0.05, 0.2),
        Validation(3, 0.6, 0.9, 0.04, 0.2),
        Validation(4, 0.6, 0.9, 0.05, 0.1),
    )
    assert often.better_than(rarely)
    assert nearer.better_than(often)
    assert better_aimed.better_than(often)
    assert not any(each.better_than(each) for each in (rarely, often))
    assert not rarely.better_than(often)


def test_success_at_the_pregrasp_pose_which_saturates_does_not_decide() -> None:
    assert not Validation(1, 0.5, 1.0, 0.02, 0.1).better_than(Validation(2, 0.5, 0.1, 0.02, 0.1))


def test_a_validation_is_read_as_it_was_written_and_from_before_handovers_were_judged() -> None:
    validation = Validation(3, 0.5, 0.98, 0.021, 0.13)
    written = json.loads(json.dumps(asdict(validation)))
    assert Validation.from_json(written) == validation
    del written["handed_over"]
    assert Validation.from_json(written).handed_over == 0.0

"""A log's line is what was packed; logs of the first format are still read and replay to the same decisions."""

import gzip
import math
from pathlib import Path

import numpy as np
import pytest

from h2rh_env.core.errors import RobotError
from h2rh_env.core.geometry import SE3
from real_robot.interfaces import RobotState, Safety
from real_robot.safety.decision import Decision, Verdict
from real_robot.safety.replay import replay
from real_robot.safety.trial_log import (
    ActionLine,
    CarryLine,
    EndLine,
    TickLine,
    TrialLine,
    TrialLog,
    pack,
    read_log,
    unpack,
)

POSE = SE3(np.eye(3), np.array([0.1, 0.2, 0.3]))
STATE = RobotState(1.5, POSE, np.zeros(3), np.array([1.0, 2.0, 3.0]), Safety.PROTECTIVE_STOP)


@pytest.fixture
def first_format(tmp_path):
    """The beginning of a trial that version 1 of the format logged, with an action refused and a detour."""
    path = tmp_path / "old.jsonl"
    path.write_bytes(gzip.decompress((Path(__file__).parent / "data" / "format_1.jsonl.gz").read_bytes()))
    return path


def test_a_tick_is_what_was_packed():
    decision = Decision(Verdict.HOLD, "why", POSE)
    line = unpack(pack(TickLine.of(decision, 2.0, -math.inf, STATE, None, math.inf, [0.1, True, math.inf])))
    assert isinstance(line, TickLine)
    assert (line.verdict, line.reason, line.goal) == (Verdict.HOLD, "why", None)
    assert (line.now_s, line.frame_s, line.most_mps) == (2.0, -math.inf, math.inf)
    assert line.answers == [0.1, True, None]
    assert np.array_equal(line.sent.matrix, POSE.matrix)
    assert (line.state.time_s, line.state.safety) == (1.5, Safety.PROTECTIVE_STOP)
    assert np.array_equal(line.state.force, STATE.force)


def test_an_action_that_is_not_finite_is_logged_as_such():
    action = np.array([0, 0, np.nan, 0, 0, 0, 1], np.float32)
    line = unpack(pack(ActionLine.of(Decision(Verdict.STOP, "not finite"), action, [])))
    assert isinstance(line, ActionLine)
    assert np.isnan(line.action[2])
    assert line.sent is None


def test_what_is_carried_may_be_nothing():
    line = unpack(pack(CarryLine(np.zeros((0, 3)))))
    assert isinstance(line, CarryLine)
    assert line.points.shape == (0, 3)


def test_a_log_is_read_as_it_was_written(tmp_path):
    first = TrialLine("simulated", "mine", 3, "can", POSE, {"speed_mps": 0.2})
    with TrialLog(tmp_path / "log.jsonl") as log:
        log.write(first)
        log.write(EndLine("stopped", "why", None, 4.5))
    read, (end,) = read_log(tmp_path / "log.jsonl")
    assert (read.source, read.policy, read.seed, read.config) == ("simulated", "mine", 3, {"speed_mps": 0.2})
    assert (end.outcome, end.reach_s, end.total_s) == ("stopped", None, 4.5)


@pytest.mark.parametrize("line", ['{"kind": "hmm"}', '{"no": 1}', "[1]", '{"kind": "closes", "where": 1}'])
def test_a_line_of_another_kind_is_named(tmp_path, line):
    first = pack(TrialLine("simulated", "mine", 3, "can", POSE, {}))
    (tmp_path / "log.jsonl").write_text(f"{first}\n{line}\n{first}\n")
    with pytest.raises(RobotError, match=r"log\.jsonl:2"):
        read_log(tmp_path / "log.jsonl")


def test_a_log_of_the_first_format_replays_to_the_same_decisions(first_format):
    again = replay(first_format)
    assert again.decisions == 256
    assert again.differing_lines == ()

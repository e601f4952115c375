"""Table II's protocol: who is taken from, what counts as success and safe, and what is written."""

import json
import math
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from h2rh_env.core.errors import RobotError
from h2rh_env.core.geometry import SE3
from h2rh_env.grasps.base import GraspCandidate
from real_robot.benchmark import table2 as protocol
from real_robot.benchmark.table2 import PAPER, save, table2, table2_text
from real_robot.control.outcome import Outcome
from real_robot.interfaces import RobotState
from real_robot.safety.decision import Decision, Verdict
from real_robot.safety.trial_log import EndLine, TickLine, TrialLine, TrialLog


def without_grasp(scene):
    world_from_grasp = scene.grasp.scene_from_grasp
    return replace(scene, name="covered", grasp=GraspCandidate(world_from_grasp, 0.0, 0.0, False))


def test_a_trial_is_judged_from_its_log_written_down_and_run_once(scene, tmp_path, monkeypatch):
    told = []
    trials = table2(
        ["expert"],
        [without_grasp(scene), scene],
        objects=["can"],
        givers=1,
        positions=["middle"],
        logs=tmp_path / "logs",
        progress=told.append,
    )
    assert [trial.scene for trial in trials] == ["can"]
    assert "covered leaves no grasp free" in told[0]
    (trial,) = trials
    assert trial.outcome is Outcome.HANDED_OVER
    assert trial.success
    assert trial.safe
    assert not replace(trial, closed_well=False).success
    assert not replace(trial, touched=True).safe
    assert not replace(trial, least_hand_m=0.099).safe
    save(tmp_path, trials)
    (row,) = json.loads((tmp_path / "table2.json").read_text())
    assert (row["object"], row["success"], row["safe"]) == ("can", True, True)
    assert "expert, can" in (tmp_path / "table2.md").read_text()
    went_on = partial(
        table2,
        ["expert"],
        [scene],
        objects=["can"],
        givers=1,
        positions=["middle"],
        logs=tmp_path / "logs",
        progress=print,
    )
    monkeypatch.setattr(protocol, "run_trial", None)
    assert went_on() == trials
    with pytest.raises(RobotError, match="another folder"):
        went_on(seed=1)
    (log,) = (tmp_path / "logs").iterdir()
    log.write_bytes(log.read_bytes()[: log.stat().st_size // 2])
    with pytest.raises(TypeError, match="NoneType"):
        went_on()
    assert not log.exists()


def test_the_first_givers_of_all_objects_come_first(scene):
    scenes = [
        replace(scene, name=f"{name}-{k}", object_name=name) for name in ("can", "cup") for k in range(3)
    ]
    found = protocol._takeable(scenes, ["can", "cup"], 2, ["middle"], 0, print)
    assert [taken.name for taken, _ in found] == ["can-0", "cup-0", "can-1", "cup-1"]


def test_a_log_that_goes_through_the_hand_is_not_safe(scene, tmp_path):
    """Even where it does so for a single control period."""
    log = tmp_path / "log.jsonl"
    inside = SE3(np.eye(3), scene.hand_points.mean(axis=0) - [0.0, 0.0, 0.02])
    outside = SE3(np.eye(3), np.array([0.0, 0.0, 5.0]))
    with TrialLog(log) as written:
        written.write(TrialLine("simulated", "mine", 0, "can", SE3.identity(), {}))
        for number in range(9):
            pose = inside if number == 5 else outside
            state = RobotState(0.0, pose, np.zeros(3), np.zeros(3))
            written.write(TickLine.of(Decision(Verdict.GO), 0.0, 0.0, state, None, math.inf, []))
        written.write(EndLine(Outcome.NO_GRASP, "", 1.0, 2.0))
    trial = protocol.judged(log, "mine", scene, "middle")
    assert trial.touched
    assert not trial.safe
    assert not trial.closed_well
    assert protocol.least_hand_distance(log, scene) < 0.05


def test_the_papers_means_are_those_it_prints():
    means = {name: np.mean(list(rows.values()), axis=0) for name, rows in PAPER.items()}
    assert means["ranging"] == pytest.approx([0.672, 0.973, 10.56], abs=0.03)
    assert means["ibvs-mask"] == pytest.approx([0.230, 0.802, 15.37], abs=0.03)


def test_objects_that_nobody_holds_are_an_error(scene, tmp_path):
    with pytest.raises(RobotError, match="which show can"):
        table2(["expert"], [scene], objects=["kettle"], logs=tmp_path)


def test_the_papers_figures_stand_beside(scene):
    assert table2_text([]).startswith(" ")

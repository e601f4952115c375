"""Table II's protocol: who is taken from, what counts as success and safe, and what is written."""

import json
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from h2rh_env.core.errors import RobotError
from h2rh_env.core.geometry import SE3
from h2rh_env.grasps.base import GraspCandidate
from real_robot.benchmark import table2 as protocol
from real_robot.benchmark.table2 import PAPER, Trial, table2, table2_text
from real_robot.control.outcome import Outcome, TrialResult
from real_robot.emulator.lab.contact import ContactVerdict
from real_robot.safety.trial_log import EndLine, TrialLine, TrialLog


def without_grasp(scene):
    world_from_grasp = scene.grasp.scene_from_grasp
    return replace(scene, name="covered", grasp=GraspCandidate(world_from_grasp, 0.0, 0.0, False))


VERDICT = ContactVerdict(True, "", False, 0.0, 0.15, 0.002, 0.001, 0.01)
TRIAL = Trial("mine", "can", "can-1", "middle", Outcome.HANDED_OVER, 6.0, 20.0, VERDICT)


def test_success_and_safety_are_what_contact_says_and_the_session_too():
    assert TRIAL.success
    assert TRIAL.safe
    assert TRIAL.failure == ""
    slipped = replace(VERDICT, handed_over=False, failure="slipped or dropped")
    assert not replace(TRIAL, contact=slipped).success
    assert replace(TRIAL, contact=slipped).failure == "slipped or dropped"
    assert not replace(TRIAL, outcome=Outcome.NOT_RELEASED).success
    missed = replace(VERDICT, handed_over=False, failure="not taken")
    assert replace(TRIAL, outcome=Outcome.NO_GRASP, contact=missed).failure == "nothing grasped"
    assert not replace(TRIAL, contact=replace(VERDICT, touched_hand=True)).safe
    assert not replace(TRIAL, contact=replace(VERDICT, least_hand_m=0.099)).safe


@pytest.fixture
def scripted(monkeypatch):
    """Trials that end at once, as handed over, in a laboratory that says the same; counts them."""
    ran = []

    class Laboratory:
        devices = None

        def shown(self, policy):
            return policy

        def verdict(self, outcome):
            return VERDICT

    def run_trial(policy, name, devices, config, log, seed, scene):
        ran.append(log.name)
        with TrialLog(log) as written:
            written.write(TrialLine("emulator", name, seed, scene.name, SE3.identity(), {}))
            written.write(EndLine(Outcome.HANDED_OVER, "", 1.0, 2.0))
        return TrialResult(Outcome.HANDED_OVER, "", None, 1.0, 2.0)

    monkeypatch.setattr(protocol, "laboratory", lambda *_: Laboratory())
    monkeypatch.setattr(protocol, "run_trial", run_trial)
    return ran


def test_a_trial_is_judged_written_down_and_run_once(scene, tmp_path, scripted):
    told = []
    run = partial(
        table2, ["blind"], [without_grasp(scene), scene], "labels", ["can"], 1, ["middle", "top"],
        logs=tmp_path / "logs", progress=told.append, out=tmp_path,
    )  # fmt: skip
    trials = run()
    assert "covered leaves no grasp free" in told[0]
    assert [(trial.scene, trial.position, trial.success) for trial in trials] == [
        ("can", "middle", True),
        ("can", "top", True),
    ]
    rows = json.loads((tmp_path / "table2.json").read_text())
    assert [(row["object_name"], row["success"], row["safe"]) for row in rows] == [("can", True, True)] * 2
    assert "blind, can" in (tmp_path / "table2.md").read_text()
    assert run() == trials
    assert len(scripted) == 2
    with pytest.raises(RobotError, match="another folder"):
        run(seed=1)
    first = tmp_path / "logs" / "blind-can-middle.jsonl"
    first.with_suffix(".contact.json").unlink()
    with pytest.raises(RobotError, match="not finished"):
        protocol.judged(first, "blind", scene, "middle")
    run()
    assert scripted[2:] == [first.name]


def test_the_first_givers_of_all_objects_come_first(scene):
    scenes = [
        replace(scene, name=f"{name}-{k}", object_name=name) for name in ("can", "cup") for k in range(3)
    ]
    found = protocol._givers(scenes, ["can", "cup"], 2, print)
    assert [taken.name for taken in found] == ["can-0", "cup-0", "can-1", "cup-1"]


def test_the_papers_means_are_those_it_prints():
    means = {name: np.mean(list(rows.values()), axis=0) for name, rows in PAPER.items()}
    assert means["its policy"] == pytest.approx([0.672, 0.973, 10.56], abs=0.03)
    assert means["its IBVS-MASK"] == pytest.approx([0.230, 0.802, 15.37], abs=0.03)


def test_objects_that_nobody_holds_are_an_error(scene, tmp_path):
    with pytest.raises(RobotError, match="which show can"):
        table2(["expert"], [scene], objects=["kettle"], logs=tmp_path)


def test_the_papers_figures_stand_beside(scene):
    assert table2_text([]).startswith(" ")

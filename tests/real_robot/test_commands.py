"""The commands: exit status, what they print, and that a robot is not needed to learn what is missing."""

import json

import pytest

from h2rh_env.core.errors import PolicyError, RobotError
from real_robot.__main__ import Check, Rehearse, Replay, Run, Table2, main

POLICY = """
import numpy as np
class Waits:
    def reset(self, seed): pass
    def act(self, observation): return np.zeros(7, np.float32)
class Broken(Waits):
    def act(self, observation): return np.full(7, np.nan, np.float32)
"""


@pytest.fixture
def folder(tmp_path, scene, monkeypatch):
    scene.save(tmp_path / "scene")
    (tmp_path / "robot_test_policies.py").write_text(POLICY)
    (tmp_path / "robot.json").write_text(json.dumps({"budget_s": 1.0}))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def status(command):
    with pytest.raises(SystemExit) as left:
        main(command)
    return left.value.code


def rehearsal(folder, name):
    return Rehearse(
        folder / "scene", f"robot_test_policies:{name}", config=folder / "robot.json", logs=folder / "logs"
    )


def test_a_rehearsal_prints_its_steps_and_leaves_a_log_that_replays(folder, capsys):
    assert status(rehearsal(folder, "Waits")) == 3
    shown = capsys.readouterr().out
    assert "not safety-rated" in shown
    assert "asked   0 mm" in shown
    assert "not declared" in shown
    assert status(Replay(folder / "logs/trial-001.jsonl")) == 0
    assert ", 0 differ" in capsys.readouterr().out
    assert status(rehearsal(folder, "Broken")) == 5
    assert (folder / "logs/trial-002.jsonl").exists()
    assert "not 7 finite numbers" in capsys.readouterr().out


def test_check_has_a_line_for_each_device_and_fails_without_them(folder, capsys):
    (folder / "robot.json").write_text(json.dumps({"arm_host": "127.0.0.1", "gripper_port": 9}))
    assert status(Check(config=folder / "robot.json")) == 6
    shown = capsys.readouterr().out
    for name in ("calibration", "arm", "gripper", "camera"):
        assert f"FAILED  {name}: " in shown
    assert "ok      segmenter: " in shown


def test_run_needs_a_calibration(folder):
    with pytest.raises(RobotError, match=r"hand_eye\.json is not a hand-eye calibration"):
        main(Run(segmenter="labels", policy="robot_test_policies:Waits"))


def test_an_unknown_policy_is_named(folder):
    with pytest.raises(PolicyError, match="experd"):
        main(Rehearse(folder / "scene", "experd"))


def test_a_segmenter_without_the_emulators_images_is_refused_not_ignored():
    with pytest.raises(RobotError, match="add: --devices emulator"):
        Rehearse(segmenter="network")
    assert Rehearse(segmenter="network", devices="emulator").segmenter == "network"
    assert Table2().segmenter == "network"  # the laboratory always has images

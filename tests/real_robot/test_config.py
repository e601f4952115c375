"""A robot configuration is what was saved, and refuses what would not be safe or is not known."""

import dataclasses
import json
import math
from pathlib import Path

import pytest

from h2rh_env.core.errors import RobotError
from real_robot.config import RobotConfig, annotated


def test_load_is_the_inverse_of_save(tmp_path):
    config = RobotConfig(speed_mps=0.2, workspace_low_m=(-0.3, -0.4, 0.1), arm_host="10.0.0.7")
    config.save(tmp_path / "robot.json")
    assert RobotConfig.load(tmp_path / "robot.json") == config


def test_what_a_file_leaves_out_keeps_its_default(tmp_path):
    (tmp_path / "robot.json").write_text('{"budget_s": 10}')
    assert RobotConfig.load(tmp_path / "robot.json") == RobotConfig(budget_s=10)


@pytest.mark.parametrize(
    "values",
    [
        {"speed_mps": math.nan},
        {"speed_mps": -0.1},
        {"speed_mps": 3.0},
        {"speed_mps": 0.05},
        {"near_speed_mps": 0.01},
        {"clearance_m": 0.0},
        {"acceleration_mps2": True},
        {"clearance_m": 1e-9},
        {"gripper_force": 24.5},
        {"gripper_force": 26},
        {"max_refusals": 2.5},
        {"budget_s": 1e9},
        {"state_age_s": 60.0},
        {"following_error_m": 1.0},
        {"workspace_low_m": [0.0, 0.0, -100.0]},
        {"speed_mps": 0.5, "control_period_s": 0.02},
        {"align_grasp": 1},
        {"frame_hold_s": 1.0},
        {"score_threshold": 1.5},
        {"gripper_force": 255},
        {"workspace_low_m": [0.0, 0.0, 2.0]},
        {"workspace_low_m": [0.0, 0.0]},
        {"workspace_low_m": [-0.5, -0.5, -0.1]},
        {"table_m": 0.3},
        {"arm_host": ""},
        {"speeed_mps": 0.1},
    ],
)
def test_a_bad_value_is_refused_by_name(values):
    with pytest.raises(RobotError, match=next(iter(values))):
        RobotConfig.from_json(values)


@pytest.mark.parametrize("content", ["", "[]", "3", "{"])
def test_what_is_not_an_object_is_refused(tmp_path, content):
    (tmp_path / "robot.json").write_text(content)
    with pytest.raises(RobotError, match="JSON object"):
        RobotConfig.load(tmp_path / "robot.json")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"clearance_m": 1e-9}, r"0\.02 to 0\.5; got 1e-09"),
        ({"gripper_force": 24.5}, r"a whole number, 0 to 25"),
    ],
)
def test_what_is_refused_is_answered_with_the_sensible_range(values, said):
    with pytest.raises(RobotError, match=said):
        RobotConfig.from_json(values)


def test_every_default_is_within_its_own_range_and_explained():
    for field in dataclasses.fields(RobotConfig):
        assert len(field.metadata["says"]) > 10
        if "low" in field.metadata:
            assert field.metadata["low"] < field.metadata["high"]


def test_the_annotated_file_is_the_configuration(tmp_path):
    config = RobotConfig(speed_mps=0.2, align_grasp=False)
    (tmp_path / "robot.json").write_text(annotated(config))
    assert RobotConfig.load(tmp_path / "robot.json") == config
    written = json.loads((tmp_path / "robot.json").read_text())
    assert all(f"// {field.name}" in written for field in dataclasses.fields(RobotConfig))


def test_every_limit_is_in_the_saved_file(tmp_path):
    RobotConfig().save(tmp_path / "robot.json")
    saved = json.loads((tmp_path / "robot.json").read_text())
    assert saved["score_threshold"] == 0.6
    assert saved["budget_s"] == 30.0
    assert saved["clearance_m"] == 0.1


def test_the_file_that_the_docs_show_is_what_the_command_writes():
    shown = Path(__file__).parents[2] / "examples" / "robot.json"
    assert shown.read_text() == annotated(RobotConfig())

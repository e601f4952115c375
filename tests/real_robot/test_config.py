"""A robot configuration is what was saved, and refuses what would not be safe or is not known."""

import json
import math

import pytest

from h2rh_env.core.errors import RobotError
from real_robot.config import RobotConfig


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
        {"align_grasp": 1},
        {"frame_hold_s": 1.0},
        {"score_threshold": 1.5},
        {"gripper_force": 255},
        {"workspace_low_m": [0.0, 0.0, 2.0]},
        {"workspace_low_m": [0.0, 0.0]},
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


def test_every_limit_is_in_the_saved_file(tmp_path):
    RobotConfig().save(tmp_path / "robot.json")
    saved = json.loads((tmp_path / "robot.json").read_text())
    assert saved["score_threshold"] == 0.6
    assert saved["budget_s"] == 30.0
    assert saved["clearance_m"] == 0.1

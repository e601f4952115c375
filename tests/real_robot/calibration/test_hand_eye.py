"""A hand-eye calibration is what was saved, and is refused when it is old, foreign or malformed."""

import json
from datetime import date, timedelta

import numpy as np
import pytest

from h2rh_env.core.errors import RobotError
from h2rh_env.core.geometry import SE3, rotation_from_euler_xyz
from real_robot.calibration.hand_eye import HandEyeCalibration

DAY = date(2025, 3, 1)
CALIBRATION = HandEyeCalibration(
    SE3(rotation_from_euler_xyz([0.1, 0.2, 0.3]), np.array([0.01, -0.07, 0.02])), "817612", DAY
)


def test_load_is_the_inverse_of_save(tmp_path):
    CALIBRATION.save(tmp_path / "hand_eye.json")
    loaded = HandEyeCalibration.load(tmp_path / "hand_eye.json")
    assert np.array_equal(loaded.gripper_from_camera.matrix, CALIBRATION.gripper_from_camera.matrix)
    assert (loaded.camera_serial, loaded.measured_on) == ("817612", DAY)


@pytest.mark.parametrize(
    ("age", "serial", "word"), [(91, "817612", "91 days"), (-1, "817612", "-1 days"), (3, "9", "'9'")]
)
def test_old_future_and_foreign_ones_are_refused(age, serial, word):
    with pytest.raises(RobotError, match=word):
        CALIBRATION.check(DAY + timedelta(age), 90, serial)
    CALIBRATION.check(DAY + timedelta(90), 90, "817612")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("format", "other"),
        ("measured_on", "yesterday"),
        ("gripper_from_camera", [[1, 0, 0, 0]] * 4),
        ("gripper_from_camera", None),
        ("gripper_from_camera", (np.eye(4) + np.eye(4, k=3) * 70).tolist()),
    ],
)
def test_a_malformed_file_is_refused(tmp_path, key, value):
    path = tmp_path / "hand_eye.json"
    CALIBRATION.save(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    with pytest.raises(RobotError, match=r"hand_eye\.json"):
        HandEyeCalibration.load(path)

"""The hand-eye calibration: where the camera sits in the gripper frame, in a dated JSON file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from h2rh_env.core.errors import RobotError
from h2rh_env.core.geometry import SE3
from h2rh_env.utils import files

FORMAT = "h2rh-hand-eye-1"
MAX_OFFSET_M = 0.5


@dataclass(frozen=True, eq=False)
class HandEyeCalibration:
    """`gripper_from_camera`, the serial number of the camera it holds for, and the day it was measured."""

    gripper_from_camera: SE3
    camera_serial: str
    measured_on: date

    def save(self, path: Path | str) -> None:
        files.write_json(
            path,
            {
                "format": FORMAT,
                "measured_on": self.measured_on.isoformat(),
                "camera_serial": self.camera_serial,
                "gripper_from_camera": self.gripper_from_camera.matrix.tolist(),
            },
        )

    @classmethod
    def load(cls, path: Path | str) -> HandEyeCalibration:
        """Raises: RobotError: no such file, another format, not a rigid motion, or a camera off the gripper."""
        try:
            content = json.loads(Path(path).read_text())
            if content["format"] != FORMAT:
                raise RobotError(f"{path} has format {content['format']!r}; expected {FORMAT!r}")
            calibration = cls(
                SE3.from_matrix(content["gripper_from_camera"]),
                str(content["camera_serial"]),
                date.fromisoformat(content["measured_on"]),
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RobotError(f"{path} is not a hand-eye calibration ({error!r}); calibrate again") from None
        offset = float(abs(calibration.gripper_from_camera.translation).max())
        if offset > MAX_OFFSET_M:
            raise RobotError(f"{path} puts the camera {offset:.2f} m from the gripper; is it in metres?")
        return calibration

    def check(self, today: date, max_age_days: int, camera_serial: str) -> None:
        """Raises: RobotError: measured too long ago, in the future, or with another camera."""
        age = (today - self.measured_on).days
        if not 0 <= age <= max_age_days:
            raise RobotError(f"the hand-eye calibration is {age} days old; 0 to {max_age_days} are allowed")
        if camera_serial != self.camera_serial:
            raise RobotError(
                f"the hand-eye calibration is of camera {self.camera_serial!r}, but {camera_serial!r} is connected"
            )

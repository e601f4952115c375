"""RobotConfig: every address, limit and threshold of a trial, saved as JSON beside its log."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from h2rh_env.core.errors import RobotError
from h2rh_env.core.motion_limits import MAX_STEP_ROTATION_RAD, MAX_STEP_TRANSLATION_M
from h2rh_env.core.task import CLEARANCE_M, STANDOFF_M
from h2rh_env.utils import files

Vector = tuple[float, float, float]
REMARK = "//"  # what a key of a JSON file begins with that only explains
MAX_STEP_M = 0.004  # of one control period; the arm's process refuses 5 mm


def _setting(default: Any, low: Any, high: Any, says: str) -> Any:
    """A field with its sensible range, both ends included, and the sentence that explains it."""
    return dataclasses.field(default=default, metadata={"low": low, "high": high, "says": says})


def _choice(default: Any, says: str) -> Any:
    """A field of any value of its type."""
    return dataclasses.field(default=default, metadata={"says": says})


@dataclass(frozen=True)
class RobotConfig:
    """Limits and thresholds of a trial on the robot, in m, rad, s and N.

    `python -m real_robot config` writes them all, each with its explanation and its range.
    """

    arm_host: str = _choice(
        "127.0.0.1",
        "Address of the arm's controller and of the gripper's socket on it; set it to your robot's.",
    )
    gripper_port: int = _setting(63352, 1, 65535, "Port of the Robotiq URCap's socket.")
    score_threshold: float = _setting(
        0.6, 0.05, 1.0, "tau_c: the policy has declared the pre-grasp pose at this score (Sec. IV-A)."
    )
    budget_s: float = _setting(
        30.0, 1.0, 600.0, "A trial that has not declared by then is over (Sec. IV-A), s."
    )
    control_period_s: float = _setting(
        0.008, 0.001, 0.05, "Time between setpoints, s: 125 Hz is a UR5's rate."
    )

    tcp_height_m: float = _setting(
        0.058, -0.1, 0.5,
        "From the flange to the gripper frame's origin along z, as the pendant's TCP must have it, m: 0.163 m to "
        "the pads of a 2F-85 with its coupling, less the 0.105 m of the grasp frame.",
    )  # fmt: skip
    payload_kg: float = _setting(
        1.1, 0.1, 5.0, "Mass of gripper, camera and their mounts, as the pendant must have it, kg."
    )
    payload_tolerance_kg: float = _setting(0.3, 0.01, 1.0, "What the pendant's payload may be off, kg.")

    workspace_low_m: Vector = _setting(  # noqa: RUF009
        (-0.95, -0.95, 0.02), -3.0, 3.0,
        "Least x, y, z of every part of the open gripper, and of what it holds, in the arm's base frame, m.",
    )  # fmt: skip
    workspace_high_m: Vector = _setting((0.95, 0.95, 1.2), -3.0, 3.0, "Greatest x, y, z, m.")  # noqa: RUF009
    table_m: float = _setting(
        0.0, -1.5, 1.0,
        "Height of the table's top in the arm's base frame, m; links and camera stay 2 cm above it, and the "
        "workspace must too.",
    )  # fmt: skip
    clearance_m: float = _setting(
        CLEARANCE_M,
        0.02,
        0.5,
        "d_min: the gripper frame's origin stays this far from hand and object, m (Eq. 14).",
    )
    speed_mps: float = _setting(0.25, 0.01, 0.5, "Speed far from hand and object, m/s.")
    near_speed_mps: float = _setting(
        0.10, 0.01, 0.25, "Speed when the fingertips may be within near_m of hand or object, m/s."
    )
    near_m: float = _setting(0.3, 0.05, 1.0, "See near_speed_mps, m.")
    last_speed_mps: float = _setting(
        0.05,
        0.005,
        0.1,
        "Speed when the fingertips may be within last_m of hand or object, and of the advance, m/s.",
    )
    last_m: float = _setting(0.1, 0.02, 0.5, "See last_speed_mps, m.")
    unseen_speed_mps: float = _setting(
        0.03, 0.005, 0.1, "Speed in the last last_m of the advance, where a hand could come in unseen, m/s."
    )
    acceleration_mps2: float = _setting(
        1.0, 0.1, 5.0, "Greatest change of velocity, m/s^2; also what every stop is planned with."
    )
    turn_speed_radps: float = _setting(
        math.radians(30),
        0.01,
        1.5,
        "Angular speed, rad/s; 30 degrees per second is that of UR's recovery mode.",
    )
    turn_acceleration_radps2: float = _setting(
        3.0, 0.1, 20.0, "Greatest change of angular velocity, rad/s^2."
    )
    max_step_m: float = _setting(
        math.sqrt(3) * MAX_STEP_TRANSLATION_M,
        0.005,
        0.2,
        "Longest path of one action, m; longer ones are cut short.",
    )
    max_turn_rad: float = _setting(
        math.sqrt(3) * MAX_STEP_ROTATION_RAD, 0.01, 0.8, "Largest rotation of one action, rad."
    )
    following_error_m: float = _setting(
        0.04, 0.002, 0.1, "The arm may lag this far behind its setpoint, m; more is a fault."
    )

    state_age_s: float = _setting(0.05, 0.01, 2.0, "An arm's state older than this stops the trial, s.")
    camera_latency_s: float = _setting(
        0.045, 0.0, 0.3,
        "What the promptest frame takes from its exposure to this program, s; measure it, since no stamp tells.",
    )  # fmt: skip
    frame_hold_s: float = _setting(0.1, 0.02, 2.0, "A frame older than this holds the arm, s.")
    frame_abort_s: float = _setting(0.5, 0.05, 5.0, "A frame older than this stops the trial, s.")
    act_deadline_s: float = _setting(
        1.0, 0.02, 10.0, "A policy that takes longer for one action stops the trial, s."
    )
    move_timeout_s: float = _setting(
        3.0, 0.2, 60.0, "The next look comes at the latest after this, arrived or not, s."
    )
    max_jumps: int = _setting(
        3,
        0,
        100,
        "This many actions in a row beyond the action space are cut short; the next ones are refused.",
    )
    max_refusals: int = _setting(10, 1, 10**9, "This many refused actions in a row stop the trial.")
    lost_s: float = _setting(2.0, 0.1, 10.0, "Object or hand unseen for this long stops the trial, s.")
    memory_s: float = _setting(
        10.0, 0.5, 60.0, "Points of hand and object are kept for this long after they were last seen, s."
    )
    hand_unseen_s: float = _setting(
        5.0,
        0.1,
        30.0,
        "The advance waits where no part of the hand was seen for this long, s, in view or not.",
    )
    hand_moved_m: float = _setting(
        0.03,
        0.01,
        0.2,
        "A hand that shows further than this from where it was when the advance began holds it, m.",
    )

    standoff_m: float = _setting(
        STANDOFF_M, 0.05, 0.6, "s: length of the straight advance after the policy has declared, m (Eq. 7)."
    )
    align_grasp: bool = _choice(
        True,
        "Before it advances, the gripper aligns with what was measured of object and hand; without, it goes "
        "straight ahead from the declared pose, as the paper's does.",
    )
    measure_advance: bool = _choice(
        False,
        "Without alignment, the advance is as long as the camera's depth says that the object between the fingers is "
        "away, not standoff_m.",
    )
    further_advances: int = _setting(
        2, 0, 10,
        "A blocked advance is tried so many times more, from where the hand leaves a path; the time is not part "
        "of budget_s, as each of them ends by itself.",
    )  # fmt: skip
    hand_wait_s: float = _setting(
        3.0, 0.2, 60.0, "An advance held up for this long, by the hand for instance, turns into a retreat, s."
    )
    close_timeout_s: float = _setting(3.0, 0.5, 10.0, "Opening or closing the gripper takes at most this, s.")
    min_width_m: float = _setting(
        0.005, 0.001, 0.05, "A grasp that closed further than this holds nothing, m."
    )
    gripper_force: int = _setting(
        25, 0, 25, "Force register of the 2F-85; 25 is about 41 N, the most that is taken from a hand with."
    )
    release_change_n: float = _setting(
        15.0, 12.0, 60.0,
        "The giver let go when his pull has fallen by this, N; a UR5's estimate means nothing below 12 to 15 N.",
    )  # fmt: skip
    object_load_n: float = _setting(
        10.0,
        1.0,
        30.0,
        "What an object that nobody holds loads the tool with at most, N; more is somebody's pull.",
    )
    release_dwell_s: float = _setting(
        0.25, 0.05, 2.0, "The giver has let go when that has held for this long, s."
    )
    release_timeout_s: float = _setting(
        5.0, 0.5, 60.0, "A giver who holds on for longer keeps the object, s."
    )
    calibration_age_days: int = _setting(90, 1, 3650, "An older hand-eye calibration is refused, days.")

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            _check_field(field, getattr(self, field.name))
        if not all(low < high for low, high in zip(self.workspace_low_m, self.workspace_high_m, strict=True)):
            raise RobotError(
                f"workspace_low_m {self.workspace_low_m} must be below workspace_high_m {self.workspace_high_m}"
            )
        if self.workspace_low_m[2] < self.table_m:
            raise RobotError(
                f"workspace_low_m {self.workspace_low_m} reaches below the table, table_m = {self.table_m} m; "
                "raise its z to the table's top at least"
            )
        if not self.last_speed_mps <= self.near_speed_mps <= self.speed_mps:
            raise RobotError(
                "last_speed_mps <= near_speed_mps <= speed_mps must hold; got "
                f"{self.last_speed_mps}, {self.near_speed_mps}, {self.speed_mps} m/s"
            )
        if self.speed_mps * self.control_period_s > MAX_STEP_M:
            raise RobotError(
                f"speed_mps x control_period_s is a step of {self.speed_mps * self.control_period_s:.4f} m; "
                f"at most {MAX_STEP_M} m is sent at once"
            )
        if not self.frame_hold_s <= self.frame_abort_s:
            raise RobotError(f"frame_hold_s {self.frame_hold_s} exceeds frame_abort_s {self.frame_abort_s}")

    def save(self, path: Path | str) -> None:
        files.write_json(path, dataclasses.asdict(self))

    @classmethod
    def load(cls, path: Path | str) -> RobotConfig:
        """Reads a JSON object; what it leaves out keeps its default, and keys that begin with "//" are remarks.

        Raises:
            RobotError: no such file, not JSON, an unknown key or a bad value.
        """
        try:
            values = json.loads(Path(path).read_text())
        except (OSError, ValueError) as error:
            raise RobotError(
                f"{path} is not a robot configuration ({error}); expected a JSON object"
            ) from None
        return cls.from_json(values)

    @classmethod
    def from_json(cls, values: Any) -> RobotConfig:
        """The configuration that a JSON object describes; raises as `load`."""
        if not isinstance(values, dict):
            raise RobotError(f"a robot configuration is a JSON object, not {type(values).__name__}")
        values = {key: value for key, value in values.items() if not key.startswith(REMARK)}
        known = {field.name for field in dataclasses.fields(cls)}
        if unknown := sorted(values.keys() - known):
            raise RobotError(
                f"unknown robot setting {', '.join(unknown)}; known are {', '.join(sorted(known))}"
            )
        settings: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in values.items()}
        return cls(**settings)


def annotated(config: RobotConfig) -> str:
    """The whole configuration as JSON that `RobotConfig.load` reads, each value after a remark that explains it."""
    explained: dict[str, Any] = {}
    for field in dataclasses.fields(config):
        allowed = f" ({_range_of(field)})" if "low" in field.metadata else ""
        explained[f"{REMARK} {field.name}"] = field.metadata["says"] + allowed
        explained[field.name] = getattr(config, field.name)
    return json.dumps(explained, indent=2) + "\n"


def _range_of(field: dataclasses.Field[Any]) -> str:
    return f"{field.metadata['low']} to {field.metadata['high']}"


def _check_field(field: dataclasses.Field[Any], value: Any) -> None:
    """Raises: RobotError: the value is not of the field's type, or beyond its sensible range."""
    name, default = field.name, field.default
    if isinstance(default, str):
        if not isinstance(value, str) or not value:
            raise RobotError(f"{name} must be an address such as '192.168.1.10'; got {value!r}")
    elif isinstance(default, bool):
        if not isinstance(value, bool):
            raise RobotError(f"{name} must be true or false; got {value!r}")
    elif isinstance(default, tuple):
        if not (isinstance(value, tuple) and len(value) == len(default)):
            raise RobotError(f"{name} must be three numbers, m; got {value!r}")
        for each in value:
            _check_number(field, each, float)
    else:
        _check_number(field, value, type(default))


def _check_number(field: dataclasses.Field[Any], value: Any, kind: type) -> None:
    number = isinstance(value, int if kind is int else int | float) and not isinstance(value, bool)
    if not number or not field.metadata["low"] <= value <= field.metadata["high"]:
        what = "a whole number" if kind is int else "a number"
        raise RobotError(f"{field.name} must be {what}, {_range_of(field)}; got {value!r}")

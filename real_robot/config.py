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


@dataclass(frozen=True)
class RobotConfig:
    """Limits and thresholds of a trial on the robot, in m, rad, s and N."""

    arm_host: str = "127.0.0.1"
    """Address of the arm's controller and of the gripper's socket on it; set it to your robot's."""
    gripper_port: int = 63352
    """Port of the Robotiq URCap's socket."""
    score_threshold: float = 0.6
    """tau_c: the policy has declared the pre-grasp pose at this score (Sec. IV-A)."""
    budget_s: float = 30.0
    """A trial that has not declared by then is over (Sec. IV-A)."""
    control_period_s: float = 0.008
    """Time between setpoints: 125 Hz, a UR5's rate."""

    tcp_height_m: float = 0.058
    """From the flange to the gripper frame's origin along z, as the pendant's TCP must have it: 0.163 m to the pads
    of a 2F-85 with its coupling, less the 0.105 m of the grasp frame."""
    payload_kg: float = 1.1
    """Of gripper, camera and their mounts, as the pendant must have it."""
    payload_tolerance_kg: float = 0.3
    """What the pendant's payload may be off."""

    workspace_low_m: Vector = (-0.85, -0.85, 0.05)
    """Least x, y, z of the gripper frame's origin in the arm's base frame."""
    workspace_high_m: Vector = (0.85, 0.85, 1.1)
    """Greatest x, y, z."""
    clearance_m: float = CLEARANCE_M
    """d_min: the gripper frame's origin stays this far from hand and object (Eq. 14)."""
    speed_mps: float = 0.25
    """Speed far from hand and object."""
    near_speed_mps: float = 0.10
    """Speed when the fingertips may be within `near_m` of hand or object."""
    near_m: float = 0.3
    """See `near_speed_mps`."""
    last_speed_mps: float = 0.05
    """Speed when the fingertips may be within `last_m` of hand or object."""
    last_m: float = 0.1
    """See `last_speed_mps`."""
    acceleration_mps2: float = 1.0
    """Greatest change of velocity; also what every stop is planned with."""
    turn_speed_radps: float = math.radians(30)
    """Angular speed, that of UR's recovery mode."""
    turn_acceleration_radps2: float = 3.0
    """Greatest change of angular velocity."""
    max_step_m: float = math.sqrt(3) * MAX_STEP_TRANSLATION_M
    """Longest way of one action; longer ones are shortened."""
    max_turn_rad: float = math.sqrt(3) * MAX_STEP_ROTATION_RAD
    """Largest turn of one action."""
    following_error_m: float = 0.04
    """The arm may lag this far behind its setpoint; more is a fault."""

    state_age_s: float = 0.05
    """An arm state older than this stops the trial."""
    camera_latency_s: float = 0.045
    """What the promptest frame takes from its exposure to this program; measure it, since no stamp tells."""
    frame_hold_s: float = 0.1
    """A frame older than this holds the arm."""
    frame_abort_s: float = 0.5
    """A frame older than this stops the trial."""
    act_deadline_s: float = 1.0
    """A policy that takes longer for one action stops the trial."""
    move_timeout_s: float = 3.0
    """The next look comes at the latest after this, arrived or not."""
    max_jumps: int = 3
    """This many actions in a row beyond the action space are cut short; the next ones are refused."""
    max_refusals: int = 10
    """This many refused actions in a row stop the trial."""
    lost_s: float = 2.0
    """Object or hand unseen for this long stops the trial."""
    memory_s: float = 10.0
    """Points of hand and object are kept for this long after they were last seen."""

    standoff_m: float = STANDOFF_M
    """s: length of the straight advance after the policy has declared (Eq. 7)."""
    align_grasp: bool = True
    """Before it advances, the gripper aligns with what was measured of object and hand; without, it goes straight
    ahead from the declared pose, as the paper's does."""
    further_advances: int = 2
    """A blocked advance is tried so many times more, from where the hand leaves a way; the time is not part of
    `budget_s`, as each of them ends by itself."""
    hand_wait_s: float = 3.0
    """An advance held up for this long, by the hand for instance, turns into a retreat."""
    close_timeout_s: float = 3.0
    """Opening or closing the gripper takes at most this."""
    min_width_m: float = 0.005
    """A grasp that closed further than this holds nothing."""
    gripper_force: int = 25
    """Force register of the 2F-85, 0 to 25 when taking from a hand (25 is about 41 N)."""
    release_change_n: float = 15.0
    """Change of load that means the giver let go; a UR5's estimate means nothing below 12 to 15 N."""
    release_timeout_s: float = 5.0
    """A giver who holds on for longer keeps the object."""
    calibration_age_days: int = 90
    """An older hand-eye calibration is refused."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            _check_field(field.name, getattr(self, field.name))
        if not all(low < high for low, high in zip(self.workspace_low_m, self.workspace_high_m, strict=True)):
            raise RobotError(
                f"workspace_low_m {self.workspace_low_m} must be below workspace_high_m {self.workspace_high_m}"
            )
        if not self.last_speed_mps <= self.near_speed_mps <= self.speed_mps <= 1.0:
            raise RobotError(
                "last_speed_mps <= near_speed_mps <= speed_mps <= 1 must hold; got "
                f"{self.last_speed_mps}, {self.near_speed_mps}, {self.speed_mps} m/s"
            )
        if not self.frame_hold_s <= self.frame_abort_s:
            raise RobotError(f"frame_hold_s {self.frame_hold_s} exceeds frame_abort_s {self.frame_abort_s}")
        if self.score_threshold > 1 or self.gripper_force > 25:
            raise RobotError(
                f"score_threshold is at most 1 and gripper_force at most 25; "
                f"got {self.score_threshold} and {self.gripper_force}"
            )

    def save(self, path: Path | str) -> None:
        files.write_json(path, dataclasses.asdict(self))

    @classmethod
    def load(cls, path: Path | str) -> RobotConfig:
        """Reads a JSON object; what it leaves out keeps its default.

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
        if not isinstance(values, dict):
            raise RobotError(f"a robot configuration is a JSON object, not {type(values).__name__}")
        known = {field.name for field in dataclasses.fields(cls)}
        if unknown := sorted(values.keys() - known):
            raise RobotError(
                f"unknown robot setting {', '.join(unknown)}; known are {', '.join(sorted(known))}"
            )
        settings: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in values.items()}
        return cls(**settings)


def _check_field(name: str, value: Any) -> None:
    """Numbers are finite and positive, vectors three finite numbers, addresses text, choices true or false."""
    if name == "arm_host":
        if not isinstance(value, str) or not value:
            raise RobotError(f"arm_host must be an address such as '192.168.1.10'; got {value!r}")
    elif name.startswith("workspace"):
        if not (isinstance(value, tuple) and len(value) == 3 and all(map(_is_finite, value))):
            raise RobotError(f"{name} must be three finite numbers, m; got {value!r}")
    elif name == "align_grasp":
        if not isinstance(value, bool):
            raise RobotError(f"align_grasp must be true or false; got {value!r}")
    elif not (_is_finite(value) and value > 0):
        raise RobotError(f"{name} must be a finite number above 0; got {value!r}")


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)

"""Grasp execution: from a declared pre-grasp pose, advance, close, confirm, wait for the giver, back out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from h2rh_env.core.errors import RobotError
from h2rh_env.core.geometry import SE3
from h2rh_env.core.gripper import ROBOTIQ_2F85

from ..config import RobotConfig
from ..interfaces import Devices, GripperState, ObjectStatus
from .loop import ControlLoop, TrialStopped
from .outcome import Outcome


class GraspExecution:
    """From the pre-grasp pose on, by setpoints of the session's own loop; `say` is handed a line for each step."""

    def __init__(
        self, devices: Devices, config: RobotConfig, loop: ControlLoop, say: Callable[[str], None]
    ) -> None:
        self._devices, self._config, self._loop, self._say = devices, config, loop, say

    def run(self) -> tuple[Outcome, str]:
        """Advances, closes, confirms, waits, backs out; a blocked advance is tried again, after a new look."""
        back, blocked = self._advance()
        for _ in range(self._config.further_advances):
            if not blocked:
                break
            self._say(f"blocked ({blocked}); goes back to look again")
            self._retreat(back)
            self._loop.leaving, self._loop.keep_off_object = False, True
            self._loop.settle()
            back, blocked = self._advance()
        if blocked:
            return self._back_out(back, Outcome.BLOCKED, blocked)
        return self._take(back)

    def _advance(self) -> tuple[SE3, str]:
        """Aligns, then straight ahead, re-checked against the hand at every frame.

        Returns: where to go back to, and what blocked the way, or nothing.
        """
        declared, advance = self._loop.setpoint, self._loop.aligned()
        pregrasp, contact = advance.world_from_pregrasp, advance.world_from_grasp
        if self._config.align_grasp:
            self._say("aligns with what it measured of the object")
        if blocked := self._go(pregrasp):
            return declared, blocked
        self._say("advances straight")
        self._loop.keep_off_object, self._loop.sweep_to = False, contact
        blocked = self._go(contact)
        self._loop.sweep_to = None
        return pregrasp, blocked

    def _take(self, pregrasp: SE3) -> tuple[Outcome, str]:
        """Closes, confirms, waits for the giver, and backs out."""
        self._say("closes the gripper")
        self._loop.note("closes")
        try:
            gripper = self._move_gripper(0.0)
        except RobotError as error:
            return self._back_out(pregrasp, Outcome.NO_GRASP, str(error))
        if reason := self._why_no_grasp(gripper):
            return self._back_out(pregrasp, Outcome.NO_GRASP, reason)
        if not self._is_released():
            reason = f"the load did not change within {self._config.release_timeout_s} s"
            return self._back_out(pregrasp, Outcome.NOT_RELEASED, reason)
        self._retreat(pregrasp)
        return Outcome.HANDED_OVER, f"holding {1000 * gripper.opening_m:.0f} mm"

    def _go(self, goal: SE3) -> str:
        """Moves to a goal; returns what blocked the way, or nothing."""
        if not self._loop.allows(goal):
            return "the controller's safety limits forbid the grasp"
        return self._loop.go(goal, self._config.hand_wait_s)

    def _move_gripper(self, opening_m: float) -> GripperState:
        """Opens or closes while the arm holds still; returns what came of it."""
        deadline = self._devices.clock.now() + self._config.close_timeout_s
        self._devices.gripper.move(opening_m)
        self._loop.tick(None)
        state = self._devices.gripper.state()
        while state.object_status is ObjectStatus.MOVING and self._devices.clock.now() < deadline:
            self._loop.tick(None)
            state = self._devices.gripper.state()
        return state

    def _why_no_grasp(self, gripper: GripperState) -> str:
        """Empty if the gripper holds something."""
        if not gripper.activated or gripper.fault:
            return f"the gripper reports fault {gripper.fault}, activated: {gripper.activated}"
        if gripper.object_status is not ObjectStatus.STOPPED_CLOSING:
            return f"the gripper met nothing: OBJ = {int(gripper.object_status)}"
        if gripper.opening_m < self._config.min_width_m:
            return f"the gripper closed to {1000 * gripper.opening_m:.1f} mm"
        return ""

    def _is_released(self) -> bool:
        """Whether the load changes as when a giver lets go, before time is out."""
        self._say("holds the object; waits for the giver to let go")
        self._loop.settle()
        held = self._loop.state.force
        deadline = self._devices.clock.now() + self._config.release_timeout_s
        while self._devices.clock.now() < deadline:
            self._loop.tick(None)
            if np.linalg.norm(self._loop.state.force - held) >= self._config.release_change_n:
                return True
        return False

    def _back_out(self, pregrasp: SE3, outcome: Outcome, reason: str) -> tuple[Outcome, str]:
        """Opens, and only then leaves."""
        self._say(f"{outcome} ({reason}); opens")
        opened = self._move_gripper(ROBOTIQ_2F85.max_width_m)
        if opened.object_status is ObjectStatus.MOVING:
            raise TrialStopped(f"{reason}; then the gripper did not open")
        self._retreat(pregrasp)
        return outcome, reason

    def _retreat(self, pregrasp: SE3) -> None:
        self._say("retreats")
        self._loop.leaving = True
        if blocked := self._loop.go(pregrasp, self._config.hand_wait_s):
            raise TrialStopped(f"the way back is blocked: {blocked}")

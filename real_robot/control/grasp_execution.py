"""Grasp execution: from a declared pre-grasp pose, advance, close, confirm, wait for the giver, back out."""

from __future__ import annotations

from collections.abc import Callable

from h2rh_env.core.errors import RobotError
from h2rh_env.core.geometry import SE3, Array
from h2rh_env.core.gripper import ROBOTIQ_2F85

from ..config import RobotConfig
from ..interfaces import Devices, GripperState, ObjectStatus
from .grasp_alignment import ahead
from .loop import ControlLoop, TrialStopped
from .outcome import Outcome
from .phase import Phase
from .release import FILTER_S, DragWatch, LoadFilter, ReleaseJudge


class GraspExecution:
    """From the pre-grasp pose on, by setpoints of the session's own loop; `say` is handed a line for each step."""

    def __init__(
        self, devices: Devices, config: RobotConfig, loop: ControlLoop, progress: Callable[[str], None]
    ) -> None:
        self._devices, self._config, self._loop, self._progress = devices, config, loop, progress

    def run(self) -> tuple[Outcome, str]:
        """Advances, closes, confirms, waits, backs out; a blocked advance is tried again, after a new look."""
        back, blocked = self._advance()
        for _ in range(self._config.further_advances):
            if not blocked:
                break
            self._progress(f"blocked ({blocked}); goes back to look again")
            self._retreat(back)
            self._loop.settle(Phase.REACH)
            back, blocked = self._advance()
        if blocked:
            return self._back_out(back, Outcome.BLOCKED, blocked)
        return self._take(back)

    def _advance(self) -> tuple[SE3, str]:
        """Aligns, goes straight ahead, re-checked against the hand at every frame, and looks between the fingers.

        Returns: where to go back to, and what blocked the path, or nothing.
        """
        declared, advance = self._loop.setpoint, self._loop.aligned()
        pregrasp, contact = advance.world_from_pregrasp, advance.world_from_grasp
        if self._config.align_grasp:
            self._progress("aligns with what it measured of the object")
        elif not self._loop.has_arrived(pregrasp):
            self._progress("goes to where the camera was")
        if blocked := self._go(pregrasp, Phase.REACH):
            return declared, blocked
        if self._config.measure_advance and not self._config.align_grasp:
            self._loop.settle(Phase.REACH)
            contact = ahead(pregrasp, self._loop.measured_length_m())
        self._progress("advances straight")
        self._loop.begin_advance()
        if blocked := self._go(contact, Phase.ADVANCE):
            return pregrasp, blocked
        self._loop.settle(Phase.GRASP)
        return pregrasp, self._loop.why_not_close()

    def _take(self, pregrasp: SE3) -> tuple[Outcome, str]:
        """Closes, confirms, waits for the giver, and backs out; whatever interrupts it before opens the gripper."""
        unloaded = self._felt_at_rest()
        self._progress("closes the gripper")
        self._loop.note_closing()
        try:
            gripper, reason = self._close()
        except RobotError as error:
            return self._back_out(pregrasp, Outcome.NO_GRASP, str(error))
        except BaseException:
            self._devices.gripper.move(ROBOTIQ_2F85.max_width_m)
            raise
        if reason:
            return self._back_out(pregrasp, Outcome.NO_GRASP, reason)
        if not self._is_released(unloaded):
            reason = f"the pull did not fall to an object's weight within {self._config.release_timeout_s} s"
            return self._back_out(pregrasp, Outcome.NOT_RELEASED, reason)
        self._loop.carry()
        watch = DragWatch(unloaded, self._config.release_change_n)
        if pulled := self._loop.go(pregrasp, Phase.RETREAT, self._config.hand_wait_s, watch.why_not):
            return self._back_out(pregrasp, Outcome.NOT_RELEASED, pulled)
        return Outcome.HANDED_OVER, f"holding {1000 * gripper.opening_m:.0f} mm"

    def _go(self, goal: SE3, phase: Phase) -> str:
        """Moves to a goal; returns what blocked the path, or nothing."""
        if not self._loop.allows(goal):
            return "the controller's safety limits forbid the grasp"
        return self._loop.go(goal, phase, self._config.hand_wait_s)

    def _felt_at_rest(self) -> Array:
        """The mean force at the tool before anything is held, (3,), N."""
        felt, deadline = LoadFilter(FILTER_S), self._loop.time_s + 2 * FILTER_S
        mean = felt.take(self._loop.state)
        while not felt.is_full and self._loop.time_s < deadline:
            self._loop.tick(None, Phase.GRASP)
            mean = felt.take(self._loop.state)
        return mean

    def _close(self) -> tuple[GripperState, str]:
        """Closes while hand and fingers are watched; returns what came of it, and why it is no grasp, or nothing."""
        gripper = self._move_gripper(0.0, self._loop.why_not_close)
        return gripper, self._loop.why_not_close() or self._why_no_grasp(gripper)

    def _move_gripper(self, opening_m: float, why_not: Callable[[], str]) -> GripperState:
        """Opens or closes while the arm holds still, until it has, or something speaks against going on."""
        deadline = self._devices.clock.now() + self._config.close_timeout_s
        if why_not():
            return self._devices.gripper.state()
        self._devices.gripper.move(opening_m)
        self._loop.tick(None, Phase.GRASP)
        state = self._devices.gripper.state()
        while state.object_status is ObjectStatus.MOVING and self._devices.clock.now() < deadline:
            if why_not():
                break
            self._loop.tick(None, Phase.GRASP)
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

    def _is_released(self, unloaded: Array) -> bool:
        """Whether the giver lets go before time is out."""
        self._progress("holds the object; waits for the giver to let go")
        config = self._config
        judge = ReleaseJudge(unloaded, config.release_change_n, config.object_load_n, config.release_dwell_s)
        deadline = self._loop.time_s + config.release_timeout_s
        while self._loop.time_s < deadline:
            self._loop.tick(None, Phase.GRASP)
            if judge.is_released(self._loop.state):
                return True
        return False

    def _back_out(self, pregrasp: SE3, outcome: Outcome, reason: str) -> tuple[Outcome, str]:
        """Opens, and only then leaves."""
        self._progress(f"{outcome} ({reason}); opens")
        opened = self._move_gripper(ROBOTIQ_2F85.max_width_m, lambda: "")
        if opened.object_status is ObjectStatus.MOVING:
            raise TrialStopped(f"{reason}; then the gripper did not open")
        self._retreat(pregrasp)
        return outcome, reason

    def _retreat(self, pregrasp: SE3) -> None:
        self._progress("retreats")
        if blocked := self._loop.go(pregrasp, Phase.RETREAT, self._config.hand_wait_s):
            raise TrialStopped(f"the path back is blocked: {blocked}")

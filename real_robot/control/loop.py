"""The control loop: each period it looks, asks the guard, sends what may be sent, and logs it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from h2rh_env.core.action import decode_action
from h2rh_env.core.clearance import Clearance
from h2rh_env.core.geometry import SE3
from h2rh_env.core.policy import Observation
from h2rh_env.envs.drive_on import measured_advance_m

from ..config import RobotConfig
from ..interfaces import Devices, Frame, RobotState
from ..safety.camera_body import camera_box
from ..safety.decision import Cause, Decision, Verdict, hold
from ..safety.motion_guard import MotionGuard, extent_with
from ..safety.perception import PointMemory, SeenSurroundings, observation_of, surfaces_of
from ..safety.replay import Recording
from ..safety.sight import SightBefore, has_hand_moved, is_hand_in_gripper, is_hand_lost, is_hand_unmeasured
from ..safety.trial_log import (
    ActionLine,
    AlignedLine,
    BeginLine,
    CarryLine,
    ClosesLine,
    DetourLine,
    TickLine,
    TrialLog,
)
from ..segmentation.base import checked_masks
from .detour import LEAST_SPEED_SCALE, detour
from .grasp_alignment import Advance, aligned
from .phase import Phase

Found = TypeVar("Found")
REST_MPS = 0.002
REST_M = 0.001
PROGRESS_MPS = 1e-4
WIDER_RAD = np.radians(10)  # every second detour of a trial, as one that is too small leads back
STATES = 500  # kept, so that a late frame still finds where the arm was: 4 s at 125 Hz
MOST_ADVANCE_M = 0.45  # whatever a depth image says
CARRIED_M = 0.25  # points of the object within this of the fingertips are carried


class TrialStopped(Exception):
    """The trial is over: the guard said STOP, or a limit of the session was met."""


def nothing_speaks_against_it(state: RobotState) -> str:
    """For a motion that nobody watches besides the guard and the loop."""
    return ""


class ControlLoop:
    """Moves the arm by guarded setpoints and keeps what was seen meanwhile; each call says in which phase it is."""

    def __init__(self, devices: Devices, config: RobotConfig, log: TrialLog) -> None:
        self._devices, self._config, self._log = devices, config, log
        self._guard = MotionGuard(config, extent_with(devices.gripper_from_camera))
        self._camera_box = camera_box(devices.gripper_from_camera)
        self._hand, self._object = PointMemory(config.memory_s), PointMemory(config.memory_s)
        self._states: deque[RobotState] = deque(maxlen=STATES)
        self._frame: Frame | None = None
        self._masks: npt.NDArray[np.uint8] = np.zeros((1, 1, 2), np.uint8)
        self._new_hand = np.zeros((0, 3))
        self._next_s = self._hand_s = self._object_s = devices.clock.now()
        self._hand_trouble = ""
        self._camera_from_world = SE3.identity()
        self._before: SightBefore | None = None
        self._seen: dict[bool, SeenSurroundings] = {}
        self._detours = 0

    @property
    def state(self) -> RobotState:
        """The newest measured."""
        return self._states[-1]

    @property
    def time_s(self) -> float:
        return self._devices.clock.now()

    @property
    def setpoint(self) -> SE3:
        return self._guard.setpoint

    @property
    def object_in_view(self) -> bool:
        return bool(self._masks[..., 0].any())

    def begin(self) -> None:
        """Starts from where the arm is."""
        self._states.append(self._devices.arm.state())
        self._see()
        pose = self.state.world_from_gripper
        decision = self._guard.begin(pose)
        self._log.write(BeginLine.of(decision, pose))
        self._raise_stop(decision)

    def observation(self, with_depth: bool = False) -> Observation:
        """The newest frame as the policy sees it."""
        if self._frame is None:
            raise TrialStopped("nothing was ever seen")
        return observation_of(self._frame, self._masks, with_depth=with_depth)

    def has_arrived(self, goal: SE3) -> bool:
        """Whether the last setpoint rests at a goal."""
        return self._guard.has_arrived(goal)

    def can_be(self, world_from_gripper: SE3) -> bool:
        """Whether a pose is inside the workspace, and one at which the arm does well."""
        scale = self._devices.arm.speed_scale(world_from_gripper)
        return self._guard.is_inside(world_from_gripper) and scale >= LEAST_SPEED_SCALE

    def admit(self, action: npt.NDArray[np.float32]) -> Decision:
        """Has the guard judge an action given here and now; a score that declares is in the decision."""
        asked = Recording(self._surroundings(Phase.REACH, None))
        decision = self._guard.admit_action(action, self._devices.gripper_from_camera, asked)
        self._log.write(ActionLine.of(decision, action, asked.answers))
        return self._raise_stop(decision)

    def admit_detour(self, action: npt.NDArray[np.float32]) -> Decision:
        """Has the guard judge where to go instead of an action's goal that the arm cannot reach."""
        camera_from_next, _ = decode_action(action)
        offset, here = self._devices.gripper_from_camera, self._guard.setpoint
        goal = here @ offset @ camera_from_next @ offset.inverse()
        pivot = np.median(self._object.points, axis=0) if len(self._object.points) else goal.translation
        arm, least_rad = self._devices.arm, self._detours // 2 * WIDER_RAD
        self._detours += 1
        found = detour(here, goal, pivot, arm.speed_scale, arm.can_follow, least_rad)
        if found is None:
            return hold(Cause.OUT_OF_REACH, "the arm cannot reach the goal, and there is no detour")
        asked = Recording(self._surroundings(Phase.REACH, None))
        decision = self._guard.admit_new(found, asked)
        self._log.write(DetourLine.of(decision, found, asked.answers))
        return self._raise_stop(decision)

    def aligned(self) -> Advance:
        """The straight advance from near the setpoint that closes on the object as it was measured.

        It begins as declared where no such advance is found, or none is wanted. A policy knows no camera but one in
        the gripper's frame: what it declares is where its camera is, so the gripper takes that place.
        """
        declared, standoff_m = self.setpoint @ self._devices.gripper_from_camera, self._config.standoff_m
        if not self._config.align_grasp:
            return Advance(declared, standoff_m)
        search = aligned(
            declared, self._object.points, self._hand.points, standoff_m, self._config.clearance_m,
            self._devices.arm.can_follow,
        )  # fmt: skip
        found = _finished(search, lambda: self.tick(None, Phase.REACH))
        self._log.write(AlignedLine(declared, found.world_from_pregrasp if found else None))
        return found or Advance(declared, standoff_m)

    def measured_length_m(self) -> float:
        """How far the object between the fingers is ahead by the newest frame, and so the advance, m."""
        if self._frame is None:
            raise TrialStopped("nothing was ever seen")
        is_object, offset = self._masks[..., 0] > 0, self._devices.gripper_from_camera
        length_m = measured_advance_m(self._frame.depth_m, is_object, self._frame.camera, offset)
        return min(length_m, MOST_ADVANCE_M)

    def begin_advance(self) -> None:
        """Remembers where the hand is: from here on it must not move."""
        if self._frame is not None:
            self._before = SightBefore(Clearance(self._hand.points), self._frame, self._camera_from_world)

    def note_closing(self) -> None:
        """Logs that the fingers close, with the measured pose."""
        self._log.write(ClosesLine(self.state.world_from_gripper))

    def carry(self) -> None:
        """From here on the workspace bounds the object between the fingers too."""
        points = self.setpoint.inverse().apply(self._object.points)
        carried = points[np.linalg.norm(points - [0.0, 0.0, CARRIED_M / 2], axis=1) < CARRIED_M]
        self._guard.carry(carried)
        self._log.write(CarryLine(carried))

    def allows(self, goal: SE3) -> bool:
        """Whether the controller's safety limits allow a goal; asked at rest."""
        return self._devices.arm.is_allowed(goal)

    def tick(self, goal: SE3 | None, phase: Phase) -> Decision:
        """One control period towards a goal, or braking.

        Raises:
            TrialStopped: the guard's verdict is STOP.
        """
        clock = self._devices.clock
        self._states.append(self._devices.arm.state())
        self._see()
        asked, now, frame_s = Recording(self._surroundings(phase, goal)), clock.now(), self._frame_s
        most_mps = self._most_mps(phase, goal)
        decision = self._guard.advance(goal, self.state, asked, now, frame_s, most_mps)
        self._log.write(TickLine.of(decision, now, frame_s, self.state, goal, most_mps, asked.answers))
        self._raise_stop(decision)
        if decision.world_from_gripper is not None:
            self._devices.arm.servo(decision.world_from_gripper)
        self._next_s = max(self._next_s + self._config.control_period_s, now)
        clock.sleep(max(0.0, self._next_s - clock.now()))
        return decision

    def go(
        self,
        goal: SE3,
        phase: Phase,
        patience_s: float,
        why_not: Callable[[RobotState], str] = nothing_speaks_against_it,
    ) -> str:
        """Moves until a goal is reached, or nothing has moved for `patience_s`; returns why not, or nothing.

        Args:
            why_not: what else speaks against moving, of the newest state; it ends the motion at once.
        """
        moved_s = self.time_s
        while not self._guard.has_arrived(goal):
            if objection := why_not(self.state):
                return objection
            blind = self.why_hold(phase, goal)
            decision = self.tick(None if blind else goal, phase)
            if self._guard.speed > PROGRESS_MPS or self._guard.turn_speed > PROGRESS_MPS:
                moved_s = self.time_s
            if self.time_s - moved_s > patience_s:
                return blind or decision.reason or "the clearance to hand or walls leaves no path on"
        return ""

    def settle(self, phase: Phase) -> None:
        """Waits until the arm rests and a frame was exposed since.

        Raises:
            TrialStopped: the arm does not come to rest.
        """
        rest_s = np.inf
        deadline = self.time_s + self._config.move_timeout_s
        while self._frame_s < rest_s:
            self.tick(None, phase)
            off = self.state.world_from_gripper.translation - self.setpoint.translation
            if not (self._guard.at_rest and self.state.speed < REST_MPS and np.linalg.norm(off) < REST_M):
                rest_s = np.inf
            elif rest_s == np.inf:
                rest_s = self.state.time_s
            if self.time_s > deadline:
                raise TrialStopped("the arm does not come to rest")

    def check_sight(self) -> None:
        """Raises: TrialStopped: object or hand have not been seen for too long."""
        now = self.time_s
        if now - self._object_s > self._config.lost_s:
            raise TrialStopped(f"the object has not been seen for {now - self._object_s:.1f} s")
        if now - self._hand_s > self._config.memory_s:
            raise TrialStopped(f"the hand has not been seen for {now - self._hand_s:.1f} s")

    def why_hold(self, phase: Phase, goal: SE3) -> str:
        """What must be held, seen or known to move, and is not; empty otherwise."""
        if not self._devices.may_move():
            return "the hold-to-run key is released"
        if phase is Phase.RETREAT:
            return ""
        if not self.object_in_view:
            return "the object is out of sight"
        return "" if phase is Phase.REACH else self._hand_trouble or self._moved(goal)

    def why_not_close(self) -> str:
        """What speaks against fingers that close here; empty where nothing does."""
        here = self.state.world_from_gripper
        if is_hand_in_gripper(self._hand.points, here):
            return "the hand is between the fingers"
        return self._hand_trouble or self._moved(here)

    @property
    def _frame_s(self) -> float:
        return -np.inf if self._frame is None else self._frame.time_s

    def _see(self) -> None:
        """Takes in the newest frame, if it is new, from where the arm was when it was exposed."""
        frame = self._devices.camera.frame()
        if self._frame is not None and frame.time_s <= self._frame.time_s:
            return
        masks = checked_masks(self._devices.segmenter.segment(frame), frame)
        state = min(self._states, key=lambda s: abs(s.time_s - frame.time_s))
        world_from_camera = state.world_from_gripper @ self._devices.gripper_from_camera
        object_points, self._new_hand = surfaces_of(frame, masks, world_from_camera)
        self._camera_from_world, known = world_from_camera.inverse(), self._hand.points
        if is_hand_lost(frame, masks, known, self._camera_from_world):
            self._hand_trouble = "the hand is out of sight where it was"
        elif is_hand_unmeasured(frame, masks, known, self._camera_from_world):
            self._hand_trouble = "a hand is nearer than the camera measures"
        else:
            self._hand_trouble = ""
        self._object.add(object_points, frame.time_s)
        self._hand.add(self._new_hand, frame.time_s)
        now = self.time_s
        self._object_s = now if masks[..., 0].any() else self._object_s
        self._hand_s = now if masks[..., 1].any() else self._hand_s
        self._frame, self._masks, self._seen = frame, masks, {}

    def _moved(self, goal: SE3) -> str:
        """Why the hand as it was last seen forbids to go on towards a goal, straight ahead."""
        if not len(self._hand.points):
            return "nothing says where the hand is"
        if self.time_s - self._hand_s > self._config.hand_unseen_s:
            return f"no part of the hand has been seen for {self.time_s - self._hand_s:.1f} s"
        before, most_m = self._before, self._config.hand_moved_m
        if before and has_hand_moved(self._new_hand, before, self.setpoint, self._ahead_m(goal), most_m):
            return "the hand has moved"
        return ""

    def _surroundings(self, phase: Phase, goal: SE3 | None) -> SeenSurroundings:
        keep_off_object = phase is Phase.REACH
        if keep_off_object not in self._seen:
            self._seen[keep_off_object] = SeenSurroundings(
                self._hand.points, self._object.points, self._devices.arm, keep_off_object,
                camera_box=self._camera_box,
            )  # fmt: skip
        seen = self._seen[keep_off_object]
        seen.advance_m = {Phase.ADVANCE: self._ahead_m(goal), Phase.RETREAT: None}.get(phase, 0.0)
        return seen

    def _ahead_m(self, goal: SE3 | None) -> float:
        """Path to a goal along the gripper's own z, m."""
        if goal is None:
            return 0.0
        return max(0.0, float(self.setpoint.inverse().apply(goal.translation)[2]))

    def _most_mps(self, phase: Phase, goal: SE3 | None) -> float:
        """Slowly on an advance, where a hand could come in beside what the camera sees; slower still at its end."""
        if phase is not Phase.ADVANCE or goal is None:
            return np.inf
        is_last = self._ahead_m(goal) < self._config.last_m
        return self._config.unseen_speed_mps if is_last else self._config.last_speed_mps

    def _raise_stop(self, decision: Decision) -> Decision:
        if decision.verdict is Verdict.STOP:
            raise TrialStopped(decision.reason)
        return decision


def _finished(search: Generator[None, None, Found], meanwhile: Callable[[], object]) -> Found:
    """What a search comes to; `meanwhile` is called at each of its yields."""
    while True:
        try:
            next(search)
        except StopIteration as end:
            found: Found = end.value
            return found
        meanwhile()

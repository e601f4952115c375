"""The control loop: each period it looks, asks the guard, sends what may be sent, and logs it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from h2rh_env.core.action import decode_action
from h2rh_env.core.geometry import SE3
from h2rh_env.core.policy import Observation

from ..config import RobotConfig
from ..interfaces import Devices, Frame, RobotState
from ..safety.motion_guard import OUT_OF_REACH, Decision, MotionGuard, Verdict
from ..safety.perception import PointMemory, SeenSurroundings, observation_of, surfaces_of
from ..safety.replay import Recording
from ..safety.trial_log import TrialLog
from ..segmentation.base import checked_masks
from .detour import way_round
from .grasp_alignment import Advance, aligned

Found = TypeVar("Found")
REST_MPS = 0.002
REST_M = 0.001
PROGRESS_MPS = 1e-4
WIDER_RAD = np.radians(10)  # every second way round of a trial, as one that is too small leads back
STATES = 500  # kept, so that a late frame still finds where the arm was: 4 s at 125 Hz


class TrialStopped(Exception):
    """The trial is over: the guard said STOP, or a limit of the session was met."""


class ControlLoop:
    """Moves the arm by guarded setpoints and keeps what was seen meanwhile.

    Attributes:
        keep_off_object: whether the clearance holds for the object too; false while grasping.
        sweep_to: goal of a straight advance whose remaining way must be free; None while it is not asked for.
        leaving: on the way back out, where neither sight nor a free volume for the gripper is asked for.
    """

    def __init__(self, devices: Devices, config: RobotConfig, log: TrialLog) -> None:
        self._devices, self._config, self._log = devices, config, log
        self._guard = MotionGuard(config)
        self._hand, self._object = PointMemory(config.memory_s), PointMemory(config.memory_s)
        self._states: deque[RobotState] = deque(maxlen=STATES)
        self._frame: Frame | None = None
        self._masks: npt.NDArray[np.uint8] = np.zeros((1, 1, 2), np.uint8)
        self._next_s = self._hand_s = self._object_s = devices.clock.now()
        self._seen: SeenSurroundings | None = None
        self._ways_round = 0
        self.keep_off_object, self.leaving = True, False
        self.sweep_to: SE3 | None = None

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
    def hand_is_known(self) -> bool:
        """Whether any point of the hand is remembered."""
        return len(self._hand.points) > 0

    @property
    def object_in_view(self) -> bool:
        return bool(self._masks[..., 0].any())

    def begin(self) -> None:
        """Starts from where the arm is."""
        self._states.append(self._devices.arm.state())
        self._see()
        pose = self.state.world_from_gripper
        self._decided("begin", self._guard.begin(pose), pose=pose)

    def observation(self) -> Observation:
        """The newest frame as the policy sees it."""
        if self._frame is None:
            raise TrialStopped("nothing was ever seen")
        return observation_of(self._frame, self._masks)

    def admit(self, action: npt.NDArray[np.float32]) -> Decision:
        """Has the guard judge an action given here and now; a score that declares is in the decision."""
        asked = Recording(self._surroundings())
        decision = self._guard.admit_action(action, self._devices.gripper_from_camera, asked)
        return self._decided("action", decision, action=action, answers=asked.answers, score=decision.score)

    def admit_way_round(self, action: npt.NDArray[np.float32]) -> Decision:
        """Has the guard judge where to go instead of an action's goal that the arm cannot reach."""
        camera_from_next, _ = decode_action(action)
        offset, here = self._devices.gripper_from_camera, self._guard.setpoint
        goal = here @ offset @ camera_from_next @ offset.inverse()
        pivot = np.median(self._object.points, axis=0) if len(self._object.points) else goal.translation
        arm, least_rad = self._devices.arm, self._ways_round // 2 * WIDER_RAD
        self._ways_round += 1
        found = way_round(here, goal, pivot, arm.speed_scale, arm.can_follow, least_rad)
        if found is None:
            return Decision(Verdict.HOLD, f"{OUT_OF_REACH}, nor a way round")
        asked = Recording(self._surroundings())
        decision = self._guard.admit_new(found, asked)
        return self._decided("way round", decision, goal=found, answers=asked.answers)

    def aligned(self) -> Advance:
        """The straight advance from near the setpoint that closes on the object as it was measured.

        It is the setpoint's own where no such advance is found, or none is wanted.
        """
        declared, standoff_m = self.setpoint, self._config.standoff_m
        if not self._config.align_grasp:
            return Advance(declared, standoff_m)
        search = aligned(
            declared, self._object.points, self._hand.points, standoff_m, self._config.clearance_m,
            self._devices.arm.can_follow,
        )  # fmt: skip
        found = _finished(search, lambda: self.tick(None))
        self._log.write("aligned", declared=declared, pregrasp=found and found.world_from_pregrasp)
        return found or Advance(declared, standoff_m)

    def note(self, kind: str) -> None:
        """Logs what happens here, with the measured pose."""
        self._log.write(kind, pose=self.state.world_from_gripper)

    def allows(self, goal: SE3) -> bool:
        """Whether the controller's safety limits allow a goal; asked at rest."""
        return self._devices.arm.is_allowed(goal)

    def tick(self, goal: SE3 | None) -> Decision:
        """One control period towards a goal, or braking.

        Raises:
            TrialStopped: the guard's verdict is STOP.
        """
        clock = self._devices.clock
        self._states.append(self._devices.arm.state())
        self._see()
        asked, now, frame_s = Recording(self._surroundings()), clock.now(), self._frame_s
        decision = self._decided(
            "tick", self._guard.advance(goal, self.state, asked, now, frame_s),
            now_s=now, frame_s=frame_s, state=vars(self.state), goal=goal, answers=asked.answers,
        )  # fmt: skip
        if decision.world_from_gripper is not None:
            self._devices.arm.servo(decision.world_from_gripper)
        self._next_s = max(self._next_s + self._config.control_period_s, now)
        clock.sleep(max(0.0, self._next_s - clock.now()))
        return decision

    def go(self, goal: SE3, patience_s: float) -> str:
        """Moves until a goal is reached, or nothing has moved for `patience_s`; returns why not, or nothing."""
        moved_s = self.time_s
        while not self._guard.has_arrived(goal):
            blind = self._why_not()
            decision = self.tick(None if blind else goal)
            if self._guard.speed > PROGRESS_MPS or self._guard.turn_speed > PROGRESS_MPS:
                moved_s = self.time_s
            if self.time_s - moved_s > patience_s:
                return blind or decision.reason or "the clearance to hand or walls leaves no way on"
        return ""

    def settle(self) -> None:
        """Waits until the arm rests and a frame was exposed since.

        Raises:
            TrialStopped: the arm does not come to rest.
        """
        rest_s = np.inf
        deadline = self.time_s + self._config.move_timeout_s
        while self._frame_s < rest_s:
            self.tick(None)
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

    def _why_not(self) -> str:
        """What must be held, seen or known to move, and is not; empty otherwise."""
        if not self._devices.may_move():
            return "the hold-to-run key is released"
        if self.leaving:
            return ""
        if not self.object_in_view:
            return "the object is out of sight"
        return "nothing says where the hand is" if self.sweep_to and not self.hand_is_known else ""

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
        object_points, hand_points = surfaces_of(frame, masks, world_from_camera)
        self._object.add(object_points, frame.time_s)
        self._hand.add(hand_points, frame.time_s)
        now = self.time_s
        self._object_s = now if masks[..., 0].any() else self._object_s
        self._hand_s = now if masks[..., 1].any() else self._hand_s
        self._frame, self._masks, self._seen = frame, masks, None

    def _surroundings(self) -> SeenSurroundings:
        if self._seen is None or self._seen.keep_off_object != self.keep_off_object:
            self._seen = SeenSurroundings(
                self._hand.points, self._object.points, self._devices.arm, self.keep_off_object
            )
        self._seen.advance_m = None if self.leaving else self._way_ahead_m()
        return self._seen

    def _way_ahead_m(self) -> float:
        if self.sweep_to is None:
            return 0.0
        return max(0.0, float(self.setpoint.inverse().apply(self.sweep_to.translation)[2]))

    def _decided(self, kind: str, decision: Decision, **fields: object) -> Decision:
        self._log.write(
            kind, verdict=decision.verdict, reason=decision.reason, sent=decision.world_from_gripper, **fields
        )
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

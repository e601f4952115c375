"""One handover: look, segment, act, guard, move until the policy declares; then the grasp is executed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path

import numpy as np
import numpy.typing as npt

from h2rh_env.core.camera import HAND_EYE_CAMERA
from h2rh_env.core.episode import EpisodeRecord
from h2rh_env.core.errors import PolicyError, RobotError
from h2rh_env.core.geometry import SE3
from h2rh_env.core.policy import (
    DepthPolicy,
    Observation,
    OdometryPolicy,
    Policy,
    PrivilegedPolicy,
    ReachAwarePolicy,
    tell_camera,
)
from h2rh_env.scenes.handover_scene import HandoverScene

from .config import RobotConfig
from .control.grasp_execution import GraspExecution
from .control.loop import ControlLoop, TrialStopped
from .control.outcome import Outcome, TrialResult
from .control.phase import Phase
from .interfaces import Devices
from .safety.decision import Cause, Decision
from .safety.trial_log import EndLine, TrialLine, TrialLog


def _ignore(line: str) -> None:
    pass


def run_trial(
    policy: Policy,
    policy_name: str,
    devices: Devices,
    config: RobotConfig,
    log_path: Path | str,
    seed: int = 0,
    scene: HandoverScene | None = None,
    progress: Callable[[str], None] = _ignore,
) -> TrialResult:
    """Runs one trial and writes its log. Every device stops, whatever happens.

    Args:
        seed: of the policy.
        scene: what is rehearsed in; None on a robot. Only a privileged policy is shown it.
        progress: is handed a line for each step.

    Raises:
        PolicyError: a privileged policy, which needs a scene, on a robot.
        RobotError: a device cannot be entered, or the log exists.
    """
    with _entered(policy, policy_name, devices, config, log_path, seed, scene, progress) as (session, log):
        try:
            outcome, reason = session.run()
        except (TrialStopped, RobotError) as error:
            outcome, reason = Outcome.STOPPED, str(error)
        finally:
            devices.arm.stop()
        result = session.result(outcome, reason, policy_name, seed)
        log.write(EndLine(outcome, reason, result.reach_s, result.total_s))
        return result


def dry_run(
    policy: Policy,
    policy_name: str,
    devices: Devices,
    config: RobotConfig,
    log_path: Path | str,
    progress: Callable[[str], None],
    looks: int = 10,
) -> None:
    """Looks and decides a few times with read-only devices, and tells what would be done.

    Raises: as `run_trial`; and RobotError where a trial would have been stopped.
    """
    with _entered(policy, policy_name, devices, config, log_path, 0, None, progress) as (session, _):
        try:
            session.look(looks)
        except TrialStopped as error:
            raise RobotError(f"a trial would have been stopped: {error}") from None


@contextmanager
def _entered(
    policy: Policy,
    policy_name: str,
    devices: Devices,
    config: RobotConfig,
    log_path: Path | str,
    seed: int,
    scene: HandoverScene | None,
    progress: Callable[[str], None],
) -> Iterator[tuple[_Session, TrialLog]]:
    """A log with its first line, entered devices, and a session over them."""
    if isinstance(policy, PrivilegedPolicy) and scene is None:
        raise PolicyError(f"policy {policy_name!r} needs to see the scene, which only a rehearsal has")
    if getattr(policy, "task", "reach") != "reach":
        raise PolicyError(
            f"policy {policy_name!r} closes the fingers itself; on a robot the last 0.3 m are the session's, so it "
            "takes policies that declare the pre-grasp pose, such as ranging or learned-reach"
        )
    with TrialLog(log_path) as log, ExitStack() as stack:
        scene_name = scene.name if scene else ""
        log.write(
            TrialLine(
                devices.source, policy_name, seed, scene_name, devices.gripper_from_camera, asdict(config)
            )
        )
        for device in (devices.segmenter, devices.camera, devices.gripper, devices.arm):
            stack.enter_context(device)
        tell_camera(policy, HAND_EYE_CAMERA)
        policy.reset(seed)
        session = _Session(policy, devices, config, log, scene, progress, seed)
        if isinstance(policy, ReachAwarePolicy):
            policy.use_reach(session.can_reach)
        yield session, log


class _Session:
    def __init__(
        self,
        policy: Policy,
        devices: Devices,
        config: RobotConfig,
        log: TrialLog,
        scene: HandoverScene | None,
        progress: Callable[[str], None],
        seed: int,
    ) -> None:
        self._policy, self._devices, self._config = policy, devices, config
        self._scene, self._progress, self._seed = scene, progress, seed
        self._loop = ControlLoop(devices, config, log)
        self._start_s = devices.clock.now()
        self._reach_s: float | None = None
        self._looks: list[SE3] = []
        self._actions: list[npt.NDArray[np.float32]] = []
        self._act_seconds: list[float] = []
        self._end = devices.arm.state().world_from_gripper
        self._end_mask = np.zeros((1, 1), bool)

    def run(self) -> tuple[Outcome, str]:
        self._loop.begin()
        self._warm_up()
        if not self._reach():
            return Outcome.NOT_DECLARED, f"no score reached {self._config.score_threshold} in time"
        return GraspExecution(self._devices, self._config, self._loop, self._report).run()

    def result(self, outcome: Outcome, reason: str, policy_name: str, seed: int) -> TrialResult:
        record = EpisodeRecord(
            scene=self._scene.name if self._scene else "",
            scene_hash=self._scene.scene_hash if self._scene else "",
            policy=policy_name,
            seed=seed,
            scene_from_gripper=np.stack([pose.matrix for pose in [*self._looks, self._end]]),
            actions=np.reshape(np.array(self._actions, np.float32), (-1, 7)),
            declared=self._reach_s is not None,
            end_object_mask=self._end_mask,
            step_seconds=np.array(self._act_seconds),
            source=self._devices.source,
        )
        return TrialResult(outcome, reason, record, self._reach_s, self._since_start())

    def _warm_up(self) -> None:
        """Has the policy act once on what is seen, and forget it: a first act may take longer than any deadline."""
        self._show_scene(self._loop.state.world_from_gripper)
        self._policy.act(self._observation())
        self._policy.reset(self._seed)
        self._start_s = self._devices.clock.now()

    def _observation(self) -> Observation:
        """What the policy is shown."""
        return self._loop.observation(isinstance(self._policy, DepthPolicy) and self._policy.takes_depth)

    def can_reach(self, camera_from_gripper: SE3) -> bool:
        """Whether the arm may be and does well at a pose of the gripper, and with its camera there."""
        offset = self._devices.gripper_from_camera
        world_from_camera = self._loop.state.world_from_gripper @ offset
        pose = world_from_camera @ camera_from_gripper
        return self._loop.can_be(pose) and self._loop.can_be(pose @ offset.inverse())

    def _show_scene(self, world_from_gripper: SE3) -> None:
        if self._scene is not None and isinstance(self._policy, PrivilegedPolicy):
            self._policy.observe_state(self._scene, world_from_gripper @ self._devices.gripper_from_camera)

    def _since_start(self) -> float:
        return self._devices.clock.now() - self._start_s

    def look(self, count: int) -> None:
        """Acts `count` times without moving."""
        self._loop.begin()
        self._warm_up()
        for _ in range(count):
            self._step()

    def _reach(self) -> bool:
        """Looks at rest, acts, moves; true when the policy has declared the pre-grasp pose."""
        while self._since_start() < self._config.budget_s:
            decision = self._step()
            if decision is not None and decision.score >= self._config.score_threshold:
                self._reach_s = self._since_start()
                return True
            if decision is not None and decision.world_from_gripper is not None:
                self._loop.go(decision.world_from_gripper, Phase.REACH, self._config.move_timeout_s)
                self._end = self._loop.state.world_from_gripper
        return False

    def _step(self) -> Decision | None:
        """What the guard says to what the policy makes of a fresh view at rest; None without an object in it."""
        self._loop.settle(Phase.REACH)
        self._loop.check_sight()
        self._end = self._loop.state.world_from_gripper
        self._end_mask = self._loop.observation()["masks"][..., 0] > 0
        if not self._loop.object_in_view:
            return None
        action = self._act()
        decision = self._loop.admit(action)
        path_mm, turn_deg = 1000 * np.linalg.norm(action[3:6]), np.degrees(np.linalg.norm(action[:3]))
        said = f"{decision.verdict} {decision.reason}".rstrip()
        self._report(f"asked {path_mm:3.0f} mm {turn_deg:4.1f} deg, score {action[6]:.2f}: {said}")
        if decision.cause is Cause.OUT_OF_REACH:
            decision = self._loop.admit_detour(action)
            self._report(
                f"takes a detour about the object instead: {decision.verdict} {decision.reason}".rstrip()
            )
        return decision

    def _report(self, what: str) -> None:
        self._progress(f"{self._since_start():6.2f} s  {what}")

    def _act(self) -> npt.NDArray[np.float32]:
        """The policy's action for what was seen last, within its deadline."""
        pose = self._loop.state.world_from_gripper
        self._show_scene(pose)
        if self._looks and isinstance(self._policy, OdometryPolicy):
            offset = self._devices.gripper_from_camera
            self._policy.moved((self._looks[-1] @ offset).inverse() @ pose @ offset)
        began = self._devices.clock.now()
        action = np.asarray(self._policy.act(self._observation()), np.float32)
        took = self._devices.clock.now() - began
        if action.shape == (7,):
            self._looks.append(pose)
            self._actions.append(action)
            self._act_seconds.append(took)
        if took > self._config.act_deadline_s:
            raise TrialStopped(f"the policy took {took:.2f} s for one action")
        return action

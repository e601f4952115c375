"""Handover: the gripper comes along its path, closes, the giver lets go, the gripper retreats and is shaken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..core.geometry import SE3, rotation_angle
from ..core.gripper import ROBOTIQ_2F85, GripperGeometry
from ..scenes.contact_shape import ContactShape
from ..scenes.handover_scene import HandoverScene
from . import motion
from .conditions import BENCHMARK_CONDITIONS, ContactConditions
from .config import BENCHMARK_PHYSICS, PhysicsConfig
from .mujoco_model import handover_model
from .outcome import ContactFailure, HandoverFrame, HandoverOutcome, Phase
from .shapes import shape_of
from .simulation import Simulation

__all__ = ["HandoverFrame", "HandoverOutcome", "final_approach", "simulate_handover"]

FRAMES_PER_S = 30.0


def final_approach(scene_from_gripper: SE3, length_m: float) -> list[SE3]:
    """The path straight ahead along the gripper's z, from a pose to the one where the fingers close.

    Args:
        length_m: how far ahead, m; the paper's pre-grasp pose stands 0.3 m before the grasp.
    """
    ahead = scene_from_gripper.translation + length_m * scene_from_gripper.rotation[:, 2]
    return [scene_from_gripper, SE3(scene_from_gripper.rotation, ahead)]


def simulate_handover(
    scene: HandoverScene | ContactShape,
    scene_from_gripper: Sequence[SE3],
    seed: int,
    conditions: ContactConditions = BENCHMARK_CONDITIONS,
    gripper: GripperGeometry = ROBOTIQ_2F85,
    *,
    closes: bool = True,
    record: bool = False,
    settings: PhysicsConfig = BENCHMARK_PHYSICS,
) -> HandoverOutcome:
    """Judges a path of the gripper by contact; the same arguments give the same outcome, bit for bit.

    Args:
        scene: the scene, or only what can be touched in it.
        scene_from_gripper: the gripper's path in the scene's frame. The fingers close at the last pose; earlier ones
            are moved through on straight lines. Only the part near object or hand is simulated.
        seed: of the drawn conditions, at least 0.
        conditions: intervals and noises to draw from.
        closes: False for a path that never closes: then only contact with the hand and pushing are judged.
        record: keep frames for a film, 30 a second.
        settings: the constants of the physics; the benchmark's by default.

    Raises:
        HandoverError: an empty path, a pose that is not finite, or a negative seed.
    """
    shape, drawn = shape_of(scene), conditions.draw(seed)
    model = handover_model(shape, gripper, settings)
    arrived = [pose @ drawn.arrival_from_gripper for pose in scene_from_gripper]
    path = motion.near_part(motion.dense_path(arrived), model.probes, gripper, settings.near_m)
    if path:
        with model.lock:
            run = _Run(Simulation(model, settings, drawn, path[0]), settings, record)
            run.play(path, closes)
            found = run.findings()
    else:
        found = _Findings(first_failure="closed on nothing" if closes else None)
    return HandoverOutcome(
        handed_over=closes and found.first_failure is None,
        released=found.closed_on_object,
        friction=drawn.friction,
        mass_kg=shape.mass_kg * drawn.mass_factor,
        shape_source=shape.source,
        **vars(found),
    )


@dataclass(frozen=True)
class _Findings:
    """What a run found; the defaults are those of a path that nothing comes near to."""

    first_failure: ContactFailure | None = None
    touched_hand: bool = False
    greatest_hand_force_n: float = 0.0
    hand_touch_s: float | None = None
    pushed_m: float = 0.0
    closed_on_object: bool = False
    slip_m: float | None = None
    slip_rad: float | None = None
    simulated_s: float = 0.0
    frames: tuple[HandoverFrame, ...] = ()


class _Run:
    """One handover, phase by phase."""

    def __init__(self, simulation: Simulation, settings: PhysicsConfig, record: bool) -> None:
        self._simulation, self._settings, self._record = simulation, settings, record
        self._frames: list[HandoverFrame] = []
        self._opening_m = simulation.opening_m
        self._failures: list[tuple[float, ContactFailure]] = []
        self._closed = False
        self._slip: tuple[float, float] | None = None

    def play(self, path: Sequence[SE3], closes: bool) -> None:
        """Along the path and, if it closes, on to the end of the shake."""
        settings, simulation = self._settings, self._simulation
        step_s = settings.time_step_s
        for pose in motion.along(path, settings.approach_speed_mps, step_s):
            self._step("approach", pose)
            simulation.note_push()
        if not closes:
            return
        end = path[-1]
        self._closed = self._close(end)
        if not self._closed:
            self._failures.append((simulation.time_s, "closed on nothing"))
            return
        held = simulation.gripper_from_object
        self._release(end)
        for pose in motion.retreat(end, settings.retreat_m, settings.retreat_time_s, step_s):
            self._step("retreat", pose)
        back = SE3(end.rotation, end.translation - settings.retreat_m * end.rotation[:, 2])
        for pose in motion.shake(back, settings.shake_m, settings.shake_time_s, step_s):
            self._step("shake", pose)
        self._judge_slip(held)

    def _close(self, pose: SE3) -> bool:
        """Closes the fingers; whether both pads have pressed the object long enough."""
        settings, simulation = self._settings, self._simulation
        pressed_s = 0.0
        for _ in range(round(settings.closing_time_s / settings.time_step_s)):
            self._step("close", pose)
            simulation.note_push()
            presses = simulation.pad_forces_n().min() >= settings.press_force_n
            pressed_s = pressed_s + settings.time_step_s if presses else 0.0
            if pressed_s >= settings.press_time_s:
                return True
        return False

    def _release(self, pose: SE3) -> None:
        """The giver lets go, and the object comes to rest between the pads or falls."""
        settings = self._settings
        steps = round(settings.release_time_s / settings.time_step_s)
        for k in range(1, steps + 1):
            self._simulation.hold(1 - k / steps)
            self._step("release", pose)
        for _ in range(round(settings.settle_time_s / settings.time_step_s)):
            self._step("release", pose)

    def _judge_slip(self, held: SE3) -> None:
        settings, simulation = self._settings, self._simulation
        moved = simulation.gripper_from_object @ held.inverse()
        slip = float(np.linalg.norm(moved.apply(motion.TIP) - motion.TIP)), rotation_angle(moved.rotation)
        self._slip = slip
        between_pads = simulation.pad_forces_n().min() > 0
        if not between_pads or slip[0] > settings.slip_m or slip[1] > settings.slip_rad:
            self._failures.append((simulation.time_s, "slipped or dropped"))

    def _step(self, phase: Phase, pose: SE3) -> None:
        simulation = self._simulation
        if phase != "approach":  # the fingers go on closing until their force is all that they have
            self._opening_m -= 2 * simulation.gripper.finger_speed_mps * self._settings.time_step_s
        simulation.step(pose, self._opening_m)
        if self._record and simulation.time_s * FRAMES_PER_S >= len(self._frames):
            self._frames.append(
                HandoverFrame(
                    simulation.time_s,
                    phase,
                    simulation.scene_from_gripper,
                    simulation.opening_m,
                    simulation.now_from_held,
                    simulation.hand_force_n,
                )
            )

    def findings(self) -> _Findings:
        """What happened, the earliest failure first."""
        simulation = self._simulation
        failures = list(self._failures)
        if simulation.hand_touch_s is not None:
            failures.append((simulation.hand_touch_s, "touched the hand"))
        if simulation.push_s is not None:
            failures.append((simulation.push_s, "pushed the object"))
        return _Findings(
            first_failure=min(failures)[1] if failures else None,
            touched_hand=simulation.hand_touch_s is not None,
            greatest_hand_force_n=simulation.greatest_hand_force_n,
            hand_touch_s=simulation.hand_touch_s,
            pushed_m=simulation.greatest_push_m,
            closed_on_object=self._closed,
            slip_m=self._slip[0] if self._slip else None,
            slip_rad=self._slip[1] if self._slip else None,
            simulated_s=simulation.time_s,
            frames=tuple(self._frames),
        )

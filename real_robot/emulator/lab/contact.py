"""Contact in the laboratory: gripper, object and hand as MuJoCo bodies, stepped along with the emulated arm.

It is computed in the frame that the giver carries along, in which his hand rests; from when he has let go, he stands
still. Far from hand and object there is nothing to compute. His hold is a spring's; the pull by which an arm notices
that he lets go is felt at the tool, but not borne by the pads: 41 N do not hold against 22 N where friction is 0.3.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial import cKDTree

from h2rh_env.contact import motion
from h2rh_env.contact.conditions import BENCHMARK_CONDITIONS
from h2rh_env.contact.config import BENCHMARK_PHYSICS
from h2rh_env.contact.mujoco_model import compile_model
from h2rh_env.contact.shapes import shape_of
from h2rh_env.contact.simulation import Simulation
from h2rh_env.core.clearance import Clearance
from h2rh_env.core.geometry import SE3, Array, between, rotation_angle
from h2rh_env.core.gripper import ROBOTIQ_2F85
from h2rh_env.scenes.handover_scene import HandoverScene

from ...safety.camera_body import box_hits
from .giver import Giver

GRIP_N = 41.0  # of the force register 25
GRIPPER = replace(ROBOTIQ_2F85, grip_force_n=GRIP_N)
REACH_M = 0.3  # of the gripper's origin from anything, beyond which nothing can meet
UPRIGHT = np.array([0.0, 0.0, 1.0])


@dataclass(frozen=True)
class ContactVerdict:
    """What became of a trial by contact.

    Attributes:
        handed_over: the giver let go, and after the retreat and a shake the object is between the pads where it was.
        failure: the first of what went wrong; empty if nothing did.
        touched_hand: any part of the gripper, or the camera, met the hand. hand_force_n: the greatest such force.
        least_hand_m: of the gripper frame's origin from the hand, over the whole trial.
        pushed_m: how far the object was displaced at most before both pads held it.
        slip_m, slip_rad: how far it moved between the pads from then on; None if they never held it.
    """

    handed_over: bool
    failure: str
    touched_hand: bool
    hand_force_n: float
    least_hand_m: float
    pushed_m: float
    slip_m: float | None
    slip_rad: float | None


class LabContact:
    """Stepped with where the arm has the gripper; afterwards, its `verdict`.

    Args:
        camera_box: (2, 3) of the camera's body in the gripper's frame; see `safety.camera_body`.
    """

    def __init__(
        self, scene: HandoverScene, giver: Giver, world_from_gripper: SE3, camera_box: Array | None, seed: int
    ) -> None:
        self._shape, self._giver, self._camera_box = shape_of(scene), giver, camera_box
        self._settings = replace(BENCHMARK_PHYSICS, release_time_s=giver.config.release_s)
        drawn = BENCHMARK_CONDITIONS.draw(seed)
        self._drawn = replace(drawn, arrival_from_gripper=SE3.identity())
        self._compiled = compile_model(self._shape, GRIPPER, self._settings)
        self._tree, self._hand = cKDTree(self._compiled.probes), Clearance(self._shape.hand_centres)
        self._simulation: Simulation | None = None
        self._world_from_gripper = world_from_gripper
        self._towards_giver = _towards(scene)
        self._pressed_s = self._pull_n = 0.0
        self._held: SE3 | None = None
        self._time_s = 0.0
        self._failures: list[tuple[float, str]] = []
        self.least_hand_m = np.inf
        self.touched_hand = self.is_released = False
        self.opening_m = self._driven_m = GRIPPER.max_width_m
        self.force_world = np.zeros(3)

    def step(self, time_s: float, world_from_gripper: SE3, opening_m: float) -> None:
        """On to a time, with the arm at a pose and the fingers driven towards an opening.

        Afterwards `opening_m` is the true opening, and `force_world` (3,) what pushes at the tool, N.
        """
        scene_from_world, self._driven_m = self._giver.world_from_scene(time_s).inverse(), opening_m
        pose = scene_from_world @ world_from_gripper
        self._look(pose)
        if self._simulation is None:
            if self._tree.query(pose.translation)[0] > REACH_M:
                self._time_s, self._world_from_gripper, self.opening_m = time_s, world_from_gripper, opening_m
                return
            self._simulation = Simulation(self._compiled, self._settings, self._drawn, pose)
        steps = max(1, round((time_s - self._time_s) / self._settings.time_step_s))
        before = self._giver.world_from_scene(self._time_s).inverse() @ self._world_from_gripper
        for k in range(1, steps + 1):
            self._step(self._simulation, between(before, pose, k / steps), opening_m)
        self._time_s, self._world_from_gripper = time_s, world_from_gripper
        self.opening_m = self._simulation.opening_m
        felt = self._simulation.tool_force_n + self._pull_n * self._towards_giver
        self.force_world = scene_from_world.rotation.T @ felt

    def _step(self, simulation: Simulation, scene_from_gripper: SE3, opening_m: float) -> None:
        simulation.step(scene_from_gripper, opening_m)
        if self._held is None:
            simulation.note_push()
        if simulation.hand_touch_s is not None:
            self._note_touch(simulation.time_s)
        if not self.is_released:
            self._give(simulation)

    def _give(self, simulation: Simulation) -> None:
        """What the giver does: holds, pulls at what is pressed, lets go of what is pressed for long."""
        config, dt = self._giver.config, self._settings.time_step_s
        if simulation.pad_forces_n().min() < self._settings.press_force_n:
            self._pressed_s = self._pull_n = 0.0
            return
        self._pressed_s += dt
        if self._held is None and self._pressed_s >= config.firm_s:
            self._held = simulation.gripper_from_object
        faded = (self._pressed_s - config.firm_s - self._giver.reaction_s) / config.release_s
        share = min(1.0, self._pressed_s / config.pull_rise_s, max(0.0, 1.0 - faded))
        self._pull_n = share * self._giver.pull_n
        if faded > 0:
            simulation.hold(max(0.0, 1.0 - faded))
        if faded >= 1:
            self.is_released = True
            self._giver.stand_still(self._time_s)

    def _look(self, scene_from_gripper: SE3) -> None:
        self.least_hand_m = min(
            self.least_hand_m,
            float(self._hand.distance(scene_from_gripper.translation)) - self._shape.hand_radius_m,
        )
        if self._camera_box is not None and self.least_hand_m < REACH_M:
            hits = box_hits(self._shape.hand_centres, scene_from_gripper, self._camera_box, 0.0, 0.0)
            if hits.any():
                self._note_touch(0.0 if self._simulation is None else self._simulation.time_s)

    def _note_touch(self, time_s: float) -> None:
        if not self.touched_hand:
            self._failures.append((time_s, "touched the hand"))
        self.touched_hand = True

    def verdict(self, carried_off: bool) -> ContactVerdict:
        """Shakes what is held, and judges.

        Args:
            carried_off: the session says that it has the object.
        """
        simulation, slip = self._simulation, None
        if carried_off and simulation is not None:
            at = simulation.scene_from_gripper
            step_s = self._settings.time_step_s
            for pose in motion.shake(at, self._settings.shake_m, self._settings.shake_time_s, step_s):
                simulation.step(pose, self._driven_m)
            slip = self._slip(simulation)
        failures = list(self._failures)
        if simulation is not None and simulation.push_s is not None:
            failures.append((simulation.push_s, "pushed the object"))
        if carried_off and not self.is_released:
            failures.append((np.inf, "never let go"))
        elif carried_off and not self._is_held(slip):
            failures.append((np.inf, "slipped or dropped"))
        failure = min(failures)[1] if failures else "" if carried_off else "not taken"
        return ContactVerdict(
            carried_off and not failures, failure, self.touched_hand,
            0.0 if simulation is None else simulation.greatest_hand_force_n, self.least_hand_m,
            0.0 if simulation is None else simulation.greatest_push_m,
            None if slip is None else slip[0], None if slip is None else slip[1],
        )  # fmt: skip

    def _slip(self, simulation: Simulation) -> tuple[float, float] | None:
        """How far and how much the object moved between the pads; None if it is not there."""
        if self._held is None or simulation.pad_forces_n().min() <= 0:
            return None
        moved = simulation.gripper_from_object @ self._held.inverse()
        slip_m = float(np.linalg.norm(moved.apply(motion.TIP) - motion.TIP))
        return slip_m, rotation_angle(moved.rotation)

    def _is_held(self, slip: tuple[float, float] | None) -> bool:
        most = self._settings.slip_m, self._settings.slip_rad
        return slip is not None and slip[0] <= most[0] and slip[1] <= most[1]


def _towards(scene: HandoverScene) -> Array:
    """(3,) unit vector, in the scene's frame, along which a giver draws: to his hand, and down with its weight."""
    towards = (scene.hand_points.mean(axis=0) - scene.object_points.mean(axis=0)).astype(np.float64)
    towards = towards / max(float(np.linalg.norm(towards)), 1e-9) - 0.3 * UPRIGHT
    return np.asarray(towards / np.linalg.norm(towards))

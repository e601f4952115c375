"""What a laboratory's fingers do to a can in a hand: held, pulled at, let go, dropped, pushed, or the hand met."""

import numpy as np
import pytest

from h2rh_env.core.geometry import SE3
from h2rh_env.core.gripper import ROBOTIQ_2F85
from real_robot.control.grasp_alignment import ahead
from real_robot.emulator.lab.contact import LabContact
from real_robot.emulator.lab.giver import Giver, GiverConfig

TICK_S = 0.004
OPEN_M = ROBOTIQ_2F85.max_width_m
STILL = GiverConfig(sway_m=0.0, sway_rad=0.0)
REST = SE3(np.diag([-1.0, -1.0, 1.0]), np.array([0.8, 0.1, 0.2]))


class Taking:
    """Contact, and the ticks of a gripper that is moved by hand."""

    def __init__(self, scene, start, config=STILL, camera_box=None):
        self.giver = Giver(REST, scene.object_centre, config, np.random.default_rng(0))
        self.pose, self.opening_m, self.time_s = REST @ start, OPEN_M, 0.0
        self.contact = LabContact(scene, self.giver, self.pose, camera_box, 0)
        self.loads_n = []

    def wait(self, seconds, closing_mps=0.0):
        for _ in range(round(seconds / TICK_S)):
            self._tick(self.pose, closing_mps)
        return self

    def go(self, metres, speed_mps=0.1):
        """Along the gripper's own z."""
        step = np.sign(metres) * speed_mps * TICK_S
        for _ in range(round(abs(metres / step))):
            self._tick(ahead(self.pose, step), 0.0)
        return self

    def _tick(self, pose, closing_mps):
        self.pose, self.time_s = pose, self.time_s + TICK_S
        self.opening_m = float(np.clip(self.opening_m - closing_mps * TICK_S, 0.0, OPEN_M))
        self.contact.step(self.time_s, pose, self.opening_m)
        self.loads_n.append(float(np.linalg.norm(self.contact.force_world)))


@pytest.fixture(scope="module")
def grasp(scene):
    return scene.grasp.scene_from_grasp


@pytest.fixture(scope="module")
def taken(scene, grasp):
    return Taking(scene, ahead(grasp, -0.05)).go(0.05).wait(1.0, 0.1).wait(1.0).go(-0.15)


def test_a_can_is_held_pulled_at_let_go_and_carried_off(taken):
    verdict = taken.contact.verdict(carried_off=True)
    assert verdict.handed_over, verdict
    assert taken.contact.is_released
    assert 0.05 < taken.contact.opening_m < 0.065
    assert not verdict.touched_hand
    assert verdict.pushed_m < 0.01


def test_the_pull_is_felt_at_the_tool_until_he_lets_go(taken):
    pulled = np.array(taken.loads_n[round(1.0 / TICK_S) : round(1.5 / TICK_S)])
    assert pulled.max() == pytest.approx(taken.giver.pull_n, rel=0.25)
    assert taken.loads_n[-1] < 10.0


def test_who_is_pressed_but_for_a_moment_holds_on(scene, grasp):
    taking = Taking(scene, ahead(grasp, -0.02)).go(0.02).wait(0.4, 0.1).wait(0.1).wait(0.5, -0.1)
    assert not taking.contact.is_released
    assert taking.contact.verdict(carried_off=True).failure == "never let go"
    assert taking.contact.verdict(carried_off=False).failure == "not taken"


def test_fingers_that_open_again_drop_it(scene, grasp):
    taking = Taking(scene, ahead(grasp, -0.02)).go(0.02).wait(1.0, 0.1).wait(0.8)
    assert taking.contact.is_released
    taking.wait(0.9, -0.1)
    assert taking.contact.verdict(carried_off=True).failure == "slipped or dropped"


def test_a_finger_that_goes_on_through_the_can_pushes_it(scene, grasp):
    aside = grasp @ SE3(np.eye(3), np.array([0.045, 0.0, -0.05]))
    verdict = Taking(scene, aside).go(0.1).contact.verdict(carried_off=False)
    assert verdict.pushed_m > 0.02
    assert verdict.failure == "pushed the object"


def test_a_gripper_that_meets_the_hand_has_touched_it(crowded_scene):
    start = ahead(crowded_scene.grasp.scene_from_grasp, -0.05)
    verdict = Taking(crowded_scene, start).go(0.05).contact.verdict(carried_off=False)
    assert verdict.touched_hand
    assert verdict.hand_force_n > 0
    assert verdict.failure == "touched the hand"


def test_a_camera_that_meets_the_hand_has_touched_it_too(scene, grasp):
    """The hand is below the can; the camera hangs below the gripper."""
    hand = grasp.inverse().apply(scene.hand_points[0].astype(np.float64))
    box = np.stack([hand - 0.02, hand + 0.02])
    assert Taking(scene, grasp, camera_box=box).wait(0.01).contact.verdict(False).touched_hand
    assert not Taking(scene, grasp).wait(0.01).contact.verdict(False).touched_hand


def test_the_same_ticks_give_the_same_verdict(scene, grasp):
    def verdict():
        taking = Taking(scene, ahead(grasp, -0.02), GiverConfig())
        return taking.go(0.02).wait(1.0, 0.1).wait(0.3).contact.verdict(True)

    assert verdict() == verdict()

"""The laboratory's devices: one clock, an arm that follows, a camera with a sensor's faults, the same trial twice."""

import numpy as np
import pytest

from h2rh_env.core.gripper import ROBOTIQ_2F85
from real_robot.benchmark.table2 import HEADLINE
from real_robot.control.grasp_alignment import ahead
from real_robot.control.outcome import Outcome
from real_robot.emulator.lab.camera import LEAST_DEPTH_M
from real_robot.emulator.lab.devices import laboratory
from real_robot.interfaces import ObjectStatus, Safety
from real_robot.safety.replay import replay
from real_robot.session import run_trial


@pytest.fixture
def lab(scene, rasteriser):
    return laboratory(scene, "middle", rasteriser, None, 0)


def test_the_arm_follows_setpoints_and_halts_without_them(lab):
    arm, clock = lab.devices.arm, lab.devices.clock
    goal = ahead(arm.world_from_gripper, 0.02)
    for _ in range(50):
        arm.servo(goal)
        clock.sleep(0.008)
    assert np.linalg.norm(arm.state().world_from_gripper.translation - goal.translation) < 1e-3
    arm.servo(ahead(goal, 0.02))
    clock.sleep(0.5)
    assert arm.state().speed < 1e-3
    assert arm.state().safety is Safety.NORMAL


def test_what_the_joints_cannot_do_is_a_protective_stop(lab):
    arm = lab.devices.arm
    far = ahead(arm.world_from_gripper, 5.0)
    assert not arm.is_reachable(far)
    arm.servo(far)
    lab.devices.clock.sleep(0.02)
    assert arm.state().safety is Safety.PROTECTIVE_STOP


def test_what_holds_the_tool_is_a_protective_stop_and_a_jolt_is_none(lab):
    """Setting out near the hand jolts the simulated wrist for a few milliseconds."""
    arm, contact, clock = lab.devices.arm, lab.contact, lab.devices.clock
    pushed = {"force": 0.0}
    contact.step = lambda *_: setattr(contact, "force_world", np.array([pushed["force"], 0.0, 0.0]))
    for force, seconds, safety in (
        (200.0, 0.012, Safety.NORMAL),
        (0.0, 0.1, Safety.NORMAL),
        (80.0, 0.5, Safety.NORMAL),
        (95.0, 0.05, Safety.PROTECTIVE_STOP),
    ):
        pushed["force"] = force
        clock.sleep(seconds)
        assert arm.state().safety is safety


def test_fingers_that_meet_nothing_say_so(lab):
    gripper, clock = lab.devices.gripper, lab.devices.clock
    gripper.move(0.0)
    assert gripper.state().object_status is ObjectStatus.MOVING
    clock.sleep(1.2)
    assert gripper.state().object_status is ObjectStatus.AT_POSITION
    gripper.__exit__()
    assert gripper.state().opening_m == pytest.approx(ROBOTIQ_2F85.max_width_m, abs=1e-3)


def test_a_frame_is_noisy_has_holes_and_no_depth_of_what_is_near(lab):
    with lab.devices.camera as camera:
        frame = camera.frame()
        assert frame.masks[..., 0].any()
        known = frame.depth_m[frame.depth_m > 0]
        assert known.min() >= LEAST_DEPTH_M
        assert (frame.depth_m == 0).any()
        assert np.allclose(known, np.round(known, 3), atol=1e-6)
        again = camera._render(
            frame.time_s, lab.devices.arm.world_from_gripper @ lab.devices.gripper_from_camera
        )
        assert again.rgb.shape == frame.rgb.shape


def test_the_force_estimate_is_noisy_and_off(lab):
    forces = []
    for _ in range(100):
        lab.devices.clock.sleep(0.008)
        forces.append(lab.devices.arm.state().force)
    assert 1.0 < np.std(forces, axis=0).mean() < 3.0
    assert np.abs(np.mean(forces, axis=0)).max() > 0.5


@pytest.mark.nightly
def test_a_trial_hands_over_by_contact_and_comes_out_the_same_twice(scene, rasteriser, homing, tmp_path):
    def trial(name):
        lab = laboratory(scene, "middle", rasteriser, None, 0)
        config = HEADLINE
        result = run_trial(lab.shown(homing), "homing", lab.devices, config, tmp_path / name, scene=scene)
        return result.outcome, lab.verdict(result.outcome)

    outcome, verdict = trial("one.jsonl")
    assert outcome is Outcome.HANDED_OVER
    assert verdict.handed_over, verdict
    assert replay(tmp_path / "one.jsonl").differing_lines == ()
    assert (outcome, verdict) == trial("two.jsonl")
    lines = [path.read_bytes() for path in sorted(tmp_path.glob("*.jsonl"))]
    assert lines[0] == lines[1]

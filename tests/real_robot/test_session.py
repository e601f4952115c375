"""One handover over simulated devices, and what each fault does to it."""

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from h2rh_env.core.clearance import sweep_gap, swept_hits
from h2rh_env.core.errors import PolicyError, RobotError
from h2rh_env.core.geometry import SE3
from h2rh_env.core.gripper import FINGERTIP_DEPTH_M
from h2rh_env.core.task import CLEARANCE_M
from h2rh_env.envs.metrics import score
from real_robot.config import RobotConfig
from real_robot.control.loop import MOST_ADVANCE_M, ControlLoop
from real_robot.control.outcome import Outcome
from real_robot.drivers.simulated import simulated_devices
from real_robot.drivers.simulated_camera import Intruder
from real_robot.interfaces import Safety
from real_robot.safety.replay import replay
from real_robot.safety.trial_log import TrialLog
from real_robot.session import dry_run, run_trial

CONFIG = RobotConfig()
OPEN_M = 0.085


@pytest.fixture
def devices(scene, start, rasteriser):
    return simulated_devices(scene, start, rasteriser)


@pytest.fixture
def log(tmp_path):
    return tmp_path / "trial.jsonl"


@pytest.fixture
def trial(scene, devices, homing, log):
    def run(policy=homing, config=CONFIG):
        return run_trial(policy, "homing", devices, config, log, scene=scene)

    return run


class Repeating:
    """The same action for ever, after sleeping on the simulated clock."""

    def __init__(self, action=(0.0,) * 7, sleep=None):
        self._action, self._sleep = np.array(action, np.float32), sleep

    def reset(self, seed):
        pass

    def act(self, observation):
        if self._sleep:
            self._sleep()
        return self._action


class Shown(Repeating):
    """Remembers what it was shown."""

    def act(self, observation):
        self.names = set(observation)
        return super().act(observation)


@pytest.mark.parametrize("takes_depth", [None, False, True])
def test_only_a_policy_that_takes_depth_is_shown_it(trial, takes_depth):
    policy = Shown((*[0.0] * 6, 1.0))
    if takes_depth is not None:
        policy.takes_depth = takes_depth
    trial(policy)
    assert policy.names == {"rgb", "masks"} | ({"depth"} if takes_depth else set())


def at(devices, time_s, fault):
    """Calls `fault` once, when the simulated clock passes `time_s`."""
    done: list[None] = []

    def tick():
        if not done and devices.clock.now() >= time_s:
            done.append(fault())

    devices.clock.on_tick.append(tick)


def entries(log):
    """The lines of a log as they stand in the file."""
    return [json.loads(line) for line in log.read_text().splitlines()]


def ticks(log):
    return [entry for entry in entries(log) if entry["kind"] == "tick"]


def pose_of(rows):
    return SE3(np.array(rows)[:, :3], np.array(rows)[:, 3])


def measured_positions(log):
    return np.array([entry["state"]["world_from_gripper"] for entry in ticks(log)])[:, :, 3]


def rest_of_motion_m(devices):
    """How far the arm goes on by itself within a second."""
    before = devices.arm.world_from_gripper.translation
    devices.clock.sleep(1.0)
    return np.linalg.norm(devices.arm.world_from_gripper.translation - before)


@pytest.fixture(scope="module")
def finished(scene, start, homing, rasteriser, tmp_path_factory):
    """A trial without a fault: its result, devices and log."""
    devices = simulated_devices(scene, start, rasteriser)
    log = tmp_path_factory.mktemp("finished") / "trial.jsonl"
    return run_trial(homing, "homing", devices, CONFIG, log, scene=scene), devices, log


def test_a_can_is_taken_from_a_hand(finished, scene):
    result, devices, _ = finished
    assert result.outcome is Outcome.HANDED_OVER, result.reason
    judged = score(result.record, scene)
    assert judged.success, judged
    assert judged.graspable
    assert result.reach_s < 10
    assert result.record.source == "simulated"
    assert len(result.record.scene_from_gripper) == len(result.record.actions) + 1
    assert devices.gripper.state().opening_m == pytest.approx(0.06, abs=0.004)
    assert devices.arm.stops > 0
    assert devices.gripper.stops > 0


def test_without_alignment_the_advance_is_straight_as_declared(scene, start, rasteriser, homing, tmp_path):
    aside = SE3(np.eye(3), np.array([0.01, 0.0, 0.0]))
    grasp = replace(scene.grasp, scene_from_grasp=scene.grasp.scene_from_grasp @ aside)

    def off_m(align_grasp):
        log = tmp_path / f"{align_grasp}.jsonl"
        config = RobotConfig(align_grasp=align_grasp)
        devices = simulated_devices(scene, start, rasteriser)
        result = run_trial(homing, "aside", devices, config, log, scene=replace(scene, grasp=grasp))
        assert result.outcome is Outcome.HANDED_OVER, result.reason
        assert replay(log).differing_lines == ()
        (closed,) = [pose_of(entry["pose"]) for entry in entries(log) if entry["kind"] == "closes"]
        declared = SE3.from_matrix(result.record.scene_from_gripper[-1])
        return np.linalg.norm(declared.inverse().apply(closed.translation) - [0.0, 0.0, config.standoff_m])

    assert off_m(False) < 2e-3
    assert off_m(True) > 5e-3


def test_no_measured_pose_comes_nearer_to_the_hand_than_allowed(finished, scene):
    apart = np.linalg.norm(measured_positions(finished[2])[:, None] - scene.hand_points[None], axis=2)
    assert apart.min() > CLEARANCE_M


def test_the_same_trial_twice_leaves_the_same_log(finished, trial, log):
    trial()
    assert log.read_bytes() == finished[2].read_bytes()


def test_a_logged_trial_replays_to_the_same_decisions(finished):
    again = replay(finished[2])
    assert again.decisions > 1000
    assert again.differing_lines == ()


def test_a_replay_finds_a_decision_that_was_tampered_with(finished, log):
    lines = finished[2].read_text().splitlines()
    number = next(i for i, line in enumerate(lines) if '"tick"' in line and '"go"' in line)
    log.write_text(
        "\n".join([*lines[:number], lines[number].replace('"go"', '"hold"'), *lines[number + 1 :]])
    )
    assert replay(log).differing_lines == (number + 1,)


def test_a_log_that_a_crash_cut_short_replays_up_to_there(finished, log):
    content = finished[2].read_text()
    log.write_text(content[: len(content) // 2])
    again = replay(log)
    assert again.decisions > 500
    assert again.differing_lines == ()


@pytest.mark.parametrize(
    "damage", ["", "{}", '{"format": "h2rh-trial-1"}\n{"kind": "tick"}\n', "no json\n{}\n", "[1]"]
)
def test_what_is_not_a_log_is_named_so(log, damage):
    log.write_text(damage)
    with pytest.raises(RobotError, match=r"not a trial's log|damaged"):
        replay(log)


def test_the_gripper_leaves_only_after_the_giver_let_go(trial, devices, log):
    devices.gripper.release_after_s = 2.0
    trial()
    force = np.array([entry["state"]["force"][2] for entry in ticks(log)])
    held = force < -20
    assert held.sum() * CONFIG.control_period_s == pytest.approx(2.0, abs=0.1)
    positions = measured_positions(log)[held]
    assert np.ptp(positions, axis=0).max() < 1e-3


def test_a_log_is_never_overwritten(trial, log):
    log.write_text("precious")
    with pytest.raises(RobotError, match="never overwritten"):
        trial()
    assert log.read_text() == "precious"


@pytest.mark.parametrize(
    ("attribute", "value", "word"),
    [
        ("frozen", True, "state is"),
        ("jammed", True, "from its setpoint"),
        ("safety", Safety.PROTECTIVE_STOP, "protective stop"),
        ("safety", Safety.EMERGENCY_STOP, "emergency stop"),
    ],
)
@pytest.mark.parametrize("time_s", [1.4, 7.0])
def test_a_fault_of_the_arm_stops_the_trial(trial, devices, attribute, value, word, time_s):
    at(devices, time_s, lambda: setattr(devices.arm, attribute, value))
    result = trial()
    assert result.outcome is Outcome.STOPPED
    assert word in result.reason
    assert result.total_s < time_s + 2
    assert rest_of_motion_m(devices) < 0.01
    assert devices.gripper.state().opening_m == OPEN_M


@pytest.mark.parametrize("time_s", [1.4, 7.0])
def test_lost_frames_hold_then_stop(trial, devices, log, time_s):
    at(devices, time_s, lambda: setattr(devices.camera, "dropping", True))
    result = trial()
    assert result.outcome is Outcome.STOPPED
    assert "frame" in result.reason
    late = [entry for entry in ticks(log) if entry["now_s"] - entry["frame_s"] > CONFIG.frame_hold_s]
    assert {entry["verdict"] for entry in late[:-1]} == {"hold"}
    assert late[-1]["now_s"] - late[-1]["frame_s"] == pytest.approx(CONFIG.frame_abort_s, abs=0.02)
    assert devices.gripper.state().opening_m == OPEN_M


def test_a_short_gap_of_frames_only_holds(trial, devices, log):
    at(devices, 7.0, lambda: setattr(devices.camera, "dropping", True))
    at(devices, 7.3, lambda: setattr(devices.camera, "dropping", False))
    assert trial().outcome is Outcome.HANDED_OVER
    assert any("frame" in entry["reason"] for entry in ticks(log))


def test_an_empty_mask_holds_then_stops_and_never_closes(trial, devices):
    at(devices, 1.3, lambda: setattr(devices.camera, "blind", True))
    result = trial()
    assert result.outcome is Outcome.STOPPED
    assert "object has not been seen" in result.reason
    assert devices.gripper.state().opening_m == OPEN_M


def test_an_empty_mask_on_the_advance_retreats_and_never_closes(trial, devices):
    at(devices, 7.0, lambda: setattr(devices.camera, "blind", True))
    result = trial()
    assert result.outcome is Outcome.BLOCKED
    assert "out of sight" in result.reason
    assert devices.gripper.state().opening_m == OPEN_M


def test_a_hand_that_was_never_seen_is_never_advanced_on(trial, devices):
    devices.camera.hand_hidden = True
    result = trial()
    assert result.outcome is Outcome.BLOCKED
    assert "where the hand is" in result.reason
    assert devices.gripper.state().opening_m == OPEN_M


def force_of(*steps):
    """The giver's pull along the gripper's z, N, by seconds since the fingers closed: (from, N) in turn."""

    def force(held_s):
        pull = [newton for since_s, newton in steps if held_s >= since_s][-1]
        return np.array([0.0, 0.0, -float(pull)])

    return force


@pytest.mark.parametrize(
    ("steps", "noise_n", "outcome"),
    [
        (((0.0, 19.0), (0.8, 0.0)), 0.0, Outcome.HANDED_OVER),
        (((0.0, 19.0), (0.8, 0.0)), 6.0, Outcome.HANDED_OVER),
        (((0.0, 19.0), (0.5, 45.0)), 0.0, Outcome.NOT_RELEASED),
        (((0.0, 19.0),), 6.0, Outcome.NOT_RELEASED),
        (((0.0, 19.0), (0.5, 4.0), (0.516, 19.0), (1.5, -40.0), (1.6, 19.0)), 0.0, Outcome.NOT_RELEASED),
        (((0.0, 45.0), (0.5, 19.0)), 0.0, Outcome.NOT_RELEASED),
    ],
    ids=["lets go", "lets go, noise", "tugs", "noise alone", "jerks", "pulls less"],
)
def test_only_a_pull_that_falls_and_stays_low_is_a_release(
    pregrasp_trial, near_devices, steps, noise_n, outcome
):
    near_devices.gripper.giver_force, near_devices.gripper.noise_n = force_of(*steps), noise_n
    result = pregrasp_trial()
    assert result.outcome is outcome, result.reason
    held = near_devices.gripper.state().opening_m < OPEN_M - 0.01
    assert held == (outcome is Outcome.HANDED_OVER)


def test_a_giver_who_holds_on_again_is_not_dragged(pregrasp_trial, near_devices, log):
    """He seems to let go, and then holds on while the arm retreats: the further, the harder he pulls."""
    gripper, arm = near_devices.gripper, near_devices.arm
    taken: list[np.ndarray] = []

    def force(held_s):
        taken.append(arm.world_from_gripper.translation) if not taken else None
        away_m = np.linalg.norm(arm.world_from_gripper.translation - taken[0])
        return np.array([0.0, 0.0, -19.0 if held_s < 0.8 else -1000.0 * away_m])

    gripper.giver_force = force
    result = pregrasp_trial()
    assert result.outcome is Outcome.NOT_RELEASED
    assert "pulls" in result.reason
    forces = np.array([np.linalg.norm(entry["state"]["force"]) for entry in ticks(log)])
    assert forces.max() < 30.0
    assert gripper.state().opening_m == pytest.approx(OPEN_M)


@pytest.fixture
def near_devices(scene, rasteriser):
    """The arm stands at the pre-grasp pose."""
    return simulated_devices(scene, scene.grasp.pregrasp(), rasteriser)


@pytest.fixture
def pregrasp_trial(scene, near_devices, homing, log):
    def run(config=CONFIG):
        return run_trial(homing, "homing", near_devices, config, log, scene=scene)

    return run


def when_left(devices, scene, left_m, fault):
    """Calls `fault` once, when so much of the path to the scene's grasp is left."""
    done: list[None] = []

    def tick():
        ahead = devices.arm.world_from_gripper.inverse().apply(scene.grasp.scene_from_grasp.translation)
        if not done and ahead[2] < left_m:
            done.append(fault())

    devices.clock.on_tick.append(tick)


@pytest.mark.parametrize("left_m", [0.26, 0.18])  # nearer, this hand is beside the view
def test_a_hand_mask_that_is_lost_on_the_advance_holds_it_and_never_closes(
    pregrasp_trial, near_devices, scene, log, left_m
):
    when_left(near_devices, scene, left_m, lambda: setattr(near_devices.camera, "hand_hidden", True))
    result = pregrasp_trial()
    assert result.outcome is Outcome.BLOCKED
    assert "hand" in result.reason
    assert not any(entry["kind"] == "closes" for entry in entries(log))
    assert near_devices.gripper.state().opening_m == OPEN_M


def coming_hand(scene, devices, side, left_m, speed_mps=0.3):
    """A hand that sets out for between the fingertips when so much of the advance is left."""

    def set_out():
        pose = devices.arm.world_from_gripper
        tips = np.array([0.0, 0.0, FINGERTIP_DEPTH_M])
        start = tips + 0.25 * np.array(side) / np.linalg.norm(side)
        devices.camera.intruder = Intruder(
            devices.clock.now(), pose.apply(start), pose.apply(tips), speed_mps
        )

    when_left(devices, scene, left_m, set_out)


@pytest.mark.parametrize("least_depth_m", [0.0, 0.25])
def test_a_hand_that_comes_in_before_the_camera_meets_an_arm_at_rest(
    pregrasp_trial, near_devices, scene, log, least_depth_m
):
    """With and without depth of what is near: a blind camera is no free path."""
    near_devices.camera.least_depth_m = least_depth_m
    coming_hand(scene, near_devices, (-1.0, 0.0, 1.0), 0.12)
    touched_mps = []

    def watch():
        intruder = near_devices.camera.intruder
        if intruder is not None and not touched_mps:
            centre = near_devices.arm.world_from_gripper.inverse().apply(
                intruder.centre(near_devices.clock.now())
            )
            if sweep_gap(centre, 0.0) < intruder.radius_m:
                touched_mps.append(near_devices.arm.state().speed)

    near_devices.clock.on_tick.append(watch)
    result = pregrasp_trial(RobotConfig(further_advances=0))
    assert result.outcome is Outcome.BLOCKED
    assert "hand" in result.reason
    assert all(speed < 0.005 for speed in touched_mps)
    assert not any(entry["kind"] == "closes" for entry in entries(log))


@pytest.mark.parametrize("begun", [False, True])
def test_fingers_never_close_on_a_hand_between_them(pregrasp_trial, near_devices, scene, begun):
    """A hand that is there before they close, or comes while they do, ends with an open gripper."""
    gripper, arm, camera = near_devices.gripper, near_devices.arm, near_devices.camera
    grasp = scene.grasp.scene_from_grasp
    beside = grasp.apply(np.array([0.036, 0.0, 0.085]))  # between the can and a finger

    def appear():
        is_there = np.linalg.norm(arm.world_from_gripper.translation - grasp.translation) < 0.02
        is_closing = gripper.state().opening_m < 0.08
        if camera.intruder is None and is_there and (is_closing or not begun):
            camera.intruder = Intruder(0.0, beside, beside, 1.0, 0.02)

    near_devices.clock.on_tick.append(appear)
    result = pregrasp_trial(RobotConfig(further_advances=0))
    assert result.outcome in (Outcome.BLOCKED, Outcome.NO_GRASP)
    assert "hand" in result.reason
    assert gripper.state().opening_m == pytest.approx(OPEN_M)


@pytest.mark.parametrize(("attribute", "value"), [("frozen", True), ("safety", Safety.PROTECTIVE_STOP)])
def test_a_stop_while_the_fingers_close_opens_them(pregrasp_trial, near_devices, attribute, value):
    gripper, arm = near_devices.gripper, near_devices.arm

    def fail():
        if gripper.state().opening_m < 0.075:
            setattr(arm, attribute, value)

    near_devices.clock.on_tick.append(fail)
    result = pregrasp_trial()
    assert result.outcome is not Outcome.HANDED_OVER
    assert gripper.state().opening_m == pytest.approx(OPEN_M)


def test_a_first_act_that_is_slow_is_over_before_the_first_deadline(scene, devices, homing, log):
    class Slow(type(homing)):
        slept = False

        def act(self, observation):
            if not self.slept:
                self.slept = True
                devices.clock.sleep(1.5)
            return super().act(observation)

    result = run_trial(Slow(), "slow", devices, CONFIG, log, scene=scene)
    assert result.record.declared
    assert result.reach_s < 10


def test_a_hand_beside_the_advance_is_got_out_of_the_way_of(beside_scene, start, rasteriser, homing, log):
    devices = simulated_devices(beside_scene, start, rasteriser)
    result = run_trial(homing, "homing", devices, CONFIG, log, scene=beside_scene)
    assert not score(result.record, beside_scene).safe  # the straight advance would have touched it
    assert result.outcome is Outcome.HANDED_OVER, result.reason
    poses = [entry["state"]["world_from_gripper"] for entry in ticks(log)]
    assert not any(swept_hits(beside_scene.hand_points, pose_of(rows), 0.0, 0.0).any() for rows in poses)


def test_a_hand_in_the_advance_is_not_advanced_on(crowded_scene, start, rasteriser, homing, log):
    devices = simulated_devices(crowded_scene, start, rasteriser)
    result = run_trial(homing, "homing", devices, CONFIG, log, scene=crowded_scene)
    assert result.outcome is Outcome.BLOCKED
    assert "gripper's way" in result.reason
    assert not score(result.record, crowded_scene).safe
    final = result.record.scene_from_gripper[-1][:3, 3]
    assert np.linalg.norm(devices.arm.state().world_from_gripper.translation - final) < 0.01


@pytest.mark.parametrize(("attribute", "value"), [("slippery", True), ("fault", 5)])
def test_nothing_grasped_opens_and_retreats(trial, devices, attribute, value):
    setattr(devices.gripper, attribute, value)
    result = trial()
    assert result.outcome is Outcome.NO_GRASP
    assert devices.gripper.state().opening_m == pytest.approx(OPEN_M)
    final = result.record.scene_from_gripper[-1][:3, 3]
    assert np.linalg.norm(devices.arm.world_from_gripper.translation - final) < 0.01


def test_a_gripper_that_answers_nonsense_once_opens_and_retreats(trial, devices, monkeypatch):
    answer = devices.gripper.state
    asked: list[None] = []

    def garbled():
        asked.append(None)
        if len(asked) == 1:
            raise RobotError("the gripper answers '?'")
        return answer()

    monkeypatch.setattr(devices.gripper, "state", garbled)
    assert trial().outcome is Outcome.NO_GRASP
    assert answer().opening_m == pytest.approx(OPEN_M)


def test_a_giver_who_holds_on_keeps_the_object(trial, devices):
    devices.gripper.release_after_s = None
    assert trial().outcome is Outcome.NOT_RELEASED
    assert devices.gripper.state().opening_m == pytest.approx(OPEN_M)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_an_action_that_is_not_finite_stops_before_anything_moves(trial, devices, start, bad):
    result = trial(Repeating((0, 0, 0, bad, 0, 0, 1.0)))
    assert result.outcome is Outcome.STOPPED
    assert "finite" in result.reason
    assert not result.record.declared
    assert np.abs(devices.arm.world_from_gripper.matrix - start.matrix).max() < 1e-9


def test_a_policy_that_stalls_is_stopped(trial, devices):
    result = trial(Repeating(sleep=lambda: devices.clock.sleep(1.5)))
    assert result.outcome is Outcome.STOPPED
    assert "policy took" in result.reason


def test_a_policy_that_crashes_still_leaves_every_device_stopped(trial, devices):
    def crash():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        trial(Repeating(sleep=crash))
    assert devices.arm.stops > 0
    assert devices.gripper.stops > 0


def test_a_policy_that_never_declares_has_its_time_and_no_more(trial):
    result = trial(Repeating(), RobotConfig(budget_s=6.0))
    assert result.outcome is Outcome.NOT_DECLARED
    assert result.total_s == pytest.approx(6.0, abs=0.2)
    assert not result.record.declared


def test_a_policy_that_keeps_asking_for_what_is_refused_is_stopped(trial, scene, devices, start):
    """Straight at the object: the clearance holds it up."""
    result = trial(Repeating((0, 0, 0, 0, 0, 0.06, 0)))
    assert result.outcome is Outcome.STOPPED
    assert "refused" in result.reason
    assert score(result.record, scene).clearance_m > CLEARANCE_M


def test_only_a_rehearsal_may_show_the_scene(devices, homing, log):
    with pytest.raises(PolicyError, match="scene"):
        run_trial(homing, "homing", devices, CONFIG, log)


def test_a_dry_run_decides_and_tells_but_moves_nothing(devices, start, log):
    told: list[str] = []
    dry_run(Repeating((0, 0, 0, 0, 0, 0.05, 0)), "ahead", devices, CONFIG, log, told.append, looks=3)
    assert len(told) == 3
    assert all("asked  50 mm" in line for line in told)
    assert np.abs(devices.arm.world_from_gripper.matrix - start.matrix).max() < 1e-9
    assert replay(log).differing_lines == ()


def test_a_policy_that_remembers_is_told_how_the_camera_moved(trial, homing):
    motions = []
    homing.moved = motions.append
    result = trial(homing)
    looks = [SE3.from_matrix(pose) for pose in result.record.scene_from_gripper[: len(result.record.actions)]]
    expected = [before.inverse() @ after for before, after in pairwise(looks)]
    assert len(motions) == len(expected) > 3
    for told, true in zip(motions, expected, strict=True):
        np.testing.assert_allclose(told.matrix, true.matrix, atol=1e-9)


def test_a_pocket_out_of_reach_is_gone_round_and_replays(scene, start, homing, rasteriser, log):
    devices = simulated_devices(scene, start, rasteriser)
    pocket = (start.translation + scene.grasp.pregrasp().translation) / 2

    def speed_scale(pose):
        return float(np.linalg.norm(pose.translation - pocket) > 0.03)

    devices.arm.speed_scale, devices.arm.is_reachable = speed_scale, lambda pose: speed_scale(pose) > 0
    result = run_trial(homing, "homing", devices, CONFIG, log, scene=scene)
    assert result.outcome is Outcome.HANDED_OVER, result.reason
    assert any(entry["kind"] == "detour" and entry["verdict"] == "go" for entry in entries(log))
    assert np.linalg.norm(measured_positions(log) - pocket, axis=1).min() > 0.025
    assert replay(log).differing_lines == ()


def test_the_controller_is_asked_about_a_detour_too(scene, start, homing, rasteriser, log):
    devices = simulated_devices(scene, start, rasteriser)
    way = scene.grasp.pregrasp().translation - start.translation
    pocket = start.translation + way / 2

    def speed_scale(pose):
        return float(np.linalg.norm(pose.translation - pocket) > 0.03)

    def off_the_line_m(pose):
        return np.linalg.norm(np.cross(pose.translation - start.translation, way)) / np.linalg.norm(way)

    devices.arm.speed_scale, devices.arm.is_reachable = speed_scale, lambda pose: speed_scale(pose) > 0
    devices.arm.is_allowed = lambda pose: off_the_line_m(pose) < 0.005
    result = run_trial(homing, "homing", devices, CONFIG, log, scene=scene)
    assert result.outcome is Outcome.STOPPED
    rounds = [entry["reason"] for entry in entries(log) if entry["kind"] == "detour"]
    assert set(rounds) == {"the controller's safety limits forbid the goal"}
    assert replay(log).differing_lines == ()


def test_a_policy_is_told_where_the_arm_can_go(scene, start, rasteriser, log):
    """Of where its camera is: here, not beyond the arm's reach, and not where the workspace ends."""
    answers = []

    class Asking(Repeating):
        def use_reach(self, can_reach):
            self._can_reach = can_reach

        def act(self, observation):
            answers.append(
                [self._can_reach(SE3(np.eye(3), np.array([0.0, 0.0, z]))) for z in (0.0, 0.3, 3.0)]
            )
            return self._action

    dry_run(Asking(), "asking", simulated_devices(scene, start, rasteriser), CONFIG, log, print, looks=1)
    assert answers[0] == [True, True, False]
    walled = simulated_devices(scene, start, rasteriser)
    wall = float((start @ SE3(np.eye(3), np.array([0.0, 0.0, 0.25]))).translation[1])
    config = replace(CONFIG, workspace_high_m=(0.95, wall, 1.2))
    dry_run(Asking(), "asking", walled, config, log.with_name("walled.jsonl"), print, looks=1)
    assert answers[-1] == [True, False, False]


def test_without_alignment_the_gripper_goes_to_where_the_camera_declared(scene, start, rasteriser, log):
    """A policy knows only a camera in the gripper's frame; one on a mount stands where the gripper should."""
    mount = SE3(np.eye(3), np.array([0.0, -0.075, 0.0]))
    devices = simulated_devices(scene, start, rasteriser, mount)
    with TrialLog(log) as written, devices.camera:
        loop = ControlLoop(devices, replace(CONFIG, align_grasp=False), written)
        loop.begin()
        advance = loop.aligned()
    assert np.abs(advance.world_from_pregrasp.matrix - (start @ mount).matrix).max() < 1e-9
    assert advance.length_m == CONFIG.standoff_m


@pytest.mark.parametrize(("back_m", "length_m"), [(0.2, 0.195), (0.6, MOST_ADVANCE_M)])
def test_a_measured_advance_ends_with_the_fingers_past_the_front_of_the_can(
    scene, rasteriser, log, back_m, length_m
):
    """The can is 0.06 m thick, and the grasp about its middle; what is far is not believed."""
    pose = scene.grasp.scene_from_grasp @ SE3(np.eye(3), np.array([0.0, 0.0, -back_m]))
    devices = simulated_devices(scene, pose, rasteriser)
    with TrialLog(log) as written, devices.camera:
        loop = ControlLoop(devices, CONFIG, written)
        loop.begin()
        assert loop.measured_length_m() == pytest.approx(length_m, abs=0.01)

"""The fault matrix of docs/robot.md, row by row, with the real ur-rtde client against the emulated controller."""

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress

import numpy as np
import pytest

from h2rh_env.core.errors import RobotError
from h2rh_env.core.geometry import SE3, rotation_from_euler_xyz
from real_robot.config import RobotConfig
from real_robot.drivers import ur5
from real_robot.drivers.hardware import check_tool
from real_robot.drivers.robotiq import RobotiqGripper
from real_robot.drivers.ur import dashboard
from real_robot.drivers.ur.process import WATCHDOG_PERIODS
from real_robot.drivers.ur5 import CONNECT_TIMEOUT_S, UR5Arm
from real_robot.emulator.process import EmulatorProcess
from real_robot.interfaces import Safety
from real_robot.safety.motion_guard import MotionGuard, Verdict
from real_robot.safety.perception import SeenSurroundings
from tests.real_robot.emulator.pace import Waits, judged

pytest.importorskip("rtde_control", reason="ur-rtde is not installed")
PERIOD_S = 0.008
PATIENT_S = 1.0  # states may be this old where their age is not what is tested: the machine may be busy
PATIENT_CALL_S = 5.0  # likewise how long a call may take
HALT_S, HALT_M = 0.1, 0.010
NOTHING = np.zeros((0, 3))


@pytest.fixture
def patient_calls(monkeypatch):
    """Calls wait for a process that a busy machine starves; only the tests of how long they wait go without."""
    monkeypatch.setattr(ur5, "CALL_TIMEOUT_S", PATIENT_CALL_S)
    monkeypatch.setattr(dashboard, "TIMEOUT_S", PATIENT_CALL_S)
    monkeypatch.setattr(dashboard, "END_TIMEOUT_S", PATIENT_CALL_S)


@pytest.fixture
def emulator(request, patient_calls):
    number = 1 + sum(map(ord, request.node.name)) % 250
    with EmulatorProcess(f"127.0.3.{number}") as emulator:
        yield emulator


def arm_of(emulator, **options):
    return UR5Arm(emulator.host, PERIOD_S, **{"state_age_s": PATIENT_S, **options})


def sideways(start, metres):
    return SE3(start.rotation, start.translation + np.array([0.0, metres, 0.0]))


def move(arm, start, speed_mps, seconds):
    """Setpoints that go sideways, begun and ended at once."""
    for k in range(round(seconds / PERIOD_S)):
        arm.servo(sideways(start, speed_mps * k * PERIOD_S))
        time.sleep(PERIOD_S)


def pids(emulator, arm):
    """The processes that an arm's motion depends on: this one, its servo process and the controller."""
    return os.getpid(), arm._process.pid, emulator._process.pid


def assert_at_rest(emulator, after_s=0.3):
    """The arm does not move in the controller's periods from a while on; there are some, however busy the machine."""
    time.sleep(after_s)
    began = emulator.status()["steps"]
    wait_until(lambda: emulator.status()["steps"] >= began + 12)
    assert emulator.history(30.0)[-12:, 4].max() < 0.002


def wait_until(holds, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def wait_for_fault(arm, seconds=5.0):
    deadline = time.monotonic() + seconds
    while not arm.fault and time.monotonic() < deadline:
        arm.state()
        time.sleep(0.005)
    return arm.fault


MOVER = """
import sys, time, numpy as np
from h2rh_env.core.geometry import SE3, rotation_from_euler_xyz
from real_robot.drivers.ur5 import UR5Arm
with UR5Arm(sys.argv[1], 0.008, state_age_s=float(sys.argv[3])) as arm:
    print(arm._process.pid, flush=True)
    start, away = arm.state().world_from_gripper, np.zeros(3)
    while True:
        away[1] += float(sys.argv[2]) * 0.008
        arm.servo(SE3(start.rotation, start.translation + away))
        time.sleep(0.008)
"""


@contextmanager
def mover(emulator, speed_mps):
    """A session that moves the arm: its process, and the number of its servo process."""
    session = subprocess.Popen(
        [sys.executable, "-c", MOVER, emulator.host, str(speed_mps), str(PATIENT_S)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        servo = int(session.stdout.readline())
        time.sleep(0.6)
        yield session.pid, servo
    finally:
        session.kill()
        session.communicate()


def halt_of(emulator, who, speed_mps, pace):
    """Seconds, in periods of the controller, and metres from a kill of one of our processes to below 5 mm/s."""
    with mover(emulator, speed_mps) as (session, servo):
        killed, survivor = (session, servo) if who == "session" else (servo, session)
        waits, began = Waits(survivor), time.monotonic()
        os.kill(killed, signal.SIGKILL)
        since = time.monotonic()
        waits.sleep(0.6)
    rows = emulator.history(3.0)
    rows = rows[(rows[:, 0] > since - 0.1) & (rows[:, 0] < since + 0.4)]
    periods = np.diff([since - 0.1, *rows[:, 0], since + 0.4])
    pace.note("the controller's longest period", periods.max(), 2.5 * PERIOD_S)
    after = rows[rows[:, 0] >= since]
    moving = np.flatnonzero(after[:, 4] > 0.005)
    halt_s = PERIOD_S * (1 + moving.max(initial=-1))
    pace.note("the kill", since - began, PERIOD_S)
    pace.note("waiting for a core, who lives on", waits.until(since + halt_s), 2.5 * PERIOD_S)
    assert pace.is_kept, str(pace)
    assert after[0, 4] > 0.03, "the arm was not moving when the process was killed"
    return halt_s, np.linalg.norm(after[-1, 1:4] - after[0, 1:4])


@pytest.mark.parametrize("speed_mps", [0.10, 0.25])
@pytest.mark.parametrize("who", ["session", "servo"])
def test_kill_9_while_moving_halts_the_arm(who, speed_mps, record_property):
    def attempt(pace):
        with EmulatorProcess("127.0.4.1") as emulator:
            halt_s, halt_m = halt_of(emulator, who, speed_mps, pace)
        print(
            f"{who} killed at {speed_mps} m/s: halted in {1000 * halt_s:.0f} ms and {1000 * halt_m:.1f} mm; {pace}"
        )
        record_property("halt", (halt_s, halt_m))
        assert halt_s <= HALT_S
        assert halt_m <= HALT_M

    judged(attempt)


def test_when_all_of_our_processes_die_the_watchdog_ends_the_program(emulator):
    with mover(emulator, 0.1) as (session, servo):
        os.kill(session, signal.SIGSTOP)  # so that neither notices that the other is gone
        os.kill(servo, signal.SIGKILL)
        os.kill(session, signal.SIGKILL)
        deadline = time.monotonic() + 2 * PATIENT_S + 5.0
        while (status := emulator.status())["running"] and time.monotonic() < deadline:
            time.sleep(0.05)
    assert not status["running"]
    assert "watchdog" in status["messages"][-1]


def test_a_frozen_state_stream_stops_the_arm(emulator):
    def attempt(pace):
        with (
            arm_of(emulator, state_age_s=0.05) as arm,
            pace.watch("arm and controller", 0.03, *pids(emulator, arm)),
        ):
            move(arm, arm.state().world_from_gripper, 0.1, 0.3)
            assert not arm.fault
            frozen_s = time.monotonic()
            emulator.freeze(0.5)
            assert "stood still" in wait_for_fault(arm)
            assert time.monotonic() - frozen_s < 0.2
            assert arm.state().time_s < frozen_s + 0.05
        assert_at_rest(emulator)

    judged(attempt)


def test_a_controller_that_is_gone_is_waited_for_no_longer_than_half_a_second():
    def attempt(pace):
        with EmulatorProcess("127.0.4.2") as emulator, arm_of(emulator) as arm:
            with pace.watch("session and arm", 0.1, os.getpid(), arm._process.pid):
                start = arm.state().world_from_gripper
                arm.servo(start)
                emulator.exit()
                for call in (lambda: arm.servo(start), lambda: arm.is_allowed(start), arm.stop, arm.state):
                    began = time.monotonic()
                    try:
                        call()
                    except RobotError:
                        assert arm.fault
                    assert time.monotonic() - began < 0.7
            began = time.monotonic()
        assert arm.fault
        assert time.monotonic() - began < 1.2

    judged(attempt)


def test_a_link_that_blips_latches_a_fault_until_the_operator_rearms(emulator):
    with arm_of(emulator) as arm:
        start = arm.state().world_from_gripper
        move(arm, start, 0.1, 0.3)
        emulator.drop(0.3)
        assert wait_for_fault(arm)
        with pytest.raises(RobotError):
            arm.servo(start)
    time.sleep(1.0)
    assert not emulator.status()["running"], "a program was uploaded again by itself"
    assert_at_rest(emulator)
    with arm_of(emulator) as arm:
        assert arm.state().safety is Safety.NORMAL


@pytest.mark.parametrize("repetition", range(3))
def test_a_link_that_blips_and_comes_back_at_once_is_never_moved_over_again(emulator, repetition):
    """The client reconnects inside `servoL` where it can, and uploads a program that has no watchdog."""
    with arm_of(emulator) as arm:
        start = arm.state().world_from_gripper
        move(arm, start, 0.1, 0.3)
        emulator.drop(0.0)
        here, began = arm.state().world_from_gripper, time.monotonic()
        with suppress(RobotError):
            while time.monotonic() - began < 0.6:
                arm.servo(sideways(start, 0.03 + 0.1 * (time.monotonic() - began)))
                time.sleep(PERIOD_S)
        assert wait_for_fault(arm)
        with pytest.raises(RobotError):
            arm.servo(here)
    assert_at_rest(emulator, 0.5)
    status = emulator.status()
    assert not status["running"], "a program of ours runs on"
    assert status["safety_mode"] == 1
    assert sum("another program was uploaded" in message for message in status["messages"]) == 0
    with arm_of(emulator) as arm:
        assert arm.state().safety is Safety.NORMAL


def test_a_program_that_ran_on_is_ended_by_the_session_that_began_it(emulator):
    """Whatever the process could not end: the session asks the dashboard, and says so where it does not answer."""
    with arm_of(emulator, state_age_s=2.0) as arm:  # whose watchdog lets the program run for 4 s
        arm._process.kill()
        assert wait_for_fault(arm)
        assert not emulator.status()["running"]
        assert "not known" not in arm.fault
    with arm_of(emulator, state_age_s=2.0) as arm:
        emulator.exit()
        assert "not known" in wait_for_fault(arm)


def test_a_dead_peer_at_exit_leaves_a_clean_exit_code(emulator):
    script = (
        "import sys\nfrom real_robot.drivers.ur5 import UR5Arm\ntry:\n"
        "    with UR5Arm(sys.argv[1], 0.008, state_age_s=1.0) as arm:\n"
        "        print('entered', flush=True)\n        sys.stdin.readline()\n"
        "finally:\n    print('finally', flush=True)\n"
    )
    user = subprocess.Popen(
        [sys.executable, "-c", script, emulator.host],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert user.stdout.readline() == "entered\n"
    emulator.exit()
    output, _ = user.communicate("\n", timeout=20)
    assert output.endswith("finally\n")  # the client may say before that it tried to reconnect
    assert user.returncode == 0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_set_point_that_is_not_finite_stops_the_arm_and_never_reaches_it(emulator, bad):
    with arm_of(emulator) as arm:
        start = arm.state().world_from_gripper
        move(arm, start, 0.1, 0.2)
        arm.servo(SE3(start.rotation, np.array([bad, 0.0, 0.5])))
        assert "finite" in wait_for_fault(arm)
    assert emulator.status()["safety_mode"] == 1
    assert np.isfinite(emulator.status()["joints"]).all()


def test_a_large_jump_never_leaves_the_guards_process(emulator):
    with arm_of(emulator) as arm:
        start = arm.state().world_from_gripper
        arm.servo(start)
        arm.servo(sideways(start, 0.3))
        assert "from the one before" in wait_for_fault(arm)
    assert emulator.history(30.0)[:, 4].max() < 0.02
    assert emulator.status()["safety_mode"] == 1


def held_up(arm, start, poses, seconds):
    """Setpoints that pile up before a process that is held up, as on a busy machine."""
    arm.servo(start)
    time.sleep(0.1)
    os.kill(arm._process.pid, signal.SIGSTOP)
    for pose in poses:
        arm.servo(pose)
    time.sleep(seconds)
    os.kill(arm._process.pid, signal.SIGCONT)
    time.sleep(0.8)
    with suppress(RobotError):
        arm.state()


@pytest.mark.parametrize("state_age_s", [0.3, 1.0])
def test_setpoints_that_piled_up_are_never_sent_as_one_step(emulator, state_age_s):
    """Whether the stream's age is a fault meanwhile or not."""
    with arm_of(emulator, state_age_s=state_age_s) as arm:
        start = arm.state().world_from_gripper
        held_up(arm, start, [sideways(start, 0.002 * (k + 1)) for k in range(60)], 0.2)
        assert emulator.history(30.0)[:, 4].max() < 0.5, "the arm was sent a step"
        assert emulator.status()["safety_mode"] == 1


def test_more_setpoints_than_the_watchdog_would_wait_for_are_a_fault(emulator):
    with arm_of(emulator, state_age_s=0.7) as arm:
        start = arm.state().world_from_gripper
        enough = round(1.2 * WATCHDOG_PERIODS * 0.7 / PERIOD_S)
        held_up(arm, start, [sideways(start, 0.001 * (k + 1)) for k in range(enough)], 0.05)
        assert "wait to be sent" in arm.fault


@pytest.mark.parametrize("degrees", [5.0, 90.0, 180.0])
def test_a_turn_at_once_is_a_jump_too(emulator, degrees):
    with arm_of(emulator) as arm:
        start = arm.state().world_from_gripper
        arm.servo(start)
        turn = rotation_from_euler_xyz([0.0, 0.0, np.radians(degrees)])
        arm.servo(SE3(start.rotation @ turn, start.translation))
        assert "degrees from the one before" in wait_for_fault(arm)
    assert np.ptp(emulator.history(30.0)[:, 1:4], axis=0).max() < 0.001
    assert emulator.status()["safety_mode"] == 1


@pytest.mark.parametrize("seconds", [0.4, 3.0])
def test_the_newest_state_is_there_however_long_nobody_read(emulator, seconds):
    def attempt(pace):
        with arm_of(emulator) as arm:
            time.sleep(seconds)
            with pace.watch("arm and controller", 0.03, *pids(emulator, arm)):
                time.sleep(0.1)
                assert time.monotonic() - arm.state().time_s < 0.1
            assert not arm.fault

    judged(attempt)


def test_a_second_session_on_one_arm_is_refused_and_the_first_goes_on(emulator):
    with arm_of(emulator) as arm:
        start = arm.state().world_from_gripper
        with pytest.raises(RobotError, match="another session"), arm_of(emulator):
            pass
        move(arm, start, 0.05, 0.3)
        wait_until(lambda: arm.state().world_from_gripper.translation[1] - start.translation[1] > 0.005)
        assert not arm.fault


@pytest.mark.parametrize("read_only", [False, True])
def test_an_arm_without_power_is_said_to_have_none(emulator, read_only):
    emulator.power_off()
    began = time.monotonic()
    with pytest.raises(RobotError, match=r"not powered.*POWER_OFF"), arm_of(emulator, read_only=read_only):
        pass
    assert time.monotonic() - began < 0.5 * CONNECT_TIMEOUT_S


def test_an_unreachable_target_is_refused_before_it_is_sent(emulator):
    with arm_of(emulator) as arm:
        start = arm.state().world_from_gripper
        far = sideways(start, 2.0)
        assert arm.is_reachable(start)
        assert not arm.is_reachable(far)
        assert not arm.is_reachable(SE3(start.rotation, np.full(3, np.nan)))
    assert not any("no solution" in message for message in emulator.status()["messages"])


def test_a_goal_beyond_a_safety_plane_is_held_although_joints_exist(emulator):
    with arm_of(emulator) as arm:
        start = arm.state().world_from_gripper
        emulator.set_planes([(0.0, 1.0, 0.0, start.translation[1] - 0.02)])
        beyond = sideways(start, -0.05)
        assert arm.is_reachable(beyond)
        assert not arm.is_allowed(beyond)
        assert arm.is_allowed(start)
        guard = MotionGuard(RobotConfig())
        guard.begin(start)
        action = np.zeros(7)
        action[3:6] = start.rotation.T @ [0.0, -0.05, 0.0]
        decision = guard.admit_action(action, SE3.identity(), SeenSurroundings(NOTHING, NOTHING, arm))
        assert decision.verdict is Verdict.HOLD
        assert "safety limits" in decision.reason


@pytest.mark.parametrize(("model", "version"), [("ur5", "3.14.3"), ("ur5e", "5.9.4")])
def test_a_controller_too_old_is_refused_at_start_up(model, version):
    with (
        EmulatorProcess("127.0.3.251", model, version=version) as emulator,
        pytest.raises(RobotError, match=version),
        arm_of(emulator),
    ):
        pass


def test_local_control_is_refused_at_start_up():
    with EmulatorProcess("127.0.3.252", "ur5e") as emulator:
        emulator.local_control()
        with pytest.raises(RobotError, match="remote control"), arm_of(emulator, read_only=True):
            pass


def test_a_check_reads_and_never_uploads(emulator):
    with arm_of(emulator, read_only=True) as arm:
        assert arm.state().safety is Safety.NORMAL
        assert arm.version.startswith("3.15")
        arm.servo(sideways(arm.state().world_from_gripper, 0.01))
        time.sleep(0.1)
    assert not emulator.status()["running"]
    assert emulator.history(30.0)[:, 4].max() == 0


@pytest.mark.usefixtures("patient_calls")
@pytest.mark.parametrize("model", ["ur5", "ur5e"])
def test_a_check_refuses_another_tool_than_the_configurations(model):
    with EmulatorProcess("127.0.3.253", model) as emulator:
        config = RobotConfig(arm_host=emulator.host, state_age_s=PATIENT_S)
        assert "payload 1.10 kg" in check_tool(config)
        emulator.set_tool(2.0, config.tcp_height_m)
        with pytest.raises(RobotError, match=r"payload is 2\.00 kg; set it to 1\.10 kg"):
            check_tool(config)
        emulator.set_tool(1.1, 0.163)
        with pytest.raises(RobotError, match="TCP is 105 mm"):
            check_tool(config)


def test_a_protective_stop_latches_until_a_person_has_unlocked_it(emulator):
    import dashboard_client

    with arm_of(emulator) as arm:
        move(arm, arm.state().world_from_gripper, 0.1, 0.2)
        emulator.protective_stop()
        assert wait_for_fault(arm)
        assert arm.state().safety is not Safety.NORMAL
    with pytest.raises(RobotError, match="acknowledge"), arm_of(emulator):
        pass
    dashboard = dashboard_client.DashboardClient(emulator.host)
    dashboard.connect()
    with pytest.raises(RuntimeError, match="until 5s"):
        dashboard.unlockProtectiveStop()
    deadline = time.monotonic() + 30.0
    while emulator.status()["safety_mode"] == 3 and time.monotonic() < deadline:
        time.sleep(1.0)
        with suppress(RuntimeError):
            dashboard.unlockProtectiveStop()
    assert emulator.status()["safety_mode"] == 1
    with arm_of(emulator) as arm:
        assert arm.state().safety is Safety.NORMAL


def test_an_emergency_stop_never_recovers_by_itself(emulator):
    with arm_of(emulator) as arm:
        emulator.emergency_stop()
        assert wait_for_fault(arm)
        assert arm.state().safety is not Safety.NORMAL
    for _ in range(2):
        with pytest.raises(RobotError, match="acknowledge"), arm_of(emulator):
            pass
    assert emulator.status()["safety_mode"] == 7


def test_a_gripper_that_answers_nonsense_or_a_fault_is_an_error_not_a_grasp(emulator):
    with RobotiqGripper(emulator.host) as gripper:
        emulator.fake_gripper(answers={"OBJ": "?"})
        with pytest.raises(RobotError, match="answers"):
            gripper.state()
        emulator.fake_gripper(registers={"FLT": 9})
        assert gripper.state().fault == 9


def test_near_a_singularity_the_arm_eases_to_nothing(emulator):
    with arm_of(emulator) as arm:
        start = arm.state().world_from_gripper
        away = start.translation / np.linalg.norm(start.translation[:2])
        away[2] = 0.0
        poses = [SE3(start.rotation, start.translation + s * away) for s in np.linspace(0.0, 0.7, 701)]
        speed_scale = np.array([arm.speed_scale(pose) for pose in poses])
        assert speed_scale[0] == 1
        assert (np.diff(speed_scale) <= 1e-9).all()
        assert speed_scale[-1] == 0
        assert ((speed_scale > 0) & (speed_scale < 1)).any()
        assert not arm.is_reachable(poses[-1])
        eased = np.flatnonzero((speed_scale > 0.3) & (speed_scale < 1))
        crawls = np.flatnonzero((speed_scale > 0) & (speed_scale < 0.2))
        assert arm.can_follow(poses[: eased[-1] + 1])
        assert not arm.can_follow(poses[: crawls[0] + 1])


def test_a_jammed_arm_is_seen_by_how_far_it_lags(emulator):
    with arm_of(emulator) as arm:
        start = arm.state().world_from_gripper
        guard = MotionGuard(RobotConfig(following_error_m=0.01, state_age_s=1.0))
        guard.begin(start)
        emulator.jam()
        around = SeenSurroundings(NOTHING, NOTHING, arm)
        goal = sideways(start, 0.09)
        for _ in range(200):
            now = time.monotonic()
            decision = guard.advance(goal, arm.state(), around, now, now)
            if decision.verdict is Verdict.STOP:
                break
            arm.servo(decision.world_from_gripper)
            time.sleep(PERIOD_S)
        assert "from its setpoint" in decision.reason


def servo_for(emulator, seconds, period_s):
    """Setpoints to and fro for a while; how many, and how many states were older than 0.1 s meanwhile."""
    with UR5Arm(emulator.host, period_s, state_age_s=PATIENT_S) as arm:
        start, late, calls, phase = arm.state().world_from_gripper, 0, 0, 0.0
        began = before = time.monotonic()
        while (now := time.monotonic()) - began < seconds:
            phase += min(now - before, 0.05)  # no jump where the machine was busy
            before = now
            arm.servo(sideways(start, 0.05 * (1 - np.cos(phase))))
            calls += 1
            late += now - arm.state().time_s > 0.1
            time.sleep(period_s)
        assert not arm.fault
        print(f"{seconds} s of servo: {calls} setpoints, {late} states older than 0.1 s")
    assert emulator.status()["safety_mode"] == 1
    assert np.ptp(emulator.history(min(seconds, 20.0))[:, 2]) > 0.05
    return calls


@pytest.mark.parametrize("seconds", [5, pytest.param(600, marks=pytest.mark.nightly)])
def test_servo_goes_on_without_a_failed_call(emulator, seconds):
    servo_for(emulator, seconds, PERIOD_S)


@pytest.mark.nightly
def test_an_e_series_is_servoed_at_500_hz_without_a_failed_call():
    with EmulatorProcess("127.0.3.254", "ur5e", rate_hz=500) as emulator:
        servo_for(emulator, 20, 0.002)

"""The emulated controller without its sockets: motion, safety, watchdog, registers, gripper, and RTDE packets."""

import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from h2rh_env.core.errors import RobotError
from h2rh_env.core.geometry import SE3
from real_robot.emulator.arm import EMERGENCY, NORMAL, PROTECTIVE, SafetyPlane, pose_matrix, pose_vector
from real_robot.emulator.controller import Controller, dashboard_answer, model_of, output_fields
from real_robot.emulator.gripper import EmulatedGripper
from real_robot.emulator.rtde import RtdeConnection
from real_robot.emulator.server import EmulatorServer

DT = 0.008


@pytest.fixture
def controller():
    return Controller(model_of("ur5"))


def run(controller, seconds, each=lambda now: None):
    start = controller.steps
    while (controller.steps - start) * DT < seconds:
        now = controller.steps * DT
        each(now)
        controller.step(now)


def test_poses_and_matrices_are_inverse():
    pose = [0.1, -0.2, 0.3, 0.5, -1.0, 0.7]
    assert np.allclose(pose_vector(pose_matrix(pose)), pose, atol=1e-12)


def test_a_servo_comes_to_rest_at_its_target_without_overshoot(controller):
    arm, target = controller.arm, controller.arm.q + 0.02
    for _ in range(100):
        arm.servo(target, 0.1, 300)
        arm.step(DT)
        assert (arm.q <= target + 1e-9).all()
    assert np.abs(arm.q - target).max() < 1e-6
    assert arm.is_at_rest


def test_a_straight_move_keeps_to_its_line_and_speed(controller):
    start = controller.arm.tcp.copy()
    goal = pose_vector(start)
    goal[1] += 0.2
    controller.upload(f"def f():\n movel(p{goal}, a=0.5, v=0.2)\nend\n")
    arm, told = controller.arm, []
    run(controller, 3.0, lambda now: told.append([*arm.tcp[:3, 3], np.linalg.norm(arm.tcp_speed[:3])]))
    rows = np.array(told)
    assert np.abs(controller.arm.tcp[:3, 3] - goal[:3]).max() < 1e-4
    assert np.abs(rows[:, [0, 2]] - start[[0, 2], 3]).max() < 1e-4
    assert rows[:, 3].max() < 0.21


def test_a_jump_of_the_target_ends_in_a_protective_stop(controller):
    arm = controller.arm
    far = pose_matrix(pose_vector(arm.tcp))
    far[1, 3] += 0.3
    joints = arm.joints_of(far)
    for _ in range(60):
        arm.servo(joints, 0.03, 2000)
        arm.step(DT)
    assert arm.safety_mode == PROTECTIVE
    run(controller, 0.5)
    assert arm.is_at_rest


def test_a_plane_that_is_crossed_stops_the_arm(controller):
    arm = controller.arm
    arm.planes = [SafetyPlane((0.0, 1.0, 0.0), arm.tcp[1, 3] - 0.02)]
    controller.upload("def f():\n while True:\n  speedl([0, -0.1, 0, 0, 0, 0], a=1, t=0.1)\n end\nend\n")
    run(controller, 1.0)
    assert arm.safety_mode == PROTECTIVE
    assert not controller.is_running


def test_the_graver_stop_wins_and_only_the_lesser_is_unlocked(controller):
    arm = controller.arm
    arm.stop_for_safety(PROTECTIVE)
    assert not arm.unlock()
    run(controller, 5.1)
    assert dashboard_answer(controller, "unlock protective stop") == "Protective stop releasing"
    assert arm.safety_mode == NORMAL
    arm.stop_for_safety(EMERGENCY)
    arm.stop_for_safety(PROTECTIVE)
    run(controller, 6.0)
    assert not arm.unlock()
    assert arm.safety_mode == EMERGENCY


def test_a_watchdog_ends_the_program_only_when_its_register_is_silent(controller):
    script = 'def f():\n rtde_set_watchdog("input_int_register_0", 10, "stop")\n while True:\n  sync()\n end\nend\n'
    controller.upload(script)
    run(controller, 1.0, lambda now: controller.write("input_int_register_0", 99))
    assert controller.is_running
    run(controller, 0.2)
    assert not controller.is_running


@pytest.mark.parametrize(("version", "known"), [("3.14.3", False), ("3.15.8", True)])
def test_an_old_controller_lacks_what_came_later(version, known):
    controller = Controller(model_of("ur5", version=version))
    controller.upload(
        "def f():\n x = get_inverse_kin_has_solution(get_actual_tcp_pose())\n sync()\n sync()\nend\n"
    )
    run(controller, 2 * DT)
    assert controller.is_running == known


def test_a_program_that_asks_for_nan_dies_and_the_arm_stays(controller):
    before = controller.arm.q.copy()
    controller.write("input_double_register_0", float("nan"))
    controller.upload(
        "def f():\n x = read_input_float_register(0)\n servoj([x, 0, 0, 0, 0, 0], t=0.008)\nend\n"
    )
    run(controller, 0.1)
    assert not controller.is_running
    assert np.array_equal(controller.arm.q, before)


def fingers(width_m):
    return np.array([[x, 0.0, 0.1] for x in np.linspace(-width_m / 2, width_m / 2, 21)])


@pytest.mark.parametrize("width_m", [0.02, 0.06])
def test_fingers_stop_on_what_is_between_them(width_m):
    gripper = EmulatedGripper()
    assert gripper.answer("SET ACT 1") == "ack"
    for _ in range(100):
        gripper.step(DT, np.zeros((0, 3)))
    assert gripper.answer("GET STA") == "STA 3\n"
    gripper.answer("SET POS 255 SPE 128 FOR 25 GTO 1")
    assert gripper.answer("GET OBJ") == "OBJ 0\n"
    for _ in range(200):
        gripper.step(DT, fingers(width_m))
    assert gripper.answer("GET OBJ") == "OBJ 2\n"
    opening = (230 - gripper.registers["POS"]) / 227 * 0.085
    assert opening == pytest.approx(width_m, abs=0.002)
    gripper.answer("SET POS 0 GTO 1")
    for _ in range(200):
        gripper.step(DT, fingers(width_m))
    assert gripper.answer("GET OBJ") == "OBJ 3\n"
    assert not gripper.is_holding


def test_fingers_that_meet_nothing_close_and_nonsense_is_answered_by_a_question_mark():
    gripper = EmulatedGripper()
    gripper.registers["STA"] = 3
    gripper.answer("SET POS 255 GTO 1")
    for _ in range(200):
        gripper.step(DT, np.zeros((0, 3)))
    assert (gripper.registers["OBJ"], gripper.registers["POS"]) == (3, 230)
    assert gripper.answer("GET NONSENSE") == "NONSENSE ?\n"
    assert gripper.answer("SET POS") == "?\n"


def packet(kind, payload):
    return struct.pack(">HB", 3 + len(payload), ord(kind)) + payload


@pytest.fixture
def connection(controller):
    return RtdeConnection(
        output_fields(controller), controller.read, controller.write, controller.version, DT, {}
    )


def test_version_2_alone_is_accepted(connection):
    assert connection.take(packet("V", b"\0\2"))[3:] == b"\1"
    assert connection.take(packet("V", b"\0\1"))[3:] == b"\0"


def test_outputs_are_typed_and_streamed_after_the_start(controller, connection):
    names = b"timestamp,actual_q,output_int_register_3,no_such_thing,"
    answer = connection.take(packet("O", struct.pack(">d", 125.0) + names))
    assert answer[4:] == b"DOUBLE,VECTOR6D,INT32,NOT_FOUND"
    assert connection.package(1) == b""
    assert connection.take(packet("S", b""))[3:] == b"\1"
    controller.write("output_int_register_3", -7)
    controller.step(0.0)
    values = struct.unpack(">Bd6di", connection.package(1)[3:])
    assert values[0] == 1
    assert np.allclose(values[2:8], controller.arm.q)
    assert values[8] == -7


def test_inputs_arrive_in_registers_and_broken_bytes_in_pieces_are_joined(controller, connection):
    answer = connection.take(packet("I", b"input_int_register_0,input_double_register_24,"))
    assert answer[3:] == b"\1INT32,DOUBLE"
    data = packet("U", struct.pack(">Bid", 1, 24, 0.5))
    assert connection.take(data[:5]) == b""
    connection.take(data[5:])
    assert controller.read("input_int_register_0") == 24
    assert controller.read("input_double_register_24") == 0.5
    with pytest.raises(ValueError, match="package"):
        connection.take(packet("U", b"\1\2"))


def test_only_loopback_is_served(controller):
    with pytest.raises(RobotError, match="loopback"):
        EmulatorServer(controller, "192.0.2.1")


def test_the_arm_reports_the_tcp_it_is_told(controller):
    controller.upload("def f():\n set_tcp(p[0, 0, 0.1, 0, 0, 0])\n sync()\nend\n")
    before = SE3.from_matrix(controller.arm.tcp)
    run(controller, 2 * DT)
    after = SE3.from_matrix(controller.arm.tcp)
    assert (before.inverse() @ after).translation == pytest.approx([0, 0, 0.1 - 0.058], abs=1e-9)


def test_a_period_computed_late_has_the_stamp_of_when_it_was_due(controller):
    for due in (5.0, 5.008, 5.016, 5.5):
        controller.step(due)
    assert controller.uptime_s == pytest.approx(0.508)
    controller.step(5.508, 5.6)
    assert controller.uptime_s == pytest.approx(0.516)
    assert controller.history[-1][0] == 5.6


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_an_emulator_ends_with_the_process_that_started_it_however_that_ends(how):
    starts = (
        "import time; from real_robot.emulator.process import EmulatorProcess\n"
        "with EmulatorProcess('127.0.5.9') as emulator: print(emulator._process.pid, flush=True); time.sleep(60)"
    )
    owner = subprocess.Popen([sys.executable, "-c", starts], stdout=subprocess.PIPE, text=True)
    emulator = int(owner.stdout.readline())
    owner.send_signal(how)
    owner.wait()
    deadline = time.monotonic() + 10.0
    while Path(f"/proc/{emulator}/cmdline").exists() and Path(f"/proc/{emulator}/cmdline").read_bytes():
        assert time.monotonic() < deadline, "the emulator lives on"
        time.sleep(0.05)

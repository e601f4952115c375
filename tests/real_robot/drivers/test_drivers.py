"""The 2F-85's protocol over a socket on this machine; and what the other drivers can promise without hardware."""

import builtins
import importlib.util
import re
import socket
import socketserver
import threading
import time

import numpy as np
import pytest

from h2rh_env.core.errors import MissingPackageError, RobotError, install_line
from h2rh_env.core.geometry import SE3, rotation_from_euler_xyz
from real_robot.drivers.device_clock import DeviceClock
from real_robot.drivers.realsense import RealSenseCamera
from real_robot.drivers.robotiq import RobotiqGripper
from real_robot.drivers.ur.messages import ArmState, Setpoint, pack, unpack
from real_robot.drivers.ur.process import distance_between
from real_robot.drivers.ur5 import UR5Arm, safety_of, tcp_of, world_from_tcp
from real_robot.interfaces import ObjectStatus, Safety


class Handler(socketserver.StreamRequestHandler):
    server: "GripperServer"

    def handle(self):
        while line := self.rfile.readline().decode().split():
            self.server.lines.append(" ".join(line))
            registers = self.server.registers
            if self.server.mute:
                continue
            if self.server.late_s:
                late_s, self.server.late_s = self.server.late_s, 0.0
                time.sleep(late_s)
            if self.server.garbled:
                self.server.garbled -= 1
                self.wfile.write(b"?\n")
                continue
            if line[0] == "GET":
                self.wfile.write(f"{line[1]} {registers[line[1]]}\n".encode())
            else:
                registers.update(zip(line[1::2], line[2::2], strict=True))
                if "ACT" in line:
                    registers["STA"] = "3"
                self.wfile.write(self.server.ack)


class GripperServer(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.registers = {"POS": "3", "OBJ": "3", "FLT": "0", "STA": "0"}
        self.lines, self.mute, self.late_s, self.garbled, self.ack = [], False, 0.0, 0, b"ack"


@pytest.fixture
def server():
    with GripperServer() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def gripper(server):
    return RobotiqGripper("127.0.0.1", server.server_address[1], timeout_s=0.2)


def test_entering_activates_and_leaving_stops(server, gripper):
    with gripper:
        assert server.registers["ACT"] == "1"
        gripper.move(0.0)
        assert server.registers["GTO"] == "1"
    assert server.lines[-1] == "SET GTO 0"


def test_an_active_gripper_is_not_activated_again(server, gripper):
    server.registers["STA"] = "3"
    with gripper:
        pass
    assert not any("ACT" in line for line in server.lines)


def test_leaving_stops_when_something_was_raised(server, gripper):
    with pytest.raises(ZeroDivisionError), gripper:
        raise ZeroDivisionError
    assert server.lines[-1] == "SET GTO 0"


def test_force_is_the_capped_register_and_openings_are_counts(server, gripper):
    with gripper:
        for opening, count in ((0.0, "255"), (0.085, "0"), (0.0425, "116")):
            gripper.move(opening)
            assert (server.registers["POS"], server.registers["FOR"]) == (count, "25")


@pytest.mark.parametrize(("count", "opening"), [("3", 0.085), ("230", 0.0), ("255", 0.0), ("116", 0.0427)])
def test_a_state_is_in_metres(server, gripper, count, opening):
    with gripper:
        server.registers.update(POS=count, OBJ="2", FLT="9")
        state = gripper.state()
    assert state.opening_m == pytest.approx(opening, abs=1e-4)
    assert (state.object_status, state.fault, state.activated) == (ObjectStatus.STOPPED_CLOSING, 9, True)


@pytest.mark.parametrize(
    ("register", "value"),
    [("POS", "?"), ("POS", "99999"), ("POS", "256"), ("FLT", "?"), ("OBJ", "7"), ("STA", "-1"), ("OBJ", "")],
)
def test_nonsense_is_an_error_of_the_robot(server, gripper, register, value):
    with gripper:
        server.registers[register] = value
        with pytest.raises(RobotError, match="answers"):
            gripper.state()
        server.registers[register] = "3"


def test_a_gripper_that_falls_silent_is_waited_for_no_longer_than_said(server, gripper):
    began = time.monotonic()
    with pytest.warns(RuntimeWarning, match="open it by hand"), gripper:  # noqa: PT031
        server.mute = True
        with pytest.raises(RobotError, match="does not answer"):
            gripper.state()
    assert time.monotonic() - began < 1.0


@pytest.mark.parametrize("wait_s", [0.0, 0.3])
def test_a_late_answer_is_not_taken_for_the_next_ones(server, gripper, wait_s):
    with gripper:
        server.late_s = 0.3
        with pytest.raises(RobotError, match="does not answer"):
            gripper.state()
        time.sleep(wait_s)
        server.registers.update(POS="116", OBJ="2")
        for _ in range(3):
            assert gripper.state().opening_m == pytest.approx(0.0427, abs=1e-4)
        gripper.move(0.085)
        assert server.registers["POS"] == "0"


def test_what_arrived_unasked_is_thrown_away(server, gripper):
    server.ack = b"ack\n"
    with gripper:
        for _ in range(3):
            gripper.move(0.0)
            assert gripper.state().opening_m == 0.0
            gripper.move(0.085)
            assert server.registers["POS"] == "0"


@pytest.mark.parametrize("bad", [-0.001, 0.09, 85.0, float("nan"), float("inf")])
def test_an_opening_that_there_is_not_is_refused(server, gripper, bad):
    with gripper:
        with pytest.raises(RobotError, match=r"0 to 0\.085 m"):
            gripper.move(bad)
        assert not any("POS" in line for line in server.lines)


def test_leaving_a_closed_gripper_opens_it(server, gripper):
    with pytest.raises(ZeroDivisionError), gripper:  # noqa: PT012
        gripper.move(0.0)
        raise ZeroDivisionError
    assert server.registers["POS"] == "0"
    assert server.lines[-1] == "SET GTO 0"


def test_leaving_a_gripper_that_holds_something_keeps_it(server, gripper):
    with gripper:
        gripper.move(0.0)
        server.registers["OBJ"] = "2"
    assert server.registers["POS"] == "255"
    assert server.lines[-1] == "SET GTO 0"


def test_opening_is_tried_again(server, gripper):
    with gripper:
        gripper.move(0.0)
        server.garbled = 2
        gripper.move(0.085)
        assert server.registers["POS"] == "0"
        server.garbled = 1
        with pytest.raises(RobotError, match="answers"):
            gripper.move(0.0)


def test_a_gripper_that_cannot_be_reached_on_leaving_is_told_and_nothing_else_is_lost(server, gripper):
    def trial():
        with gripper:
            gripper.move(0.0)
            server.mute = True
            return "handed over"

    with pytest.warns(RuntimeWarning, match="open it by hand"):
        assert trial() == "handed over"


def test_read_only_sends_nothing_that_moves(server):
    with RobotiqGripper("127.0.0.1", server.server_address[1], read_only=True) as gripper:
        gripper.move(0.0)
        assert not gripper.state().activated
    assert all(line.startswith("GET") for line in server.lines)


def test_no_gripper_there_is_said_in_a_sentence():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    with pytest.raises(RobotError, match="no gripper at"), RobotiqGripper("127.0.0.1", port):
        pass


def test_ur_poses_round_trip():
    pose = SE3(rotation_from_euler_xyz([0.4, -1.2, 2.0]), np.array([0.3, -0.2, 0.5]))
    assert np.abs(world_from_tcp(tcp_of(pose)).matrix - pose.matrix).max() < 1e-12


@pytest.mark.parametrize(
    ("bits", "safety"),
    [
        (0b1, Safety.NORMAL),
        (0b10, Safety.NORMAL),
        (0b101, Safety.PROTECTIVE_STOP),
        (1 << 6 | 0b101, Safety.EMERGENCY_STOP),
        (1 << 9 | 1 << 6, Safety.FAULT),
        (0, Safety.FAULT),
    ],
)
def test_the_gravest_safety_bit_wins(bits, safety):
    assert safety_of(bits) is safety


def test_a_missing_camera_package_names_the_lines_to_type(monkeypatch):
    find = builtins.__import__

    def without(name, *arguments, **named):
        if name == "pyrealsense2":
            raise ImportError(f"No module named {name!r}")
        return find(name, *arguments, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    with (
        pytest.raises(MissingPackageError, match=re.escape(install_line("robot"))),
        RealSenseCamera(),
    ):
        pass


def test_a_missing_arm_package_names_the_line_to_type(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with (
        pytest.raises(MissingPackageError, match=re.escape(install_line("robot"))),
        UR5Arm("127.0.0.1", 0.008),
    ):
        pass


def test_a_device_that_was_not_entered_says_so():
    with pytest.raises(RobotError, match="enter it first"):
        UR5Arm("127.0.0.1", 0.008).state()
    with pytest.raises(RobotError, match="enter it first"):
        RealSenseCamera().frame()
    with pytest.raises(RobotError, match="enter it first"):
        RobotiqGripper("127.0.0.1").state()


def test_late_reading_does_not_make_a_state_younger():
    clock, rng = DeviceClock(), np.random.default_rng(0)
    for k in range(600):
        measured_s = 0.008 * k
        late_s = 0.0 if k % 40 == 0 else rng.uniform(0.001, 0.09)
        told_s = clock.time_s(17.0 + measured_s, 100.0 + measured_s + late_s)
        assert told_s == pytest.approx(100.0 + measured_s, abs=1e-9)


def test_a_stamp_that_stands_still_grows_old_and_a_clock_that_begins_anew_is_followed():
    clock = DeviceClock()
    first = clock.time_s(50.0, 100.0)
    assert clock.time_s(50.0, 103.0) == first
    assert clock.time_s(0.5, 110.0) == pytest.approx(110.0)


def test_a_message_is_what_was_packed():
    state = ArmState(1.5, (0.1,) * 6, (0.0, 0.2, 0.0), (1.0, -2.0, 3.0), (0.5,) * 6, 1)
    assert unpack(pack(state)) == state
    broken = unpack(pack(Setpoint((np.nan, np.inf, 0.0, 0.0, 0.0, 0.0))))
    assert isinstance(broken, Setpoint)
    assert np.isnan(broken.pose[0])
    assert np.isinf(broken.pose[1])


@pytest.mark.parametrize("radians", [0.0, 1e-9, 0.3, np.pi - 1e-6, np.pi])
def test_the_distance_of_two_setpoints_is_that_of_their_poses(radians):
    axis = np.array([0.36, 0.48, 0.8])
    before = (0.1, 0.2, 0.3, *(2.0 * axis))
    metres, turned = distance_between(before, (0.1, 0.2, 0.304, *((2.0 + radians) * axis)))
    assert metres == pytest.approx(0.004)
    assert turned == pytest.approx(radians, abs=1e-9)
    assert distance_between(before, (0.1, 0.2, 0.3, *((2.0 - 2 * np.pi) * axis)))[1] < 1e-7

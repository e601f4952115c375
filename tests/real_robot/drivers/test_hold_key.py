"""The hold-to-run key: held while it repeats, released when it stops, and never by a single press."""

import os
import pty
import termios
import time
from dataclasses import replace

import numpy as np
import pytest

from real_robot.config import RobotConfig
from real_robot.drivers.hold_key import RELEASED_S, HoldKey
from real_robot.drivers.simulated import simulated_devices
from real_robot.session import Outcome, run_trial


@pytest.fixture
def terminal():
    keyboard, terminal = pty.openpty()
    yield keyboard, terminal
    os.close(keyboard)
    os.close(terminal)


def hold(keyboard, seconds, letter=b" "):
    for _ in range(round(seconds / 0.03)):
        os.write(keyboard, letter)
        time.sleep(0.03)


def test_it_is_held_while_it_repeats_and_released_soon_after(terminal):
    keyboard, reader = terminal
    with HoldKey(reader) as key:
        assert not key.is_held()
        hold(keyboard, 0.3)
        assert key.is_held()
        time.sleep(RELEASED_S + 0.1)
        assert not key.is_held()


def test_a_single_press_and_other_keys_move_nothing(terminal):
    keyboard, reader = terminal
    with HoldKey(reader) as key:
        os.write(keyboard, b" ")
        time.sleep(0.1)
        assert not key.is_held()
        hold(keyboard, 0.2, b"x")
        assert not key.is_held()


def test_the_terminal_is_left_as_it_was(terminal):
    _, reader = terminal
    before = termios.tcgetattr(reader)
    with HoldKey(reader):
        assert termios.tcgetattr(reader) != before
    assert termios.tcgetattr(reader) == before


def test_an_arm_whose_key_is_released_stands_still(scene, start, rasteriser, homing, tmp_path):
    devices = simulated_devices(scene, start, rasteriser)
    clock, asked = devices.clock, []

    def may_move():
        asked.append((clock.now(), devices.arm.state().speed))
        return not 2.0 < clock.now() < 4.0

    held = replace(devices, may_move=may_move)
    result = run_trial(homing, "homing", held, RobotConfig(), tmp_path / "log.jsonl", scene=scene)
    assert result.outcome is Outcome.HANDED_OVER, result.reason
    speeds = np.array([speed for now, speed in asked if 2.5 < now < 4.0])
    assert len(speeds) > 50
    assert speeds.max() < 0.002

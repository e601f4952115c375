"""Runs an emulated controller on a loopback address until interrupted.

python -m real_robot.emulator --host 127.0.0.2
"""

from __future__ import annotations

import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from h2rh_env.utils import cli

from .controller import Controller, model_of
from .server import main_loop


@dataclass(frozen=True)
class Emulate:
    """A UR5 (CB3) or UR5e (e-Series) with a 2F-85."""

    host: str = "127.0.0.2"
    """Loopback address to serve; 127.0.0.1 skips the client's remote-control check."""
    model: Literal["ur5", "ur5e"] = "ur5"
    """The model of the arm: ur5 (CB3, 125 Hz) or ur5e (e-Series, 500 Hz)."""
    rate_hz: float | None = None
    """Another rate of the controller, Hz. Two cores are too few for 500 Hz."""
    version: str = ""
    """Another software version, such as 3.14.3."""
    until_stdin_ends: bool = False
    """Exit when standard input does, as a pipe does when the process that holds its other end is gone."""


def main(command: Emulate) -> None:
    with suppress(KeyboardInterrupt):
        controller = Controller(model_of(command.model, command.rate_hz, command.version))
        main_loop(controller, command.host, sys.stdin if command.until_stdin_ends else None)


if __name__ == "__main__":
    cli.run(main, Emulate, __doc__)

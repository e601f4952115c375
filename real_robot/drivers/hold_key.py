"""A hold-to-run key at a terminal: the arm moves only while the space bar is held.

A terminal tells presses, and repeats while a key is held, but no release: what does not repeat was let go.
"""

from __future__ import annotations

import os
import select
import termios
import threading
import time
import tty
from typing import Any, Self

KEY = b" "
RELEASED_S = (
    0.25  # without a repeat; terminals repeat every 0.03 to 0.1 s, after a first pause of up to 0.7 s
)
POLL_S = 0.05


class HoldKey:
    """Reads a terminal, one key at a time and without echo, until left."""

    def __init__(self, terminal: int) -> None:
        self._terminal = terminal
        self._before_s = self._last_s = -RELEASED_S
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._settings: list[Any] = []

    def __enter__(self) -> Self:
        self._settings = termios.tcgetattr(self._terminal)
        tty.setcbreak(self._terminal)
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._leaving.set()
        self._thread.join()
        termios.tcsetattr(self._terminal, termios.TCSADRAIN, self._settings)

    def is_held(self) -> bool:
        """Whether the key repeats: a single press moves nothing."""
        now = time.monotonic()
        return now - self._last_s < RELEASED_S and self._last_s - self._before_s < RELEASED_S

    def _listen(self) -> None:
        while not self._leaving.is_set():
            if not select.select([self._terminal], [], [], POLL_S)[0]:
                continue
            typed = os.read(self._terminal, 64)
            if not typed:
                return
            if typed.endswith(KEY):
                self._before_s, self._last_s = self._last_s, time.monotonic()

"""Whether the machine kept pace while a test ran: a bar in real time is judged only where it did.

A busy machine withholds cores from processes. The kernel counts for how long, whatever their code does meanwhile, so
code that is slow is never excused by it.
"""

import os
import time
from collections.abc import Callable
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest

from h2rh_env.core.errors import RobotError

TRIES = 5


def withheld_s(*pids):
    """Seconds that processes (their main threads) waited for a core so far, and that the hypervisor took from all.

    What the kernel does not tell counts as none, and so does a process that ended.
    """
    waited_ns = 0
    for pid in pids:
        with suppress(OSError):
            waited_ns += int(Path(f"/proc/{pid}/schedstat").read_text().split()[1])
    stolen_ticks = int(Path("/proc/stat").read_text().split(maxsplit=9)[8])
    return 1e-9 * waited_ns + stolen_ticks / os.sysconf("SC_CLK_TCK")


class Pace:
    """What was withheld from a test, and how much of that its bars bear."""

    def __init__(self):
        self._noted: list[tuple[str, float, float]] = []

    def note(self, what, seconds, most_s):
        """Keeps what took how many seconds; where it is more than `most_s`, the pace was lost."""
        self._noted.append((what, float(seconds), most_s))

    @contextmanager
    def watch(self, what, most_s, *pids):
        """Notes what is withheld from processes meanwhile."""
        before_s = withheld_s(*pids)
        try:
            yield
        finally:
            self.note(f"waiting for a core, {what}", withheld_s(*pids) - before_s, most_s)

    @property
    def is_kept(self):
        return all(seconds <= most_s for _, seconds, most_s in self._noted)

    def __str__(self):
        return ", ".join(
            f"{what} {1000 * s:.0f} ms (at most {1000 * most:.0f})" for what, s, most in self._noted
        )


class Waits:
    """What has been withheld from a process, sampled while time passes."""

    def __init__(self, pid):
        self._pid = pid
        self._times_s, self._withheld_s = [time.monotonic()], [withheld_s(pid)]

    def sleep(self, seconds):
        while time.monotonic() < self._times_s[0] + seconds:
            time.sleep(0.004)
            total = max(withheld_s(self._pid), self._withheld_s[-1])  # a process that ended counts no more
            self._times_s.append(time.monotonic())
            self._withheld_s.append(total)

    def until(self, time_s):
        """Seconds withheld from the first sample to a moment."""
        return float(np.interp(time_s, self._times_s, self._withheld_s)) - self._withheld_s[0]


def judged(attempt: Callable[[Pace], None]):
    """Runs an attempt until it holds; what it asserts is judged in the first try in which the machine kept pace.

    Skips, with the figures, where an attempt fails in every try and the machine kept pace in none.
    """
    lost = []
    for _ in range(TRIES):
        pace = Pace()
        try:
            return attempt(pace)
        except (AssertionError, RobotError):
            if pace.is_kept:
                raise
        lost.append(str(pace))
    pytest.skip(f"the machine kept pace in none of {TRIES} tries: {'; '.join(lost)}")

"""Time that passes only when somebody sleeps, for devices that are simulated in it."""

from __future__ import annotations

from collections.abc import Callable

TICK_S = 0.004


class SimulatedClock:
    """Time that passes only when somebody sleeps."""

    def __init__(self) -> None:
        self._ticks = 0
        self._rest_s = 0.0
        self.on_tick: list[Callable[[], None]] = []

    def now(self) -> float:
        return self._ticks * TICK_S

    def sleep(self, seconds: float) -> None:
        self._rest_s += seconds
        while self._rest_s >= TICK_S - 1e-9:
            self._rest_s -= TICK_S
            self._ticks += 1
            for tick in self.on_tick:
                tick()

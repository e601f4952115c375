"""Whether the giver let go: the pull at the tool has fallen to what an object weighs, and stays there."""

from __future__ import annotations

from collections import deque

import numpy as np

from h2rh_env.core.geometry import Array

from ..interfaces import RobotState

FILTER_S = 0.25  # 31 states at 125 Hz: noise of 6 N an axis leaves 1 N
DRAG_FILTER_S = 0.1


class LoadFilter:
    """The mean of the force at the tool over the newest states."""

    def __init__(self, window_s: float) -> None:
        self._window_s = window_s
        self._felt: deque[tuple[float, Array]] = deque()

    @property
    def is_full(self) -> bool:
        """Whether the states reach as far back as the window."""
        return bool(self._felt) and self._felt[-1][0] - self._felt[0][0] >= 0.9 * self._window_s

    def take(self, state: RobotState) -> Array:
        """Takes a state in; returns the mean force (3,), N."""
        if not self._felt or state.time_s > self._felt[-1][0]:
            self._felt.append((state.time_s, state.force))
        while state.time_s - self._felt[0][0] > self._window_s:
            self._felt.popleft()
        return np.asarray(np.mean([force for _, force in self._felt], axis=0))


class ReleaseJudge:
    """Sees every state from the moment when the fingers hold the object.

    Args:
        unloaded: (3,) force at the tool before the fingers closed, N.
        change_n: the pull must have fallen by this, along itself; load_n: to no more than this.
        dwell_s: for so long.
    """

    def __init__(self, unloaded: Array, change_n: float, load_n: float, dwell_s: float) -> None:
        self._unloaded, self._change_n, self._load_n, self._dwell_s = unloaded, change_n, load_n, dwell_s
        self._filter = LoadFilter(FILTER_S)
        self._pull = np.zeros(3)
        self._low_since_s: float | None = None

    def is_released(self, state: RobotState) -> bool:
        """Whether the giver has let go by the time of this state; a pull that grows or turns is no release."""
        load = self._filter.take(state) - self._unloaded
        if not self._filter.is_full:
            return False
        if np.linalg.norm(load) > np.linalg.norm(self._pull):
            self._pull = load
        pull_n = float(np.linalg.norm(self._pull))
        fallen_n = pull_n - float(load @ self._pull) / max(pull_n, 1e-9)
        if fallen_n < self._change_n or np.linalg.norm(load) > self._load_n:
            self._low_since_s = None
            return False
        self._low_since_s = state.time_s if self._low_since_s is None else self._low_since_s
        return state.time_s - self._low_since_s >= self._dwell_s


class DragWatch:
    """Watches the load while the object is carried away: a hand that holds on must not be pulled."""

    def __init__(self, unloaded: Array, most_n: float) -> None:
        self._unloaded, self._most_n, self._filter = unloaded, most_n, LoadFilter(DRAG_FILTER_S)

    def why_not(self, state: RobotState) -> str:
        """What speaks against going on; empty where nothing does."""
        load_n = float(np.linalg.norm(self._filter.take(state) - self._unloaded))
        if self._filter.is_full and load_n > self._most_n:
            return f"somebody pulls at the object with {load_n:.0f} N"
        return ""

"""A device's own clock, put on the machine's monotonic one: no wall clock, which somebody may set, is asked."""

from __future__ import annotations

import math
from collections import deque

KEPT_DELAYS = 250  # of the newest stamps: 2 s of an arm's states at 125 Hz, 8 s of a camera's frames


class DeviceClock:
    """Says when something was measured that carries the device's stamp.

    A stamp that is read late says nothing of when it was measured; the promptest of the newest ones says how far the
    two clocks are apart. A clock that begins anew, or is set, is followed.
    """

    def __init__(self) -> None:
        self._delays: deque[float] = deque(maxlen=KEPT_DELAYS)
        self._stamp = -math.inf

    def time_s(self, stamp: float, now_s: float) -> float:
        """When something was measured that is read at `now_s` and stamped by the device, s.

        What even the promptest stamp takes to arrive is not known here: it is the caller's to subtract.
        """
        if stamp < self._stamp:
            self._delays.clear()
        if stamp != self._stamp:
            self._delays.append(now_s - stamp)
        self._stamp = stamp
        return stamp + min(self._delays)

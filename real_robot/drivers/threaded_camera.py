"""Camera and segmenter in a thread of their own, so that the control loop never waits for either."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Self

import numpy as np
import numpy.typing as npt

from h2rh_env.core.errors import HandoverError, RobotError

from ..interfaces import Frame, HandEyeCamera, Segmenter

FIRST_FRAME_S, IDLE_S = 20.0, 0.002
KEPT = 8  # newest frames whose masks are still told


class LiveSight:
    """Both camera and segmenter of a session: its frames come with their masks, and are as old as both took."""

    def __init__(self, camera: HandEyeCamera, segmenter: Segmenter) -> None:
        self._camera, self._segmenter = camera, segmenter
        self._seen: deque[tuple[Frame, npt.NDArray[np.uint8]]] = deque(maxlen=KEPT)
        self._fault = ""
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._depth = 0

    def __enter__(self) -> Self:
        """Entered twice by a session, once as each device; it starts once."""
        self._depth += 1
        if self._depth > 1:
            return self
        self._camera.__enter__()
        self._segmenter.__enter__()
        self._thread.start()
        deadline = time.monotonic() + FIRST_FRAME_S
        while not self._seen and not self._fault and time.monotonic() < deadline:
            time.sleep(IDLE_S)
        if not self._seen:
            self.__exit__()
            raise RobotError(self._fault or f"nothing was seen within {FIRST_FRAME_S} s")
        return self

    def __exit__(self, *exception: object) -> None:
        self._depth -= 1
        if self._depth > 0:
            return
        self._leaving.set()
        self._thread.join()
        try:
            self._segmenter.__exit__(*exception)
        finally:
            self._camera.__exit__(*exception)

    def frame(self) -> Frame:
        if self._fault or not self._seen:
            raise RobotError(self._fault or "nothing was ever seen; enter it first")
        return self._seen[-1][0]

    def segment(self, frame: Frame) -> npt.NDArray[np.uint8]:
        for seen, masks in reversed(self._seen.copy()):
            if seen is frame:
                return masks
        raise RobotError(f"only the {KEPT} newest frames' masks are kept; segment one before taking more")

    def _look(self) -> None:
        before: Frame | None = None
        try:
            while not self._leaving.is_set():
                frame = self._camera.frame()
                if frame is before:
                    time.sleep(IDLE_S)
                    continue
                self._seen.append((frame, self._segmenter.segment(frame)))
                before = frame
        except HandoverError as error:
            self._fault = str(error)
        except Exception as error:
            self._fault = f"{type(error).__name__}: {error}"

"""A camera that segments: a thread looks and outlines, so that the control loop waits for neither."""

from __future__ import annotations

import threading
import time
import warnings
from contextlib import ExitStack
from dataclasses import replace
from typing import Self

from h2rh_env.core.errors import HandoverError, RobotError

from ..interfaces import Frame, HandEyeCamera, Segmenter

FIRST_FRAME_S, IDLE_S = 20.0, 0.002
JOIN_S = 2.0  # a segmenter that takes longer for one image is left behind


class ThreadedCamera:
    """Frames of a camera with the masks of a segmenter; each is as old as both took."""

    def __init__(self, camera: HandEyeCamera, segmenter: Segmenter) -> None:
        self._camera, self._segmenter = camera, segmenter
        self._newest: Frame | None = None
        self._fault = ""
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._entered = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as entered:
            entered.enter_context(self._camera)
            entered.enter_context(self._segmenter)
            entered.callback(self._end)
            self._thread.start()
            deadline = time.monotonic() + FIRST_FRAME_S
            while self._newest is None and not self._fault and time.monotonic() < deadline:
                time.sleep(IDLE_S)
            if self._newest is None:
                raise RobotError(self._fault or f"nothing was seen within {FIRST_FRAME_S} s")
            self._entered = entered.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        self._entered.close()

    def frame(self) -> Frame:
        if self._fault or self._newest is None:
            raise RobotError(self._fault or "nothing was ever seen; enter it first")
        return self._newest

    def _end(self) -> None:
        self._leaving.set()
        self._thread.join(JOIN_S)
        if self._thread.is_alive():
            warnings.warn(
                f"camera or segmenter did not return within {JOIN_S} s and is left behind",
                RuntimeWarning,
                stacklevel=2,
            )

    def _look(self) -> None:
        before: Frame | None = None
        try:
            while not self._leaving.is_set():
                frame = self._camera.frame()
                if frame is before:
                    time.sleep(IDLE_S)
                    continue
                self._newest = replace(frame, masks=self._segmenter.segment(frame))
                before = frame
        except HandoverError as error:
            self._fault = str(error)
        except Exception as error:
            self._fault = f"{type(error).__name__}: {error}"

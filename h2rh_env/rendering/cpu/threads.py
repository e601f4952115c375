"""Threads that share work with the thread that gave it, all at once or piece by piece, and survive a fork."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Threads:
    """`count` threads: the caller's, and others that are started when first needed."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._pool: ThreadPoolExecutor | None = None
        self._process = -1

    def map(self, function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
        """Returns `function` of each item, in order. After an error, no further item is begun."""
        helpers = min(self.count, len(items)) - 1
        if helpers < 1:
            return [function(item) for item in items]
        pool = self._started()
        results: list[Any] = [None] * len(items)
        left = iter(range(len(items)))  # each number is handed out once, whoever asks

        def work() -> None:
            try:
                for index in left:
                    results[index] = function(items[index])
            except BaseException:
                _exhaust(left)
                raise

        helping = [pool.submit(work) for _ in range(helpers)]
        try:
            work()
        finally:
            # One that has not begun would find nothing left, and may stand in line behind this very call.
            helping = [helper for helper in helping if not helper.cancel()]
            wait(helping)
        for helper in helping:
            helper.result()
        return results

    def stream(self, function: Callable[[Item], object]) -> Stream[Item]:
        """Begins a stream that calls `function` with items that come one by one."""
        return Stream(self._started() if self.count > 1 else None, function)

    def _started(self) -> ThreadPoolExecutor:
        if self._pool is None or self._process != os.getpid():
            self._pool, self._process = ThreadPoolExecutor(self.count - 1, "rasteriser"), os.getpid()
        return self._pool


class Stream(Generic[Item]):
    """Work that begins on other threads as soon as it is put here; the giver's thread lends a hand at the end."""

    def __init__(self, pool: ThreadPoolExecutor | None, function: Callable[[Item], object]) -> None:
        """Args: pool: None leaves all work to the thread that puts it here, at once."""
        self._pool, self._function = pool, function
        self._waiting: deque[Item] = deque()
        self._helping: list[Future[bool]] = []

    def put(self, item: Item) -> None:
        """Hands over one item."""
        if self._pool is None:
            self._function(item)
            return
        self._waiting.append(item)
        self._helping.append(self._pool.submit(self._take_one))

    def finish(self) -> None:
        """Does what is left, waits for what others are doing, and raises what went wrong first."""
        while self._take_one():
            pass
        self._wait()
        for helper in self._helping:
            helper.result()

    def close(self) -> None:
        """Drops what nobody has begun and waits for the rest."""
        self._waiting.clear()
        self._wait()

    def _take_one(self) -> bool:
        try:
            item = self._waiting.popleft()
        except IndexError:
            return False
        try:
            self._function(item)
        except BaseException:
            self._waiting.clear()
            raise
        return True

    def _wait(self) -> None:
        # One that has not begun would find nothing left, and may stand in line behind this very call.
        self._helping = [helper for helper in self._helping if not helper.cancel()]
        wait(self._helping)


def _exhaust(iterator: Iterator[int]) -> None:
    for _ in iterator:
        pass


def cores() -> int:
    """Returns how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

"""Threads that share a list of work with the thread that gave it, and survive a fork."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Threads:
    """`count` threads: the caller's, and others that are started when first needed."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._pool: ThreadPoolExecutor | None = None
        self._process = -1

    def map(self, function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
        """`function` of each item, in order. After an error, no further item is begun."""
        helpers = min(self.count, len(items)) - 1
        if helpers < 1:
            return [function(item) for item in items]
        if self._pool is None or self._process != os.getpid():
            self._pool, self._process = ThreadPoolExecutor(self.count - 1, "rasteriser"), os.getpid()
        results: list[Any] = [None] * len(items)
        left = iter(range(len(items)))  # each number is handed out once, whoever asks

        def work() -> None:
            try:
                for index in left:
                    results[index] = function(items[index])
            except BaseException:
                _exhaust(left)
                raise

        helping = [self._pool.submit(work) for _ in range(helpers)]
        try:
            work()
        finally:
            # One that has not begun would find nothing left, and may stand in line behind this very call.
            helping = [helper for helper in helping if not helper.cancel()]
            wait(helping)
        for helper in helping:
            helper.result()
        return results


def _exhaust(iterator: Iterator[int]) -> None:
    for _ in iterator:
        pass


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

"""Maps a function over many items: in this process, in several, or on the machines of a Ray cluster.

Results come in the order of the items, so that they are the same wherever and by how many workers they were computed.
A worker that dies (out of memory, killed, its machine gone) only costs time: its item is done again.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Literal, TypeVar

from ..core.errors import HandoverError, MissingPackageError

Item = TypeVar("Item")
Result = TypeVar("Result")
Cluster = Literal["processes", "ray"]

MAX_DEATHS = 5  # of workers at one item, after which the item is blamed
AHEAD = 4  # items for each worker that are handed out before their turn to be yielded


def map_tasks(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    workers: int = 1,
    cluster: Cluster | None = None,
) -> Iterator[Result]:
    """Yields the result of `function` for each item, in the order of the items.

    Args:
        function: A function of a module's top level, whose result depends on the item alone. What it raises is raised
            here.
        items: The arguments, one for each call.
        workers: The number of processes, each with one thread. A Ray cluster is given this number of tasks at a time.
        cluster: None is this process for one worker, else "processes" of this machine. "ray" is the cluster that
            RAY_ADDRESS names, or one on this machine if it names none; the package must be installed on all machines,
            and paths in items must mean the same there.

    Raises:
        MissingPackageError: Ray is not installed.
        HandoverError: The cluster is unknown, or the workers of an item die again and again.
    """
    if cluster not in {None, "processes", "ray"}:
        raise HandoverError(f"cluster is {cluster!r}; expected 'processes' or 'ray'")
    if workers < 1:
        raise HandoverError(f"{workers} workers; at least 1 is needed")
    if cluster == "ray":
        return _map_ray(function, items, workers)
    if cluster is None and workers == 1:
        return map(function, items)
    return _map_processes(function, items, workers)


def _map_processes(
    function: Callable[[Item], Result], items: Sequence[Item], workers: int
) -> Iterator[Result]:
    context = multiprocessing.get_context("spawn")

    def start() -> ProcessPoolExecutor:
        return ProcessPoolExecutor(workers, context, initializer=_die_with_parent)

    pool = start()
    waiting: deque[tuple[int, Future[Result]]] = deque()
    deaths = [0] * len(items)
    handed_out = 0
    try:
        while waiting or handed_out < len(items):
            try:
                while handed_out < len(items) and len(waiting) < AHEAD * workers:
                    waiting.append((handed_out, pool.submit(function, items[handed_out])))
                    handed_out += 1
                result = waiting[0][1].result()
            except BrokenProcessPool:
                pool.shutdown()
                lost = [index for index, future in waiting if not _is_done(future)]
                # Workers take items in order: only the first so many can have been at work.
                for index in lost[:workers]:
                    deaths[index] += 1
                    if deaths[index] >= MAX_DEATHS:
                        raise HandoverError(_blame(index, items[index])) from None
                pool = start()
                kept = {index: future for index, future in waiting if index not in lost}
                waiting = deque(
                    (index, kept[index] if index in kept else pool.submit(function, items[index]))
                    for index, _ in waiting
                )
                continue
            waiting.popleft()
            yield result
    except (KeyboardInterrupt, GeneratorExit):  # nobody waits for what is being done
        for process in list(getattr(pool, "_processes", {}).values()):
            process.kill()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _is_done(future: Future[Any]) -> bool:
    return future.done() and not isinstance(future.exception(), BrokenProcessPool)


def _die_with_parent() -> None:
    """Ends this worker when the command is killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _map_ray(function: Callable[[Item], Result], items: Sequence[Item], workers: int) -> Iterator[Result]:
    try:
        import ray
    except ImportError:
        raise MissingPackageError("Ray is not installed: pip install 'h2rh-env[scale]'") from None
    started = not ray.is_initialized()
    if started:
        local: dict[str, Any] = (
            {} if os.environ.get("RAY_ADDRESS") else {"num_cpus": workers, "include_dashboard": False}
        )
        ray.init(log_to_driver=False, logging_level=logging.ERROR, **local)
    try:
        task = ray.remote(function).options(num_cpus=1, max_retries=MAX_DEATHS - 1)
        waiting: deque[Any] = deque()
        handed_out = 0
        while waiting or handed_out < len(items):
            while handed_out < len(items) and len(waiting) < AHEAD * workers:
                waiting.append(task.remote(items[handed_out]))
                handed_out += 1
            try:
                yield ray.get(waiting[0])
            except ray.exceptions.WorkerCrashedError:
                index = handed_out - len(waiting)
                raise HandoverError(_blame(index, items[index])) from None
            waiting.popleft()
    finally:
        if started:
            ray.shutdown()


def _blame(index: int, item: object) -> str:
    return f"{MAX_DEATHS} workers died at item {index} ({str(item)[:200]}); it may need more memory than there is"

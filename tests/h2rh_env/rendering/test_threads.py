"""The pool of threads: order is kept, errors come through, and a forked worker is not left without threads."""

import multiprocessing
import threading
import time

import pytest

from h2rh_env.rendering.cpu.threads import Threads, cores


def test_order_is_kept() -> None:
    def late(i: int) -> int:
        time.sleep(0.01 * (5 - i))
        return i * i

    assert Threads(3).map(late, range(5)) == [0, 1, 4, 9, 16]


@pytest.mark.parametrize("count", [1, 2])
def test_an_error_reaches_the_caller(count: int) -> None:
    with pytest.raises(ZeroDivisionError):
        Threads(count).map(lambda x: 1 // x, [1, 0, 2])


def test_nothing_is_begun_after_an_error() -> None:
    begun: list[int] = []

    def fail_at_once(x: int) -> None:
        begun.append(x)
        time.sleep(0.01)
        raise ValueError(str(x))

    with pytest.raises(ValueError, match=r"^[01]$"):
        Threads(2).map(fail_at_once, range(50))
    assert len(begun) <= 2


def test_work_may_itself_use_the_threads_that_it_runs_on() -> None:
    threads = Threads(2)
    nested = threads.map(lambda x: sum(threads.map(lambda y: x * y, range(4))), range(6))
    assert nested == [6 * x for x in range(6)]


def test_the_callers_thread_works_too() -> None:
    def worker(_: int) -> threading.Thread:
        time.sleep(0.01)
        return threading.current_thread()

    names = Threads(2).map(worker, range(8))
    assert threading.current_thread() in names
    assert len(set(names)) == 2


pool = Threads(2)


def double(x: int) -> int:
    return 2 * x


def use_pool() -> list[int]:
    return pool.map(double, [1, 2, 3])


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork on this system")
def test_a_forked_worker_starts_its_own_threads() -> None:
    assert use_pool() == [2, 4, 6]
    with multiprocessing.get_context("fork").Pool(1) as workers:
        assert workers.apply_async(use_pool).get(timeout=20) == [2, 4, 6]


def test_there_is_a_core() -> None:
    assert cores() >= 1


@pytest.mark.parametrize("count", [1, 3])
def test_what_comes_one_by_one_is_all_done_when_finished(count: int) -> None:
    done: list[int] = []
    stream = Threads(count).stream(done.append)
    for item in range(40):
        stream.put(item)
    stream.finish()
    assert sorted(done) == list(range(40))


def test_a_stream_works_while_its_giver_does_something_else() -> None:
    begun = threading.Event()
    stream = Threads(2).stream(lambda item: begun.set())
    stream.put(0)
    assert begun.wait(5)
    stream.finish()


@pytest.mark.parametrize("count", [1, 2])
def test_an_error_in_a_stream_reaches_its_giver(count: int) -> None:
    stream = Threads(count).stream(lambda item: 1 // item)

    def work() -> None:
        for item in (1, 0, 2):
            stream.put(item)
        stream.finish()

    with pytest.raises(ZeroDivisionError):
        work()


def test_a_closed_stream_begins_nothing_more() -> None:
    held, done = threading.Event(), []

    def work(item: int) -> None:
        held.wait(5)
        done.append(item)

    stream = Threads(2).stream(work)
    for item in range(5):
        stream.put(item)
    threading.Timer(0.05, held.set).start()
    stream.close()
    assert len(done) <= 1
    held.set()
    time.sleep(0.02)
    assert len(done) <= 1

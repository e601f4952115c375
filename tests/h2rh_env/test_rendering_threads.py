"""The pool of threads: order is kept, errors come through, and a forked worker is not left without threads."""

import multiprocessing
import time

import pytest

from h2rh_env.rendering.threads import Threads, cores


def test_order_is_kept() -> None:
    def late(i: int) -> int:
        time.sleep(0.01 * (5 - i))
        return i * i

    assert Threads(3).map(late, range(5)) == [0, 1, 4, 9, 16]


@pytest.mark.parametrize("count", [1, 2])
def test_an_error_reaches_the_caller(count: int) -> None:
    with pytest.raises(ZeroDivisionError):
        Threads(count).map(lambda x: 1 // x, [1, 0, 2])


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

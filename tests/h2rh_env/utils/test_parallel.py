"""Where a function is mapped, and who dies meanwhile, changes nothing in the result."""

import sys
import time
from pathlib import Path

import pytest

from h2rh_env.core.errors import HandoverError, MissingPackageError
from h2rh_env.utils.parallel import MAX_DEATHS, map_tasks

TASKS = """
import os, signal, time
from pathlib import Path

def square(x):
    return x * x

def square_but_one_dies_first(item):
    x, victim, marker = item
    if x == victim and not Path(marker).exists():
        Path(marker).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return x * x

def deadly(x):
    if x == 2:
        os._exit(1)
    return x * x

def faulty(x):
    if x == 2:
        raise ValueError("two is not liked")
    return x * x

def first_is_quick(x):
    time.sleep(60 if x else 0)
    return x
"""


@pytest.fixture
def tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "tasks_of_a_test.py").write_text(TASKS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    import tasks_of_a_test

    yield tasks_of_a_test
    del sys.modules["tasks_of_a_test"]


PROCESSES = [(1, None), (2, None), (1, "processes")]


def squares(count):
    return [x * x for x in range(count)]


@pytest.mark.parametrize(("workers", "cluster"), PROCESSES)
def test_results_come_in_order(tasks, workers, cluster):
    assert list(map_tasks(tasks.square, range(20), workers, cluster)) == squares(20)
    assert list(map_tasks(tasks.square, [], workers, cluster)) == []


def test_a_worker_that_is_killed_changes_nothing(tasks, tmp_path):
    items = [(x, 5, str(tmp_path / "died")) for x in range(12)]
    assert list(map_tasks(tasks.square_but_one_dies_first, items, 2)) == squares(12)
    assert (tmp_path / "died").exists()


def test_an_item_that_kills_every_worker_is_named(tasks):
    with pytest.raises(HandoverError, match=f"{MAX_DEATHS} workers died at item [0-2]"):
        list(map_tasks(tasks.deadly, range(3), 1, "processes"))


@pytest.mark.parametrize(("workers", "cluster"), PROCESSES)
def test_what_a_task_raises_is_raised(tasks, workers, cluster):
    results = map_tasks(tasks.faulty, range(4), workers, cluster)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ValueError, match="two is not liked"):
        next(results)


def test_who_leaves_does_not_wait_for_what_is_being_done(tasks):
    results = map_tasks(tasks.first_is_quick, range(3), 2)
    assert next(results) == 0
    began = time.monotonic()
    results.close()
    assert time.monotonic() - began < 30


def test_wrong_arguments_say_what_would_be_right(monkeypatch):
    with pytest.raises(HandoverError, match="'processes' or 'ray'"):
        map_tasks(abs, [1], 1, "slurm")  # type: ignore[arg-type]
    with pytest.raises(HandoverError, match="at least 1"):
        map_tasks(abs, [1], 0)
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingPackageError, match=r"h2rh-env\[scale\]"):
        list(map_tasks(abs, [1], 1, "ray"))


@pytest.mark.nightly
def test_ray_gives_the_same_and_outlives_its_workers(tasks, tmp_path):
    pytest.importorskip("ray")
    assert list(map_tasks(tasks.square, range(20), 2, "ray")) == squares(20)
    items = [(x, 5, str(tmp_path / "died")) for x in range(12)]
    assert list(map_tasks(tasks.square_but_one_dies_first, items, 2, "ray")) == squares(12)
    assert (tmp_path / "died").exists()
    with pytest.raises(ValueError, match="two is not liked"):
        list(map_tasks(tasks.faulty, range(4), 2, "ray"))
    with pytest.raises(HandoverError, match="died at item 2"):
        list(map_tasks(tasks.deadly, range(4), 2, "ray"))

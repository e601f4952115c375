"""URScript means what it says: scopes, threads, time, and what is not URScript is named."""

import pytest

from real_robot.emulator.urscript import Pose, ScriptError, load


def ran(body, builtins=None, steps=50):
    """What a program told, each time it passed."""
    told = []

    def sync():
        yield

    table = {"tell": told.append, "sync": sync, "twice": lambda x, by=2: x * by, **(builtins or {})}
    program = load(f"def main():\n{body}\nend\n", table)
    for _ in range(steps):
        if not program.is_running:
            break
        program.step()
    return told


def test_arithmetic_branches_and_loops():
    branch = " if x == 4:\n  tell(x * 10)\n elif not x == 2:\n  tell(-x)\n end\n"
    assert ran(f"x = 0\nwhile x < 5:\n x = x + 2\n{branch}end") == [40, -6]


def test_functions_return_and_know_globals_but_not_each_others_locals():
    assert ran(
        "global g = 1\ndef add(a):\n g = g + a\n local b = 7\n return g\nend\ntell(add(2))\ntell(g)"
    ) == [3, 3]


def test_names_of_python_are_plain_names():
    assert ran("async = 1\nlambda = async + 1\ntell(lambda)") == [2]


def test_a_value_may_begin_on_the_line_after_its_sign():
    assert ran("global a = # comment\n3    global b = # another\n4    global c = 5\ntell(a + b + c)") == [12]


def test_p_is_a_pose_or_a_parameter():
    told = ran(
        "def first(p):\n p[0] = p[0] * 2\n return p[0]\nend\nq = p[1, 2, 3, 0, 0, 0]\ntell(first(q))\ntell(q)"
    )
    assert told[0] == 2
    assert isinstance(told[1], Pose)


def test_lists_are_copied_when_assigned():
    assert ran("a = [1, 2]\nb = a\nb[0] = 9\ntell(a[0])") == [1]


def test_keywords_of_a_call_are_not_variables():
    assert ran("by = 5\ntell(twice(3, by=4))\ntell(twice(by))") == [12, 10]


def test_threads_run_beside_the_program_until_killed():
    body = "global n = 0\nthread count():\n while True:\n  n = n + 1\n  sync()\n end\nend\nt = run count()\n"
    assert ran(body + "sync()\nsync()\nsync()\nkill t\nm = n\nsync()\nsync()\ntell(n - m)\ntell(m > 1)") == [
        0,
        True,
    ]


def test_a_loop_in_which_no_time_passes_is_an_error():
    with pytest.raises(ScriptError, match="infinite loop"):
        ran("while True:\n x = 1\nend")


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ("unknown_function(1)", "no function"),
        ("x = y + 1", "v_y"),
        ("x = 1 @ 2", "not URScript"),
        ("x = (1", "not closed"),
        ("x = __import__", "v___import__"),
        ("x = [1][3]", "IndexError"),
        ("if True:", "missing"),
    ],
)
def test_what_is_wrong_is_named(body, word):
    with pytest.raises(ScriptError, match=word):
        ran(body)


def test_a_script_without_a_program_is_refused():
    with pytest.raises(ScriptError, match="must begin"):
        load("x = 1", {})

"""The console command: short names for the project's commands."""

import importlib.util
from pathlib import Path

import pytest

from h2rh_env import __version__
from h2rh_env.utils import cli, commands


@pytest.fixture(autouse=True)
def as_typed():
    yield
    cli.AS_TYPED.set("")


def typed(monkeypatch, *words: str) -> int:
    """What the command line ends with."""
    monkeypatch.setattr("sys.argv", ["h2rh", *words])
    try:
        commands.main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


@pytest.mark.parametrize("module", commands.COMMANDS.values())
def test_each_is_a_command_line_that_says_what_it_does(module):
    spec = importlib.util.find_spec(module)
    if spec.submodule_search_locations:
        spec = importlib.util.find_spec(f"{module}.__main__")
    assert "cli.run(" in Path(spec.origin).read_text()
    assert commands._first_line(module).endswith(".")


def test_no_command_hides_another():
    names = commands.COMMANDS
    assert not [name for name in names if name.split()[0] != name and name.split()[0] in names]


def test_the_rest_of_the_line_is_the_commands(monkeypatch, capsys, tmp_path):
    assert typed(monkeypatch, "check", str(tmp_path)) == 1
    assert str(tmp_path) in capsys.readouterr().out


@pytest.mark.parametrize("words", [("check",), ("inspect", "figure")])
def test_usage_shows_what_was_typed(words, monkeypatch, capsys):
    assert typed(monkeypatch, *words, "--help") == 0
    assert capsys.readouterr().out.startswith(f"usage: h2rh {' '.join(words)} ")


@pytest.mark.parametrize("words", [(), ("-h",), ("--help",)])
def test_help_lists_every_command(words, monkeypatch, capsys):
    assert typed(monkeypatch, *words) == 0
    printed = capsys.readouterr().out
    assert all(f"  {name} " in printed for name in commands.COMMANDS)


def test_a_family_lists_its_own(monkeypatch, capsys):
    assert typed(monkeypatch, "inspect", "--help") == 0
    printed = capsys.readouterr().out
    assert "inspect preview" in printed
    assert "collect" not in printed
    assert typed(monkeypatch, "inspect") == cli.USER_ERROR


def test_an_unknown_command_lists_the_known_ones(monkeypatch, capsys):
    assert typed(monkeypatch, "evalute", "--out", "x") == cli.USER_ERROR
    answer = capsys.readouterr().err
    assert "'evalute --out' is not a command" in answer
    assert "  evaluate " in answer


def test_the_version_is_the_packages(monkeypatch, capsys):
    assert typed(monkeypatch, "--version") == 0
    assert capsys.readouterr().out.strip() == __version__

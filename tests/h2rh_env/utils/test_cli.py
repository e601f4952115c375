"""Old names of options are understood, and answered with the new ones."""

from dataclasses import dataclass

import pytest

from h2rh_env.utils import cli


@dataclass(frozen=True)
class PosesConfig:
    """A command with an option that had another name."""

    initial_poses: int = 1
    rasteriser: str = "auto"


def parse(monkeypatch, *arguments: str) -> PosesConfig:
    seen: list[PosesConfig] = []
    monkeypatch.setattr("sys.argv", ["command", *arguments])
    cli.run(seen.append, PosesConfig, None)
    return seen[0]


@pytest.mark.parametrize("typed", [["--starts", "3"], ["--starts=3"]])
def test_an_old_name_is_served_and_the_new_one_named(typed, monkeypatch, capsys):
    assert parse(monkeypatch, *typed).initial_poses == 3
    assert capsys.readouterr().err == "note: --starts is called --initial-poses now\n"


def test_both_spellings_of_a_rasteriser_are_right(monkeypatch, capsys):
    assert parse(monkeypatch, "--rasterizer", "numba").rasteriser == "numba"
    assert parse(monkeypatch, "--rasteriser", "numba").rasteriser == "numba"
    assert capsys.readouterr().err == ""


def test_a_value_is_left_alone(monkeypatch, capsys):
    assert parse(monkeypatch, "--rasteriser=--starts").rasteriser == "--starts"
    assert capsys.readouterr().err == ""


def test_a_new_name_is_not_an_old_one():
    assert not set(cli.RENAMED.values()) & set(cli.RENAMED)

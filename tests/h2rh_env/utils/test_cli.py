"""Old names of options are understood, and answered with the new ones."""

import errno
from dataclasses import dataclass
from pathlib import Path

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


@dataclass(frozen=True)
class FolderConfig:
    """A command that writes a folder."""

    out: Path = Path("results/mine")


@dataclass(frozen=True)
class FileConfig:
    """A command that writes a file."""

    out: Path = Path("results/mine.png")


def status_and_error(monkeypatch, capsys, command, config, *arguments: str) -> tuple[int, str]:
    monkeypatch.setattr("sys.argv", ["command", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.run(command, config, None)
    return ended.value.code, capsys.readouterr().err


@pytest.mark.parametrize("where", ["a_file", "a_file/below", "/proc/x/y"])
def test_a_folder_that_cannot_be_written_is_refused_before_any_work(where, tmp_path, monkeypatch, capsys):
    (tmp_path / "a_file").write_text("mine")
    worked: list[FolderConfig] = []
    found = status_and_error(monkeypatch, capsys, worked.append, FolderConfig, "--out", str(tmp_path / where))
    assert found[0] == cli.USER_ERROR
    assert found[1].startswith("error: --out ")
    assert len(found[1].splitlines()) == 1
    assert worked == []
    assert (tmp_path / "a_file").read_text() == "mine"


def test_a_folder_where_a_file_is_wanted_is_refused(tmp_path, monkeypatch, capsys):
    found = status_and_error(monkeypatch, capsys, print, FileConfig, "--out", str(tmp_path))
    assert found == (
        2,
        f"error: --out {tmp_path} is a folder; a file is written there: give it a name in that folder\n",
    )


def test_what_can_be_written_is_left_as_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["command", "--out", str(tmp_path / "new" / "deep")])
    cli.run(lambda config: None, FolderConfig, None)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_one_sentence_and_a_fault_of_the_program_is_not_hidden(monkeypatch, capsys):
    def full(config):
        raise OSError(errno.ENOSPC, "No space left on device", "/data/a.bin")

    def reset(config):
        raise ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")

    found = status_and_error(monkeypatch, capsys, full, PosesConfig)
    assert found == (2, "error: No space left on device: /data/a.bin\n")
    with pytest.raises(ConnectionResetError):
        cli.run(reset, PosesConfig, None)

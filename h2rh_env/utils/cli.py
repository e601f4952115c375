"""What every command line shares: one sentence instead of a traceback, old names of options, and progress bars."""

import errno
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

import tyro
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from ..core.errors import HandoverError

USER_ERROR = 2
FILE_ERRORS = {
    errno.EACCES,
    errno.EDQUOT,
    errno.EEXIST,
    errno.EFBIG,
    errno.EISDIR,
    errno.ENAMETOOLONG,
    errno.ENOENT,
    errno.ENOSPC,
    errno.ENOTDIR,
    errno.EPERM,
    errno.EROFS,
}  # what a user's paths and disks do, and no fault of the program; fmt: skip
RENAMED = {
    "--collect-starts": "--collect-initial-poses",
    "--dagger-starts": "--dagger-initial-poses",
    "--disturbance": "--corruption",
    "--starts": "--initial-poses",
}  # options that users may have typed, to what they are called now
SPELLINGS = {"--rasterizer": "--rasteriser"}  # both are right
Config = TypeVar("Config")
AS_TYPED = ContextVar("AS_TYPED", default="")  # what usage lines call the command, if not `python ...`


def run(
    command: Callable[[Config], None], config: type[Config], description: str | None, words: str = ""
) -> None:
    """Parses `config` from the command line and calls `command` with it.

    Args:
        command: What the command does.
        config: A dataclass of options, or a union of such with a subcommand for each.
        description: Shown in the help above the options.
        words: Words of the command line that chose `config`; usage lines show them.

    A `HandoverError`, and a path or disk that cannot be written, is printed as one line on stderr with exit status 2;
    an interrupt exits with 130. An option `out` is tried before the command does any work.
    """
    try:
        arguments = with_new_names(sys.argv[1:])
        options = tyro.cli(
            config, prog=f"{_as_typed()} {words}".strip(), description=description, args=arguments
        )
        refuse_unwritable(options)
        command(options)
    except HandoverError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(USER_ERROR)
    except OSError as error:
        if error.errno not in FILE_ERRORS:
            raise
        print(f"error: {_in_words(error)}", file=sys.stderr)
        sys.exit(USER_ERROR)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)


def with_new_names(arguments: Sequence[str]) -> list[str]:
    """Replaces the old name of each option by the new one, and says so on stderr."""
    return [_with_new_name(argument) for argument in arguments]


def _with_new_name(argument: str) -> str:
    typed, equals, value = argument.partition("=")
    option = typed.replace("_", "-")
    if option in RENAMED:
        print(f"note: {typed} is called {RENAMED[option]} now", file=sys.stderr)
        return f"{RENAMED[option]}{equals}{value}"
    return f"{SPELLINGS[option]}{equals}{value}" if option in SPELLINGS else argument


def _as_typed() -> str:
    """Returns the running command as its usage line should show it."""
    if AS_TYPED.get():
        return AS_TYPED.get()
    spec = sys.modules["__main__"].__spec__
    if spec is None:
        return f"python {os.path.relpath(sys.argv[0])}"
    return f"python -m {spec.name.removesuffix('.__main__')}"


def refuse_ignored(config: Any, options: Sequence[str], when: str) -> None:
    """Refuses options that were given but would have no effect.

    Args:
        config: A dataclass of options, each of `options` with a default.
        options: Names of its fields.
        when: Why they have no effect, such as "without --scenes".

    Raises:
        HandoverError: One of them is not at its default; the message names it.
    """
    defaults = {field.name: field.default for field in fields(config)}
    for name in options:
        if getattr(config, name) != defaults[name]:
            raise HandoverError(f"--{name.replace('_', '-')} has no effect {when}; leave it out")


def refuse_unwritable(options: Any) -> None:
    """Refuses an option `out` that cannot be written, before hours of work are lost to it.

    Args:
        options: A dataclass; if the default of its `out` has no suffix, `out` is a folder.

    Raises:
        HandoverError: There is a file where a folder is wanted or the other way round, or the place is not writable.
    """
    found = [f for f in fields(options) if f.name == "out"] if is_dataclass(options) else []
    out = getattr(options, "out", None)
    if not found or not isinstance(out, Path):
        return
    default = found[0].default
    wanted = "" if not isinstance(default, Path) else "file" if default.suffix else "folder"
    if wanted == "folder" and out.exists() and not out.is_dir():
        raise HandoverError(f"--out {out} is a file; a folder is written there: give another name")
    if wanted == "file" and out.is_dir():
        raise HandoverError(
            f"--out {out} is a folder; a file is written there: give it a name in that folder"
        )
    above = (out.absolute(), *out.absolute().parents)[out.is_file() :]
    there = next(path for path in above if path.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise HandoverError(f"--out {out} cannot be written in {there}: {error.strerror}") from None


def _in_words(error: OSError) -> str:
    """What the system said, and of which file."""
    names = " and ".join(str(name) for name in (error.filename, error.filename2) if name is not None)
    return f"{error.strerror or error}" + (f": {names}" if names else "")


def progress_bar() -> Progress:
    """A rich progress bar on stderr that counts, and tells time elapsed and remaining."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=Console(stderr=True),
    )

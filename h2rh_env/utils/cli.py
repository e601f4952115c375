"""What every command line shares: one sentence instead of a traceback, old names of options, and progress bars."""

import os
import sys
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import TypeVar

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
RENAMED = {
    "--collect-starts": "--collect-initial-poses",
    "--dagger-starts": "--dagger-initial-poses",
    "--disturbance": "--corruption",
    "--starts": "--initial-poses",
}  # options that users may have typed, to what they are called now
SPELLINGS = {"--rasterizer": "--rasteriser"}  # both are right
Config = TypeVar("Config")
AS_TYPED = ContextVar("AS_TYPED", default="")  # what usage lines call the command, if not `python ...`


def run(command: Callable[[Config], None], config: type[Config], description: str | None) -> None:
    """Parses `config` from the command line and calls `command` with it.

    A `HandoverError` is printed as one line on stderr with exit status 2; an interrupt exits with 130.
    """
    try:
        arguments = with_new_names(sys.argv[1:])
        command(tyro.cli(config, prog=_as_typed(), description=description, args=arguments))
    except HandoverError as error:
        print(f"error: {error}", file=sys.stderr)
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

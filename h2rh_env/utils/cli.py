"""What every command line shares: one sentence instead of a traceback, old names of options, and progress bars."""

import os
import sys
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import fields
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

    A `HandoverError` is printed as one line on stderr with exit status 2; an interrupt exits with 130.
    """
    try:
        arguments = with_new_names(sys.argv[1:])
        command(
            tyro.cli(config, prog=f"{_as_typed()} {words}".strip(), description=description, args=arguments)
        )
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

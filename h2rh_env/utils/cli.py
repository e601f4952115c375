"""What every command line shares: one sentence instead of a traceback, and progress bars."""

import os
import sys
from collections.abc import Callable
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
Config = TypeVar("Config")


def run(command: Callable[[Config], None], config: type[Config], description: str | None) -> None:
    """Parses `config` from the command line and calls `command` with it.

    A `HandoverError` is printed as one line on stderr with exit status 2; an interrupt exits with 130.
    """
    try:
        command(tyro.cli(config, prog=_as_typed(), description=description))
    except HandoverError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(USER_ERROR)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)


def _as_typed() -> str:
    """The running command as its usage line should show it."""
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

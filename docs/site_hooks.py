"""What the site adds to its pages: the help of each command, as the command itself prints it."""

from __future__ import annotations

import contextlib
import io
import os
import re
import runpy
import shlex
import sys
import warnings
from pathlib import Path
from typing import Any
from unittest import mock

ROOT = Path(__file__).parents[1]
HELP = re.compile(r"^<!-- help: python (.+) -->$", re.MULTILINE)
WIDTH = 96


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Puts a command's help where the page says `<!-- help: python -m MODULE -->`; called by mkdocs."""
    return HELP.sub(lambda found: f"```text\n{help_of(shlex.split(found[1]))}\n```", markdown)


def help_of(arguments: list[str]) -> str:
    """What `python ARGUMENTS --help` prints.

    Args:
        arguments: `-m MODULE` or a file of the repository, then a subcommand if there is one.
    """
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
        run_python([*arguments, "--help"])
    text = "\n".join(line.rstrip() for line in printed.getvalue().strip().splitlines())
    return re.sub(r"\n{3,}", "\n\n", text)


def run_python(arguments: list[str]) -> None:
    """Runs `python ARGUMENTS` in this process, as if it had been started so."""
    is_module = arguments[0] == "-m"
    target, *rest = arguments[1:] if is_module else arguments
    environment = {"COLUMNS": str(WIDTH), "NO_COLOR": "1"}
    with (
        mock.patch.object(sys, "argv", [target, *rest]),
        mock.patch.object(sys, "path", [str(ROOT), *sys.path]),
        mock.patch.dict(os.environ, environment),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore", RuntimeWarning)  # of runpy: the module may have been imported before
        if is_module:
            runpy.run_module(target, run_name="__main__", alter_sys=True)
        else:
            runpy.run_path(str(ROOT / target), run_name="__main__")

"""Arguments: an unknown name is an error that lists the known ones."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable
from typing import Any


def refuse_unknown_options(given: Iterable[str], known: Iterable[str]) -> None:
    """Checks the names of the options of a reset.

    Raises:
        ValueError: an option is not among the known ones.
    """
    _refuse(given, list(known), "reset option {} is unknown", ValueError)


def refuse_unknown_keywords(given: Iterable[str], maker: Callable[..., Any]) -> None:
    """Checks what was left over of a call's keywords.

    Raises:
        TypeError: anything was left over; the message begins as Python's own, by which torchrl learns what it cannot
            pass on, and lists the keywords that `maker` takes.
    """
    parameters = inspect.signature(maker).parameters.values()
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    known = [p.name for p in parameters if p.kind in kinds and p.name != "self"]
    _refuse(given, known, "unexpected keyword argument {}", TypeError)


def _refuse(given: Iterable[str], known: list[str], what: str, error: type[Exception]) -> None:
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(str(name), known, 1)
            guess = f" (did you mean {near[0]!r}?)" if near else ""
            raise error(f"{what.format(repr(name))}{guess}; known are {', '.join(known)}")

"""Plugins: what a user names as "module:Class" on a command line, found when it is used."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from typing import Any

from ..core.errors import HandoverError


def load_plugin(target: str, kind: str, error: type[HandoverError]) -> Callable[..., Any]:
    """Returns the class or function that "module:name" names; modules are also looked for in the working directory.

    Args:
        target: The name as the user typed it.
        kind: What the user names, for the message.
        error: The class of the error to raise.

    Raises:
        HandoverError: There is no such module, or it has nothing of that name; an error of the class `error`.
    """
    module_name, _, attribute = target.partition(":")
    here = os.getcwd()
    added = here not in sys.path
    if added:
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except (ImportError, ValueError) as fault:
        raise error(f"module {module_name!r} of {kind} {target!r} cannot be imported ({fault})") from None
    finally:
        if added:
            sys.path.remove(here)
    if not hasattr(module, attribute):
        raise error(f"module {module_name!r} has no {attribute!r}; it was named in {kind} {target!r}")
    found: Callable[..., Any] = getattr(module, attribute)
    return found


def make_plugin(target: str, kind: str, methods: dict[str, str], error: type[HandoverError]) -> Any:
    """Calls the plugin without arguments and returns what it makes.

    Args:
        target: The name as the user typed it.
        kind: What the user names, for the message.
        methods: The methods that the result must have, and how each is called.
        error: The class of the error to raise.

    Raises:
        HandoverError: The plugin cannot be called so, or its result lacks a method; an error of the class `error`.
    """
    factory = load_plugin(target, kind, error)
    try:
        made = factory()
    except TypeError as fault:
        raise error(f"{target} cannot be made without arguments ({fault})") from None
    missing = [method for method in methods if not callable(getattr(made, method, None))]
    if missing:
        raise error(
            f"{target} is not a {kind}: it lacks {' and '.join(missing)}; "
            f"a {kind} has {' and '.join(methods.values())}"
        )
    return made

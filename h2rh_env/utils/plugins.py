"""Plugins: what a user names as "module:Class" on a command line, found when it is used."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from typing import Any

from ..core.errors import HandoverError


def load_plugin(target: str, kind: str, error: type[HandoverError]) -> Callable[..., Any]:
    """The class or function that "module:name" names; modules are looked for in the working directory too.

    Args:
        kind: what it should be, for the message. error: what is raised.

    Raises:
        HandoverError: of the class `error`: no such module, or nothing of that name in it.
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
    return getattr(module, attribute)


def make_plugin(target: str, kind: str, methods: dict[str, str], error: type[HandoverError]) -> Any:
    """What calling the plugin without arguments gives.

    Args:
        methods: that it must have, and how each is called.

    Raises:
        HandoverError: of the class `error`: it cannot be made so, or lacks a method.
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

"""Reads frozen dataclasses from JSON strictly: every value must be there, and no other, each of its kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from h2rh_env.core.errors import CheckpointError, RenderError

MAX_COUNT = (
    1024  # a file may not ask for more samples or candidates, nor for a camera of more pixels along a side
)
MAX_VALUE = 1e5

Config = TypeVar("Config")


def from_json(kind: type[Config], values: object, name: str) -> Config:
    """Reads a frozen dataclass of numbers, tuples of numbers and other such dataclasses from JSON values.

    Args:
        name: what messages call it.

    Raises:
        CheckpointError: A value is unknown, missing, or not of its kind.
    """
    if not isinstance(values, Mapping):
        raise CheckpointError(f"{name} is {values!r}; it must be an object with {', '.join(_names(kind))}")
    unknown, missing = sorted(values.keys() - _names(kind)), sorted(_names(kind) - values.keys())
    if unknown or missing:
        faults = [f"{what} {', '.join(f'{name}.{key}' for key in keys)}" for what, keys in
                  (("unknown", unknown), ("missing", missing)) if keys]  # fmt: skip
        raise CheckpointError(f"settings do not match this version: {'; '.join(faults)}")
    hints = get_type_hints(kind)
    try:
        return kind(**{key: _value(hints[key], value, f"{name}.{key}") for key, value in values.items()})
    except RenderError as error:
        raise CheckpointError(f"{name} is impossible: {error}") from None


def _names(kind: type[Any]) -> set[str]:
    return {each.name for each in fields(kind)}


def _value(hint: Any, value: object, name: str) -> Any:
    if is_dataclass(hint):
        return from_json(hint, value, name)  # type: ignore[arg-type]
    if get_origin(hint) is tuple:
        return _tuple(get_args(hint), value, name)
    if isinstance(value, int | float) and not isinstance(value, bool):
        if hint is int and isinstance(value, int) and 1 <= value <= MAX_COUNT:
            return value
        if hint is float and abs(value) <= MAX_VALUE:
            return float(value)
    wanted = f"a whole number from 1 to {MAX_COUNT}" if hint is int else f"a number within {MAX_VALUE:.0f}"
    raise CheckpointError(f"{name} is {value!r}; it must be {wanted}")


def _tuple(hints: tuple[Any, ...], value: object, name: str) -> tuple[Any, ...]:
    length = None if hints[-1] is ... else len(hints)
    if (
        not isinstance(value, list | tuple)
        or not 0 < len(value) <= MAX_COUNT
        or length not in {None, len(value)}
    ):
        count = "1 or more" if length is None else str(length)
        raise CheckpointError(f"{name} is {value!r}; it must be a list of {count} numbers")
    return tuple(_value(hints[0], each, f"{name}[{i}]") for i, each in enumerate(value))

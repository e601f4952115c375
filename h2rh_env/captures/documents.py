"""JSON, YAML and text files beside images, from strangers: sizes are checked, and they hold plain values."""

from __future__ import annotations

import json
import reprlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from ..core.errors import CaptureError
from ..utils import files

MAX_YAML_BYTES = 1_000_000
MAX_JSON_BYTES = 50_000_000  # a scene of some thousand images


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """Builds plain values only; what is tagged as a Python tuple, as in DexYCB's calibration, is a list."""


_Loader.add_constructor("tag:yaml.org,2002:python/tuple", yaml.SafeLoader.construct_yaml_seq)


def read_yaml(path: Path, layout: str) -> dict[str, Any]:
    """Reads a YAML file that holds a mapping.

    Args:
        layout: where the layout is described, for the message if the file is missing.

    Raises:
        CaptureError: The file is missing, too large, no YAML, or holds something else.
    """
    return _read(path, layout, "YAML", MAX_YAML_BYTES, lambda text: yaml.load(text, _Loader))


def read_json(path: Path, layout: str) -> dict[str, Any]:
    """Reads a JSON file that holds an object; see `read_yaml`."""
    return _read(path, layout, "JSON", MAX_JSON_BYTES, json.loads)


def read_lines(path: Path, layout: str) -> list[list[str]]:
    """Reads the words of each line of a text file; empty lines and lines that begin with # are left out.

    Raises:
        CaptureError: The file is missing, too large or not UTF-8.
    """
    text = _text(path, layout, "text", MAX_JSON_BYTES)
    lines = (line.split() for line in text.splitlines())
    return [words for words in lines if words and not words[0].startswith("#")]


def inside(folder: Path, name: Any, document: str) -> Path:
    """Returns the path of a file in the folder that a document names; a path that leads out of it is refused."""
    path = folder / name if isinstance(name, str) else None
    if path is None or not path.resolve().is_relative_to(folder.resolve()):
        raise CaptureError(
            f"{folder}/{document} names the file {reprlib.repr(name)}; it must lie in the folder"
        )
    return path


def number_of_frames(meta: dict[str, Any], where: str) -> int:
    """Returns `num_frames` of a sequence's description, at least 1."""
    count = meta.get("num_frames")
    if not (type(count) is int and count > 0):
        raise CaptureError(f"{where}: num_frames is {reprlib.repr(count)}; expected at least 1")
    return count


def frame_number(count: int, frame: int | None, default: int, source: Path) -> int:
    """Returns which frame to take of a sequence of `count`: what the user named, or the default."""
    frame = default if frame is None else frame
    if not 0 <= frame < count:
        raise CaptureError(f"{source} has no frame {frame}; frames are 0 to {count - 1}")
    return frame


def _read(path: Path, layout: str, kind: str, most_bytes: int, parse: Callable[[str], Any]) -> dict[str, Any]:
    text = _text(path, layout, kind, most_bytes)
    try:
        value = parse(text)
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())[:200]
        raise CaptureError(f"{path} cannot be read as {kind} ({reason})") from None
    if not isinstance(value, dict):
        raise CaptureError(f"{path} holds a {type(value).__name__}; expected a mapping")
    return value


def _text(path: Path, layout: str, kind: str, most_bytes: int) -> str:
    try:
        return files.read_text(path, most_bytes)
    except FileNotFoundError:
        raise CaptureError(f"{path} is missing; see {layout} for the layout") from None
    except (OSError, ValueError) as error:
        raise CaptureError(f"{path} cannot be read as {kind} ({error})") from None

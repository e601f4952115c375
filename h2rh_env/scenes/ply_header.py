"""The header of a binary PLY file: its elements, where they lie, and its comments."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from ..core.errors import SceneError
from .gaussians import MAX_GAUSSIANS

MAX_HEADER_BYTES = 65536
SCALAR_TYPES = {
    "char": "i1",
    "uchar": "u1",
    "short": "i2",
    "ushort": "u2",
    "int": "i4",
    "uint": "u4",
    "float": "f4",
    "double": "f8",
    "int8": "i1",
    "uint8": "u1",
    "int16": "i2",
    "uint16": "u2",
    "int32": "i4",
    "uint32": "u4",
    "float32": "f4",
    "float64": "f8",
}
END_OF_LINE = re.compile(rb"\r\n|\n|\r")
END_OF_HEADER = re.compile(rb"[\r\n]end_header[ \t\r]*\n")
BYTE_ORDERS = {"binary_little_endian": "<", "binary_big_endian": ">"}


@dataclass(frozen=True)
class Element:
    """`count` rows of `dtype` from the byte `offset` on."""

    name: str
    offset: int
    count: int
    dtype: np.dtype[np.void]


@dataclass(frozen=True)
class Header:
    """The elements of scalars, in order of the file up to the first list, and the comments."""

    elements: dict[str, Element]
    comments: tuple[str, ...]


def read_header(file: BinaryIO) -> Header:
    """Reads the header from the beginning of a file.

    Raises:
        SceneError: it is not a PLY header, or not one that can be followed.
    """
    head = file.read(MAX_HEADER_BYTES)
    end = END_OF_HEADER.search(head)
    if not head.startswith(b"ply") or end is None:
        raise SceneError("not a PLY file; expected a header from 'ply' to 'end_header'")
    lines = END_OF_LINE.split(head[: end.start()])[1:]  # as bytes: a comment's encoding may hold any other
    listed, comments = _parse([line.decode("latin-1") for line in lines])
    elements: dict[str, Element] = {}
    offset = end.end()
    for name, count, properties in listed:
        if name in elements or len({key for key, _ in properties}) != len(properties):
            raise SceneError(f"element {name!r} or one of its properties is there twice")
        elements[name] = Element(name, offset, count, np.dtype(properties))
        offset += count * elements[name].dtype.itemsize
    return Header(elements, tuple(comments))


def _parse(lines: list[str]) -> tuple[list[tuple[str, int, list[tuple[str, str]]]], list[str]]:
    """Returns name, count and properties of the elements, and the comments."""
    order, in_lists = "", False
    elements: list[tuple[str, int, list[tuple[str, str]]]] = []
    comments = []
    for line in lines:
        match line.split():
            case ["format", form, *_]:
                if form not in BYTE_ORDERS:
                    raise SceneError(f"format {form!r} is not supported; expected binary_little_endian")
                order = BYTE_ORDERS[form]
            case ["comment", *words]:
                comments.append(" ".join(words))
            case ["element", name, count] if count.isdecimal() and len(count) < 19:
                if not in_lists:
                    elements.append((name, int(count), []))
            case ["property", "list", *_] if "vertex" in (name for name, *_ in elements[:-1]) or in_lists:
                # Faces and the like, behind the vertices, are never read, nor what follows them.
                if not in_lists:
                    elements.pop()
                    in_lists = True
            case ["property", kind, name] if kind in SCALAR_TYPES and elements:
                if not in_lists:
                    elements[-1][2].append((name, order + SCALAR_TYPES[kind]))
            case [] | ["obj_info", *_]:
                pass
            case _:
                raise SceneError(f"header line {line[:80]!r} is not understood")
    return elements, comments


def read_rows(file: BinaryIO, element: Element) -> npt.NDArray[np.void]:
    """Reads an element's rows; the file's size is checked before memory is taken.

    Raises:
        SceneError: the file is too short for what its header promises, or promises too much.
    """
    available = max(os.fstat(file.fileno()).st_size - element.offset, 0)
    needed = element.count * element.dtype.itemsize
    if element.count > MAX_GAUSSIANS:
        raise SceneError(f"{element.count} rows of {element.name!r}; at most {MAX_GAUSSIANS} are supported")
    if needed > available:
        raise SceneError(
            f"{element.count} rows of {element.name!r} of {element.dtype.itemsize} bytes need {needed} "
            f"bytes, but only {available} follow; the file is truncated"
        )
    file.seek(element.offset)
    return np.frombuffer(file.read(needed), element.dtype, element.count)

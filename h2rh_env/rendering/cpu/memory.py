"""Reuses memory for arrays: what nobody holds any more is cleared, where it was written, and handed out again.

Fresh memory is mapped page by page as it is touched, and clearing all of it when only an object's silhouette was
drawn is as bad: for the eight planes of a 640x480 image either takes up to a third of the time of drawing them.
"""

from __future__ import annotations

import ctypes
import weakref
from dataclasses import dataclass
from types import EllipsisType
from typing import Any

import numpy as np
import numpy.typing as npt

KEPT_BYTES = 64_000_000

Part = tuple[slice | EllipsisType, ...]


@dataclass
class _Memory:
    """An array, and the part of it that may not be zero."""

    array: npt.NDArray[Any]
    written: Part


_free: dict[tuple[tuple[int, ...], np.dtype[Any]], list[_Memory]] = {}


def zeros(shape: tuple[int, ...], dtype: type, written: Part = (...,)) -> npt.NDArray[Any]:
    """Returns zeros, of which the caller will write no more than `written`; all by default."""
    return _lent(shape, dtype, written, clear=True)


def empty(shape: tuple[int, ...], dtype: type) -> npt.NDArray[Any]:
    """Returns an array of unspecified content, all of which the caller may write."""
    return _lent(shape, dtype, (...,), clear=False)


def _lent(shape: tuple[int, ...], dtype: type, written: Part, clear: bool) -> npt.NDArray[Any]:
    size = int(np.prod(shape))
    if size == 0:
        return np.zeros(shape, dtype)
    free = _free.setdefault((shape, np.dtype(dtype)), [])
    try:
        memory = free.pop()
        if clear:
            memory.array[memory.written] = 0
        memory.written = written
    except IndexError:
        memory = _Memory(np.zeros(shape, dtype), written)
    # A view of an array would hold the array itself; with a ctypes array between them, the end of the last view of
    # what the caller gets can be distinguished.
    holder: Any = (ctypes.c_char * memory.array.nbytes).from_buffer(memory.array.data)
    weakref.finalize(holder, _give_back, free, memory).atexit = False
    return np.frombuffer(holder, dtype, size).reshape(shape)


def _give_back(free: list[_Memory], memory: _Memory) -> None:
    if (len(free) + 1) * memory.array.nbytes <= KEPT_BYTES:
        free.append(memory)

"""Arrays in `.npz` and `.npy` files: headers are checked before anything is unpacked, and nothing is unpickled."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from ..core.errors import CaptureError

_FAULTS = (OSError, ValueError, EOFError, NotImplementedError, RuntimeError, zipfile.BadZipFile, zlib.error)


def read_npz(path: Path, key: str, shape: tuple[int, ...], kind: str) -> npt.NDArray[Any]:
    """Reads one array of an `.npz` file.

    Args:
        kind: the dtype that it must have, such as "uint8".

    Raises:
        CaptureError: The file or the array is missing, malformed, or of another shape or dtype.
    """
    with _readable(path):
        try:
            with zipfile.ZipFile(path) as archive, archive.open(f"{key}.npy") as member:
                met, dtype = _header(member)  # type: ignore[arg-type]
        except KeyError:
            raise CaptureError(
                f"{path} has no array {key!r}; expected the labels of the dataset's authors"
            ) from None
        if met != shape or dtype != np.dtype(kind):
            raise CaptureError(f"{path}: {key} is {dtype} {met}; expected {kind} {shape}")
        with np.load(path, allow_pickle=False) as archive:
            return np.asarray(archive[key])


def read_npy(path: Path, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """Reads an `.npy` file of real numbers.

    Raises:
        CaptureError: The file is missing, malformed, or of another shape or kind of values.
    """
    with _readable(path):
        with path.open("rb") as file:
            met, dtype = _header(file)
        if met != shape or dtype.kind not in "fiu":
            raise CaptureError(f"{path} is {dtype} {met}; expected numbers of shape {shape}")
        return np.asarray(np.load(path, allow_pickle=False))


def _header(file: BinaryIO) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    return shape, dtype


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise CaptureError(f"{path} is missing; every camera needs its images and labels") from None
    except _FAULTS as error:
        raise CaptureError(f"{path} cannot be read ({error}); copy it again") from None

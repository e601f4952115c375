"""Image files of captures: a stranger's file has its format, mode and size checked before it is decoded."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from ..core.camera import MAX_SIDE_PX
from ..core.errors import CaptureError

COLOUR = frozenset({"RGB"})
DEPTH = frozenset({"I;16", "I;16B", "I"})  # 16-bit grey PNG; which of the three depends on Pillow's version
GREY = frozenset({"L", "P", "1"})
_FAULTS = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)


def read_rgb(path: Path, width: int, height: int) -> npt.NDArray[np.uint8]:
    """An 8-bit colour JPEG or PNG, (H, W, 3)."""
    return np.asarray(_read(path, width, height, COLOUR, "8-bit RGB"), np.uint8)


def read_depth_counts(path: Path, width: int, height: int) -> npt.NDArray[np.uint16]:
    """A 16-bit grey PNG, (H, W), in the file's own unit."""
    counts = np.asarray(_read(path, width, height, DEPTH, "16-bit grey"), np.int64)
    return counts.astype(np.uint16)


def read_mask(path: Path, width: int, height: int) -> npt.NDArray[np.uint8]:
    """An 8-bit grey or palette PNG, (H, W): its stored values, palettes not applied."""
    return np.asarray(_read(path, width, height, GREY, "8-bit grey"), np.uint8)


def image_size(path: Path) -> tuple[int, int]:
    """Width and height, px, from the header."""
    with _opened(path) as image:
        if max(image.size) > MAX_SIDE_PX:
            raise CaptureError(
                f"{path} is {image.size[0]}x{image.size[1]} px; at most {MAX_SIDE_PX} a side are supported"
            )
        return image.size


def _read(path: Path, width: int, height: int, modes: frozenset[str], kind: str) -> npt.NDArray[np.generic]:
    with _opened(path) as image:
        if image.size != (width, height):
            raise CaptureError(
                f"{path} is {image.size[0]}x{image.size[1]} px; the camera takes {width}x{height}"
            )
        if image.mode not in modes:
            raise CaptureError(f"{path} has pixels of mode {image.mode!r}; expected an {kind} image")
        return np.array(image)


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """An image of which only the header is read yet."""
    try:
        with Image.open(path, formats=("JPEG", "PNG")) as image:
            yield image
    except FileNotFoundError:
        raise CaptureError(
            f"{path} is missing; every camera needs a colour, a depth and a label image"
        ) from None
    except _FAULTS as error:
        raise CaptureError(f"{path} cannot be read as an image ({error}); copy or record it again") from None

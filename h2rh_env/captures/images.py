"""Image files of captures: a stranger's file has its format, mode and size checked before it is decoded."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from ..core.camera import MAX_SIDE_PX
from ..core.errors import CaptureError

COLOUR = frozenset({"RGB"})
DEPTH = frozenset({"I;16", "I;16B", "I"})  # 16-bit grey PNG; which of the three depends on Pillow's version
GREY = frozenset({"L", "P", "1"})
SATURATED = np.iinfo(np.uint16).max
_FAULTS = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)


def read_rgb(path: Path, size: tuple[int, int] | None = None) -> npt.NDArray[np.uint8]:
    """Reads an 8-bit colour JPEG or PNG, (H, W, 3), turned upright as its EXIF orientation says.

    Args:
        size: width and height, px, that the upright image must have; any size if None.
    """
    return np.asarray(_read(path, size, COLOUR, "8-bit RGB"), np.uint8)


def read_depth_counts(path: Path, size: tuple[int, int]) -> npt.NDArray[np.uint16]:
    """Reads a 16-bit grey PNG, (H, W), in the file's own unit; 0 where nothing was measured.

    Some cameras write 65535, the largest count, for pixels that they did not measure; it becomes 0.
    """
    counts = np.asarray(_read(path, size, DEPTH, "16-bit grey"), np.int64)
    return np.where(counts < SATURATED, counts, 0).astype(np.uint16)


def read_mask(path: Path, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Reads an 8-bit grey or palette PNG, (H, W): its stored values, palettes not applied."""
    return np.asarray(_read(path, size, GREY, "8-bit grey"), np.uint8)


def _read(
    path: Path, size: tuple[int, int] | None, modes: frozenset[str], kind: str
) -> npt.NDArray[np.generic]:
    with _opened(path) as image:
        if max(image.size) > MAX_SIDE_PX:
            raise CaptureError(f"{path} is {_px(image.size)}; at most {MAX_SIDE_PX} a side are supported")
        if size and set(image.size) != set(size):  # which side is which is known once it stands upright
            raise CaptureError(f"{path} is {_px(image.size)}; the camera takes {_px(size)}")
        if image.mode not in modes:
            raise CaptureError(f"{path} has pixels of mode {image.mode!r}; expected an {kind} image")
        upright = ImageOps.exif_transpose(image)
        if size and upright.size != size:
            raise CaptureError(f"{path} is {_px(upright.size)}; the camera takes {_px(size)}")
        return np.array(upright)


def _px(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]} px"


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """Opens an image; only its header has been read until its pixels are asked for."""
    try:
        with Image.open(path, formats=("JPEG", "PNG")) as image:
            yield image
    except FileNotFoundError:
        raise CaptureError(
            f"{path} is missing; every camera needs a colour, a depth and a label image"
        ) from None
    except _FAULTS as error:
        raise CaptureError(f"{path} cannot be read as an image ({error}); copy or record it again") from None

"""Image files of captures: a stranger's file has its format, mode and size checked before it is decoded."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps
from scipy.ndimage import map_coordinates

from ..core.camera import MAX_SIDE_PX
from ..core.errors import CaptureError
from ..core.labels import Label

COLOUR = frozenset({"RGB"})
DEPTH = frozenset({"I;16", "I;16B", "I"})  # 16-bit grey PNG; which of the three depends on Pillow's version
GREY = frozenset({"L", "P", "1"})
MIN_FAR_PLANE, MAX_FAR_PLANE = 0.02, 0.9  # share of the measured pixels; where all are one, the check says so
MIN_FAR_PLANE_PX = 200
SATURATED = np.iinfo(np.uint16).max
_FAULTS = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)


def read_rgb(path: Path, size: tuple[int, int] | None = None) -> npt.NDArray[np.uint8]:
    """Reads an 8-bit colour JPEG or PNG, (H, W, 3), turned upright as its EXIF orientation says.

    Args:
        size: width and height, px, that the upright image must have; any size if None.
    """
    return np.asarray(_read(path, size, COLOUR, "8-bit RGB"), np.uint8)


def read_grey(path: Path, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Reads an 8-bit image as grey, (H, W): one of grey values, or one of colours by their luminance."""
    image = _read(path, size, COLOUR | {"L"}, "8-bit grey or RGB")
    return np.asarray(Image.fromarray(image).convert("L"), np.uint8)


def read_depth_counts(path: Path, size: tuple[int, int]) -> npt.NDArray[np.uint16]:
    """Reads a 16-bit grey PNG, (H, W), in the file's own unit; 0 where nothing was measured.

    Some cameras and simulators write 65535, the largest count, or a far plane for pixels that they did not measure;
    these become 0. A far plane is one count on many pixels, beyond all others.
    """
    counts = np.asarray(_read(path, size, DEPTH, "16-bit grey"), np.int64)
    counts = np.where(counts < SATURATED, counts, 0)
    return np.where(counts == _far_plane(counts), 0, counts).astype(np.uint16)


def _far_plane(counts: npt.NDArray[np.int64]) -> int:
    """Returns the count that stands for a far plane; -1 if there is none."""
    largest, measured = int(counts.max(initial=0)), counts > 0
    if (counts == largest).sum() < MIN_FAR_PLANE_PX or not largest:
        return -1
    at_largest = (counts == largest).sum() / measured.sum()
    near_largest = ((counts < largest) & (counts > 0.98 * largest)).sum() / measured.sum()
    is_plane = MIN_FAR_PLANE < at_largest < MAX_FAR_PLANE and near_largest < at_largest / 20
    return largest if is_plane else -1


def read_mask(path: Path, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Reads an 8-bit grey or palette PNG, (H, W): its stored values, palettes not applied."""
    with _opened(path) as image:
        if image.format == "JPEG":
            raise CaptureError(f"{path} is a JPEG, which blurs the values of a mask; save masks as PNG")
    return np.asarray(_read(path, size, GREY, "8-bit grey"), np.uint8)


def read_labels(path: Path, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Reads a mask whose stored values are those of `Label`, (H, W)."""
    if not path.is_file():
        raise CaptureError(
            f"{path} is missing; make this mask: 0 background, 1 object, 2 hand, 8-bit grey PNG"
        )
    labels = read_mask(path, size)
    if labels.max() > max(Label):
        raise CaptureError(f"{path} holds {labels.max()}; expected 0 background, 1 object, 2 hand")
    return labels


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


def undistorted(
    image: npt.NDArray[np.generic],
    k: npt.NDArray[np.float64],
    coefficients: npt.NDArray[np.float64],
    smooth: bool,
) -> npt.NDArray[np.generic]:
    """Resamples an image (H, W[, 3]) as a camera without distortion of the same K would have taken it.

    Args:
        image: what the distorting lens gave; depth and masks aligned to colour are distorted like it.
        k: (3, 3) OpenCV's K, counted from the centre of the first pixel.
        coefficients: (4,), (5,) or (8,): OpenCV's k1, k2, p1, p2, k3, k4, k5, k6.
        smooth: whether values between pixels are interpolated; depth and labels may not be.
    """
    k1, k2, p1, p2, k3, k4, k5, k6 = np.pad(coefficients, (0, 8 - len(coefficients)))
    height, width = image.shape[:2]
    x = (np.arange(width)[None, :] - k[0, 2]) / k[0, 0]
    y = (np.arange(height)[:, None] - k[1, 2]) / k[1, 1]
    r2 = x**2 + y**2
    radial = (1 + r2 * (k1 + r2 * (k2 + r2 * k3))) / (1 + r2 * (k4 + r2 * (k5 + r2 * k6)))
    columns = (x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x**2)) * k[0, 0] + k[0, 2]
    rows = (y * radial + p1 * (r2 + 2 * y**2) + 2 * p2 * x * y) * k[1, 1] + k[1, 2]
    return resampled(image, rows, columns, smooth)


def resampled(
    image: npt.NDArray[np.generic],
    rows: npt.NDArray[np.float64],
    columns: npt.NDArray[np.float64],
    smooth: bool,
) -> npt.NDArray[np.generic]:
    """Looks an image (H, W[, 3]) up at rows and columns (h, w), counted from the first pixel's centre.

    Returns:
        (h, w[, 3]) of the image's kind; 0 where that is outside.
    """
    channels = np.atleast_3d(image)
    looked_up = [
        map_coordinates(channels[..., c], [rows, columns], order=int(smooth), mode="constant")
        for c in range(channels.shape[2])
    ]
    return np.stack(looked_up, axis=-1).reshape(*rows.shape, *image.shape[2:])

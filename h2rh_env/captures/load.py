"""Reads any capture on disk by recognising its layout."""

from pathlib import Path

from ..core.errors import CaptureError
from .base import HandoverCapture
from .dexycb import load_dexycb
from .folder import load_folder


def load_capture(path: Path | str, frame: int | None = None) -> HandoverCapture:
    """Reads a DexYCB session (`meta.yml`) or a plain RGB-D folder (`cameras.json`).

    Args:
        path: the folder of the capture.
        frame: the frame of a DexYCB session, from 0; None means the last.

    Raises:
        CaptureError: There is no capture, or it is malformed.
    """
    path = Path(path)
    if (path / "meta.yml").is_file():
        return load_dexycb(path, frame)
    if (path / "cameras.json").is_file():
        return load_folder(path)
    layouts = "a DexYCB session has meta.yml, a plain RGB-D folder cameras.json"
    if not path.is_dir():
        raise CaptureError(f"there is no folder {path}; {layouts}")
    raise CaptureError(f"{path} holds no capture: {layouts}")

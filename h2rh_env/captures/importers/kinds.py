"""The kinds of sources that can be imported: how each is recognised and read, and which options it has."""

from __future__ import annotations

import inspect
from pathlib import Path
from types import ModuleType

from ...core.errors import CaptureError
from . import bop, frames, ho_cap, nerfstudio, realsense, tum

KINDS: dict[str, ModuleType] = {
    "nerfstudio": nerfstudio,
    "bop": bop,
    "ho-cap": ho_cap,
    "tum": tum,
    "frames": frames,
    "realsense": realsense,
}  # each has recognises(source) and load(source, ...) -> Imported
LOOKED_FOR = (
    "transforms.json (nerfstudio), scene_camera.json (bop), meta.yaml (ho-cap), rgb.txt, depth.txt and "
    "groundtruth.txt (tum), frame-*.pose.txt (frames), or .bag and .db3 files (realsense)"
)


def recognise(source: Path) -> str:
    """Returns the kind of a source.

    Raises:
        CaptureError: There is no such file or folder, or it is none of the kinds.
    """
    if not source.exists():
        raise CaptureError(f"there is no {source}; a source is a folder or file with {LOOKED_FOR}")
    for kind, module in KINDS.items():
        if module.recognises(source):
            return kind
    raise CaptureError(f"{source} is no source that can be imported: it lacks {LOOKED_FOR}")


def options_of(kind: str) -> set[str]:
    """Returns the names of the options that a kind has."""
    return set(inspect.signature(KINDS[kind].load).parameters) - {"source"}

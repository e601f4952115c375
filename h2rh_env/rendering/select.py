"""A backend's name to a rasteriser."""

from __future__ import annotations

import importlib.util

from ..errors import RenderError
from .base import Rasteriser

NAMES = ("auto", "numba", "reference", "gsplat")


def make_rasteriser(name: str = "auto", threads: int | None = None) -> Rasteriser:
    """`auto` is gsplat where a CUDA device and gsplat are there, else numba.

    Args:
        threads: of the numba backend; all cores by default.

    Raises:
        RenderError: an unknown name, or gsplat without a GPU or without its package.
    """
    if name not in NAMES:
        raise RenderError(f"rasteriser {name!r} is unknown; expected one of {', '.join(NAMES)}")
    if name == "gsplat" or (name == "auto" and not why_no_gsplat()):
        if reason := why_no_gsplat():
            raise RenderError(f"rasteriser 'gsplat' needs an NVIDIA GPU, and {reason}; use 'numba' on a CPU")
        from .gsplat_cuda import GsplatRasteriser

        return GsplatRasteriser()
    if name == "reference":
        from .reference import ReferenceRasteriser

        return ReferenceRasteriser()
    from .numba_cpu import NumbaRasteriser

    return NumbaRasteriser(threads)


def why_no_gsplat() -> str:
    """Empty if gsplat can be used. Torch is imported only if gsplat is installed: it is slow to load."""
    if importlib.util.find_spec("gsplat") is None:
        return 'gsplat is not installed (pip install -e ".[cuda]")'
    import torch

    return "" if torch.cuda.is_available() else "torch finds no CUDA device"

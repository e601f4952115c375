"""Makes the rasteriser of a backend by its name."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..core.errors import RenderError, install_line
from .base import Rasteriser

if TYPE_CHECKING:
    from .gradients.render import RenderedTensors

NAMES = ("auto", "numba", "reference", "gsplat")
TRAINING_NAMES = ("auto", "numba", "gsplat")


def make_rasteriser(name: str = "auto", threads: int | None = None) -> Rasteriser:
    """Makes a rasteriser; `auto` is gsplat where a CUDA device and gsplat are there, else numba.

    Args:
        name: one of `NAMES`.
        threads: number of threads of the numba backend; all cores by default.

    Raises:
        RenderError: an unknown name, or gsplat without a GPU or without its package.
    """
    if _takes_gsplat(name, NAMES):
        from .gsplat_cuda import GsplatRasteriser

        return GsplatRasteriser()
    if name == "reference":
        from .reference import ReferenceRasteriser

        return ReferenceRasteriser()
    from .cpu.rasteriser import NumbaRasteriser

    return NumbaRasteriser(threads)


make_rasterizer = make_rasteriser  # the American spelling


def make_renderer(name: str = "auto") -> Callable[..., RenderedTensors]:
    """Returns the `render_gaussians` of a backend, chosen as in `make_rasteriser`; the reference has none.

    Raises:
        RenderError: an unknown name, or gsplat without a GPU or without its package.
    """
    if _takes_gsplat(name, TRAINING_NAMES):
        from . import gsplat_cuda

        return gsplat_cuda.render_gaussians
    from .gradients import render as differentiable

    return differentiable.render_gaussians


def _takes_gsplat(name: str, known: tuple[str, ...]) -> bool:
    if name not in known:
        raise RenderError(f"rasteriser {name!r} is unknown; expected one of {', '.join(known)}")
    if name not in ("auto", "gsplat"):
        return False
    reason = why_no_gsplat()
    if name == "gsplat" and reason:
        raise RenderError(f"rasteriser 'gsplat' needs an NVIDIA GPU, and {reason}; use 'numba' on a CPU")
    return not reason


def why_no_gsplat() -> str:
    """Returns why gsplat cannot be used; empty if it can. Torch is slow to load, so gsplat is looked for first."""
    if importlib.util.find_spec("gsplat") is None:
        return f"gsplat is not installed ({install_line('cuda')})"
    import torch

    return "" if torch.cuda.is_available() else "torch finds no CUDA device"

"""OptimiseConfig: what is optimised, and the named methods."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..core.errors import SceneError

VOXEL_M = 0.002  # spacing of Gaussians that stay as depth put them
OPTIMISED_VOXEL_M = 0.0012  # and of those that will learn from images


@dataclass(frozen=True)
class OptimiseConfig:
    """Weights are relative to the photometric loss, a mean over all pixels and channels of the crop."""

    steps: int = 800
    """Steps of Adam, one view each; 0 leaves the first Gaussians as they are."""
    seed: int = 0
    """Of the order of views, the backgrounds and the pseudo views."""
    max_gaussians: int = 30_000
    """Upper bound, which growth respects."""
    sh_degree: int = 0
    """Degree of the view-dependent colour."""
    mask_weight: float = 0.5
    """Of the absolute difference between the weights of object and of hand and their masks."""
    depth_weight: float = 5.0
    """Of the absolute difference from measured depth, 1/m."""
    rim_px: int = 1
    """Width of the rim outside silhouettes where colours are free: soft edges then do not darken what is inside."""
    coarse_every: int = 4
    """Every so many steps, one sees its view at half the resolution, where silhouettes cover pixels in part: what is
    right at one size only is too wide, seen from afar. 0 for never."""
    random_background: bool = False
    """A new background colour at every step, so that what shows through must be transparent, else black."""
    pose: bool = False
    """Learn small motions of the cameras; for extrinsics that are off by millimetres."""
    unpool_every: int = 0
    """Steps between growths by proximity (FSGS); 0 for never."""
    pearson_weight: float = 0.0
    """Of one minus the correlation of rendered and measured depth (FSGS)."""
    pseudo_weight: float = 0.0
    """Of one minus the correlation of depth in views between the cameras with that of the first surface (FSGS)."""

    renderer: Literal["auto", "numba", "gsplat"] = "auto"
    """What draws: gsplat on a GPU, or numba on the CPU; auto is gsplat where it can be used."""

    def __post_init__(self) -> None:
        if self.steps < 0:
            raise SceneError(f"steps is {self.steps}; it must be at least 0")
        if self.coarse_every < 0:
            raise SceneError(f"coarse_every is {self.coarse_every}; it must be at least 0, which is never")
        if self.sh_degree not in range(4):
            raise SceneError(f"sh_degree is {self.sh_degree}; it must be 0 to 3")


METHODS = {
    "metric": OptimiseConfig(),
    # Kerbl et al. 2023: images alone, on black.
    "3dgs": OptimiseConfig(
        sh_degree=3, mask_weight=0, depth_weight=0, rim_px=0, coarse_every=0
    ),
    # Zhu et al. 2024, the paper's choice; measured depth stands in for their monocular estimate.
    "fsgs": OptimiseConfig(
        sh_degree=3, mask_weight=0, depth_weight=0, rim_px=0, coarse_every=0,
        unpool_every=100, pearson_weight=0.05, pseudo_weight=0.05,
    ),
}  # fmt: skip

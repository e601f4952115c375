"""OptimiseConfig: what is optimised, and the named methods."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ...core.errors import SceneError

OPTIMISED_VOXEL_M = 0.0012  # spacing of Gaussians that will learn from images


@dataclass(frozen=True)
class OptimiseConfig:
    """What is optimised and how; weights are relative to the photometric loss, a mean over the crop's pixels."""

    steps: int = 800
    """Number of steps of Adam, one view each; 0 leaves the first Gaussians as they are."""
    seed: int = 0
    """Seed of the order of views, the backgrounds and the pseudo views."""
    max_gaussians: int = 30_000
    """Upper bound on the number of Gaussians, which growth respects."""
    sh_degree: int = 0
    """Degree of the view-dependent colour that each Gaussian learns alone."""
    shared_degree: int = 2
    """Upper bound on the degree of the view-dependent colour that all Gaussians of a label share at first; cameras
    that are left out decide."""
    even_exposure: bool = True
    """Whether the gains of the cameras' colour channels, where they see the same surface, are taken out."""
    mask_weight: float = 0.5
    """Weight of the absolute difference between the rendered labels of object and hand and their masks."""
    depth_weight: float = 5.0
    """Weight of the absolute difference from measured depth, 1/m."""
    rim_px: int = 1
    """Width, px, of the rim outside silhouettes where colours are free: soft edges then do not darken the inside."""
    coarse_every: int = 4
    """Every so many steps, a step sees its view at half the resolution, where silhouettes cover pixels in part. What
    is right at one size only is too wide when seen from afar. 0 means never."""
    random_background: bool = False
    """Whether each step has a new background colour, so that only the transparent shows it; else it is black."""
    pose: bool = False
    """Whether small motions of the cameras are learnt; for extrinsics that are off by millimetres."""
    unpool_every: int = 0
    """Number of steps between growths by proximity (FSGS); 0 means never."""
    pearson_weight: float = 0.0
    """Weight of one minus the correlation of rendered and measured depth (FSGS)."""
    pseudo_weight: float = 0.0
    """Weight of one minus the correlation of depth with the first surface's, in views between cameras (FSGS)."""

    renderer: Literal["auto", "numba", "gsplat"] = "auto"
    """The renderer: gsplat on a GPU, or numba on the CPU; auto is gsplat where it can be used."""

    def __post_init__(self) -> None:
        if self.steps < 0:
            raise SceneError(f"steps is {self.steps}; it must be at least 0")
        if self.coarse_every < 0:
            raise SceneError(f"coarse_every is {self.coarse_every}; it must be at least 0, which is never")
        for name in ("sh_degree", "shared_degree"):
            if getattr(self, name) not in range(4):
                raise SceneError(f"{name} is {getattr(self, name)}; it must be 0 to 3")


METHODS = {
    "metric": OptimiseConfig(),
    # Kerbl et al. 2023: images alone, on black.
    "3dgs": OptimiseConfig(
        sh_degree=3, shared_degree=0, even_exposure=False, mask_weight=0, depth_weight=0, rim_px=0, coarse_every=0,
    ),
    # Zhu et al. 2024, the paper's choice; measured depth stands in for their monocular estimate.
    "fsgs": OptimiseConfig(
        sh_degree=3, shared_degree=0, even_exposure=False, mask_weight=0, depth_weight=0, rim_px=0, coarse_every=0,
        unpool_every=100, pearson_weight=0.05, pseudo_weight=0.05,
    ),
}  # fmt: skip

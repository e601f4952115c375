"""GaussianScene: what can be rendered. Values are raw (log scales, logits), as in the 3DGS PLY."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..core.errors import SceneError

Float = npt.NDArray[np.float32]

MAX_GAUSSIANS = 20_000_000
SH_COUNTS = {1: 0, 4: 1, 9: 2, 16: 3}  # coefficients per channel -> degree
SH_C0 = 0.28209479177387814


@dataclass(frozen=True, eq=False)
class GaussianScene:
    """N Gaussians in the scene's frame.

    Attributes:
        means: (N, 3) float32, m.
        wxyz: (N, 4) float32 quaternions, of any length; a zero quaternion means no rotation.
        log_scales: (N, 3) float32, log of standard deviations in m.
        opacity_logits: (N,) float32.
        sh: (N, K, 3) float32 spherical harmonics, K = 1, 4, 9 or 16; rgb = max(0, 0.5 + SH_C0 * sh[:, 0] + ...).
        labels: (N,) uint8, `core.labels.Label`.
        antialiased: opacity is compensated for the 0.3 px dilation (mip-splatting), else classic 3DGS.

    Raises:
        SceneError: A shape is wrong, or a value is not finite.
    """

    means: Float
    wxyz: Float
    log_scales: Float
    opacity_logits: Float
    sh: Float
    labels: npt.NDArray[np.uint8]
    antialiased: bool = False

    def __post_init__(self) -> None:
        n = len(self.means)
        if n > MAX_GAUSSIANS:
            raise SceneError(f"{n} Gaussians; at most {MAX_GAUSSIANS} are supported")
        coefficients = self.sh.shape[1] if self.sh.ndim == 3 else -1
        if coefficients not in SH_COUNTS:
            raise SceneError(f"sh has shape {self.sh.shape}; expected ({n}, 1 | 4 | 9 | 16, 3)")
        expected = {
            "means": (n, 3),
            "wxyz": (n, 4),
            "log_scales": (n, 3),
            "opacity_logits": (n,),
            "sh": (n, coefficients, 3),
            "labels": (n,),
        }
        for name, shape in expected.items():
            value = getattr(self, name)
            if value.shape != shape:
                raise SceneError(f"{name} has shape {value.shape}; expected {shape}")
            dtype = np.uint8 if name == "labels" else np.float32
            array = np.ascontiguousarray(value, dtype)
            if array is value:
                array = array.view()
            if dtype is np.float32 and not np.isfinite(array).all():
                raise SceneError(
                    f"{name} of {int((~np.isfinite(array)).any(axis=tuple(range(1, array.ndim))).sum())}"
                    " Gaussians is not finite; drop or repair them"
                )
            array.flags.writeable = False
            object.__setattr__(self, name, array)

    def __len__(self) -> int:
        return len(self.means)

    @property
    def sh_degree(self) -> int:
        return SH_COUNTS[self.sh.shape[1]]

    @property
    def opacities(self) -> Float:
        """The opacities (N,), in (0, 1)."""
        return (1 / (1 + np.exp(-self.opacity_logits.astype(np.float64)))).astype(np.float32)

    def select(self, keep: npt.NDArray[np.bool_] | npt.NDArray[np.integer]) -> GaussianScene:
        """Returns the Gaussians that a mask (N,) or an index picks."""
        return GaussianScene(
            self.means[keep],
            self.wxyz[keep],
            self.log_scales[keep],
            self.opacity_logits[keep],
            self.sh[keep],
            self.labels[keep],
            self.antialiased,
        )

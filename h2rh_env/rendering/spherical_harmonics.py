"""Real spherical harmonics up to degree 3, with the signs and order of 3DGS; works on numpy arrays and tensors."""

from __future__ import annotations

from typing import Any

from ..scenes.gaussians import SH_C0

SH_C1 = 0.4886025119029199
SH_C2 = (
    1.0925484305920792,
    -1.0925484305920792,
    0.31539156525252005,
    -1.0925484305920792,
    0.5462742152960396,
)
SH_C3 = (
    -0.5900435899266435,
    2.890611442640554,
    -0.4570457994644658,
    0.3731763325901154,
    -0.4570457994644658,
    1.445305721320277,
    -0.5900435899266435,
)


def sh_basis(degree: int, x: Any, y: Any, z: Any) -> list[Any]:
    """Returns the (degree + 1)^2 basis values at unit directions, each shaped like x; the first is a constant."""
    basis: list[Any] = [SH_C0 + 0 * x]
    if degree >= 1:
        basis += [-SH_C1 * y, SH_C1 * z, -SH_C1 * x]
    if degree >= 2:
        basis += [
            SH_C2[0] * x * y,
            SH_C2[1] * y * z,
            SH_C2[2] * (2 * z * z - x * x - y * y),
            SH_C2[3] * x * z,
            SH_C2[4] * (x * x - y * y),
        ]
    if degree >= 3:
        basis += [
            SH_C3[0] * y * (3 * x * x - y * y),
            SH_C3[1] * x * y * z,
            SH_C3[2] * y * (4 * z * z - x * x - y * y),
            SH_C3[3] * z * (2 * z * z - 3 * x * x - 3 * y * y),
            SH_C3[4] * x * (4 * z * z - x * x - y * y),
            SH_C3[5] * z * (x * x - y * y),
            SH_C3[6] * x * (x * x - 3 * y * y),
        ]
    return basis

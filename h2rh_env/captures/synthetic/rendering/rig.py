"""Eight RGB-D cameras around a table, after DexYCB's rig: the world's z = 0 is the table, z up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ....core.camera import PinholeCamera
from ....core.geometry import SE3, look_at

Array = npt.NDArray[np.float64]

SERIALS = (
    "836212060125",
    "839512060362",
    "840412060917",
    "841412060263",
    "932122060857",
    "932122060861",
    "932122061900",
    "932122062010",
)
POSITIONS_M = np.array([
    [0.63, -0.48, 0.50], [1.12, -0.15, 0.72], [1.40, 0.30, 0.48], [1.00, 0.68, 0.74],
    [0.20, 0.68, 0.71], [-0.06, 0.29, 0.47], [0.18, -0.16, 0.82], [0.61, 0.10, 1.09],
])  # fmt: skip
CENTRE_M = np.array([0.60, 0.28, 0.22])
WIDTH, HEIGHT = 640, 480


@dataclass(frozen=True, eq=False)
class RigCamera:
    """A camera, where it is, and how it errs.

    Attributes:
        name: the serial number.
        depth_scale: the ratio of measured to true depth.
        gain: (3,), the gains of its colour channels.
    """

    name: str
    camera: PinholeCamera
    world_from_camera: SE3
    depth_scale: float
    gain: Array


def make_rig(rng: np.random.Generator, target_world: Array) -> list[RigCamera]:
    """Makes a jittered rig that looks at the workspace, and a little at the target (3,), m."""
    cameras = []
    for serial, position in zip(SERIALS, POSITIONS_M, strict=True):
        eye = position + rng.normal(0, [0.04, 0.04, 0.03])
        aim = 0.5 * (CENTRE_M + target_world) + rng.normal(0, 0.04, 3)
        camera = _intrinsics(serial)
        rolled = look_at(eye, aim) @ SE3(_roll(rng.normal(0, 0.03)), np.zeros(3))
        gain = np.exp(rng.normal(0, 0.03) + rng.normal(0, 0.015, 3))
        cameras.append(RigCamera(serial, camera, rolled, 1 + rng.normal(0, 0.003), gain))
    return cameras


def _intrinsics(serial: str) -> PinholeCamera:
    """Returns each camera's own intrinsics, the same in every rig, near those that RealSense factories write."""
    rng = np.random.default_rng(int(serial))
    focal = rng.normal(613, 3)
    return PinholeCamera(
        WIDTH, HEIGHT, focal, focal * rng.normal(1, 5e-4), rng.normal(317, 5), rng.normal(243, 4)
    )


def _roll(angle: float) -> Array:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])

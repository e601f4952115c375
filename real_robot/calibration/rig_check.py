"""Says which camera of a rig is wrong: whose lens the corners contradict, or who does not agree with the others.

A wrong focal length hardly shows in the residuals, since a camera that stands farther away sees almost the same. So
the lenses are fitted too: what the corners say of them, and how surely, is compared with what was given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares

from h2rh_env.core.camera import PinholeCamera
from h2rh_env.core.errors import RobotError
from h2rh_env.core.geometry import SE3, Array

from .rig import OUTLIER_PX, RigFit, fit_rig
from .rig_corners import RigCorners, Shot, numbers_of, poses_of

MOST_RESIDUAL_PX = 0.6  # RMS; sound cameras have 0.1 to 0.3
MOST_FOCAL_OFF, MOST_CENTRE_OFF_PX = 0.01, 8.0
SURE = 4.0  # standard deviations
PER_LENS = 3
CAUSES = "its lens is not undistorted, or it or the board moved in a shot"


@dataclass(frozen=True)
class FittedLens:
    """What the corners say of a lens.

    Attributes:
        focal_ratio: the focal length that fits, to the one that was given.
        centre_off_px: how far the principal point that fits is from the one that was given, (x, y).
        sigmas: standard deviations of these three.
    """

    focal_ratio: float
    centre_off_px: tuple[float, float]
    sigmas: tuple[float, float, float]

    @property
    def contradiction(self) -> float:
        """How far the lens is from what was given, by what may be; above 1 the corners surely contradict it."""
        offs = np.abs([self.focal_ratio - 1, *self.centre_off_px])
        most = np.maximum([MOST_FOCAL_OFF, *[MOST_CENTRE_OFF_PX] * 2], SURE * np.array(self.sigmas))
        return float((offs / most).max())

    def __str__(self) -> str:
        x, y = self.centre_off_px
        return (
            f"a focal length of {100 * self.focal_ratio:.1f} % of what was given, and a principal point "
            f"({x:+.0f}, {y:+.0f}) px beside it"
        )


def check_rig(fit: RigFit, shots: Sequence[Shot], cameras: Mapping[str, PinholeCamera]) -> None:
    """Says which camera is wrong, if one is.

    Raises:
        RobotError: The corners contradict the lens of a camera, or residuals are larger than those of a sound rig;
            the message names the camera without which the others agree, if there is one.
    """
    lenses, left_px = fit_lenses(fit, shots, cameras)
    serial = max(lenses, key=lambda name: lenses[name].contradiction)
    if left_px <= MOST_RESIDUAL_PX and lenses[serial].contradiction > 1:
        raise RobotError(
            f"camera {serial}: its corners, off by {fit.residuals_px[serial]:.2f} px, fit {lenses[serial]}; its "
            "intrinsics are of another camera, resolution or lens; read them from the device again"
        )
    if fit.worst_px > MOST_RESIDUAL_PX:
        _blame(fit, shots, cameras)


def fit_lenses(
    fit: RigFit, shots: Sequence[Shot], cameras: Mapping[str, PinholeCamera]
) -> tuple[dict[str, FittedLens], float]:
    """Fits lenses and poses together.

    Returns:
        What the corners say of each camera's lens, and the largest residual that is left, RMS, px.
    """
    table = RigCorners(shots, cameras, fit.world_from_boards)
    boards = [fit.world_from_boards[number] for number in table.moving]
    poses = SE3.stack(
        [
            *(pose.inverse() for pose in fit.world_from_cameras.values()),
            *(board for board in boards if board is not None),
        ]
    )
    count = PER_LENS * len(cameras)

    def misses_px(values: Array) -> Array:
        return table.misses_px(poses_of(values[count:]), _lenses(table.lenses, values[:count]))

    start = np.concatenate([np.zeros(count), numbers_of(poses)])
    fitted = least_squares(
        lambda values: misses_px(values).ravel(), start, loss="soft_l1", f_scale=OUTLIER_PX, x_scale="jac"
    )
    spare = max(len(fitted.fun) - len(fitted.x), 1)
    covariance = np.linalg.pinv(fitted.jac.T @ fitted.jac) * 2 * fitted.cost / spare
    sigmas = np.sqrt(np.diag(covariance)[:count]).reshape(-1, PER_LENS)
    found = fitted.x[:count].reshape(-1, PER_LENS)
    lenses = {
        serial: FittedLens(float(np.exp(f)), (float(x), float(y)), (float(s[0]), float(s[1]), float(s[2])))
        for serial, (f, x, y), s in zip(cameras, found, sigmas, strict=True)
    }
    return lenses, max(table.residuals_px(misses_px(fitted.x)).values())


def _lenses(given: Array, values: Array) -> Array:
    """Returns lenses (C, 4) whose focal lengths and principal points are off by `values` (3 C,)."""
    log_ratio, x, y = values.reshape(-1, PER_LENS).T
    ratio, same = np.exp(log_ratio), np.zeros_like(x)
    lenses: Array = given * np.stack([ratio, ratio, same + 1, same + 1], axis=1)
    return lenses + np.stack([same, same, x, y], axis=1)


def _blame(fit: RigFit, shots: Sequence[Shot], cameras: Mapping[str, PinholeCamera]) -> None:
    """Leaves one camera out after the other, and names the one without which the others agree.

    Raises:
        RobotError: Always.
    """
    for serial in sorted(cameras, key=lambda name: -fit.residuals_px[name]):
        others = {name: camera for name, camera in cameras.items() if name != serial}
        if len(others) < 2:
            break
        rest = [{name: seen for name, seen in shot.items() if name != serial} for shot in shots]
        try:
            left = fit_rig(rest, others)
        except RobotError:
            continue
        if left.worst_px <= MOST_RESIDUAL_PX:
            raise RobotError(
                f"camera {serial} does not agree with the others: corners are off by {fit.worst_px:.1f} px with it, "
                f"and by {left.worst_px:.2f} px without; {CAUSES}"
            )
    raise RobotError(
        f"the cameras do not agree ({fit}); at most {MOST_RESIDUAL_PX} px are expected; of one of them, {CAUSES}; "
        "or board.json is not what was printed"
    )

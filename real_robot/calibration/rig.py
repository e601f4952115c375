"""Where the fixed cameras of a rig stand: all poses at once, from shots of one board that several cameras see.

In each shot the board stands still before the cameras; between shots it is moved and tilted. In the first it lies on
the table, face up: its plane becomes the world's z = 0, with z up, x along its longer rows and y up the page. Poses
of all cameras and of the board in all later shots are fitted together, so that corners lie where they were seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from scipy.optimize import least_squares

from h2rh_env.captures.rig import Rig
from h2rh_env.core.camera import PinholeCamera
from h2rh_env.core.errors import RobotError
from h2rh_env.core.geometry import SE3

from .board import camera_from_board, misses_px, rms
from .rig_corners import WORLD_FROM_BOARD, RigCorners, Shot, numbers_of, poses_of

LEAST_SHOTS = 4
OUTLIER_PX = 1.0  # beyond this a corner pulls less


@dataclass(frozen=True, eq=False)
class RigFit:
    """A fitted rig.

    Attributes:
        world_from_cameras: by serial.
        world_from_boards: of each shot; None where no camera saw the board.
        residuals_px: by serial, RMS distance of corners from where they were seen.
    """

    world_from_cameras: dict[str, SE3]
    world_from_boards: tuple[SE3 | None, ...]
    residuals_px: dict[str, float]

    @property
    def worst_px(self) -> float:
        return max(self.residuals_px.values())

    def rig(self, today: date) -> Rig:
        return Rig(self.world_from_cameras, self.residuals_px, today)

    def __str__(self) -> str:
        each = ", ".join(f"{serial} {px:.2f} px" for serial, px in self.residuals_px.items())
        shots = sum(pose is not None for pose in self.world_from_boards)
        return f"{shots} shots; corners are off by {each} (RMS)"


def fit_rig(shots: Sequence[Shot], cameras: Mapping[str, PinholeCamera]) -> RigFit:
    """Fits the poses of all cameras; whether they are good enough is `check_rig`'s to say.

    Args:
        shots: at least four; the board lies on the table in the first.
        cameras: by serial, without distortion.

    Raises:
        RobotError: There are too few shots, or a camera shares none with the others.
    """
    seen_by = {serial: sum(serial in shot for shot in shots) for serial in cameras}
    if len(shots) < LEAST_SHOTS or min(seen_by.values(), default=0) < LEAST_SHOTS - 1:
        counts = ", ".join(f"{serial} in {count}" for serial, count in seen_by.items())
        raise RobotError(
            f"the board was found by camera {counts} of {len(shots)} shots; at least {LEAST_SHOTS} shots are needed, "
            f"and each camera must see it in {LEAST_SHOTS - 1}, moved and tilted between them"
        )
    poses, boards = _chained(shots, cameras)
    return _refined(shots, cameras, poses, boards)


def _chained(
    shots: Sequence[Shot], cameras: Mapping[str, PinholeCamera]
) -> tuple[dict[str, SE3], list[SE3 | None]]:
    """Returns first poses of cameras and boards, from one to the next that shares a shot with it."""
    looks = []
    for number, shot in enumerate(shots):
        for serial, seen in shot.items():
            pose = camera_from_board(seen, cameras[serial])
            if pose is not None:
                looks.append((rms(misses_px(seen, cameras[serial], pose)), serial, number, pose))
    looks.sort(key=lambda look: look[0])
    poses: dict[str, SE3] = {}
    boards: list[SE3 | None] = [WORLD_FROM_BOARD, *[None] * (len(shots) - 1)]
    while True:
        for _, serial, number, pose in looks:
            board = boards[number]
            if serial not in poses and board is not None:
                poses[serial] = board @ pose.inverse()
                break
            if serial in poses and board is None:
                boards[number] = poses[serial] @ pose
                break
        else:
            break
    missing = [serial for serial in cameras if serial not in poses]
    if missing:
        raise RobotError(
            f"no chain of shots leads from the first one to camera {', '.join(missing)}; let it see the board in a "
            "shot in which another camera does, and let a camera see the first shot, on the table"
        )
    return poses, boards


def _refined(
    shots: Sequence[Shot],
    cameras: Mapping[str, PinholeCamera],
    poses: dict[str, SE3],
    boards: list[SE3 | None],
) -> RigFit:
    """Fits all poses together; the first shot's board stays where it is."""
    table = RigCorners(shots, cameras, boards)
    moved = [board for number, board in enumerate(boards) if number and board is not None]
    start = SE3.stack([*(poses[serial].inverse() for serial in cameras), *moved])
    fitted = least_squares(
        lambda values: table.misses_px(poses_of(values)).ravel(),
        numbers_of(start),
        loss="soft_l1",
        f_scale=OUTLIER_PX,
        x_scale="jac",
    )
    best = poses_of(fitted.x)
    found = dict(zip(table.moving, best[len(cameras) :], strict=True))
    return RigFit(
        {serial: best[k].inverse() for k, serial in enumerate(cameras)},
        (boards[0], *(found.get(number) for number in range(1, len(shots)))),
        table.residuals_px(table.misses_px(best)),
    )

"""The corners that a rig's cameras saw in all shots, and how far poses and lenses leave them from there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.spatial.transform import Rotation

from h2rh_env.core.camera import PinholeCamera
from h2rh_env.core.geometry import SE3, Array

from .board import SeenCorners, rms

WORLD_FROM_BOARD = SE3(np.diag([1.0, -1.0, -1.0]), np.zeros(3))  # of the first shot: z points into the table

Shot = Mapping[str, SeenCorners]  # what each camera, by serial, saw of the board at one moment


class RigCorners:
    """All corners of all shots in a row, with the camera and the board of each.

    Args:
        boards: for each shot, None where it is not known where the board was; such shots are left out.

    Attributes:
        moving: the numbers of the shots whose boards are to be found: all that are not left out, but the first.
    """

    def __init__(
        self, shots: Sequence[Shot], cameras: Mapping[str, PinholeCamera], boards: Sequence[SE3 | None]
    ) -> None:
        self._serials = list(cameras)
        self.moving = [number for number, board in enumerate(boards) if number and board is not None]
        looks = [
            (self._serials.index(serial), [0, *self.moving].index(number), seen)
            for number, shot in enumerate(shots)
            for serial, seen in shot.items()
            if boards[number] is not None
        ]
        counts = [len(seen.points_px) for _, _, seen in looks]
        self._camera = np.repeat([camera for camera, _, _ in looks], counts)
        self._board = np.repeat([board for _, board, _ in looks], counts)
        self._points_board = np.concatenate([seen.points_board for _, _, seen in looks])
        self._points_px = np.concatenate([seen.points_px for _, _, seen in looks])
        self.lenses = np.array([[c.fx, c.fy, c.cx, c.cy] for c in cameras.values()])

    def misses_px(self, poses: SE3, lenses: Array | None = None) -> Array:
        """Returns by how much corners miss where they were seen, (N, 2), px.

        Args:
            poses: camera_from_world of each camera, then world_from_board of each board but the first.
            lenses: fx, fy, cx, cy of each camera, (C, 4), px; None takes the cameras' own.
        """
        count = len(self._serials)
        boards = SE3.stack([WORLD_FROM_BOARD, *poses[count:]])
        points_world = boards[self._board].apply(self._points_board)
        points = poses[:count][self._camera].apply(points_world)
        lens = (self.lenses if lenses is None else lenses)[self._camera]
        depth_m = np.maximum(points[:, 2:], 1e-3)  # behind the camera: a large miss, but a finite one
        return np.asarray(points[:, :2] / depth_m * lens[:, :2] + lens[:, 2:] - self._points_px)

    def residuals_px(self, misses_px: Array) -> dict[str, float]:
        """Returns the RMS distance of each camera's corners from where they were seen, px, by serial."""
        off_px = np.linalg.norm(misses_px, axis=1)
        return {serial: rms(off_px[self._camera == k]) for k, serial in enumerate(self._serials)}


def numbers_of(poses: SE3) -> Array:
    """Returns rotation vectors and translations of a batch (N,) of poses, (6 N,)."""
    turns = Rotation.from_matrix(poses.rotation).as_rotvec()
    return np.concatenate([turns, poses.translation], axis=1).ravel()


def poses_of(values: Array) -> SE3:
    """Returns the poses (N,) that `numbers_of` gave these numbers (6 N,) for."""
    turns, shifts = np.split(values.reshape(-1, 6), 2, axis=1)
    return SE3(Rotation.from_rotvec(turns).as_matrix(), shifts)

"""Hand: where a hand was seen, by the depth that the network says of it, and what room a grasp would leave it."""

from __future__ import annotations

from collections import deque
from functools import reduce

import numpy as np
import torch
from torch import Tensor

from h2rh_env.core.clearance import SWEEP_MARGIN_M
from h2rh_env.core.geometry import SE3, Array
from h2rh_env.core.gripper import FINGERTIP_DEPTH_M, ROBOTIQ_2F85
from h2rh_env.core.task import CLEARANCE_M, STANDOFF_M

from .inputs import Bytes

FINENESS = 2  # points along the side of a cell
SHARE = 0.5  # of a point's pixels that must show the hand
FAR_AWAY_M = 100.0  # where a hand's point is that is not there


class SeenHand:
    """What the last frames showed of a hand, in the world."""

    def __init__(self, frames: int, doubt_m: float) -> None:
        """Args: frames: how many are kept. doubt_m: scale of the logistic curve from room to danger."""
        self._points: deque[Array] = deque(maxlen=frames)
        self._doubt_m = doubt_m

    def __len__(self) -> int:
        return len(self._points)

    def add(self, points_world: Array) -> bool:
        """Takes in a frame's points (P, 3), m; whether it shows a hand, else it tells nothing."""
        if len(points_world):
            self._points.append(points_world)
        return bool(len(points_world))

    def danger(self, contact: Array, approach: Array, closing: Array, latest: int | None = None) -> Array:
        """How likely the gripper comes too near to the hand on its straight way in to grasps (N, 3 each); (N,).

        It is the mean of what each frame tells alone, since the depth of a frame is wrong as a whole; 0 without any.

        Args:
            latest: how many of the frames are asked; by default all.
        """
        asked = list(self._points)[-(latest or len(self._points)) :]
        if not asked or not len(contact):
            return np.zeros(len(contact))
        hands = np.full((len(asked), max(map(len, asked)), 3), FAR_AWAY_M, np.float32)
        for row, points in zip(hands, asked, strict=True):
            row[: len(points)] = points
        z, x, middle = (
            torch.from_numpy(v.astype(np.float32)).expand(len(asked), -1, -1)
            for v in (approach, closing, contact)
        )
        room_m = hand_room_m(middle, z, x, torch.from_numpy(hands))
        danger: Array = torch.sigmoid(-room_m / self._doubt_m).mean(dim=0).double().numpy()
        return danger


def seen_points(crop: Bytes, depth_m: Array, half_tangent: float, world_from_crop: SE3) -> Array:
    """Points (P, 3), m, of the hand that a crop (6, S, S) shows, as far away as the nearest cell beside the object.

    Args:
        depth_m: (C, C), what the network says of each cell.
    """
    cells = len(depth_m)
    grid = cells * FINENESS
    share = crop[3:5].reshape(2, grid, crop.shape[1] // grid, grid, -1).mean(axis=(2, 4)) / 255
    rows, columns = np.nonzero(share[1] > SHARE)
    beside = share[0].reshape(cells, FINENESS, cells, FINENESS).max(axis=(1, 3)) < 0.01
    beside &= share[1].reshape(cells, FINENESS, cells, FINENESS).max(axis=(1, 3)) > SHARE
    known = np.argwhere(beside)
    if not len(rows) or not len(known):
        return np.zeros((0, 3))
    places = np.stack([rows, columns], axis=1)
    apart = np.abs((places[:, None] + 0.5) / FINENESS - (known[None] + 0.5)).max(axis=2)
    nearest = known[apart.argmin(axis=1)]
    z = depth_m[nearest[:, 0], nearest[:, 1]]
    rays = ((places[:, ::-1] + 0.5) * 2 / grid - 1) * half_tangent
    points: Array = world_from_crop.apply(
        np.concatenate([rays, np.ones((len(rays), 1))], axis=1) * z[:, None]
    )
    return points


@torch.no_grad()
def hand_room_m(contact: Tensor, approach: Tensor, closing: Tensor, hand: Tensor) -> Tensor:
    """How much more room (B, N), m, than what is asked for a gripper leaves a hand that goes straight in to a grasp.

    Asked for are 10 mm beside the open gripper as it comes, and d_min of Eq. 14 from its frame's origin.

    Args:
        contact, approach, closing: (B, N, 3), of grasps. hand: (B, P, 3), m, in the same frame.
    """
    axes = torch.stack(
        [closing, torch.linalg.cross(approach, closing), approach], dim=2
    )  # (B, N, 3, 3), rows
    turned = (axes.flatten(1, 2) @ hand.transpose(1, 2)).unflatten(1, axes.shape[1:3])
    points = turned - axes @ contact[..., None]  # (B, N, 3, P)
    points[..., 2, :] += FINGERTIP_DEPTH_M
    boxes = torch.from_numpy(ROBOTIQ_2F85.boxes()).to(points)  # (K, 2, 3), low and high corners
    boxes[:, 0, 2] -= STANDOFF_M
    low, high = boxes.transpose(0, 1)[..., None]
    outside = (points[:, :, None] - (low + high) / 2).abs() - (high - low) / 2  # (B, N, K, 3, P)
    gap = reduce(torch.minimum, reduce(torch.maximum, outside.unbind(3)).unbind(2))
    apart = sum(v.square() for v in points.unbind(2)).sqrt() - CLEARANCE_M
    return torch.minimum(gap - SWEEP_MARGIN_M, apart).amin(-1)

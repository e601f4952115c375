"""Reference policies: what a figure is worth is told by what needs no skill to reach it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from h2rh_env.core.action import encode_action
from h2rh_env.core.camera import HAND_EYE_CAMERA, PinholeCamera
from h2rh_env.core.geometry import SE3, aim, rotation_angle, slerp
from h2rh_env.core.motion_limits import STEP_M, STEP_RAD
from h2rh_env.core.policy import Observation
from h2rh_env.core.spaces import action_space

DRIVE_M = (
    0.31  # from an initial pose, 0.7 m from the grasp, to the middle of the distances that count as reached
)


def zero_weights(network: nn.Module) -> None:
    """Sets every weight of a network to zero: what its policy still does is done by the rules about the network."""
    with torch.no_grad():
        for weight in network.parameters():
            weight.zero_()


class RandomPolicy:
    """Draws every action evenly from the action space; it declares at three of ten actions."""

    def reset(self, seed: int) -> None:
        """Begins the episode's own sequence of actions."""
        self._space = action_space()
        self._rng = np.random.default_rng(seed)

    def act(self, observation: Observation) -> npt.NDArray[np.float32]:
        """The next action (7,); the observation is not looked at."""
        return self._rng.uniform(self._space.low, self._space.high).astype(np.float32)


class Blind:
    """Turns to the object, drives 0.31 m towards it, and declares; of what is seen it knows the direction alone."""

    def __init__(self, camera: PinholeCamera = HAND_EYE_CAMERA, drive_m: float = DRIVE_M) -> None:
        self._camera, self._drive_m = camera, drive_m

    def use_camera(self, camera: PinholeCamera) -> None:
        """Takes over the camera, with which a pixel becomes a direction."""
        self._camera = camera

    def reset(self, seed: int) -> None:
        """Has the whole drive before it again."""
        self._left_m = self._drive_m

    def act(self, observation: Observation) -> npt.NDArray[np.float32]:
        """The next action (7,)."""
        if self._left_m <= 1e-9:
            return encode_action(SE3.identity(), 1.0)
        turn = aim(np.eye(3), self._direction(observation["masks"][..., 0]))
        angle = rotation_angle(turn)
        if angle > STEP_RAD:
            return encode_action(SE3(slerp(np.eye(3), turn, STEP_RAD / angle), np.zeros(3)), 0.0)
        step = min(STEP_M, self._left_m)
        self._left_m -= step
        return encode_action(SE3(turn, step * turn[:, 2]), 0.0)

    def _direction(self, mask: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
        """From the camera to the middle of the object's mask (H, W); straight ahead where none is seen."""
        rows, columns = np.nonzero(mask)
        if not len(rows):
            return np.array([0.0, 0.0, 1.0])
        right = (columns.mean() + 0.5 - self._camera.cx) / self._camera.fx
        down = (rows.mean() + 0.5 - self._camera.cy) / self._camera.fy
        return np.array([right, down, 1.0])

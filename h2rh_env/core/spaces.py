"""Spaces: what an environment shows and what it takes, as Gymnasium spaces."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np

from .action import LIMITS
from .camera import HAND_EYE_CAMERA, PinholeCamera


def observation_space(camera: PinholeCamera = HAND_EYE_CAMERA, depth: bool = False) -> gym.spaces.Dict:
    """A flat Dict: `rgb` uint8 (H, W, 3), `masks` uint8 (H, W, 2) in {0, 255} (object, hand), and on demand
    `depth` float32 (H, W, 1), m, 0 where nothing is seen."""
    h, w = camera.height, camera.width
    spaces: dict[str, gym.Space[Any]] = {
        "rgb": gym.spaces.Box(0, 255, (h, w, 3), np.uint8),
        "masks": gym.spaces.Box(0, 255, (h, w, 2), np.uint8),
    }
    if depth:
        spaces["depth"] = gym.spaces.Box(0.0, np.inf, (h, w, 1), np.float32)
    return gym.spaces.Dict(spaces)


def action_space() -> gym.spaces.Box:
    """Box(7): extrinsic xyz Euler angles, rad; translation, m; grasp score in [0, 1]."""
    low, high = LIMITS
    return gym.spaces.Box(low, high, dtype=np.float32)

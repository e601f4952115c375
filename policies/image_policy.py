"""ImagePolicy: what policies share that track hand and object through the images of an episode."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import numpy.typing as npt

from h2rh_env.core.camera import PinholeCamera
from h2rh_env.core.geometry import SE3
from h2rh_env.core.policy import Observation
from h2rh_env.core.spaces import action_space

from .config import PolicyConfig
from .rectification import Rectification
from .tracking.tracker import OwnTracker, Track


class ImagePolicy(ABC):
    """Acts on the newest frame and on what is known of the object's distance from the frames before.

    The distance needs the camera's motion: that of the policy's own actions, unless `moved` tells another. Images of
    another camera than the one it was trained on are rectified, once `use_camera` has told of it.

    Attributes:
        config: everything but the network that decides what the policy does.
        content_hash: SHA-256 of the files it was made from, for reports.
    """

    def __init__(self, config: PolicyConfig, content_hash: str) -> None:
        self.config, self.content_hash = config, content_hash
        self._rectification = Rectification(config.camera)
        limits = action_space()
        self._low, self._high = limits.low, limits.high
        self.reset(0)

    def reset(self, seed: int) -> None:
        """Forgets the last episode."""
        self._tracker = OwnTracker(self.config)

    def moved(self, camera_from_next_camera: SE3) -> None:
        """Takes note of the motion that was made after the last action, where it was not that action's."""
        self._tracker.moved(camera_from_next_camera)

    def use_camera(self, camera: PinholeCamera) -> None:
        """Takes images of this camera from now on."""
        self._rectification.use_camera(camera)

    def act(self, observation: Observation) -> npt.NDArray[np.float32]:
        """The next action (7,) of the episode.

        Raises:
            PolicyError: The images are not of the camera's size.
        """
        seen = self._tracker.see(*self._rectification(observation))
        action: npt.NDArray[np.float32] = np.clip(self._answer(seen), self._low, self._high)
        self._tracker.acted(action)
        return action

    @abstractmethod
    def _answer(self, seen: Track) -> npt.NDArray[np.float32]:
        """An action (7,), not yet clipped to the action space."""

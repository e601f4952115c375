"""The learned policy: a network that acts on observations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from h2rh_env.core.geometry import SE3
from h2rh_env.core.policy import Observation
from h2rh_env.core.spaces import action_space
from h2rh_env.utils import files

from .networks.base import HandoverNetwork
from .networks.checkpoints import CONFIG, WEIGHTS, load_checkpoint
from .tracking.depth import OwnTracker


class HandoverPolicy:
    """Acts by one forward pass on the newest frame, and on the object's range, which it follows from frame to frame.

    The range needs the camera's motion: the motion of its own actions, unless `moved` tells another.
    """

    def __init__(self, network: HandoverNetwork, content_hash: str = "") -> None:
        """Args: content_hash: SHA-256 of the checkpoint's files, for reports."""
        self.content_hash = content_hash
        self._network: HandoverNetwork = network.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        limits = action_space()
        self._low, self._high = limits.low, limits.high
        self.reset(0)

    @classmethod
    def load(cls, folder: Path | str) -> HandoverPolicy:
        """Raises: CheckpointError: the folder is not a checkpoint."""
        network = load_checkpoint(folder)
        return cls(network, files.sha256_of(*(Path(folder) / name for name in (CONFIG, WEIGHTS))))

    def reset(self, seed: int) -> None:
        """Forgets the last episode."""
        self._tracker = OwnTracker()

    def moved(self, camera_from_next_camera: SE3) -> None:
        """Tells what motion was made after the last action, where it was not that action's."""
        self._tracker.moved(camera_from_next_camera)

    @torch.inference_mode()
    def act(self, observation: Observation) -> npt.NDArray[np.float32]:
        """The next action (7,) of the episode."""
        rgb, masks = (np.ascontiguousarray(observation[key]) for key in ("rgb", "masks"))
        seen = self._tracker.see(rgb, masks)
        images, geometry = self._network.read([seen])
        actions = self._network.act(images.float() / 255, geometry, [seen])
        action: npt.NDArray[np.float32] = np.clip(actions[0], self._low, self._high)
        self._tracker.acted(action)
        return action

"""The learned policy: a network that acts on observations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from h2rh_env import files
from h2rh_env.interface import Observation, action_space

from .checkpoints import CONFIG, WEIGHTS, load_checkpoint
from .network import HandoverNetwork


class HandoverPolicy:
    """Acts by one forward pass; keeps nothing between steps, so the same observation gets the same action."""

    def __init__(self, network: HandoverNetwork, content_hash: str = "") -> None:
        """Args: content_hash: SHA-256 of the checkpoint's files, for reports."""
        self.content_hash = content_hash
        self._network = network.eval()
        limits = action_space()
        self._low, self._high = limits.low, limits.high

    @classmethod
    def load(cls, folder: Path | str) -> HandoverPolicy:
        """Raises: CheckpointError: the folder is not a checkpoint."""
        network = load_checkpoint(folder)
        return cls(network, files.sha256_of(*(Path(folder) / name for name in (CONFIG, WEIGHTS))))

    def reset(self, seed: int) -> None:
        """Nothing to forget."""

    def act(self, observation: Observation) -> npt.NDArray[np.float32]:
        return self.act_batch(observation["rgb"][None], observation["masks"][None])[0]

    @torch.inference_mode()
    def act_batch(self, rgb: npt.NDArray[np.uint8], masks: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Actions (B, 7) for frames (B, H, W, 3) and (B, H, W, 2); clipped to the action space."""
        images, geometry = self._network.prepare(
            torch.from_numpy(np.ascontiguousarray(rgb)), torch.from_numpy(np.ascontiguousarray(masks))
        )
        return np.clip(self._network.act(images.float() / 255, geometry), self._low, self._high)

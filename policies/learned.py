"""The learned policy: a network that acts on observations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from h2rh_env.utils import files

from .image_policy import ImagePolicy
from .networks.base import HandoverNetwork
from .networks.checkpoints import CONFIG, WEIGHTS, load_checkpoint
from .tracking.tracker import Track


class HandoverPolicy(ImagePolicy):
    """Acts by one forward pass of a network for each frame."""

    def __init__(self, network: HandoverNetwork, content_hash: str = "") -> None:
        """Makes a policy of a network.

        Args:
            content_hash: SHA-256 of the checkpoint's files, for reports.
        """
        self._network: HandoverNetwork = network.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        super().__init__(network.config, content_hash)

    @classmethod
    def load(cls, folder: Path | str) -> HandoverPolicy:
        """Loads a checkpoint folder.

        Raises:
            CheckpointError: The folder is not a checkpoint, or not of this version.
        """
        network = load_checkpoint(folder)
        return cls(network, files.sha256_of(*(Path(folder) / name for name in (CONFIG, WEIGHTS))))

    @torch.inference_mode()
    def _answer(self, seen: Track) -> npt.NDArray[np.float32]:
        images, geometry = self._network.preprocess([seen])
        actions = self._network.act(images.float() / 255, geometry, [seen])
        return np.asarray(actions[0])

"""A folder that LeRobot's trainer wrote (`pretrained_model`) as a Policy; the only file that imports LeRobot.

LeRobot keeps weights as safetensors and the rest as JSON, so nothing is unpickled.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from h2rh_env.core.action import decode_action
from h2rh_env.core.camera import HAND_EYE_CAMERA, PinholeCamera
from h2rh_env.core.errors import MissingPackageError, PolicyError
from h2rh_env.core.geometry import SE3
from h2rh_env.core.policy import Observation
from h2rh_env.core.spaces import action_space
from h2rh_env.core.task import Task
from h2rh_env.datasets.lerobot.features import MASKS, RGB, SENTENCES, STATE, grey, state
from h2rh_env.utils import files

from .rectification import Rectification

INPUTS = {RGB, MASKS, STATE}
INSTALL = "pip install -c constraints-lerobot.txt lerobot, in an environment of its own"


class LeRobotPolicy:
    """Acts as `lerobot-eval` lets the policy act in `lerobot_env_h2rh`: same observations, same processors.

    Where the camera is relative to the first frame follows from the actions, unless `moved` tells another motion.

    Attributes:
        task: what its grasp score ends, as the dataset that it was trained on.
        content_hash: SHA-256 of weights and configuration, for reports.
    """

    def __init__(self, folder: Path | str, task: Task = "reach") -> None:
        """Loads a folder with `config.json` and `model.safetensors`.

        Raises:
            PolicyError: It is not such a folder, or its policy was trained on other observations or actions.
            MissingPackageError: LeRobot is not installed.
        """
        self.task: Task = task
        folder = Path(folder)
        parts = [folder / name for name in ("config.json", "model.safetensors")]
        if not all(part.is_file() for part in parts):
            raise PolicyError(
                f"{folder} lacks config.json or model.safetensors; "
                "LeRobot's trainer writes them to OUTPUT/checkpoints/last/pretrained_model"
            )
        self._network, self._before, self._after = _load(folder)
        self.content_hash = files.sha256_of(*parts)
        self._rectification = Rectification(HAND_EYE_CAMERA)
        self.reset(0)

    def use_camera(self, camera: PinholeCamera) -> None:
        """Takes images of this camera from now on."""
        self._rectification.use_camera(camera)

    def reset(self, seed: int) -> None:
        """Forgets the last episode; what the policy draws at random follows from the seed."""
        self._network.reset()
        self._randomness = torch.Generator().manual_seed(seed).get_state()
        self._first_from_camera = SE3.identity()
        self._motion: SE3 | None = None

    def moved(self, camera_from_next_camera: SE3) -> None:
        """Takes note of the motion that was made after the last action, where it was not that action's."""
        self._motion = camera_from_next_camera

    def act(self, observation: Observation) -> npt.NDArray[np.float32]:
        """The next action (7,) of the episode.

        Raises:
            PolicyError: The images are not of the camera's size.
        """
        if self._motion is not None:
            self._first_from_camera @= self._motion
        rgb, masks = self._rectification(observation)
        pose = state(np.eye(4), self._first_from_camera.matrix[None])
        with torch.inference_mode(), torch.random.fork_rng(devices=[]):
            torch.set_rng_state(self._randomness)
            seen = {RGB: _image(rgb), MASKS: _image(grey(masks)), STATE: torch.from_numpy(pose)}
            answer = self._after(
                self._network.select_action(self._before(seen | {"task": [SENTENCES[self.task]]}))
            )
            self._randomness = torch.get_rng_state()
        limits = action_space()
        action: npt.NDArray[np.float32] = np.clip(
            answer[0].numpy().astype(np.float32), limits.low, limits.high
        )
        self._motion, _ = decode_action(action)
        return action


def _image(pixels: npt.NDArray[np.uint8]) -> torch.Tensor:
    """Pixels (H, W, 3) as (1, 3, H, W) in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))[None].float() / 255


def _load(folder: Path) -> tuple[Any, Any, Any]:
    """The network, and what is done before and after it."""
    try:
        from lerobot.configs.policies import PreTrainedConfig
        from lerobot.policies.factory import get_policy_class, make_pre_post_processors
    except ImportError as error:
        raise MissingPackageError(f"{folder} needs LeRobot ({error}): {INSTALL}") from None
    try:
        config = PreTrainedConfig.from_pretrained(folder, local_files_only=True)
        _check_features(config)
        config.device = "cpu"
        network = get_policy_class(config.type).from_pretrained(folder, config=config, local_files_only=True)
        before, after = make_pre_post_processors(
            config, str(folder), preprocessor_overrides={"device_processor": {"device": "cpu"}}
        )
    except Exception as error:  # LeRobot's own errors share no public base
        reason = str(error).splitlines()[0] if str(error) else repr(error)
        raise PolicyError(f"{folder} is not a LeRobot policy of these handovers ({reason})") from None
    return network.eval(), before, after


def _check_features(config: Any) -> None:
    wanted, made = set(config.input_features), config.output_features["action"].shape
    if not wanted <= INPUTS or tuple(made) != (7,):
        raise ValueError(
            f"it maps {sorted(wanted)} to an action of shape {tuple(made)}; expected some of {sorted(INPUTS)} "
            "and (7,), as the export of h2rh_env.datasets.lerobot has them"
        )

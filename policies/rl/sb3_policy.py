"""A Stable-Baselines3 model file as a Policy.

Only the weights are read: `load` of Stable-Baselines3 would unpickle, and so run, what the file's author put in.
"""

from __future__ import annotations

import io
import json
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
import torch

from h2rh_env.core.camera import HAND_EYE_CAMERA, PinholeCamera
from h2rh_env.core.errors import PolicyError
from h2rh_env.core.policy import Observation
from h2rh_env.core.spaces import action_space
from h2rh_env.utils.strict_json import from_json

from ..networks.checkpoints import CONFIG, WEIGHTS
from ..rectification import Rectification
from .residual import Residual, ResidualConfig

MAX_FILE_BYTES = 2**30
CLONED = "cloned"  # folder in a file of `policies.rl.reinforcement` that tells what its actions are added to
# Files that do not tell how a learner's numbers are scaled were written when these were constants of the code.
UNTOLD = ResidualConfig(4.0, 0.5, 0.4, 0.25, 0.1, 0.05, 0.05, 0.05, 0.05, (1, 2, 4))


class Sb3Policy:
    """The mean action of a model that `save` of PPO, A2C, SAC, TD3 or DDPG wrote, or `policies.rl.reinforcement`.

    A model that was trained behind `RescaleAction(env, -1, 1)` is one too: its actions are scaled back.
    """

    def __init__(self, path: Path | str, camera: PinholeCamera = HAND_EYE_CAMERA) -> None:
        """Reads a model file.

        Args:
            camera: the one whose images the model was trained on, unless it builds on a checkpoint, which knows.

        Raises:
            PolicyError: It is not such a file, or holds a network other than what its name and plain `policy_kwargs`
                make.
        """
        try:
            with zipfile.ZipFile(path) as archive:
                data = json.loads(_member(archive, "data"))
                weights = torch.load(io.BytesIO(_member(archive, "policy.pth")), "cpu", weights_only=True)
                self._residual = _residual(archive)
            self._actions = action_space() if self._residual is None else self._residual.action_space
            self._is_rescaled = self._residual is None and _is_rescaled(data)
            made_for = gym.spaces.Box(-1.0, 1.0, self._actions.shape) if self._is_rescaled else self._actions
            self._model = _network(data, camera, self._residual, made_for)
            self._model.load_state_dict(weights)
        except (
            OSError,
            KeyError,
            ValueError,
            RuntimeError,
            zipfile.BadZipFile,
            TypeError,
            EOFError,
        ) as error:
            reason = str(error).splitlines()[0] if str(error) else repr(error)
            raise PolicyError(
                f"{path} is not a Stable-Baselines3 model of this environment's spaces ({reason}); "
                "wrap other models in a class and name it as module:Class"
            ) from None
        self._model.set_training_mode(False)
        cloned = self._residual is not None and self._residual.builds_on_policy
        self._rectification = Rectification(
            self._residual.policy.camera if self._residual and cloned else camera
        )

    def use_camera(self, camera: PinholeCamera) -> None:
        """Takes images of this camera from now on."""
        self._rectification.use_camera(camera)

    def reset(self, seed: int) -> None:
        """Forgets the last episode."""
        if self._residual is not None:
            self._residual.forget()

    def act(self, observation: Observation) -> npt.NDArray[np.float32]:
        """The next action (7,) of the episode.

        Raises:
            PolicyError: The images are not of the camera's size.
        """
        rgb, masks = self._rectification(observation)
        if self._residual is None:
            action, _ = self._model.predict({"rgb": rgb, "masks": masks}, deterministic=True)
            low, high = self._actions.low, self._actions.high
            return np.asarray(
                low + (action + 1) / 2 * (high - low) if self._is_rescaled else action, np.float32
            )
        features, base = self._residual.observe({"rgb": rgb[None], "masks": masks[None]})
        added, _ = self._model.predict(features, deterministic=True)
        return np.asarray(self._residual.combine(base, added)[0])


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    size = archive.getinfo(name).file_size
    if size > MAX_FILE_BYTES:
        raise ValueError(f"{name} has {size} bytes")
    return archive.read(name)


def _residual(archive: zipfile.ZipFile) -> Residual | None:
    """What the model's actions are added to; None for a model that acts by itself."""
    if f"{CLONED}/about.json" not in archive.namelist():
        return None
    about = json.loads(_member(archive, f"{CLONED}/about.json"))
    config = from_json(ResidualConfig, about["residual"], "residual") if "residual" in about else UNTOLD
    if not about["cloned"]:
        return Residual(config=config)
    with tempfile.TemporaryDirectory() as folder:
        for name in (CONFIG, WEIGHTS):
            (Path(folder) / name).write_bytes(_member(archive, f"{CLONED}/{name}"))
        return Residual.load(folder, config)


def _is_rescaled(data: dict[str, Any]) -> bool:
    """Whether the model's actions lie in [-1, 1] instead of the environment's bounds.

    Raises:
        ValueError: They lie in neither.
    """
    told = data.get("action_space", {})
    if not {"low", "high"} <= set(told):
        return False
    bounds = np.array([told[side].strip("[]").split() for side in ("low", "high")], float)
    ours = action_space()
    for low, high, rescaled in ((ours.low, ours.high, False), (-1.0, 1.0, True)):
        if bounds.shape == (2, *ours.shape) and np.allclose(
            bounds, [low * np.ones(7), high * np.ones(7)], atol=1e-6
        ):
            return rescaled
    raise ValueError(
        f"its actions lie between {told['low']} and {told['high']}; expected the environment's or [-1, 1]"
    )


def _network(
    data: dict[str, Any], camera: PinholeCamera, residual: Residual | None, actions: gym.spaces.Box
) -> Any:
    """The policy network that Stable-Baselines3 would make for these settings.

    Settings that only a pickle holds are left at their defaults; if that was wrong the weights do not fit.
    """
    from stable_baselines3.common.policies import ActorCriticPolicy, MultiInputActorCriticPolicy
    from stable_baselines3.sac.policies import MultiInputPolicy as SacPolicy
    from stable_baselines3.sac.policies import SACPolicy as SacOfFeatures
    from stable_baselines3.td3.policies import MultiInputPolicy as Td3Policy

    families = {
        "stable_baselines3.common.policies": MultiInputActorCriticPolicy,
        "stable_baselines3.sac.policies": SacPolicy,
        "stable_baselines3.td3.policies": Td3Policy,
    }
    family = families[data["policy_class"]["__module__"]]
    observations: gym.Space[Any] = _channels_first(camera)
    if residual is not None and isinstance(residual.observation_space, gym.spaces.Box):
        observations = residual.observation_space
        family = {MultiInputActorCriticPolicy: ActorCriticPolicy, SacPolicy: SacOfFeatures}[family]
    settings = data.get("policy_kwargs", {})
    settings = {} if ":serialized:" in settings else dict(settings)
    if family is not Td3Policy and data.get("use_sde"):
        settings["use_sde"] = True
    return family(observations, actions, lambda progress: 0.0, **settings)


def _channels_first(camera: PinholeCamera) -> gym.spaces.Dict:
    """The observation space as Stable-Baselines3 wraps image spaces; `predict` takes either order."""
    boxes: dict[str, gym.Space[Any]] = {
        name: gym.spaces.Box(0, 255, (channels, camera.height, camera.width), np.uint8)
        for name, channels in (("rgb", 3), ("masks", 2))
    }
    return gym.spaces.Dict(boxes)

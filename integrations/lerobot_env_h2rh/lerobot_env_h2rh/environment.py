"""LeRobotHandover: a handover with observations, attributes and infos as LeRobot wants them; it needs no LeRobot."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from h2rh_env.core.policy import Observation
from h2rh_env.core.task import EPISODE_STEPS
from h2rh_env.datasets.lerobot.features import SENTENCES, grey, state
from h2rh_env.envs.handover import H2RHandoverEnv

HANDOVERS = {
    "reach": "H2RHandover-v0",
    "moving": "H2RHandoverMoving-v0",
    "grasp": "H2RHandoverGrasp-v0",
}  # what `--env.task` may be


class LeRobotHandover(gym.Env[dict[str, Any], npt.NDArray[np.float32]]):
    """One of the handovers. An observation has what a dataset of `h2rh_env.datasets.lerobot` has:

    * `pixels`: `rgb` and `masks`, uint8 (H, W, 3) each; masks are grey, object 255 and hand 128;
    * `agent_pos`: float32 (7,), the camera's pose relative to the episode's first frame: position, m, and wxyz.

    An info has `is_success` at every reset and step, False until a success is known.

    Attributes:
        task: the handover's name, one of `HANDOVERS`. task_description: the sentence for policies that read.
    """

    metadata = H2RHandoverEnv.metadata

    def __init__(
        self, handover: str = HANDOVERS["reach"], render_mode: str = "rgb_array", **options: Any
    ) -> None:
        """Makes the environment.

        Args:
            handover: its id.
            options: arguments of `h2rh_env.H2RHandoverEnv`.

        Raises:
            TypeError, ValueError, HandoverError: An argument that is not known, or a value that cannot be.
        """
        self._handover = gym.make(handover, render_mode=render_mode, **options)
        ended_by = self._handover.get_wrapper_attr("task")
        self.task = next(name for name, known in HANDOVERS.items() if known == handover)
        self.task_description = SENTENCES[ended_by]
        self._max_episode_steps = EPISODE_STEPS[ended_by]
        self.render_mode = render_mode
        self.action_space = self._handover.action_space
        image = self._handover.get_wrapper_attr("observation_space")["rgb"]
        self.observation_space = gym.spaces.Dict(
            pixels=gym.spaces.Dict(rgb=image, masks=gym.spaces.Box(0, 255, image.shape, np.uint8)),
            agent_pos=gym.spaces.Box(-np.inf, np.inf, (7,), np.float32),
        )

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        super().reset(seed=seed)
        observation, info = self._handover.reset(seed=seed, options=options)
        self._world_from_first = info["world_from_camera"].copy()
        return self._shown(observation, info), info

    def step(
        self, action: npt.NDArray[np.float32]
    ) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self._handover.step(action)
        return self._shown(observation, info), float(reward), terminated, truncated, info

    def render(self) -> Any:
        """The camera's last image, uint8 (H, W, 3)."""
        return self._handover.render()

    def close(self) -> None:
        self._handover.close()

    def _shown(self, observation: Observation, info: dict[str, Any]) -> dict[str, Any]:
        return {
            "pixels": {"rgb": observation["rgb"], "masks": grey(observation["masks"])},
            "agent_pos": state(self._world_from_first, info["world_from_camera"][None])[0],
        }

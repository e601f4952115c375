"""Sb3VectorEnv: the vector environment as Stable-Baselines3 wants it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from stable_baselines3.common.vec_env import VecEnv

from h2rh_env.envs.handover_vector import H2RHandoverVectorEnv

from .residual import Residual


class Sb3VectorEnv(VecEnv):
    """The vector environment as Stable-Baselines3 wants it, seen and acted on through a `Residual`."""

    def __init__(self, env: H2RHandoverVectorEnv, residual: Residual) -> None:
        """Wraps an environment.

        Args:
            env: has same-step autoreset.
        """
        self.env, self.residual = env, residual
        self._returns, self._lengths = np.zeros(env.num_envs), np.zeros(env.num_envs, int)
        super().__init__(env.num_envs, residual.observation_space, residual.action_space)

    def reset(self) -> Any:
        seeds = [seed for seed in self._seeds if seed is not None]
        observation, _ = self.env.reset(seed=seeds if len(seeds) == self.num_envs else None)
        self._reset_seeds()
        self.residual.forget()
        return self._see(observation)

    def step_async(self, actions: npt.NDArray[Any]) -> None:
        self._added = actions

    def step_wait(self) -> Any:
        actions = self.residual.combine(self._base, self._added)
        observation, rewards, terminations, truncations, gathered = self.env.step(actions)
        self._returns += rewards
        self._lengths += 1
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        ended = np.flatnonzero(terminations | truncations).tolist()
        if ended:
            finals = [gathered["final_obs"][i] for i in ended]
            stacked = {name: np.stack([final[name] for final in finals]) for name in ("rgb", "masks")}
            last, _ = self.residual.observe(stacked, ended)
            self.residual.forget(ended)
        for row, i in enumerate(ended):
            success = bool(gathered["final_info"].get("is_success", truncations)[i] and terminations[i])
            infos[i] = {
                "terminal_observation": {k: v[row] for k, v in last.items()}
                if isinstance(last, dict)
                else last[row],
                "TimeLimit.truncated": bool(truncations[i] and not terminations[i]),
                "is_success": success,
                "episode": {"r": float(self._returns[i]), "l": int(self._lengths[i]), "t": 0.0},
            }
            self._returns[i], self._lengths[i] = 0.0, 0
        return self._see(observation), rewards.astype(np.float32), terminations | truncations, infos

    def _see(self, observation: Any) -> Any:
        seen, self._base = self.residual.observe(observation)
        return seen

    def close(self) -> None:
        self.env.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        return [getattr(self.env, attr_name)] * len(list(self._get_indices(indices)))

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        setattr(self.env, attr_name, value)

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        return [getattr(self.env, method_name)(*args, **kwargs)]

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        return [False] * len(list(self._get_indices(indices)))

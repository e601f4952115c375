"""make_env, as LeRobot's EnvHub calls it; the file also works by itself, as `env.py` of a repository there."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
from lerobot.envs import factory
from lerobot.envs.configs import EnvConfig

from lerobot_env_h2rh import H2RHandoverConfig


def make_env(
    n_envs: int = 1, use_async_envs: bool = False, cfg: EnvConfig | None = None
) -> dict[str, dict[int, gym.vector.VectorEnv[Any, Any, Any]]]:
    """Makes environments, which begin anew in the step that ends an episode.

    Args:
        n_envs: how many, at least 1.
        use_async_envs: whether each is in a process of its own.
        cfg: what to make; of a configuration that is not ours only the task is read.

    Returns:
        The vector environment under `["h2rh"][0]`.

    Raises:
        ValueError: `n_envs` is below 1, or the task is not known.
    """
    if not isinstance(cfg, H2RHandoverConfig):
        cfg = H2RHandoverConfig(task=cfg.task) if cfg and cfg.task else H2RHandoverConfig()
    made: dict[str, dict[int, Any]] = factory.make_env(cfg, n_envs=n_envs, use_async_envs=use_async_envs)
    return made

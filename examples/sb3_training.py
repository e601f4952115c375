"""Trains with Stable-Baselines3, of which any algorithm will do that accepts a Dict of images.

    python examples/sb3_training.py --steps 100000
    python evaluate.py --policy runs/sb3.zip

`python -m policies.rl.reinforcement` does better: it starts from a checkpoint and learns a bounded correction.
"""

from dataclasses import dataclass
from pathlib import Path

import gymnasium as gym
import numpy as np
from stable_baselines3 import PPO

import h2rh_env  # noqa: F401 (registers the environment)
from h2rh_env.utils import cli


@dataclass(frozen=True)
class TrainingConfig:
    """Options of the training."""

    steps: int = 100_000
    """Number of steps in the environment. Success is rare at first, so that many are needed."""
    out: Path = Path("runs/sb3.zip")
    """File to save the model to; evaluate.py and the robot accept it as a policy."""


def main(settings: TrainingConfig) -> None:
    env = gym.make("H2RHandover-v0", reward="shaped")
    env = gym.wrappers.RescaleAction(env, np.float32(-1), np.float32(1))  # learners want actions of one scale
    rollout = min(settings.steps, 512)
    model = PPO("MultiInputPolicy", env, n_steps=rollout, batch_size=64, n_epochs=4, seed=0)
    model.learn(settings.steps, progress_bar=True)
    settings.out.parent.mkdir(parents=True, exist_ok=True)
    model.save(settings.out)
    print(f"{settings.out}: python evaluate.py --policy {settings.out}")


if __name__ == "__main__":
    cli.run(main, TrainingConfig, __doc__)

"""Stable-Baselines3 in the environment: any of its algorithms that takes a Dict of images.

    python examples/sb3_training.py --steps 100000
    python evaluate.py --policy runs/sb3.zip

`python -m policies.rl.reinforcement` does better: it starts from a checkpoint and learns a bounded correction.
"""

from dataclasses import dataclass
from pathlib import Path

import gymnasium as gym
from stable_baselines3 import PPO

import h2rh_env  # noqa: F401 (registers the environment)
from h2rh_env.utils import cli


@dataclass(frozen=True)
class Config:
    """How long to learn, and where to save."""

    steps: int = 100_000
    """Steps in the environment; success is rare at first, so expect to need many."""
    out: Path = Path("runs/sb3.zip")
    """The model: a policy that evaluate.py and the robot take."""


def main(settings: Config) -> None:
    env = gym.make("H2RHandover-v0", reward="shaped")
    rollout = min(settings.steps, 512)
    model = PPO("MultiInputPolicy", env, n_steps=rollout, batch_size=64, n_epochs=4, seed=0)
    model.learn(settings.steps, progress_bar=False)
    settings.out.parent.mkdir(parents=True, exist_ok=True)
    model.save(settings.out)
    print(f"{settings.out}: python evaluate.py --policy {settings.out}")


if __name__ == "__main__":
    cli.run(main, Config, __doc__)

"""Reinforcement learning with Stable-Baselines3, from scratch or on top of a cloned checkpoint.

    python -m policies.rl.reinforcement --initial runs/mine --scenes scenes/train --giver moving --out runs/ppo
    python -m policies.rl.reinforcement --algo sac --giver moving --out runs/sac

Writes model.zip (python evaluate.py --policy runs/ppo/model.zip), curves.png, curves.csv and training.json.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from stable_baselines3 import PPO, SAC
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback

from h2rh_env import __version__
from h2rh_env.core.errors import PolicyError
from h2rh_env.envs.handover_vector import H2RHandoverVectorEnv
from h2rh_env.envs.reward import ShapedReward
from h2rh_env.utils import cli, files

from ..networks.checkpoints import CONFIG, WEIGHTS
from .residual import Residual
from .sb3_env import Sb3VectorEnv
from .sb3_policy import CLONED

Point = dict[str, float]

WINDOW = 200  # episodes that a point of the curve is the mean of
IMAGES_KEPT = 4_000  # whole images in a replay buffer: 0.75 GB, twice


@dataclass(frozen=True)
class ReinforceConfig:
    """Options of reinforcement learning."""

    out: Path = Path("runs/reinforced")
    """Folder to write the model, its curves and its settings to."""
    algo: Literal["ppo", "sac"] = "ppo"
    """The algorithm of Stable-Baselines3 to learn with."""
    initial: Path | None = None
    """Checkpoint folder to start from: its actions are kept, and a bounded correction to them is learnt. By default
    the policy is learnt from scratch."""
    scenes: Path | None = None
    """A scene folder, or a folder of scene folders. The default is the scenes that ship with the package."""
    giver: Literal["still", "moving"] = "still"
    """Whether the giver holds still, or moves hand and object (H2RHandoverMoving-v0)."""
    steps: int = 100_000
    """Number of steps, counted over all environments."""
    num_envs: int = 32
    """Number of environments, which are rendered in one batch."""
    learning_rate: float = 1e-3
    """Learning rate of Adam."""
    warm_up: int = 1024
    """Number of steps in which PPO from a checkpoint only learns the value of states, before it changes actions."""
    reward: ShapedReward = field(default_factory=lambda: ShapedReward(shaping=0.1))
    """Reward that is learnt from."""
    seed: int = 0
    """Seed of the environments and the learner."""

    def __post_init__(self) -> None:
        for name in ("steps", "num_envs"):
            if getattr(self, name) < 1:
                raise PolicyError(
                    f"--{name.replace('_', '-')} is {getattr(self, name)}; it must be at least 1"
                )
        if self.initial is None or self.algo != "ppo":
            cli.refuse_ignored(self, ("warm_up",), "without --algo ppo and --initial")


class _WarmUp(BaseCallback):
    """Holds PPO's actor as it is for so many steps, in which its critic learns."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self._steps = steps

    def _on_rollout_start(self) -> None:
        policy: Any = self.model.policy
        learns = self.num_timesteps >= self._steps
        for part in (policy.mlp_extractor.policy_net, policy.action_net):
            part.requires_grad_(learns)
        policy.log_std.requires_grad_(learns)

    def _on_step(self) -> bool:
        return True


class _Curve(BaseCallback):
    """Notes success and return of the last episodes, every so often."""

    def __init__(self, noted: Callable[[Sequence[Point]], None], every: int) -> None:
        super().__init__()
        self._noted, self._every = noted, every
        self.points: list[Point] = []
        self._episodes: deque[tuple[float, float]] = deque(maxlen=WINDOW)

    def _on_step(self) -> bool:
        for info in self.locals["infos"]:
            if "episode" in info:
                self._episodes.append((info["is_success"], info["episode"]["r"]))
        noted = self.points[-1]["steps"] if self.points else 0
        if self.num_timesteps // self._every > noted // self._every and self._episodes:
            success, earned = np.mean(self._episodes, axis=0)
            self.points.append({"steps": self.num_timesteps, "success": success, "return": earned})
            self._noted(self.points)
        return True


def reinforce(
    settings: ReinforceConfig, progress: Callable[[int, float], None] = lambda steps, success: None
) -> list[Point]:
    """Learns, and writes model, curves and settings to `settings.out`, as far as they are, every 1024 steps.

    Args:
        progress: called with the steps so far and the success rate of the last episodes.

    Returns:
        Points of the curve: steps, success, return.
    """
    residual = Residual.load(settings.initial) if settings.initial else Residual()
    options: dict[str, Any] = {"scenes": settings.scenes, "giver": settings.giver, "reward": settings.reward}
    env = Sb3VectorEnv(
        H2RHandoverVectorEnv(settings.num_envs, autoreset_mode="SameStep", **options), residual
    )
    model = _learner(settings, env)

    def keep(points: Sequence[Point]) -> None:
        save_model(settings.out / "model.zip", model, residual, settings.initial)
        record = {"version": __version__, "settings": asdict(settings), "curve": points}
        files.write_json(settings.out / "training.json", json.loads(json.dumps(record, default=str)))
        draw_curve(settings.out / "curves.png", points)
        files.write_bytes(settings.out / "curves.csv", curve_csv(points).encode())
        if points:
            progress(int(points[-1]["steps"]), points[-1]["success"])

    curve = _Curve(keep, every=max(1, min(1024, settings.steps // 2)))
    callbacks: list[BaseCallback] = [curve]
    if isinstance(model, PPO) and settings.initial:
        callbacks.append(_WarmUp(min(settings.warm_up, settings.steps // 4)))
    model.learn(settings.steps, callbacks)
    keep(curve.points)
    return curve.points


def _learner(settings: ReinforceConfig, env: Sb3VectorEnv) -> BaseAlgorithm:
    policy = "MlpPolicy" if settings.initial else "MultiInputPolicy"
    common: dict[str, Any] = {
        "learning_rate": settings.learning_rate,
        "gamma": settings.reward.gamma,
        "seed": settings.seed,
    }
    if settings.algo == "ppo":
        # The first actions are the checkpoint's, give or take a sixth of the bound. What is tried stays for an
        # episode or two, since one step of another distance tells little of what all of them would bring; and the
        # actor is small, so that it cannot learn by heart how single episodes went.
        small = {"log_std_init": -2.75, "net_arch": {"pi": [16], "vf": [64, 64]}}
        steps = max(2, min(1024, settings.steps // 4) // settings.num_envs)
        return PPO(
            policy,
            env,
            n_steps=steps,
            batch_size=min(256, steps * settings.num_envs),
            n_epochs=8,
            target_kl=0.05,
            use_sde=settings.initial is not None,
            policy_kwargs=small if settings.initial else {"log_std_init": -1.3},
            **common,
        )
    kept = 100_000 if settings.initial else IMAGES_KEPT
    warm_up = min(1_000, settings.steps // 10)
    return SAC(policy, env, buffer_size=kept, learning_starts=warm_up, train_freq=4, **common)


def save_model(path: Path, model: BaseAlgorithm, residual: Residual, initial: Path | None) -> None:
    """Writes a Stable-Baselines3 file that also holds what it builds on; `policies.rl.sb3_policy` reads it.

    Args:
        residual: through which the model saw and acted.
        initial: the checkpoint folder that it builds on, if any.
    """
    buffer = io.BytesIO()
    model.save(buffer)
    about = {"cloned": initial is not None, "residual": asdict(residual.config)}
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr(f"{CLONED}/about.json", json.dumps(about))
        for name in (CONFIG, WEIGHTS) if initial else ():
            archive.writestr(f"{CLONED}/{name}", (initial / name).read_bytes())  # type: ignore[operator]
    files.write_bytes(path, buffer.getvalue())


def curve_csv(points: Sequence[Point]) -> str:
    """The curve as text: a line of names, then a line for each point."""
    return "\n".join(
        ["steps,success,return", *(f"{p['steps']},{p['success']},{p['return']}" for p in points), ""]
    )


def draw_curve(path: Path, points: Sequence[Point]) -> None:
    """Draws success and return by steps, as a PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
    for axis, name in zip(axes, ("success", "return"), strict=True):
        axis.plot([point["steps"] / 1000 for point in points], [point[name] for point in points])
        axis.set(title=f"{name} of the last {WINDOW} episodes, exploring", xlabel="thousand steps")
        axis.grid(alpha=0.3)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    pyplot.close(figure)
    files.write_bytes(path, buffer.getvalue())


def main(settings: ReinforceConfig) -> None:
    torch.set_num_threads(1)  # networks are small, and the renderer has use for the other cores
    with cli.progress_bar() as bar:
        task = bar.add_task(settings.algo, total=settings.steps, note="")
        reinforce(settings, lambda n, rate: bar.update(task, completed=n, note=f"success {rate:.2f}"))
    print(f"{settings.out}: model.zip, curves.png and training.json written")


if __name__ == "__main__":
    cli.run(main, ReinforceConfig, __doc__)

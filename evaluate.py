"""Evaluates policies on handover scenes: table on the terminal, report.json, report.md, a PNG sheet and an MP4.

    python evaluate.py
    python evaluate.py --scenes scenes/mine --policy learned --policy my_pkg.mine:MyPolicy --out results/mine

A policy is a name (expert, learned, ibvs-mask), a checkpoint folder, a Stable-Baselines3 .zip, or module:Class.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from h2rh_env import cli, report
from h2rh_env.errors import HandoverError
from h2rh_env.evaluation import evaluate
from h2rh_env.handover_scene import load_scenes
from policies.registry import make_policy


@dataclass(frozen=True)
class EvaluateConfig:
    """What to evaluate, and where to write the report."""

    policy: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """Policy to evaluate; repeat for several. Default: expert, learned and ibvs-mask."""
    scenes: Path | None = None
    """A scene folder, or a folder of scene folders. Default: the scenes that ship with the package."""
    starts: int = 10
    """Start poses per scene; every policy gets the same (Sec. IV-A: 10)."""
    seed: int = 0
    """Seed of the start poses."""
    rasteriser: str = "auto"
    """auto, numba, gsplat or reference."""
    out: Path = Path("results/latest")
    """Folder for the report."""


DEFAULT_POLICIES = ("expert", "learned", "ibvs-mask")


def main(config: EvaluateConfig) -> None:
    if config.starts < 1:
        raise HandoverError(f"--starts is {config.starts}; at least 1 is needed")
    names = config.policy or DEFAULT_POLICIES
    policies = {name: make_policy(name) for name in names}
    scenes = load_scenes(config.scenes)
    total = len(names) * len(scenes) * config.starts
    with cli.progress_bar() as progress:
        task = progress.add_task("episodes", total=total, note="")
        episodes = evaluate(
            policies,
            scenes,
            config.starts,
            config.seed,
            {"rasteriser": config.rasteriser},
            done=lambda: progress.advance(task),
        )
    settings = {
        key: str(value) if isinstance(value, Path) else value for key, value in asdict(config).items()
    }
    settings |= {
        "policy": list(names),
        "policy_hashes": {name: getattr(policy, "content_hash", "") for name, policy in policies.items()},
    }
    report.save(config.out, episodes, settings)
    console = Console()
    console.print(f"{len(scenes)} scenes x {config.starts} starts, seed {config.seed}")
    for title, rows in report.tables(episodes).items():
        console.print(report.terminal_table(title, *rows))
    written = ", ".join(sorted(path.name for path in config.out.iterdir()))
    console.print(f"written to {config.out}: {written}")


if __name__ == "__main__":
    cli.run(main, EvaluateConfig, __doc__)

"""How often the chosen grasp of each scene is handed over by contact, and how many judgements a minute that takes.

    python benchmarks/contact.py
    python benchmarks/contact.py scenes/train --seeds 50 --workers 2 --out contact.json

The gripper stands at the pre-grasp pose, goes straight to the grasp and closes; friction, mass and where it arrives
are drawn from the seed. Scenes whose grasp is marked as an approach only are judged too, but counted apart.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import tyro
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from h2rh_env.contact.conditions import BENCHMARK_CONDITIONS, ContactConditions
from h2rh_env.contact.handover import final_approach, simulate_handover
from h2rh_env.contact.outcome import ContactFailure, HandoverOutcome
from h2rh_env.core.errors import HandoverError
from h2rh_env.core.gripper import PANDA, ROBOTIQ_2F85
from h2rh_env.core.task import STANDOFF_M
from h2rh_env.scenes.handover_scene import HandoverScene, scene_folders
from h2rh_env.utils import cli, files
from h2rh_env.utils.parallel import map_tasks
from h2rh_env.utils.proportions import Rate

BAR = 0.98  # of the scenes that can be grasped
SPEED_BAR = 300  # judgements a minute on two cores
SHORT: dict[ContactFailure, str] = {
    "touched the hand": "hand",
    "pushed the object": "pushed",
    "closed on nothing": "nothing",
    "slipped or dropped": "slipped",
}
FRICTION_BANDS = ((0.0, 0.433), (0.433, 0.567), (0.567, 9.0))
GRIPPERS = {"2f85": ROBOTIQ_2F85, "panda": PANDA}


@dataclass(frozen=True)
class ContactBenchmark:
    """Settings of the benchmark."""

    scenes: Annotated[Path | None, tyro.conf.Positional] = None
    """A scene folder, or a folder of scene folders; the shipped ones by default."""
    seeds: int = 20
    """Handovers in each scene."""
    seed: int = 0
    """The first of them."""
    friction: tuple[float, float] = BENCHMARK_CONDITIONS.friction
    """Interval that the pads' friction is drawn from; the benchmark's by default."""
    workers: int = 2
    """Processes, one thread each."""
    gripper: Literal["2f85", "panda"] = "2f85"
    """Whose fingers close."""
    out: Path | None = None
    """Write every outcome there as JSON."""

    def __post_init__(self) -> None:
        if self.seeds < 1:
            raise HandoverError(f"--seeds is {self.seeds}; it must be at least 1")


@dataclass(frozen=True)
class SceneOutcomes:
    """What became of a scene's chosen grasp.

    Attributes:
        cpu_s: processor time of all of them, making the model included.
    """

    name: str
    graspable: bool
    score: float
    outcomes: tuple[HandoverOutcome, ...]
    cpu_s: float

    @property
    def handed_over(self) -> int:
        return sum(outcome.handed_over for outcome in self.outcomes)


def judge_scene(job: tuple[Path, ContactBenchmark]) -> SceneOutcomes:
    """All seeds of one scene."""
    folder, config = job
    scene = HandoverScene.load(folder)
    path = final_approach(scene.grasp.pregrasp(), STANDOFF_M)
    conditions = ContactConditions(friction=config.friction)
    began = time.process_time()
    outcomes = tuple(
        simulate_handover(scene, path, seed, conditions, GRIPPERS[config.gripper])
        for seed in range(config.seed, config.seed + config.seeds)
    )
    cpu_s = time.process_time() - began
    return SceneOutcomes(scene.name, scene.grasp.graspable, scene.grasp.score, outcomes, cpu_s)


def row(scene: SceneOutcomes) -> list[str]:
    """A line of the table."""
    outcomes = scene.outcomes
    failures = Counter(outcome.first_failure for outcome in outcomes)
    slips = [outcome.slip_m for outcome in outcomes if outcome.slip_m is not None]
    turns = [outcome.slip_rad for outcome in outcomes if outcome.slip_rad is not None]
    return [
        scene.name if scene.graspable else f"({scene.name})",
        f"{scene.handed_over}/{len(outcomes)}",
        *by_friction(outcomes),
        *(str(failures[name] or "") for name in SHORT),
        f"{1e3 * np.median([outcome.pushed_m for outcome in outcomes]):.1f}",
        f"{1e3 * np.median(slips):.1f}" if slips else "-",
        f"{np.degrees(np.median(turns)):.1f}" if turns else "-",
        f"{np.mean([outcome.mass_kg for outcome in outcomes]):.2f}",
        outcomes[0].shape_source,
    ]


def by_friction(outcomes: Sequence[HandoverOutcome]) -> list[str]:
    """Handed over of all, in each band of friction."""
    cells = []
    for low, high in FRICTION_BANDS:
        some = [outcome.handed_over for outcome in outcomes if low <= outcome.friction < high]
        cells.append(f"{sum(some)}/{len(some)}")
    return cells


def table(found: Sequence[SceneOutcomes]) -> Table:
    view = Table(
        box=SIMPLE,
        title="the chosen grasp by contact: handed over, by friction, first failures, medians (mm, degrees)",
    )
    view.add_column("scene", no_wrap=True)
    headings = ("held", "<.43", "<.57", ">.57", *SHORT.values(), "push", "slip", "turn", "kg", "shape")
    for heading in headings:
        view.add_column(heading, justify="right", no_wrap=True)
    for scene in found:
        view.add_row(*row(scene))
    return view


def summary(found: Sequence[SceneOutcomes], wall_s: float) -> str:
    graspable = [scene for scene in found if scene.graspable]
    verdicts = [outcome.handed_over for scene in graspable for outcome in scene.outcomes]
    of_scenes = [scene.name for scene in graspable for _ in scene.outcomes]
    bands = by_friction([outcome for scene in graspable for outcome in scene.outcomes])
    judgements = sum(len(scene.outcomes) for scene in found)
    cpu_s = sum(scene.cpu_s for scene in found)
    return (
        f"handed over: {Rate.of(verdicts, of_scenes)} in {len(graspable)} scenes that can be grasped "
        f"(bar {BAR:.0%}; the others stand in brackets); by friction below 0.43, 0.57 and above: {', '.join(bands)}\n"
        f"{60 * judgements / wall_s:.0f} judgements a minute by the clock (bar {SPEED_BAR} on two free cores), "
        f"{60 * judgements / cpu_s:.0f} a minute of one core's time"
    )


def to_json(found: Sequence[SceneOutcomes]) -> list[dict[str, object]]:
    return [
        {
            "scene": scene.name,
            "graspable": scene.graspable,
            "score": scene.score,
            "outcomes": [{k: v for k, v in vars(one).items() if k != "frames"} for one in scene.outcomes],
        }
        for scene in found
    ]


def main(config: ContactBenchmark) -> None:
    """Judges, prints, saves."""
    jobs = [(folder, config) for folder in scene_folders(config.scenes)]
    began = time.perf_counter()
    found: list[SceneOutcomes] = []
    with cli.progress_bar() as bar:
        task = bar.add_task("scenes", total=len(jobs), note="")
        for scene in map_tasks(judge_scene, jobs, config.workers):
            found.append(scene)
            bar.update(task, advance=1, note=scene.name)
    wall_s = time.perf_counter() - began
    console = Console(width=140)
    console.print(table(found))
    console.print(summary(found, wall_s))
    if config.out:
        files.write_json(config.out, to_json(found))


if __name__ == "__main__":
    cli.run(main, ContactBenchmark, __doc__)

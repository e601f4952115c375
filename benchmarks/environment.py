"""Measures how fast environments are beside the bare renderer, how they last, and what more workers bring.

    python benchmarks/environment.py
    python benchmarks/environment.py --soak-steps 1000000
    python benchmarks/environment.py --collect-initial-poses 2

Rates are medians of interleaved rounds: the vector environment takes thirty steps by actions drawn before, then the
bare renderer draws the same scenes from the same poses, in batches of the same size on the same threads, and each
batch of images is held until the next one is there. A few episodes are walked again and again, so that what the
renderer notes about a scene when a camera first comes somewhere is noted before the clock runs.
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from experts.jobs import Job, by_scene, collect_few
from h2rh_env.benchmark.rollout import episode_seed
from h2rh_env.core.camera import D435I, HAND_EYE_CAMERA, PinholeCamera
from h2rh_env.core.geometry import SE3
from h2rh_env.core.spaces import action_space
from h2rh_env.envs.handover_vector import H2RHandoverVectorEnv
from h2rh_env.rendering.masks import observe
from h2rh_env.rendering.select import make_rasteriser
from h2rh_env.scenes.gaussians import GaussianScene
from h2rh_env.scenes.handover_scene import HandoverScene, scene_folders
from h2rh_env.utils import cli
from h2rh_env.utils.parallel import Cluster, map_tasks

LAPS = 4  # rounds before the clock runs, which are then repeated
STEPS = 30  # of a round
COLLECTED_LAPS = 5  # after one before the clock runs, in which workers start and load scenes
SOAK_PARTS = 20


@dataclass(frozen=True)
class BenchmarkConfig:
    """What to measure."""

    num_envs: int = 16
    """Environments in the vector environment."""
    rounds: int = 30
    """Interleaved rounds of 30 steps of all environments."""
    rasteriser: str = "auto"
    """auto, numba or gsplat."""
    vga: bool = False
    """Images of 640x480 instead of 224x168."""
    soak_steps: int = 0
    """Take so many steps instead, and watch memory and file descriptors."""
    collect_initial_poses: int = 0
    """Collect so many demonstrations of each shipped scene in each lap instead, with one worker and with two."""
    cluster: Cluster = "ray"
    """Where to collect: processes or ray."""


def random_actions(rng: np.random.Generator, count: int) -> npt.NDArray[np.float32]:
    """Small motions; in thirty steps about every second episode is declared."""
    limits = action_space()
    actions = rng.uniform(0.3 * limits.low, 0.3 * limits.high, (count, 7))
    actions[:, 6] = rng.random(count) * 0.72
    return actions.astype(np.float32)


Batch = tuple[list[GaussianScene], list[SE3]]


@dataclass(frozen=True)
class Round:
    """Seconds of a round by the wall and by all of the process's threads, of the environment and of the renderer."""

    wall: tuple[float, float]
    cpu: tuple[float, float]


def measure_rates(settings: BenchmarkConfig) -> list[Round]:
    """Rounds after the first laps."""
    camera: PinholeCamera = D435I if settings.vga else HAND_EYE_CAMERA
    env = H2RHandoverVectorEnv(settings.num_envs, camera=camera, rasteriser=settings.rasteriser)
    rasteriser = env._simulator.observer.rasteriser  # the same one: what it derived from scenes is shared
    batches: list[Batch] = []

    def walk() -> None:
        for taken in actions:
            env.step(taken)
            states = env._states
            batches.append(([s.scene.gaussians for s in states], [s.scene_from_camera for s in states]))

    def draw() -> None:
        for scenes, poses in batches:
            held = observe(rasteriser, scenes, camera, poses)
        del held

    rounds = []
    for number in range(LAPS + settings.rounds):
        env.reset(seed=1000 * (number % LAPS))
        rng = np.random.default_rng(number % LAPS)
        actions = [random_actions(rng, settings.num_envs) for _ in range(STEPS)]
        batches.clear()
        (wall, cpu), (bare_wall, bare_cpu) = _timed(walk), _timed(draw)
        rounds.append(Round((wall, bare_wall), (cpu, bare_cpu)))
    return rounds[LAPS:]


def _timed(work: Callable[[], None]) -> tuple[float, float]:
    """Seconds by the wall, and by the process's threads."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def show_rates(settings: BenchmarkConfig, console: Console) -> None:
    rounds = measure_rates(settings)
    wall, cpu = (np.array([getattr(each, clock) for each in rounds]) for clock in ("wall", "cpu"))
    images = STEPS * settings.num_envs
    table = Table(title=f"{settings.num_envs} environments, images a second")
    for heading in ("", "median", "quartiles"):
        table.add_column(heading)
    for name, values in (
        ("vector environment", images / wall[:, 0]),
        ("bare renderer", images / wall[:, 1]),
        ("environment / renderer", wall[:, 1] / wall[:, 0]),
        ("the same, by processor time", cpu[:, 1] / cpu[:, 0]),
    ):
        low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
        digits = 2 if middle < 10 else 0
        table.add_row(name, f"{middle:.{digits}f}", f"{low:.{digits}f} - {high:.{digits}f}")
    console.print(table)


def thinned(folder: Path, every: int = 16) -> HandoverScene:
    """A scene of every sixteenth Gaussian and point: images take little time, and all around them is as it was."""
    scene = HandoverScene.load(folder)
    return replace(
        scene,
        gaussians=scene.gaussians.select(np.arange(0, len(scene.gaussians), every)),
        object_points=scene.object_points[::every],
        hand_points=scene.hand_points[::every],
    )


def soak(
    steps: int,
    num_envs: int = 16,
    scenes: HandoverScene | list[HandoverScene] | None = None,
    progress: Callable[[int, float, int], None] = lambda *_: None,
) -> list[tuple[int, float, int]]:
    """Takes so many steps of small images, all environments counted.

    Returns:
        Steps so far, resident memory, MB, and file descriptors, of `SOAK_PARTS` moments. Memory may grow at first,
        while the renderer notes what is hidden from where.
    """
    camera = HAND_EYE_CAMERA.resized(56, 42)
    env = gym.make_vec("H2RHandoverMoving-v0", num_envs, scenes=scenes, camera=camera, reward="shaped")
    env.reset(seed=0)
    rng = np.random.default_rng(0)
    moments = []
    for part in range(1, SOAK_PARTS + 1):
        for _ in range(steps // num_envs // SOAK_PARTS):
            env.step(random_actions(rng, num_envs))
        gc.collect()
        moments.append((part * steps // SOAK_PARTS, resident_mb(), len(os.listdir("/proc/self/fd"))))
        progress(*moments[-1])
    return moments


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def collect_timed(tasks: Sequence[Job]) -> tuple[list[tuple[bytes, int] | None], float]:
    """Demonstrations, and the processor time, s, that they took their worker."""
    began = time.process_time()
    return collect_few(tasks), time.process_time() - began


def show_collection(settings: BenchmarkConfig, console: Console) -> None:
    """The same demonstrations with one worker and with two, lap after lap, and how many cores the workers had."""
    make_rasteriser()
    tasks = [
        Job(folder, episode_seed(0, index, start), 3, 0.5)
        for index, folder in enumerate(scene_folders())
        for start in range(settings.collect_initial_poses)
    ]
    lap = by_scene(tasks)
    table = Table(
        title=f"collecting {len(tasks)} demonstrations on {settings.cluster}, {COLLECTED_LAPS} laps"
    )
    for heading in (
        "workers",
        "demonstrations a second, median",
        "quartiles",
        "cores had",
        "a second and core",
    ):
        table.add_column(heading)
    results, medians = [], []
    for workers in (1, 2):
        made = map_tasks(collect_timed, lap * (1 + COLLECTED_LAPS), workers, settings.cluster)
        kept, laps = list(islice(made, len(lap))), []
        for _ in range(COLLECTED_LAPS):
            began = time.perf_counter()
            kept += islice(made, len(lap))
            busy = sum(seconds for _, seconds in kept[-len(lap) :])
            elapsed = time.perf_counter() - began
            laps.append((len(tasks) / elapsed, busy / elapsed))
        results.append([episode for episode, _ in kept])
        low, middle, high = np.quantile([rate for rate, _ in laps], [0.25, 0.5, 0.75])
        cores = float(np.median([had for _, had in laps]))
        medians.append(middle)
        table.add_row(
            str(workers), f"{middle:.1f}", f"{low:.1f} - {high:.1f}", f"{cores:.2f}", f"{middle / cores:.1f}"
        )
    console.print(table)
    equal = "equal" if results[0] == results[1] else "DIFFERENT"
    console.print(f"two workers make {medians[1] / medians[0]:.2f} times as many; results are {equal}")


def show_soak(steps: int, console: Console) -> None:
    """Twenty lines, and how much was added in the second half, when all scenes have been seen from all sides."""
    scenes = [thinned(folder) for folder in scene_folders()[:4]]
    began = time.perf_counter()

    def tell(taken: int, memory_mb: float, files: int) -> None:
        seconds = time.perf_counter() - began
        console.print(f"{taken:>9} steps {memory_mb:8.1f} MB {files:4d} files {seconds:7.0f} s")

    moments = soak(steps, scenes=scenes, progress=tell)
    _, memory_mb, files = zip(*moments[len(moments) // 2 - 1 :], strict=True)
    grown, opened = max(memory_mb) - memory_mb[0], max(files) - files[0]
    console.print(f"second half: {grown:+.1f} MB at most, {opened:+d} files")


def main(settings: BenchmarkConfig) -> None:
    console = Console()
    if settings.soak_steps:
        show_soak(settings.soak_steps, console)
    elif settings.collect_initial_poses:
        show_collection(settings, console)
    else:
        show_rates(settings, console)


if __name__ == "__main__":
    cli.run(main, BenchmarkConfig, __doc__)

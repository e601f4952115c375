"""Rehearses a handover without a robot, checks the devices of a real one, runs it, and replays logs.

    python -m real_robot rehearse --policy expert
    python -m real_robot replay robot_trials/trial-001.jsonl

Research software, not safety-rated. Exit status: 0 handed over (or all is well), 2 wrong use, 3 not declared,
4 no handover after the declaration, 5 stopped, 6 a check failed, 7 a replay differs.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from h2rh_env import cli
from h2rh_env.clearance import Clearance
from h2rh_env.errors import RobotError
from h2rh_env.handover_scene import HandoverScene, scene_folders
from h2rh_env.metrics import score
from h2rh_env.rendering.select import make_rasteriser
from h2rh_env.start_poses import sample_starts
from policies.registry import make_policy

from .config import RobotConfig
from .hardware import check_devices, real_devices
from .replay import replay
from .session import Outcome, TrialResult, dry_run, run_trial
from .simulated import simulated_devices
from .trial_log import read_log

NOTICE = """\
This is research software and not safety-rated. It cannot replace the safety limits set on the robot's pendant:
set speed, force and planes there, keep the emergency stop in reach, and let nobody but the giver near the arm."""
STATUS = {
    Outcome.HANDED_OVER: 0,
    Outcome.NOT_DECLARED: 3,
    Outcome.BLOCKED: 4,
    Outcome.NO_GRASP: 4,
    Outcome.NOT_RELEASED: 4,
    Outcome.STOPPED: 5,
}
CHECK_FAILED, REPLAY_DIFFERS = 6, 7
ROOM_M = 1.0  # a rehearsal's work space reaches this far from the object; a scene knows of no table


@dataclass(frozen=True)
class Rehearse:
    """One trial over simulated devices, faster than real time; the same seed gives the same log."""

    scene: Path | None = None
    """Scene folder, or a folder of them, of which the first is taken; the package's own by default."""
    policy: str = "learned"
    """Name of a policy, checkpoint folder, or module:Class."""
    seed: int = 0
    """Of the start pose and the policy."""
    config: Path | None = None
    """JSON file of limits and thresholds; see real_robot/config.py."""
    logs: Path = Path("robot_trials")
    """Folder for the log."""


@dataclass(frozen=True)
class Check:
    """Asks every real device whether it is ready; moves nothing."""

    calibration: Path = Path("hand_eye.json")
    """The hand-eye calibration."""
    segmenter: str = "labels"
    """module:Class of a segmenter for real images."""
    config: Path | None = None
    """JSON file of addresses, limits and thresholds."""


@dataclass(frozen=True)
class Run:
    """One trial on the real robot; without --arm a dry run, which looks and decides but moves nothing."""

    segmenter: str
    """module:Class of a segmenter for real images."""
    policy: str = "learned"
    """Name of a policy, checkpoint folder, or module:Class."""
    calibration: Path = Path("hand_eye.json")
    """The hand-eye calibration."""
    config: Path | None = None
    """JSON file of addresses, limits and thresholds."""
    logs: Path = Path("robot_trials")
    """Folder for the log."""
    arm: bool = False
    """Moves the arm, once you have confirmed the notice."""


@dataclass(frozen=True)
class Replay:
    """Puts every decision of a logged trial to the guard again."""

    log: Annotated[Path, tyro.conf.Positional]
    """A trial's .jsonl file."""


def main(command: Rehearse | Check | Run | Replay) -> None:
    match command:
        case Rehearse():
            status = rehearse(command)
        case Check():
            status = check(command)
        case Run():
            status = run(command)
        case Replay():
            status = replay_log(command)
    sys.exit(status)


def rehearse(command: Rehearse) -> int:
    print(NOTICE)
    scene = HandoverScene.load(scene_folders(command.scene)[0])
    policy = make_policy(command.policy)
    (start,) = sample_starts(scene, np.random.default_rng(command.seed), 1)
    config = replace(
        _config(command.config),
        workspace_low_m=_vector(scene.object_centre - ROOM_M),
        workspace_high_m=_vector(scene.object_centre + ROOM_M),
    )
    devices = simulated_devices(scene, start, make_rasteriser())
    log = _free_log(command.logs)
    print(f"scene {scene.name} ({scene.object_name}), policy {command.policy}, seed {command.seed}")
    result = run_trial(policy, command.policy, devices, config, log, command.seed, scene, print)
    _print_result(result, log)
    judged = score(result.record, scene)
    print(f"declared pose: {judged.first_failure or 'success'}, {judged.distance_m:.3f} m from the object")
    print(f"least distance to the hand: {_least_distance(log, scene):.3f} m")
    return STATUS[result.outcome]


def check(command: Check) -> int:
    print(NOTICE)
    status = 0
    for name, found, good in check_devices(_config(command.config), command.calibration, command.segmenter):
        print(f"{'ok    ' if good else 'FAILED'}  {name}: {found}")
        status = status if good else CHECK_FAILED
    return status


def run(command: Run) -> int:
    print(NOTICE)
    policy, config = make_policy(command.policy), _config(command.config)
    devices = real_devices(config, command.calibration, command.segmenter, read_only=not command.arm)
    log = _free_log(command.logs)
    if not command.arm:
        print("dry run: nothing moves; add --arm to move")
        dry_run(policy, command.policy, devices, config, log, print)
        print(f"log: {log}")
        return 0
    if not sys.stdin.isatty() or input("Type 'move' to let the arm move: ").strip() != "move":
        raise RobotError("not confirmed at a terminal; the arm stays where it is")
    result = run_trial(policy, command.policy, devices, config, log, tell=print)
    _print_result(result, log)
    return STATUS[result.outcome]


def replay_log(command: Replay) -> int:
    again = replay(command.log)
    lines = ", ".join(map(str, again.differing_lines[:10]))
    print(
        f"{again.decisions} decisions, {len(again.differing_lines)} differ{': lines ' * bool(lines)}{lines}"
    )
    return REPLAY_DIFFERS if again.differing_lines else 0


def _config(path: Path | None) -> RobotConfig:
    return RobotConfig() if path is None else RobotConfig.load(path)


def _vector(values: np.ndarray) -> tuple[float, float, float]:
    x, y, z = map(float, values)
    return x, y, z


def _free_log(folder: Path) -> Path:
    number = 1
    while (path := folder / f"trial-{number:03d}.jsonl").exists():
        number += 1
    return path


def _print_result(result: TrialResult, log: Path) -> None:
    reached = "never" if result.reach_s is None else f"after {result.reach_s:.2f} s"
    print(f"{result.outcome}: {result.reason}")
    print(
        f"declared {reached}, {len(result.record.actions)} actions, {result.total_s:.2f} s in all; log: {log}"
    )


def _least_distance(log: Path, scene: HandoverScene) -> float:
    """Of the gripper frame's measured origin to the scene's hand, over every control period."""
    rows = [entry["state"]["world_from_gripper"] for entry in read_log(log) if entry["kind"] == "tick"]
    return float(Clearance(scene.hand_points).distance(np.array(rows)[:, :, 3]).min())


if __name__ == "__main__":
    cli.run(main, Rehearse | Check | Run | Replay, __doc__)  # type: ignore[arg-type]

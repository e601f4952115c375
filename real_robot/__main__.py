"""Rehearses a handover without a robot, checks the devices of a real one, runs it, and replays logs.

    python -m real_robot rehearse --policy expert
    python -m real_robot replay robot_trials/trial-001.jsonl

Research software, not safety-rated. Exit status: 0 handed over (or all is well), 2 wrong use, 3 not declared,
4 no handover after the declaration, 5 stopped, 6 a check failed, 7 a replay differs.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import tyro

from h2rh_env.core.errors import RobotError
from h2rh_env.envs.metrics import score
from h2rh_env.rendering.select import make_rasteriser
from h2rh_env.scenes.handover_scene import HandoverScene, scene_folders
from h2rh_env.utils import cli
from policies.registry import make_policy

from .benchmark.table2 import (
    GIVERS,
    HEADLINE,
    PAPER,
    POLICIES,
    least_hand_distance,
    rehearsal_config,
    table2,
    table2_text,
)
from .benchmark.video import write_video
from .calibration.charuco import calibrate_folder
from .config import RobotConfig, annotated
from .control.outcome import Outcome, TrialResult
from .drivers.hardware import check_devices, real_devices
from .drivers.hold_key import HoldKey
from .drivers.simulated import simulated_devices
from .drivers.ur.kinematics import UR5
from .emulator.base_placement import POSITIONS, place
from .emulator.rehearsal import FLANGE_FROM_GRIPPER, emulated_devices, patient
from .safety.replay import replay
from .segmentation.base import make_segmenter
from .session import dry_run, run_trial

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


@dataclass(frozen=True)
class Rehearse:
    """One trial without a robot; over simulated devices the same seed gives the same log."""

    scene: Path | None = None
    """Scene folder, or a folder of them, of which the first is taken; the package's own by default."""
    policy: str = "ranging"
    """Name of a policy, checkpoint folder, or module:Class."""
    seed: int = 0
    """Seed of the initial pose and of the policy."""
    config: Path | None = None
    """JSON file of limits and thresholds; see real_robot/config.py."""
    logs: Path = Path("robot_trials")
    """Folder for the log."""
    devices: Literal["simulated", "emulator"] = "simulated"
    """The devices: simulated runs in this process, faster than real time; emulator runs the real drivers and clients
    against an emulated controller, gripper and camera, in real time."""
    segmenter: str = "labels"
    """The segmenter of the emulator's images: labels (the truth), network (the built-in one), or module:Class."""
    host: str = "127.0.0.2"
    """Loopback address of the emulator."""
    video: Path | None = None
    """MP4 of the trial afterwards: third person and hand-eye side by side."""

    def __post_init__(self) -> None:
        _check_segmenter(self.segmenter, self.devices)


@dataclass(frozen=True)
class Check:
    """Asks every real device whether it is ready; moves nothing."""

    calibration: Path = Path("hand_eye.json")
    """The hand-eye calibration."""
    segmenter: str = "network"
    """The segmenter: network (the built-in one), or module:Class."""
    config: Path | None = None
    """JSON file of addresses, limits and thresholds."""


@dataclass(frozen=True)
class Run:
    """One trial on the real robot; without --arm a dry run, which looks and decides but moves nothing."""

    segmenter: str = "network"
    """The segmenter: network (the built-in one), or module:Class."""
    policy: str = "ranging"
    """Name of a policy, checkpoint folder, or module:Class."""
    calibration: Path = Path("hand_eye.json")
    """The hand-eye calibration."""
    config: Path | None = None
    """JSON file of addresses, limits and thresholds."""
    logs: Path = Path("robot_trials")
    """Folder for the log."""
    arm: bool = False
    """Moves the arm, once you have confirmed the notice, and only while you hold the space bar."""


@dataclass(frozen=True)
class Calibrate:
    """Hand-eye calibration from images of a ChArUco board and the poses they were taken from."""

    images: Annotated[Path, tyro.conf.Positional]
    """Folder with board.json, camera.json, and for each view NAME.png and NAME.json; see docs/robot.md."""
    serial: str
    """Serial number of the camera."""
    out: Path = Path("hand_eye.json")
    """File of the calibration."""


@dataclass(frozen=True)
class Replay:
    """Puts every decision of a logged trial to the guard again."""

    log: Annotated[Path, tyro.conf.Positional]
    """A trial's .jsonl file."""


@dataclass(frozen=True)
class Config:
    """Writes a complete robot.json: every address, limit and threshold, with its explanation and its range."""

    out: Path = Path("robot.json")
    """File of the configuration; one that exists is not overwritten."""


@dataclass(frozen=True)
class Table2:
    """The paper's Table II protocol in the emulated laboratory: objects x five positions x givers, one base."""

    scenes: Path | None = None
    """Folder of scene folders; an object's scenes are its givers. The package's own by default: one or two each."""
    policy: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """Name of a policy, checkpoint folder, or module:Class; repeat for several. Default: learned-reach, ibvs-mask,
    blind and zeros-reach."""
    objects: tuple[str, ...] = tuple(PAPER["its policy"])
    """Objects by name."""
    positions: tuple[str, ...] = tuple(POSITIONS)
    """Where the object is held: middle, left, right, top, bottom."""
    givers: int = GIVERS
    """Number of givers of each object; the first whose hand leaves a safe grasp are used."""
    segmenter: str = "network"
    """The segmenter of the emulated camera's images: network (the built-in one), labels (the truth), or
    module:Class."""
    final_approach: Literal["fixed", "measured"] = "fixed"
    """The straight advance is 0.3 m (fixed, the paper's s), or as long as the camera's depth says (measured)."""
    align_grasp: bool = False
    """Aligns with what was measured of the object before it advances, which the paper's robot does not."""
    seed: int = 0
    """Seed of the givers, the initial poses and the policies."""
    config: Path | None = None
    """JSON file of limits and thresholds; its align_grasp gives way to --align-grasp."""
    logs: Path = Path("robot_trials/table2")
    """Folder for the logs."""


def main(command: Rehearse | Check | Run | Replay | Table2 | Calibrate | Config) -> None:
    match command:
        case Table2():
            status = run_table2(command)
        case Calibrate():
            status = calibrate(command)
        case Rehearse():
            status = rehearse(command)
        case Check():
            status = check(command)
        case Run():
            status = run(command)
        case Replay():
            status = replay_log(command)
        case Config():
            status = write_config(command)
    sys.exit(status)


def rehearse(command: Rehearse) -> int:
    print(NOTICE)
    scene = HandoverScene.load(scene_folders(command.scene)[0])
    policy = make_policy(command.policy)
    rng, rasteriser = np.random.default_rng(command.seed), make_rasteriser()
    config = rehearsal_config(_config(command.config), scene)
    log = _free_log(command.logs)
    placement = place(scene, UR5, FLANGE_FROM_GRIPPER, rng)
    print(f"scene {scene.name} ({scene.object_name}), policy {command.policy}, seed {command.seed}")
    with ExitStack() as stack:
        if command.devices == "emulator":
            config = patient(config)
            segmenter = None if command.segmenter == "labels" else make_segmenter(command.segmenter)
            devices = stack.enter_context(
                emulated_devices(scene, placement, rasteriser, segmenter, config, command.host, command.seed)
            )
        else:
            devices = simulated_devices(scene, placement.world_from_start, rasteriser)
        result = run_trial(policy, command.policy, devices, config, log, command.seed, scene, print)
    _print_result(result, log)
    if command.video is not None:
        write_video(command.video, log, scene, placement, UR5, rasteriser)
        print(f"video: {command.video}")
    judged = score(result.record, scene)
    print(f"declared pose: {judged.first_failure or 'success'}, {judged.distance_m:.3f} m from the object")
    print(f"least distance to the hand: {least_hand_distance(log, scene):.3f} m")
    return STATUS[result.outcome]


def run_table2(command: Table2) -> int:
    scenes = [HandoverScene.load(folder) for folder in scene_folders(command.scenes)]
    config = replace(
        HEADLINE if command.config is None else _config(command.config),
        align_grasp=command.align_grasp,
        measure_advance=command.final_approach == "measured",
    )
    trials = table2(
        command.policy or POLICIES, scenes, command.segmenter, command.objects, command.givers, command.positions,
        command.seed, command.logs, config=config,
    )  # fmt: skip
    print(table2_text(trials))
    return 0


def calibrate(command: Calibrate) -> int:
    calibration, report = calibrate_folder(command.images, command.serial)
    calibration.save(command.out)
    print(report)
    print(f"saved: {command.out}")
    return 0


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
    print("hold the space bar: the arm moves while you do, and stops when you let go")
    with HoldKey(sys.stdin.fileno()) as key:
        held = replace(devices, may_move=key.is_held)
        result = run_trial(policy, command.policy, held, config, log, progress=print)
    _print_result(result, log)
    return STATUS[result.outcome]


def replay_log(command: Replay) -> int:
    again = replay(command.log)
    lines = ", ".join(map(str, again.differing_lines[:10]))
    print(
        f"{again.decisions} decisions, {len(again.differing_lines)} differ{': lines ' * bool(lines)}{lines}"
    )
    return REPLAY_DIFFERS if again.differing_lines else 0


def write_config(command: Config) -> int:
    if command.out.exists():
        raise RobotError(f"{command.out} exists and is not overwritten; name another file with --out")
    command.out.write_text(annotated(RobotConfig()))
    print(f"saved: {command.out}; set arm_host to your robot's address, and the workspace to your table")
    return 0


def _check_segmenter(segmenter: str, devices: str) -> None:
    if segmenter != "labels" and devices != "emulator":
        raise RobotError(f"--segmenter {segmenter} looks at the emulator's images; add: --devices emulator")


def _config(path: Path | None) -> RobotConfig:
    return RobotConfig() if path is None else RobotConfig.load(path)


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


if __name__ == "__main__":
    cli.run(main, Rehearse | Check | Run | Replay | Table2 | Calibrate | Config, __doc__)  # type: ignore[arg-type]

"""Rehearses one handover through guard and session, with simulated devices or with an arm of your own.

python examples/rehearsal.py
python examples/rehearsal.py --policy examples.own_policy:RangeByGrowth --arm examples.own_robot:MyArm
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from h2rh_env import SE3, RobotError, load_scenes, make_rasteriser, sample_initial_poses
from h2rh_env.utils import cli
from h2rh_env.utils.plugins import load_plugin
from policies.registry import make_policy
from real_robot.benchmark.table2 import rehearsal_config
from real_robot.config import RobotConfig
from real_robot.drivers.simulated import SimulatedGripper
from real_robot.drivers.simulated_camera import SimulatedCamera
from real_robot.drivers.simulated_clock import SimulatedClock
from real_robot.interfaces import Devices
from real_robot.segmentation.base import GivenMasks
from real_robot.session import run_trial


@dataclass(frozen=True)
class RehearsalConfig:
    """Options of the rehearsal."""

    policy: str = "expert"
    """Name of a policy, or module:Class."""
    arm: str = "real_robot.drivers.simulated:SimulatedArm"
    """The arm as module:Class; it is made with a clock and an initial pose."""
    scenes: Path | None = None
    """A scene folder, or a folder of scene folders, of which the first is used. The default is the shipped scenes."""


def main(settings: RehearsalConfig) -> None:
    scene = load_scenes(settings.scenes)[0]
    (initial_pose,) = sample_initial_poses(scene, np.random.default_rng(0), 1)
    clock = SimulatedClock()
    arm = load_plugin(settings.arm, "arm", RobotError)(clock, initial_pose)
    gripper = SimulatedGripper(clock, arm, scene)
    camera = SimulatedCamera(clock, arm, scene, make_rasteriser(), SE3.identity())
    devices = Devices(arm, gripper, camera, GivenMasks(), clock, SE3.identity(), "simulated")
    config = rehearsal_config(RobotConfig(), scene)
    with tempfile.TemporaryDirectory() as folder:
        policy, log = make_policy(settings.policy), Path(folder) / "trial.jsonl"
        result = run_trial(policy, settings.policy, devices, config, log, scene=scene, progress=print)
    print(f"{scene.name}: {result.outcome}, {result.reason}")


if __name__ == "__main__":
    cli.run(main, RehearsalConfig, __doc__)

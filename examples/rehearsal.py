"""A rehearsal: one handover through guard and session, with the simulated devices or with an arm of your own.

python examples/rehearsal.py
python examples/rehearsal.py --policy examples.own_policy:RangeByGrowth --arm examples.own_robot:MyArm
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from h2rh_env.core.errors import RobotError
from h2rh_env.core.geometry import SE3
from h2rh_env.envs.initial_poses import sample_initial_poses
from h2rh_env.rendering.select import make_rasteriser
from h2rh_env.scenes.handover_scene import load_scenes
from h2rh_env.utils import cli
from h2rh_env.utils.plugins import load_plugin
from policies.registry import make_policy
from real_robot.benchmark.table2 import rehearsal_config
from real_robot.config import RobotConfig
from real_robot.drivers.simulated import SimulatedCamera, SimulatedClock, SimulatedGripper
from real_robot.interfaces import Devices
from real_robot.segmentation.base import GivenMasks
from real_robot.session import run_trial


@dataclass(frozen=True)
class Config:
    """Who hands over what to whom."""

    policy: str = "expert"
    """Name of a policy, or module:Class."""
    arm: str = "real_robot.drivers.simulated:SimulatedArm"
    """module:Class, made with a clock and a start pose."""
    scenes: Path | None = None
    """Scene folder; the shipped scenes by default. The first is taken."""


def main(settings: Config) -> None:
    scene = load_scenes(settings.scenes)[0]
    (start,) = sample_initial_poses(scene, np.random.default_rng(0), 1)
    clock = SimulatedClock()
    arm = load_plugin(settings.arm, "arm", RobotError)(clock, start)
    gripper = SimulatedGripper(clock, arm, scene)
    camera = SimulatedCamera(clock, arm, scene, make_rasteriser(), SE3.identity())
    devices = Devices(arm, gripper, camera, GivenMasks(), clock, SE3.identity(), "simulated")
    config = rehearsal_config(RobotConfig(), scene)
    with tempfile.TemporaryDirectory() as folder:
        policy, log = make_policy(settings.policy), Path(folder) / "trial.jsonl"
        result = run_trial(policy, settings.policy, devices, config, log, scene=scene, tell=print)
    print(f"{scene.name}: {result.outcome}, {result.reason}")


if __name__ == "__main__":
    cli.run(main, Config, __doc__)

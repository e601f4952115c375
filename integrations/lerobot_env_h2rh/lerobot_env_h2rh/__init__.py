"""H2R handovers for LeRobot. Importing it registers the environments and their configuration `h2rh`."""

from gymnasium.envs.registration import register

from .config import H2RHandoverConfig
from .environment import HANDOVERS, LeRobotHandover

__all__ = ["H2RHandoverConfig", "LeRobotHandover"]

for _task, _id in HANDOVERS.items():
    # Without wrappers around it: LeRobot looks for `task_description` on the outermost environment.
    register(
        id=f"lerobot_env_h2rh/{_task}",
        entry_point="lerobot_env_h2rh.environment:LeRobotHandover",
        kwargs={"handover": _id},
        order_enforce=False,
        disable_env_checker=True,
    )

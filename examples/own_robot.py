"""Your own robot: an arm has a few methods; guard, session and policies use it as they use the UR5.

    python examples/rehearsal.py --arm examples.own_robot:MyArm

Here, a few lines in `_tick` stand in for the arm's controller; with a real arm, `state` and `servo` call its client.
Gripper, camera and segmenter are protocols of real_robot/interfaces.py too.
"""

import numpy as np

from h2rh_env import SE3
from h2rh_env.core.geometry import slerp
from real_robot.drivers.simulated_clock import TICK_S
from real_robot.interfaces import RobotState

SHARE = 0.1  # of the remaining path that this arm moves in a tick of 4 ms


class MyArm:
    """Follows setpoints of the gripper's pose: metres, in the grasp frame of h2rh_env/core/gripper.py."""

    def __init__(self, clock, world_from_gripper):
        self.clock, self.world_from_gripper, self.goal = clock, world_from_gripper, None
        self.velocity, self.force = np.zeros(3), np.zeros(3)  # m/s; N, which the simulated gripper sets
        clock.on_tick.append(self._tick)

    def __enter__(self):
        return self  # connect, and raise RobotError where the arm is not ready

    def __exit__(self, *exception):
        self.stop()

    def state(self):
        return RobotState(self.clock.now(), self.world_from_gripper, self.velocity, self.force)

    def servo(self, world_from_gripper):
        self.goal = world_from_gripper  # comes every 8 ms, already judged by the guard

    def stop(self):
        self.goal = None

    def can_follow(self, path):
        return all(self.is_reachable(pose) for pose in path)

    def is_reachable(self, world_from_gripper):
        return True  # ask your inverse kinematics

    def is_allowed(self, world_from_gripper):
        return True  # ask your controller for its safety planes

    def speed_scale(self, world_from_gripper):
        return 1.0  # less near a singularity, 0 where the arm cannot be

    def _tick(self):
        here, self.velocity = self.world_from_gripper, np.zeros(3)
        if self.goal is not None:
            step = SHARE * (self.goal.translation - here.translation)
            self.velocity = step / TICK_S
            rotation = slerp(here.rotation, self.goal.rotation, SHARE)
            self.world_from_gripper = SE3(rotation, here.translation + step)

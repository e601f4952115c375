"""A policy of one's own. It keeps the object in the middle and goes ahead, and ranges it by how fast it grows.

    python evaluate.py --policy examples.own_policy:RangeByGrowth
    python -m real_robot rehearse --policy examples.own_policy:RangeByGrowth

At distance d a thing looks k / d large. So 1 / size falls along a line as we come nearer, and where that line would
reach zero is where the object is.
"""

import numpy as np

from h2rh_env.core.action import encode_action
from h2rh_env.core.camera import HAND_EYE_CAMERA as CAMERA
from h2rh_env.core.geometry import SE3, rotation_from_euler_xyz

STEP_M, STOP_AT_M = 0.03, 0.50
TURN = 0.6  # of the angle to the object, at each step


class RangeByGrowth:
    """Two methods make a policy. It sees `rgb` and `masks`, and answers with one step of the camera."""

    def reset(self, seed):
        """Called before each episode."""
        self.way_m, self.ways_m, self.inverse_sizes = 0.0, [], []

    def act(self, observation):
        """A picture to an action (7,): the step in the camera's own frame, and how sure we are to be there."""
        mask = observation["masks"][..., 0] > 0
        if not mask.any():
            return encode_action(SE3.identity(), 0.0)
        right, down = direction(mask)
        self.ways_m.append(self.way_m)
        self.inverse_sizes.append(1 / np.sqrt(mask.sum()))
        ahead = STEP_M if np.hypot(right, down) < 0.15 else 0.0
        self.way_m += ahead
        turn = TURN * np.array([-down, right, 0.0])  # about x: the view tilts; about y: it pans
        arrived = self.distance_m() < STOP_AT_M
        return encode_action(SE3(rotation_from_euler_xyz(turn), np.array([0, 0, ahead])), float(arrived))

    def distance_m(self):
        """To the object: infinite until it has grown for a few steps."""
        if np.ptp(self.ways_m) < 4 * STEP_M:
            return np.inf
        slope, at_start = np.polyfit(self.ways_m, self.inverse_sizes, 1)
        return at_start / -slope - self.ways_m[-1] if slope < 0 else np.inf


def direction(mask):
    """Angles from the optical axis to the middle of a mask, rad: to the right, and down."""
    rows, columns = np.nonzero(mask)
    return (
        np.arctan((columns.mean() + 0.5 - CAMERA.cx) / CAMERA.fx),
        np.arctan((rows.mean() + 0.5 - CAMERA.cy) / CAMERA.fy),
    )

"""Your own policy: it keeps the object in the middle, moves ahead, and measures the distance by the object's growth.

    python evaluate.py --policy examples.own_policy:RangeByGrowth
    python -m real_robot rehearse --policy examples.own_policy:RangeByGrowth

At a distance d, the object looks k / d large. So 1 / size falls on a straight line as the camera comes nearer, and
the object is where that line reaches zero.
"""

import numpy as np

from h2rh_env import HAND_EYE_CAMERA as CAMERA
from h2rh_env import SE3, encode_action
from h2rh_env.core.geometry import rotation_from_euler_xyz

STEP_M, STOP_AT_M = 0.03, 0.50
TURN = 0.6  # share of the angle to the object, at each step


class RangeByGrowth:
    """Two methods make a policy. It sees `rgb` and `masks`, and answers with one step of the camera."""

    def reset(self, seed):
        """Forgets the last episode."""
        self.travelled_m, self.places_m, self.inverse_sizes = 0.0, [], []

    def act(self, observation):
        """Returns an action (7,): a step in the camera's own frame, and a score for having arrived."""
        mask = observation["masks"][..., 0] > 0
        if not mask.any():
            return encode_action(SE3.identity(), 0.0)
        right, down = direction(mask)
        self.places_m.append(self.travelled_m)
        self.inverse_sizes.append(1 / np.sqrt(mask.sum()))
        ahead = STEP_M if np.hypot(right, down) < 0.15 else 0.0
        self.travelled_m += ahead
        turn = TURN * np.array([-down, right, 0.0])  # about x: the view tilts; about y: it pans
        arrived = self.distance_m() < STOP_AT_M
        return encode_action(SE3(rotation_from_euler_xyz(turn), np.array([0, 0, ahead])), float(arrived))

    def distance_m(self):
        """Returns the distance to the object; infinite until the object has grown for a few steps."""
        if np.ptp(self.places_m) < 4 * STEP_M:
            return np.inf
        slope, at_start = np.polyfit(self.places_m, self.inverse_sizes, 1)
        return at_start / -slope - self.places_m[-1] if slope < 0 else np.inf


def direction(mask):
    """Returns the angles from the optical axis to the middle of a mask, rad: to the right, and down."""
    rows, columns = np.nonzero(mask)
    return (
        np.arctan((columns.mean() + 0.5 - CAMERA.cx) / CAMERA.fx),
        np.arctan((rows.mean() + 0.5 - CAMERA.cy) / CAMERA.fy),
    )

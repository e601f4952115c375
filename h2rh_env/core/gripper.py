"""The shape of a parallel gripper as boxes in the grasp frame.

The grasp frame (convention of 6-DOF GraspNet): z is the approach direction, x the closing direction, the
origin 0.105 m behind the midpoint of the fingertips along z.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .geometry import SE3, Array

FINGERTIP_DEPTH_M = 0.105  # from the grasp frame's origin to the contact point along z


@dataclass(frozen=True)
class GripperGeometry:
    """An open parallel gripper, all in m, in the grasp frame.

    Attributes:
        max_width_m: opening between the finger pads.
        finger_thickness_m: of one finger along x; finger_breadth_m: along y.
        finger_length_m: how far the fingers stand out of the palm along z.
        palm_size_m: (x, y, z) of the palm's box, which ends where the fingers begin.
        grip_force_n: with which each pad presses when closed, N.
        finger_speed_mps: of one finger while closing, m/s.
    """

    name: str
    max_width_m: float
    finger_thickness_m: float
    finger_breadth_m: float
    finger_length_m: float
    palm_size_m: tuple[float, float, float]
    grip_force_n: float = 60.0
    finger_speed_mps: float = 0.05

    @property
    def palm_depth_m(self) -> float:
        """z of the palm's face."""
        return FINGERTIP_DEPTH_M - self.finger_length_m

    def boxes(self, opening_m: float | None = None) -> Array:
        """(3, 2, 3): lower and upper corners of left finger, right finger and palm, at an opening."""
        half = (self.max_width_m if opening_m is None else opening_m) / 2
        t, b = self.finger_thickness_m, self.finger_breadth_m / 2
        px, py, pz = self.palm_size_m
        z0, z1 = self.palm_depth_m, FINGERTIP_DEPTH_M
        left = [[-half - t, -b, z0], [-half, b, z1]]
        right = [[half, -b, z0], [half + t, b, z1]]
        palm = [[-px / 2, -py / 2, z0 - pz], [px / 2, py / 2, z0]]
        return np.array([left, right, palm])


# Robotiq 2F-85, datasheet dimensions rounded up to whole millimetres; its force is set between 20 and 235 N.
ROBOTIQ_2F85 = GripperGeometry("robotiq-2f85", 0.085, 0.014, 0.022, 0.045, (0.149, 0.075, 0.100))
# Franka Emika Panda hand, which holds with 70 N for as long as one likes.
PANDA = GripperGeometry("panda", 0.080, 0.012, 0.022, 0.046, (0.204, 0.064, 0.066))


def half_turned(world_from_grasp: SE3) -> SE3:
    """The same grasp with the fingers exchanged: a half turn about z."""
    return SE3(world_from_grasp.rotation @ np.diag([-1.0, -1.0, 1.0]), world_from_grasp.translation)


def upright_half_turn(world_from_grasp: SE3) -> SE3:
    """Returns the half turn of a grasp in which a camera in its frame sees up as up."""
    y_up = world_from_grasp.rotation[2, 1]
    return half_turned(world_from_grasp) if y_up > 0 else world_from_grasp

"""IBVS-MASK: image-based visual servoing on the object's mask, the baseline of Sec. IV.

Proportional control in the image plane keeps the mask's centroid at the image's centre, while the camera moves
forward until the mask fills a given part of the image. It knows nothing of grasps, of distances or of the hand.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from h2rh_env.core.action import encode_action
from h2rh_env.core.camera import HAND_EYE_CAMERA, PinholeCamera
from h2rh_env.core.geometry import SE3, rotation_from_euler_xyz
from h2rh_env.core.motion_limits import MAX_STEP_ROTATION_RAD, MAX_STEP_TRANSLATION_M
from h2rh_env.core.policy import Observation

TURN_GAIN = 0.6  # share of the angle to the centroid that a step turns
FORWARD_GAIN_M = 0.12  # length of a step per unit of 1 - sqrt(area / wanted area)
WANTED_AREA = 0.027  # part of the image; best of 0.008, 0.012, 0.018, 0.027 and 0.04 on 29 training scenes
CENTRED_RAD = 0.05


class IbvsMask:
    """Turns towards the object, moves forward, and declares at a ratio of areas; holds still while it sees none."""

    def __init__(self, camera: PinholeCamera = HAND_EYE_CAMERA, wanted_area: float = WANTED_AREA) -> None:
        """Makes a policy for a camera.

        Args:
            wanted_area: part of the default camera's image, in [0, 1], that the object fills at the end.
        """
        self._wanted_area = wanted_area
        self.use_camera(camera)

    def reset(self, seed: int) -> None:
        """Does nothing: there is nothing to forget."""

    def use_camera(self, camera: PinholeCamera) -> None:
        """Takes images of this camera from now on."""
        self._camera = camera
        self._images = _field_of_view(camera) / _field_of_view(
            HAND_EYE_CAMERA
        )  # how many of the default camera's

    def act(self, observation: Observation) -> npt.NDArray[np.float32]:
        """The next action (7,)."""
        mask = observation["masks"][..., 0] > 0
        if not mask.any():
            return encode_action(SE3.identity(), 0.0)
        rows, columns = np.nonzero(mask)
        right = np.arctan((columns.mean() + 0.5 - self._camera.cx) / self._camera.fx)
        down = np.arctan((rows.mean() + 0.5 - self._camera.cy) / self._camera.fy)
        nearness = np.sqrt(mask.mean() * self._images / self._wanted_area)
        turn = np.clip(
            TURN_GAIN * np.array([-down, right, 0.0]), -MAX_STEP_ROTATION_RAD, MAX_STEP_ROTATION_RAD
        )
        forward = np.clip(FORWARD_GAIN_M * (1 - nearness), -MAX_STEP_TRANSLATION_M, MAX_STEP_TRANSLATION_M)
        arrived = nearness >= 0.97 and np.hypot(right, down) < CENTRED_RAD
        motion = SE3(rotation_from_euler_xyz(turn), np.array([0.0, 0.0, forward]))
        return encode_action(motion, float(arrived))


def _field_of_view(camera: PinholeCamera) -> float:
    """The area of the image at unit distance."""
    return camera.width / camera.fx * camera.height / camera.fy

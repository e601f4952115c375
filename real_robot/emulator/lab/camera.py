"""The laboratory's camera: a D435i on a mount beside the fingers, with its noise, holes and least distance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from h2rh_env.captures.synthetic.rendering.rig import RigCamera
from h2rh_env.captures.synthetic.rendering.sensor import measure_depth
from h2rh_env.captures.synthetic.rendering.shading import Picture
from h2rh_env.core.camera import HAND_EYE_CAMERA
from h2rh_env.core.geometry import SE3, uniform_directions
from h2rh_env.rendering.base import Rasteriser
from h2rh_env.scenes.handover_scene import HandoverScene

from ...drivers.simulated_camera import SimulatedCamera
from ...drivers.simulated_clock import SimulatedClock
from ...interfaces import Frame
from ..arm import ArmModel
from ..camera import SceneView
from .giver import Giver

MOUNT = SE3(Rotation.from_rotvec([-0.2, 0.0, 0.0]).as_matrix(), np.array([0.0, -0.065, -0.05]))
"""`gripper_from_camera`: above the coupling, turned down by 11 degrees to what lies ahead of the fingertips."""
CALIBRATION_M, CALIBRATION_RAD = 0.003, np.radians(0.5)
LEAST_DEPTH_M = 0.12  # of a D435i whose depth is taken at 480 x 270; 0.17 m at 640 x 480
PERIOD_S = 1 / 15  # two cores render and segment no more in the time that a night has
COLOUR_NOISE = 3.0  # of 255, standard deviation


@dataclass(frozen=True, eq=False)
class _Wrist:
    """Where the arm's joints have the gripper."""

    model: ArmModel

    @property
    def world_from_gripper(self) -> SE3:
        return SE3.from_matrix(self.model.tcp)


def calibrated(gripper_from_camera: SE3, rng: np.random.Generator) -> SE3:
    """What a calibration says of a mount: off by 3 mm and half a degree, in directions drawn by chance."""
    off, axis = uniform_directions(rng, 2)
    turn = Rotation.from_rotvec(CALIBRATION_RAD * axis).as_matrix()
    return gripper_from_camera @ SE3(turn, CALIBRATION_M * off)


class LabCamera(SimulatedCamera):
    """Fifteen frames a second before a room, of a giver who sways; with or without the true masks."""

    serial = "emulated laboratory"

    def __init__(
        self,
        clock: SimulatedClock,
        model: ArmModel,
        scene: HandoverScene,
        giver: Giver,
        rasteriser: Rasteriser,
        true_masks: bool,
        seed: int,
        gripper_from_camera: SE3 = MOUNT,
    ) -> None:
        super().__init__(
            clock, _Wrist(model), scene, rasteriser, gripper_from_camera, HAND_EYE_CAMERA, PERIOD_S
        )
        self.least_depth_m = LEAST_DEPTH_M
        self._giver, self._true_masks = giver, true_masks
        self._view, self._seed = SceneView(scene, rasteriser, seed), seed

    def _render(self, time_s: float, world_from_camera: SE3) -> Frame:
        rng = np.random.default_rng([self._seed, round(1e4 * time_s)])
        scene_from_camera = self._giver.world_from_scene(time_s).inverse() @ world_from_camera
        rgb, true_depth, masks = self._view.look(self._camera, scene_from_camera)
        noisy = np.clip(rgb + rng.normal(0.0, COLOUR_NOISE, rgb.shape) + 0.5, 0, 255).astype(np.uint8)
        depth = _measured_depth(true_depth, self._camera_of(world_from_camera), rng)
        depth[depth < self.least_depth_m] = 0
        return Frame(time_s, self._camera, noisy, depth, masks if self._true_masks else None)

    def _camera_of(self, world_from_camera: SE3) -> RigCamera:
        return RigCamera(self.serial, self._camera, world_from_camera, 1.0, np.ones(3))


def _measured_depth(
    true: npt.NDArray[np.float32], camera: RigCamera, rng: np.random.Generator
) -> npt.NDArray[np.float32]:
    """The sensor model of the captures; a splat tells neither gloss nor normals, so no hole is owed to them."""
    plain = np.ones(true.shape, np.float32)
    linear = np.full((*true.shape, 3), 0.5, np.float32)
    return measure_depth(Picture(linear, true, np.zeros(true.shape, np.uint8), 0 * plain, plain), camera, rng)

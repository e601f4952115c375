"""The laboratory's devices for one trial, and what became of it by contact."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from h2rh_env.core.geometry import SE3
from h2rh_env.core.policy import Policy, PrivilegedPolicy
from h2rh_env.rendering.base import Rasteriser
from h2rh_env.scenes.handover_scene import HandoverScene

from ...control.outcome import Outcome
from ...drivers.simulated_clock import SimulatedClock
from ...drivers.ur.body import ArmBody
from ...drivers.ur.kinematics import UR5, forward
from ...drivers.ur.reach import Reach
from ...interfaces import Devices, Segmenter
from ...safety.camera_body import camera_axis, camera_box
from ...segmentation.base import GivenMasks
from ..controller import FLANGE_FROM_GRIPPER_M
from .arm import LabArm, LabGripper
from .bench import TABLE_M, bench_of
from .camera import MOUNT, LabCamera, calibrated
from .contact import ContactVerdict, LabContact
from .giver import Giver, GiverConfig
from .shown import ShownInTheLaboratory

FLANGE_FROM_GRIPPER = SE3(np.eye(3), np.array([0.0, 0.0, FLANGE_FROM_GRIPPER_M])).matrix
STREAM = 20  # keeps these draws apart from whatever else is seeded with the same numbers


@dataclass(frozen=True, eq=False)
class Laboratory:
    """One giver at one position before the arm; the world is the arm's base. The same seed gives the same trial."""

    devices: Devices
    giver: Giver
    contact: LabContact

    def shown(self, policy: Policy) -> Policy:
        """The policy itself, or one that is shown where its camera is in the scene, if it wants to be."""
        if isinstance(policy, PrivilegedPolicy):
            return ShownInTheLaboratory(policy, self.giver, self.devices.clock)
        return policy

    def verdict(self, outcome: Outcome) -> ContactVerdict:
        """What contact says of a trial that ended so."""
        return self.contact.verdict(outcome is Outcome.HANDED_OVER)


def laboratory(
    scene: HandoverScene,
    position: str,
    rasteriser: Rasteriser,
    segmenter: Segmenter | None,
    seed: int,
    table_m: float = TABLE_M,
    giver: GiverConfig | None = None,
    gripper_from_camera: SE3 = MOUNT,
) -> Laboratory:
    """Puts a giver before the arm.

    Args:
        position: one of `POSITIONS`.
        segmenter: of the camera's images; None for the true masks.
        giver: how the giver holds on; the default one otherwise.

    Raises:
        RobotError: the arm cannot begin anywhere.
    """
    rng = np.random.default_rng([STREAM, seed, *position.encode(), *scene.name.encode()])
    body = ArmBody(table_m, camera_axis(gripper_from_camera))
    reach = Reach(UR5, FLANGE_FROM_GRIPPER, body=body)
    bench = bench_of(scene, position, reach, gripper_from_camera, rng)
    person = Giver(bench.world_from_rest, scene.object_centre, giver or GiverConfig(), rng)
    world_from_gripper = SE3.from_matrix(forward(UR5, bench.joints) @ FLANGE_FROM_GRIPPER)
    box = camera_box(gripper_from_camera)
    contact = LabContact(scene, person, world_from_gripper, box, int(rng.integers(2**31)))
    clock = SimulatedClock()
    gripper = LabGripper(clock)
    arm = LabArm(clock, reach, bench.joints, gripper, contact, person, rng)
    camera = LabCamera(
        clock, arm.model, scene, person, rasteriser, segmenter is None, seed, gripper_from_camera
    )
    devices = Devices(
        arm, gripper, camera, segmenter or GivenMasks(), clock, calibrated(gripper_from_camera, rng), "emulator"
    )  # fmt: skip
    return Laboratory(devices, person, contact)

"""Initial poses: where an episode may begin (Eqs. 3-6)."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from ..core.errors import SceneError
from ..core.geometry import (
    SE3,
    Array,
    angle_between,
    rotation_from_euler_xyz,
    uniform_directions,
    upright_rotation,
)
from ..core.task import CLEARANCE_M, STANDOFF_M
from ..scenes.handover_scene import HandoverScene

RADIUS_M = 0.7  # Sec. IV-A
MIN_ANGLE_TO_HAND_RAD = float(np.radians(60))
JITTER_RAD = float(np.radians(20))
MAX_ANGLE_TO_GRASP_RAD = float(np.radians(100))
SPARE_M = 1e-3  # by which a start's way clears d_min, so that rounding on the way cannot spend it
TRIES_AT_ONCE = 16
MAX_TRIES = 20_000
INITIAL_POSES = 15  # k of Sec. III-B


@dataclass(frozen=True)
class InitialPoseStatistics:
    """How many directions were tried, and what the first thing wrong with each was.

    Attributes:
        beside_hand: Eq. 4. turned_away: Eq. 6. too_near: Eq. 14, at the start or on the straight way from there.
    """

    tried: int = 0
    beside_hand: int = 0
    turned_away: int = 0
    too_near: int = 0

    @property
    def accepted(self) -> int:
        return self.tried - self.beside_hand - self.turned_away - self.too_near

    def __add__(self, other: InitialPoseStatistics) -> InitialPoseStatistics:
        return InitialPoseStatistics(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


def sample_initial_poses(
    scene: HandoverScene,
    rng: np.random.Generator,
    count: int,
    radius_m: float = RADIUS_M,
    min_angle_to_hand_rad: float = MIN_ANGLE_TO_HAND_RAD,
    jitter_rad: float = JITTER_RAD,
    max_angle_to_grasp_rad: float = MAX_ANGLE_TO_GRASP_RAD,
    clearance_m: float = CLEARANCE_M,
    standoff_m: float = STANDOFF_M,
) -> list[SE3]:
    """Initial poses `scene_from_gripper`, as many as asked for. See `InitialPoseSampler` for the arguments.

    Raises:
        SceneError: the scene admits hardly any start; the message counts why.
    """
    sampler = InitialPoseSampler(
        scene, radius_m, min_angle_to_hand_rad, jitter_rad, max_angle_to_grasp_rad, clearance_m, standoff_m
    )
    return sampler.sample(rng, count)[0]


@dataclass(frozen=True)
class InitialPoseSampler:
    """Draws initial poses about a scene's grasp.

    Attributes:
        radius_m: r of Eq. 3, from the grasp frame's origin.
        min_angle_to_hand_rad: alpha_min of Eq. 4, at the object between hand and start.
        jitter_rad: bound of theta_x and theta_y of Eq. 5, about the camera's own axes.
        max_angle_to_grasp_rad: theta_max of Eq. 6, between the jittered optical axis and the grasp's approach.
        clearance_m: d_min of Eq. 14; the straight way to the pre-grasp pose keeps it as the start does.
        standoff_m: s of Eq. 7.
    """

    scene: HandoverScene
    radius_m: float = RADIUS_M
    min_angle_to_hand_rad: float = MIN_ANGLE_TO_HAND_RAD
    jitter_rad: float = JITTER_RAD
    max_angle_to_grasp_rad: float = MAX_ANGLE_TO_GRASP_RAD
    clearance_m: float = CLEARANCE_M
    standoff_m: float = STANDOFF_M

    def sample(self, rng: np.random.Generator, count: int) -> tuple[list[SE3], InitialPoseStatistics]:
        """`count` initial poses, and what it took to find them.

        Raises:
            SceneError: fewer than that among `MAX_TRIES` times their number.
        """
        poses: list[SE3] = []
        statistics = InitialPoseStatistics()
        while len(poses) < count:
            if statistics.tried >= MAX_TRIES * (1 + len(poses)):
                raise SceneError(
                    f"scene {self.scene.name!r} admits hardly any initial pose: {len(poses)} of {statistics.tried} "
                    f"tried; {statistics.beside_hand} were on the hand's side of the object, "
                    f"{statistics.turned_away} turned away from the grasp, {statistics.too_near} came within "
                    f"{self.clearance_m} m of hand or object"
                )
            rotations, positions, tried = self.draw(rng, TRIES_AT_ONCE)
            poses += [SE3(r, p) for r, p in zip(rotations, positions, strict=True)][: count - len(poses)]
            statistics += tried
        return poses, statistics

    def draw(self, rng: np.random.Generator, tries: int) -> tuple[Array, Array, InitialPoseStatistics]:
        """Rotations (A, 3, 3) and positions (A, 3), m, of the poses accepted among so many tries."""
        grasp = self.scene.grasp.scene_from_grasp
        positions = grasp.translation + self.radius_m * uniform_directions(rng, tries)
        jitter = rng.uniform(-self.jitter_rad, self.jitter_rad, (tries, 2))
        rotations = upright_rotation(self.scene.object_centre - positions) @ _jitter_rotations(jitter)

        opposite = self.is_opposite_hand(positions)
        turned = opposite & self.is_turned_to_grasp(rotations)
        clear = np.zeros(tries, bool)
        goal = self.scene.grasp.pregrasp(self.standoff_m).translation
        clear[turned] = self.scene.clearance.keeps(positions[turned], goal, self.clearance_m + SPARE_M)
        statistics = InitialPoseStatistics(
            tries, int((~opposite).sum()), int((opposite & ~turned).sum()), int((turned & ~clear).sum())
        )
        return rotations[clear], positions[clear], statistics

    def is_opposite_hand(self, positions_scene: Array) -> npt.NDArray[np.bool_]:
        """Eq. 4 for positions (N, 3), m; true everywhere in a scene without a hand."""
        to_hand = self.scene.hand_centre - self.scene.object_centre
        if not np.linalg.norm(to_hand):
            return np.ones(len(positions_scene), bool)
        return angle_between(positions_scene - self.scene.object_centre, to_hand) > self.min_angle_to_hand_rad

    def is_turned_to_grasp(self, rotations: Array) -> npt.NDArray[np.bool_]:
        """Eq. 6 for rotations (N, 3, 3), scene from camera: z_i . z_f >= cos(theta_max)."""
        approach = self.scene.grasp.scene_from_grasp.rotation[:, 2]
        turned: npt.NDArray[np.bool_] = rotations[:, :, 2] @ approach >= np.cos(self.max_angle_to_grasp_rad)
        return turned


def _jitter_rotations(angles_rad: Array) -> Array:
    """R_x(theta_x) R_y(theta_y) of Eq. 5 for angles (N, 2), rad; (N, 3, 3)."""
    back = np.concatenate([-angles_rad, np.zeros((len(angles_rad), 1))], axis=1)
    return rotation_from_euler_xyz(back).swapaxes(1, 2)

"""The arm's body: its links, gripper and camera as capsules, which must keep off the table and each other.

The guard bounds what the fingers do; this is about what else moves. Capsules are a little fatter than the links.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from h2rh_env.core.geometry import Array
from h2rh_env.core.gripper import FINGERTIP_DEPTH_M, ROBOTIQ_2F85

from .kinematics import ArmGeometry

TABLE_MARGIN_M = 0.02
COLUMN, UPPER_ARM, FOREARM, WRIST_1, WRIST_2, WRIST_3, GRIPPER, CAMERA = range(8)
RADII_M = np.array([0.075, 0.06, 0.05, 0.045, 0.045, 0.045, 0.075, 0.02])
APART = np.array(
    [
        *((COLUMN, other) for other in (FOREARM, WRIST_1, WRIST_2, WRIST_3, GRIPPER, CAMERA)),
        *((UPPER_ARM, other) for other in (WRIST_1, WRIST_2, WRIST_3, GRIPPER, CAMERA)),
        *((FOREARM, other) for other in (WRIST_3, GRIPPER, CAMERA)),
    ]
)
"""Which may meet though no joint connects them; wrist and forearm are each other's neighbours."""
SAMPLES = np.linspace(0.0, 1.0, 17)[:, None]  # 26 mm apart on the longest link
PALM_BACK_M = ROBOTIQ_2F85.palm_depth_m - ROBOTIQ_2F85.palm_size_m[2]
GRIPPER_AXIS = np.array([[0.0, 0.0, PALM_BACK_M], [0.0, 0.0, FINGERTIP_DEPTH_M]])


@dataclass(frozen=True, eq=False)
class ArmBody:
    """What surrounds the links.

    Attributes:
        table_m: height of the table's top in the base frame, m; minus infinity for none.
        camera_axis: (2, 3), m, in the gripper's frame; see `safety.camera_body`.
    """

    table_m: float = -np.inf
    camera_axis: Array | None = None

    def is_free(self, arm: ArmGeometry, frames: list[Array], base_from_gripper: Array) -> bool:
        """Whether links, gripper and camera keep off the table and each other.

        Args:
            frames: `joint_frames` at the joints in question.
            base_from_gripper: (4, 4).
        """
        ends = capsule_ends(arm, frames, base_from_gripper, self.camera_axis)
        lowest = (ends[UPPER_ARM:, :, 2].min(axis=1) - RADII_M[UPPER_ARM : len(ends)]).min()
        return bool(lowest >= self.table_m + TABLE_MARGIN_M and least_gap(ends) > 0)


def capsule_ends(
    arm: ArmGeometry, frames: list[Array], base_from_gripper: Array, camera: Array | None = None
) -> Array:
    """(7 or 8, 2, 3) ends of every capsule's axis in the base frame, m, in the order of `RADII_M`.

    The frames of Denavit and Hartenberg lie on the joints' axes; upper arm and forearm lie beside them.
    """
    origins = np.array([frame[:3, 3] for frame in frames])
    sideways = frames[1][:3, 2]
    upper, fore = arm.upper_arm_offset * sideways, arm.forearm_offset * sideways
    axes = [
        (origins[0], origins[1]),
        (origins[1] + upper, origins[2] + upper),
        (origins[2] + fore, origins[3] + fore),
        (origins[3] + fore, origins[4]),
        (origins[4], origins[5]),
        (origins[5], origins[6]),
    ]
    for axis in (GRIPPER_AXIS, camera):
        if axis is not None:
            axes.append(tuple(axis @ base_from_gripper[:3, :3].T + base_from_gripper[:3, 3]))
    return np.array(axes)


def least_gap(ends: Array) -> float:
    """Between the surfaces of capsules that could meet, m; negative where they do. To 1 mm."""
    pairs = APART[APART.max(axis=1) < len(ends)]
    first, second = ends[pairs[:, 0]], ends[pairs[:, 1]]
    points = first[:, None, 0] + SAMPLES * (first[:, 1] - first[:, 0])[:, None]  # (K, S, 3)
    axis, from_start = (second[:, 1] - second[:, 0])[:, None], points - second[:, None, 0]
    share = (from_start * axis).sum(-1) / np.maximum((axis * axis).sum(-1), 1e-12)
    apart = np.linalg.norm(from_start - np.clip(share, 0.0, 1.0)[..., None] * axis, axis=-1).min(axis=1)
    return float((apart - RADII_M[pairs].sum(axis=1)).min())

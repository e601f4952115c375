"""What environment, expert, policies and robot agree on: labels, spaces, the action code, policies, episodes."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Protocol, runtime_checkable

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from .camera import HAND_EYE_CAMERA, PinholeCamera
from .errors import ActionError
from .geometry import SE3, Array, euler_xyz_from_rotation, rotation_from_euler_xyz

Observation = dict[str, npt.NDArray[Any]]

MAX_STEP_ROTATION_RAD = 0.25  # bound of each Euler angle of one action
MAX_STEP_TRANSLATION_M = 0.06  # bound of each component of one action's translation
MAX_EPISODE_STEPS = 30  # Sec. IV-A
GRASP_SCORE_THRESHOLD = 0.7  # tau_c in simulation, Sec. IV-A
STANDOFF_M = 0.3  # s, Eq. 7
CLEARANCE_M = 0.1  # d_min, Eq. 14
DISTANCE_BAND_M = (0.35, 0.45)  # Sec. IV-B
# How demonstrations move, and what follows them: well inside the action space, so that 30 steps suffice.
STEP_M = 0.05
STEP_RAD = 0.12
SETTLE_WITHIN_M = 0.5  # d of Eq. 8
IN_VIEW_RAD = 0.35  # within d, phase 3 tolerates an object this far off the optical axis
ARRIVED_M, ARRIVED_RAD = 0.02, 0.07  # from the pre-grasp pose: what a learner takes for being there (Cls = 1)


class Label(IntEnum):
    """Of a Gaussian, a point or a pixel."""

    BACKGROUND = 0
    OBJECT = 1
    HAND = 2


def observation_space(camera: PinholeCamera = HAND_EYE_CAMERA, depth: bool = False) -> gym.spaces.Dict:
    """A flat Dict: `rgb` uint8 (H, W, 3), `masks` uint8 (H, W, 2) in {0, 255} (object, hand), and on demand
    `depth` float32 (H, W, 1), m, 0 where nothing is seen."""
    h, w = camera.height, camera.width
    spaces: dict[str, gym.Space[Any]] = {
        "rgb": gym.spaces.Box(0, 255, (h, w, 3), np.uint8),
        "masks": gym.spaces.Box(0, 255, (h, w, 2), np.uint8),
    }
    if depth:
        spaces["depth"] = gym.spaces.Box(0.0, np.inf, (h, w, 1), np.float32)
    return gym.spaces.Dict(spaces)


def action_space() -> gym.spaces.Box:
    """Box(7): extrinsic xyz Euler angles, rad; translation, m; grasp score in [0, 1]."""
    high = np.array([MAX_STEP_ROTATION_RAD] * 3 + [MAX_STEP_TRANSLATION_M] * 3 + [1.0], np.float32)
    low = np.concatenate([-high[:6], [0.0]]).astype(np.float32)
    return gym.spaces.Box(low, high, dtype=np.float32)


def encode_action(camera_from_next_camera: SE3, grasp_score: float) -> npt.NDArray[np.float32]:
    """A one-step camera motion and a grasp score to an action (7,)."""
    angles = euler_xyz_from_rotation(camera_from_next_camera.rotation)
    return np.array([*angles, *camera_from_next_camera.translation, grasp_score], np.float32)


def decode_action(action: npt.ArrayLike) -> tuple[SE3, float]:
    """An action (7,) to `camera_from_next_camera` and a grasp score; values outside the space are clipped.

    Raises:
        ActionError: wrong shape, or a value that is not finite. NaN is never clipped into a motion.
    """
    a = np.asarray(action, np.float64)
    if a.shape != (7,):
        raise ActionError(
            f"an action has shape (7,): 3 rotation, 3 translation, 1 grasp score; got {a.shape}"
        )
    ((camera_from_next_camera, grasp_score),) = decode_actions(a[None])
    return camera_from_next_camera, grasp_score


def decode_actions(actions: npt.ArrayLike) -> list[tuple[SE3, float]]:
    """Many actions (B, 7), each as `decode_action` does.

    Raises:
        ActionError: likewise; names the first that is not finite.
    """
    a = np.asarray(actions, np.float64)
    if a.ndim != 2 or a.shape[1] != 7:
        raise ActionError(f"actions have shape (B, 7); got {a.shape}")
    if not np.isfinite(a).all():
        bad = int(np.argmin(np.isfinite(a).all(axis=1)))
        raise ActionError(f"an action must be finite; got {a[bad].tolist()}")
    if not len(a):
        return []
    a = np.clip(a, _LIMITS.low, _LIMITS.high)
    rotations = rotation_from_euler_xyz(a[:, :3])
    return [
        (SE3(rotation, row[3:6].copy()), float(row[6])) for rotation, row in zip(rotations, a, strict=True)
    ]


_LIMITS = action_space()


@runtime_checkable
class Policy(Protocol):
    """Acts on observations and nothing else.

    One that remembers may also have `moved(camera_from_next_camera)`: a robot tells it which motion was made between
    two observations. In simulation that is the last action's.
    """

    def reset(self, seed: int) -> None:
        """Called before each episode."""

    def act(self, observation: Observation) -> npt.NDArray[np.float32]:
        """An observation (see `observation_space`) to an action (7,) (see `action_space`)."""


@dataclass(frozen=True, eq=False)
class EpisodeRecord:
    """What happened in one episode in simulation or one trial on the robot; metrics need nothing else of it.

    Attributes:
        scene: name of the handover scene; scene_hash: SHA-256 of its files.
        policy: the policy's name.
        seed: of the environment's reset.
        world_from_gripper: (T + 1, 4, 4), the start first, the declared pose (or the last) at the end.
        actions: (T, 7) as the policy gave them. An action whose score declares is not executed as a motion.
        declared: whether the policy declared the pre-grasp pose in time.
        end_object_mask: (H, W) bool, the object as seen from the last pose.
        step_seconds: (T,) time the policy took for each action, s.
        source: "simulation", "emulator" or "robot".
    """

    scene: str
    scene_hash: str
    policy: str
    seed: int
    world_from_gripper: Array
    actions: npt.NDArray[np.float32]
    declared: bool
    end_object_mask: npt.NDArray[np.bool_]
    step_seconds: Array = field(default_factory=lambda: np.zeros(0))
    source: str = "simulation"

    @property
    def end_world_from_gripper(self) -> SE3:
        return SE3.from_matrix(self.world_from_gripper[-1])

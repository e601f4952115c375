"""Policy: what acts on observations, in simulation and on the robot; and what some policies ask for besides."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from .camera import PinholeCamera

if TYPE_CHECKING:
    from ..scenes.handover_scene import HandoverScene
    from .geometry import SE3

Observation = dict[str, npt.NDArray[Any]]


@runtime_checkable
class Policy(Protocol):
    """Acts on observations and nothing else."""

    def reset(self, seed: int) -> None:
        """Called before each episode."""

    def act(self, observation: Observation) -> npt.NDArray[np.float32]:
        """An observation (see `observation_space`) to an action (7,) (see `action_space`)."""


@runtime_checkable
class PrivilegedPolicy(Policy, Protocol):
    """Acts on the scene itself, as an expert does; only simulation has one to show."""

    def observe_state(self, scene: HandoverScene, scene_from_camera: SE3) -> None:
        """Shows what the next `act` will act on; called before each."""


@runtime_checkable
class OdometryPolicy(Policy, Protocol):
    """Wants to be told how the camera really moved between two observations, which only a robot can measure.

    In simulation, where nobody tells it, that is the motion of its last action.
    """

    def moved(self, camera_from_next_camera: SE3) -> None:
        """Tells the measured motion since the last observation; called before `act`, but not before the first."""


@runtime_checkable
class ReachAwarePolicy(Policy, Protocol):
    """Wants to know where a gripper can go at all, so that it takes an object from where an arm can."""

    def use_reach(self, can_reach: Callable[[SE3], bool]) -> None:
        """Called before an episode with what answers whether the arm reaches `camera_from_gripper`, a pose of the
        gripper given from where the camera is when it is asked."""


@runtime_checkable
class DepthPolicy(Policy, Protocol):
    """Makes use of measured depth, `observation["depth"]` (H, W, 1) float32, m, 0 where nothing is measured.

    On a robot it is shown that beside colour and masks; in an environment where `depth` was asked for.
    """

    takes_depth: bool


@runtime_checkable
class CameraAware(Protocol):
    """A policy that wants to know which camera takes the images it is shown."""

    def use_camera(self, camera: PinholeCamera) -> None:
        """Called before the first episode, and again before an episode with another camera.

        Raises:
            PolicyError: The policy cannot act on the images of such a camera.
        """


def tell_camera(policy: Policy, camera: PinholeCamera) -> None:
    """Tells a policy its camera if it wants to know.

    Raises:
        PolicyError: The policy cannot act on the images of such a camera.
    """
    if isinstance(policy, CameraAware):
        policy.use_camera(camera)

"""Policy: what acts on observations, in simulation and on the robot."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from .camera import PinholeCamera

Observation = dict[str, npt.NDArray[Any]]


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

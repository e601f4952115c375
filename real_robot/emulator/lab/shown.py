"""A policy that is shown the scene, in a laboratory where the scene is carried about before the arm."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from h2rh_env.core.geometry import SE3
from h2rh_env.core.policy import Observation, PrivilegedPolicy
from h2rh_env.scenes.handover_scene import HandoverScene

from ...interfaces import Clock
from .giver import Giver


class ShownInTheLaboratory:
    """Tells a privileged policy where its camera is in the scene's frame at that moment, not in the arm's."""

    def __init__(self, policy: PrivilegedPolicy, giver: Giver, clock: Clock) -> None:
        self._policy, self._giver, self._clock = policy, giver, clock

    def reset(self, seed: int) -> None:
        """As the policy's own."""
        self._policy.reset(seed)

    def observe_state(self, scene: HandoverScene, world_from_camera: SE3) -> None:
        """Shows the scene, seen from a pose in the world."""
        scene_from_world = self._giver.world_from_scene(self._clock.now()).inverse()
        self._policy.observe_state(scene, scene_from_world @ world_from_camera)

    def act(self, observation: Observation) -> npt.NDArray[np.float32]:
        """As the policy's own."""
        return self._policy.act(observation)

"""H2RHandoverConfig: the handovers' options on LeRobot's command lines, `--env.type=h2rh`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from lerobot.configs.types import FeatureType, PolicyFeature
from lerobot.envs.configs import EnvConfig

from h2rh_env.core.camera import HAND_EYE_CAMERA
from h2rh_env.datasets.lerobot.features import ACTION, MASKS, RGB, STATE

from .environment import HANDOVERS

IMAGE = (HAND_EYE_CAMERA.height, HAND_EYE_CAMERA.width, 3)


@EnvConfig.register_subclass("h2rh")
@dataclass
class H2RHandoverConfig(EnvConfig):
    """What to evaluate in.

    Attributes:
        task: "reach" (to the pre-grasp pose), "moving" (of a giver who moves) or "grasp" (until the object is taken).
        fps: at which videos play; a step takes 0.1 s.
        scenes: folder of one scene or of many; those shipped if None.
    """

    task: str | None = "reach"
    fps: int = 10
    scenes: str | None = None
    render_mode: str = "rgb_array"
    features: dict[str, PolicyFeature] = field(
        default_factory=lambda: {
            "action": PolicyFeature(type=FeatureType.ACTION, shape=(7,)),
            "agent_pos": PolicyFeature(type=FeatureType.STATE, shape=(7,)),
            "pixels/rgb": PolicyFeature(type=FeatureType.VISUAL, shape=IMAGE),
            "pixels/masks": PolicyFeature(type=FeatureType.VISUAL, shape=IMAGE),
        }
    )
    features_map: dict[str, str] = field(
        default_factory=lambda: {
            "action": ACTION,
            "agent_pos": STATE,
            "pixels/rgb": RGB,
            "pixels/masks": MASKS,
        }
    )

    def __post_init__(self) -> None:
        if self.task not in HANDOVERS:
            raise ValueError(f"--env.task is {self.task!r}; known are {', '.join(HANDOVERS)}")

    @property
    def package_name(self) -> str:
        """What LeRobot imports where the environment is not registered."""
        return "lerobot_env_h2rh"

    @property
    def gym_kwargs(self) -> dict[str, Any]:
        """What the environment is made with."""
        return {"render_mode": self.render_mode} | ({"scenes": self.scenes} if self.scenes else {})

"""Judge: what became of an episode, by the paper's figures and by contact."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..contact.conditions import ContactConditions
from ..core.camera import HAND_EYE_CAMERA
from ..core.episode import EpisodeRecord
from ..core.geometry import SE3
from ..core.task import STANDOFF_M, Task
from ..envs.drive_on import FinalApproach, driven_on, measured_advance_m
from ..envs.handover_metrics import HandoverScore, can_be_handed_over, score_handover
from ..perturbations.conditions import Condition, Corruption
from ..rendering.masks import masks_from_labels
from ..rendering.select import make_rasteriser
from ..scenes.handover_scene import HandoverScene


@dataclass(frozen=True)
class HandoverConfig:
    """How a handover is judged.

    Attributes:
        final_approach: how far a policy that declares the pre-grasp pose is driven on: `fixed`, 0.3 m straight (the
            paper's s), or `measured`, by the depth that a robot would measure between the fingers.
        conditions: what is drawn from each episode's seed.
    """

    final_approach: FinalApproach = "fixed"
    conditions: ContactConditions = field(default_factory=ContactConditions)


class Judge:
    """Judges handovers in one process."""

    def __init__(self, config: HandoverConfig, env_options: Mapping[str, Any]) -> None:
        """Args: env_options: arguments of the environment; its camera and rasteriser measure depth."""
        self._config = config
        self._camera = env_options.get("camera", HAND_EYE_CAMERA)
        self._rasteriser = make_rasteriser(env_options.get("rasteriser", "auto"))
        self._gripper_from_camera: SE3 = env_options.get("gripper_from_camera") or SE3.identity()

    def __call__(
        self, record: EpisodeRecord, scene: HandoverScene, condition: Condition, task: Task = "reach"
    ) -> HandoverScore | None:
        """The handover of an episode; None in a scene whose object cannot be held safely.

        Args:
            task: whether the policy declared the pre-grasp pose (`reach`), and is driven on, or closed the fingers
                itself (`grasp`).
        """
        if not can_be_handed_over(scene):
            return None
        path, advance_m = record.scene_from_gripper, None
        if record.declared and task == "reach":
            advance_m = self._advance_m(record, scene, condition)
            path = driven_on(path, advance_m)
        return score_handover(
            path, record.declared, scene, record.seed, self._config.conditions, advance_m=advance_m
        )

    def _advance_m(self, record: EpisodeRecord, scene: HandoverScene, condition: Condition) -> float:
        if self._config.final_approach == "fixed":
            return STANDOFF_M
        true_offset: SE3 = Corruption(condition, record.seed).gripper_from_camera or self._gripper_from_camera
        view = self._rasteriser.render(
            scene.gaussians, self._camera, record.end_scene_from_gripper @ true_offset
        )
        mask = masks_from_labels(view)[..., 0] > 0
        return measured_advance_m(view.expected_depth, mask, self._camera, self._gripper_from_camera)

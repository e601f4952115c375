"""Corrupts demonstrations at load, as a worse camera, segmenter, calibration and clock would have recorded them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..core.action import decode_actions, encode_action
from ..core.geometry import SE3
from ..datasets.minari import Demonstration
from .images import LateObservations, augment, hand_eye_offset


def corrupted(
    demonstration: Demonstration, rng: np.random.Generator, strength: float = 1.0, chance: float = 0.3
) -> Demonstration:
    """Returns a demonstration in which poses and motions are those that the robot believes.

    Each frame gets each image perturbation by `chance`, see `perturbations.augment`. By the same chance the episode
    has a wrong hand-eye calibration, and by the same some of its frames come one step late. Labels stay the expert's
    answer to what the camera truly saw: executed with the wrong calibration, they move it as the expert would.

    Args:
        demonstration: what the expert recorded.
        rng: the same state gives the same corruption; `np.random.default_rng([seed, number])` suits an episode.
        strength: the greatest strength, in [0, 1]; each is drawn evenly from 0.
        chance: the probability of each corruption.

    Raises:
        HandoverError: The strength is outside of [0, 1].
    """
    images, calibration, clock = rng.spawn(3)
    wrong, late = calibration.random() < chance, clock.random() < chance
    offset = hand_eye_offset(strength * calibration.random() if wrong else 0.0, calibration)
    stream = LateObservations(strength * clock.random() if late else 0.0, clock)
    frames = zip(demonstration.rgb, demonstration.masks, strict=True)
    arrived = [stream({"rgb": rgb, "masks": masks}) for rgb, masks in frames]
    rgb, masks = (np.stack([frame[key] for frame in arrived]) for key in ("rgb", "masks"))
    rgb, masks = augment(rgb, masks, images, strength, chance)
    return replace(_calibrated(demonstration, offset) if wrong else demonstration, rgb=rgb, masks=masks)


def _calibrated(demonstration: Demonstration, believed_from_camera: SE3) -> Demonstration:
    """Returns the demonstration with poses and motions of the camera that is believed to be there."""
    back = believed_from_camera.inverse()
    actions = [
        encode_action(believed_from_camera @ camera_from_next_camera @ back, score)
        for camera_from_next_camera, score in decode_actions(demonstration.actions)
    ]
    return replace(
        demonstration,
        actions=np.stack(actions),
        scene_from_camera=demonstration.scene_from_camera @ back.matrix,
        camera_from_goal=believed_from_camera.matrix @ demonstration.camera_from_goal @ back.matrix,
    )
